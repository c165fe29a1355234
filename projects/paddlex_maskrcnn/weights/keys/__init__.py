"""Key maps: names of published weights to names in our networks, one file a source.

Each file has `to_detectron2(names) -> {name: ours}`, a pure function of the names of a whole file.
`None` stands for what a detector has no use for (classifiers, counters). An unknown name is a
ValueError: the file is then of another network. Backbone names come without the prefix they have in
a detector.
"""
