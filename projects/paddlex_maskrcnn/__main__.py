"""``python -m paddlex_maskrcnn COMMAND``: see ``python -m paddlex_maskrcnn --help``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
