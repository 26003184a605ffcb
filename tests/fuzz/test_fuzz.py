"""Each reader keeps its promises for some seconds of damaged input, and breaking one is noticed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.fuzz.campaign import Reader, fault, run
from tests.fuzz.readers import READERS

SECONDS = 3


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_a_reader_refuses_damage_by_name(name: str, tmp_path: Path) -> None:
    """In a process of its own: one that is ended, or hangs, fails one test."""
    command = [sys.executable, "-m", "tests.fuzz", name, "--seconds", str(SECONDS)]
    ran = subprocess.run(
        [*command, "--keep", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert ran.stdout, f"{ran.returncode}: {ran.stderr[-2000:]}"
    said = json.loads(ran.stdout)
    assert said["findings"] == []
    assert said["inputs"] > 10
    assert ran.returncode == 0


def _toy(read: object, **promises: object) -> Reader:
    return Reader("toy", _seeds, read, **promises)  # type: ignore[arg-type]


def _seeds(folder: Path) -> Sequence[bytes]:
    return [b"sound"]


def _leaks(data: bytes, folder: Path) -> None:
    if data != b"sound":
        raise KeyError(data)


def _names_nothing(data: bytes, folder: Path) -> None:
    raise ValueError("damaged")


def _names_the_file(data: bytes, folder: Path) -> None:
    raise ValueError(f"{folder}/x: damaged")


def _takes_memory(data: bytes, folder: Path) -> None:
    bytearray(1 << 28)[:: 1 << 12] = b"x" * (1 << 16)


def _encodes(data: bytes, folder: Path) -> None:
    "\ud800".encode()


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (_leaks, "KeyError"),
        (_names_nothing, "an error without a file: ValueError (damaged)"),
        (_names_the_file, ""),
        (_encodes, "UnicodeEncodeError"),
    ],
)
def test_broken_promises_are_noticed(read: object, said: str, tmp_path: Path) -> None:
    promises = {"names_file": read is not _encodes}
    assert fault(_toy(read, **promises), b"damaged", tmp_path).startswith(said)
    assert bool(fault(_toy(read, **promises), b"damaged", tmp_path)) == bool(said)


_MEMORY = """
import sys
from pathlib import Path
from tests.fuzz.campaign import fault
from tests.fuzz.test_fuzz import _takes_memory, _toy
print(fault(_toy(_takes_memory, megabytes=int(sys.argv[1])), b"", Path()))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("megabytes", "said"), [("400", ""), ("100", "more memory than stated")])
def test_too_much_memory_is_noticed(megabytes: str, said: str) -> None:
    """In a process of its own, whose peak is its own."""
    command = [sys.executable, "-c", _MEMORY, megabytes]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout.startswith(said)
    assert bool(ran.stdout.strip()) == bool(said)


def test_a_seed_gives_the_same_inputs(tmp_path: Path) -> None:
    seen: list[list[bytes]] = []
    for number in range(2):
        inputs: list[bytes] = []
        reader = _toy(lambda data, folder, seen=inputs: seen.append(data))
        count, found = run(reader, tmp_path / str(number), 7, 0.2)
        assert count > 10
        assert found == []
        seen.append(inputs[:10])
    assert seen[0] == seen[1]
    assert len(set(seen[0])) > 5


def test_each_kind_is_found_once_and_kept(tmp_path: Path) -> None:
    count, found = run(_toy(_leaks), tmp_path, 0, 0.2)
    assert count > 10
    assert len(found) == 1
    assert found[0].reason.startswith("KeyError")
    assert found[0].data != b"sound"
