"""Train, evaluate and show a Mask R-CNN: python train_net.py --config FILE [section.key=value ...]

The same as `python -m paddlex_maskrcnn train`; see --help.
"""

import sys

from paddlex_maskrcnn import cli


def main() -> int:
    """Parse the command line and run it."""
    return cli.run("train", cli.parse("train", sys.argv[1:], "train_net.py"))


if __name__ == "__main__":
    sys.exit(main())
