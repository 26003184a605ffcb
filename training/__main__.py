"""`train` and `matte`, started so that Ctrl-C during the imports prints no traceback."""

import sys


def train() -> None:
    """`train`; also `python -m training`, and so `torchrun -m training`."""
    try:
        from training.cli import train_main
    except KeyboardInterrupt:
        sys.exit(130)
    train_main()


def matte() -> None:
    """`matte`."""
    try:
        from training.matte.cli import matte_main
    except KeyboardInterrupt:
        sys.exit(130)
    matte_main()


if __name__ == "__main__":
    train()
