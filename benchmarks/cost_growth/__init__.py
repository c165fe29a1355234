"""How time and memory of this package grow with the work: `python benchmarks/growth.py`."""
