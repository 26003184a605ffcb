"""`datagen`: the commands, reached so that Ctrl-C during the imports is no traceback either."""

import sys


def main() -> None:
    """Run a command."""
    try:
        from datagen.cli import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
