"""Damaged and hostile input for every reader: `python -m tests.fuzz`, and a few seconds each in the
tests."""
