"""Data sets written in other formats: one file a format, all fed by checked records.

Each writer takes a data set of any format, writes into an empty folder, and tells what its format
has no words for.
"""
