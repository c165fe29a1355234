"""Data: annotation files to records, records to tensors, tensors to batches.

`datasets` reads and checks annotation files (one file a format), `transforms` holds the operators
(one file a family), `mapper` turns one record into model input, `loader` makes batches.
Nothing here knows the configuration or the engine.
"""
