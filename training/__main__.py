"""`train` and `matte`: starts them."""

from console.interrupts import run_program


def train() -> None:
    """`train`; also `python -m training`."""
    run_program("training.cli", "train_main")


def matte() -> None:
    """`matte`."""
    run_program("training.matte.cli", "matte_main")


if __name__ == "__main__":
    train()
