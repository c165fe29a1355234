"""Two runs of `benchmarks/run.py` against each other: `make bench-compare A=old.json B=new.json`.

    python benchmarks/compare.py old.json new.json [--threshold 0.1]

The exit status is 1 when a ratio fell by more than the threshold and more than the spread explains.
"""

from __future__ import annotations

import sys

from side_by_side.comparing import main

if __name__ == "__main__":
    sys.exit(main())
