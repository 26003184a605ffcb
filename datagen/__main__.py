"""`datagen`: starts the commands."""

from console.interrupts import run_program


def main() -> None:
    """Run a command."""
    run_program("datagen.cli", "main")


if __name__ == "__main__":
    main()
