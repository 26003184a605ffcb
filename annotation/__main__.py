"""`annotate`: the commands. Ctrl-C during the imports does not print a traceback either."""

import sys


def main() -> None:
    """Run a command."""
    try:
        from annotation.cli import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
