"""Data: annotation files to records, records to tensors, tensors to batches.

`datasets` reads and checks annotation files (one file a format), `transforms` holds the operators
(one file a family), `mapper` turns one record into model input (of which `samples` holds the parts),
`loader` makes batches in the order of `batching`. `check` measures a data set and says what is wrong.
Nothing here knows the configuration or the engine.
"""
