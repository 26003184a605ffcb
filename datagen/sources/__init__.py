"""Folders of sources -> records, with a Problem for every file that cannot be used."""
