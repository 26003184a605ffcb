"""`annotate`: starts the commands."""

from console.interrupts import run_program


def main() -> None:
    """Run a command."""
    run_program("annotation.cli", "main")


if __name__ == "__main__":
    main()
