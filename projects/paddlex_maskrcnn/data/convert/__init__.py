"""Data sets written in other formats, and dealt into parts; all fed by checked records."""
