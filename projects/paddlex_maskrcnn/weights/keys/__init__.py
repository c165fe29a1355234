"""Names and layouts of published weights to those of our networks, one file a publisher or family.

A `map_…(names) -> {name: ours}` is a pure function of the names of a whole file. `None` stands for
what a detector has no use for (classifiers, counters). A name that such a file does not have is a
ValueError: the file is then of another network. Backbone names come without the prefix they have in
a detector. A `convert_…(arrays)` changes layouts as well.
"""
