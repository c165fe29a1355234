"""Train, evaluate and show a Mask R-CNN: python train_net.py --config FILE [section.key=value ...]

The same as `python -m paddlex_maskrcnn train`; see --help.
"""

import argparse
import sys

from paddlex_maskrcnn import cli


def main() -> int:
    """Parse the command line and run it."""
    parser = argparse.ArgumentParser(prog="train_net.py")
    cli.add_arguments(parser, "train")
    return cli.run("train", parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
