"""`train` and `matte`: starts them. A signal during the imports prints one sentence, too."""

from console.interrupts import whole_program


def train() -> None:
    """`train`; also `python -m training`, and so `torchrun -m training`."""
    with whole_program():
        from training.cli import train_main

        train_main()


def matte() -> None:
    """`matte`."""
    with whole_program():
        from training.matte.cli import matte_main

        matte_main()


if __name__ == "__main__":
    train()
