"""Mutated input for one reader for some seconds: what it must not do is found and kept."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from console.messages import plain
from tests.fuzz.mutate import mutated

LONGEST = 20  # seconds for one input


@dataclass(frozen=True)
class Reader:
    """A reader, and what it promises.

    seeds: makes the inputs to begin with, in a folder of their own. The first of them is sound.
    read: reads one input as far as its users do. It is given the bytes and an empty folder.
    expected: the errors by which it refuses an input.
    names_file: whether each of them has to name a file of the folder.
    megabytes: what it may take for any of these small inputs, at most.
    mutate: makes another input from the seeds.
    """

    name: str
    seeds: Callable[[Path], Sequence[bytes]]
    read: Callable[[bytes, Path], object]
    expected: tuple[type[Exception], ...] = (ValueError,)
    names_file: bool = True
    megabytes: int = 300
    mutate: Callable[[random.Random, Sequence[bytes]], bytes] = mutated


@dataclass(frozen=True)
class Finding:
    """An input that made a reader break its promise."""

    reason: str
    data: bytes


class _TooSlowError(BaseException):
    """No handler of a reader catches it."""


def run(reader: Reader, folder: Path, seed: int, seconds: float) -> tuple[int, list[Finding]]:
    """(the number of inputs, what was found: one finding of each kind).

    The last input lies in `folder`/input, also if the reader ends the process.
    """
    seeds = reader.seeds(_made(folder / "seeds"))
    place = _made(folder / "read")
    reader.read(seeds[0], place)  # if this were refused, the mutants would test nothing
    rng = random.Random(f"{reader.name} {seed}")
    found: dict[str, Finding] = {}
    count, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        data = reader.mutate(rng, seeds)
        (folder / "input").write_bytes(data)
        reason = fault(reader, data, place)
        count += 1
        if reason:
            found.setdefault(reason.partition("(")[0], Finding(reason, data))
    return count, list(found.values())


def fault(reader: Reader, data: bytes, place: Path) -> str:
    """The promise that a reader breaks with an input; "" if it keeps all."""
    before = _peak_megabytes()
    try:
        with _quick(), warnings.catch_warnings():
            warnings.simplefilter("error")
            reader.read(data, place)
    except reader.expected as error:
        text = str(error)
        if reader.names_file and str(place) not in text:
            return f"an error without a file: {type(error).__name__} ({text[:200]})"
        plain(text).encode()
        if isinstance(error, UnicodeError):
            return f"{type(error).__name__} ({text[:200]})"
    except _TooSlowError:
        return f"more than {LONGEST} s"
    except Exception as error:
        return f"{type(error).__name__} ({str(error)[:200]})"
    grown = _peak_megabytes() - before
    if grown > reader.megabytes:
        return f"more memory than stated ({grown} MB, at most {reader.megabytes})"
    return ""


@contextmanager
def _quick() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise _TooSlowError

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(LONGEST)
    try:
        yield
    finally:
        signal.alarm(0)


def _peak_megabytes() -> int:
    """Of this program; getrusage would begin with the peak of the process that started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def keep(finding: Finding, reader: str, folder: Path) -> Path:
    """Write the input of a finding where it can be looked at."""
    path = _made(folder) / f"{reader}-{hashlib.sha256(finding.data).hexdigest()[:8]}"
    path.write_bytes(finding.data)
    return path


def summary(reader: Reader, count: int, found: Sequence[Finding], kept: Sequence[Path]) -> str:
    """One line of JSON."""
    findings = [
        {"reason": finding.reason, "input": os.fspath(path)}
        for finding, path in zip(found, kept, strict=True)
    ]
    return json.dumps({"reader": reader.name, "inputs": count, "findings": findings})
