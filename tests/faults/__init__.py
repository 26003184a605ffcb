"""What may happen to a run and to its files: `python -m tests.faults`, and a few of each in the
tests."""
