"""`annotate`: starts the commands. A signal during the imports prints one sentence, too."""

from console.interrupts import whole_program


def main() -> None:
    """Run a command."""
    with whole_program():
        from annotation.cli import main as run

        run()


if __name__ == "__main__":
    main()
