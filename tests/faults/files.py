"""Faults of files: those of a finished set, and the sources in the middle of a run."""

from __future__ import annotations

import os
from pathlib import Path

from manifests.storage import read_bytes, remove, write_bytes
from tests.conftest import finish
from tests.datagen.in_process import InProcess
from tests.faults.trial import Trial, disturbed

_SCANS = 11  # tasks before which all sources have been scanned
_SHARDS = 12
_TASKS = 40  # of a run, and some more
_DAY = 86_400.0


def damaged(how: str, part: str, trial: Trial) -> str:
    """A file of a finished set; `part` is how its name begins."""
    trial.here()
    names = [name for name in trial.expected if name.startswith(part)]
    path = trial.out / trial.dice.choice(names)
    data = _changed(how, read_bytes(path), trial)
    if data is None:
        remove(path)
    else:
        write_bytes(path, data)
    return ""


def source_changed(how: str, trial: Trial) -> str:
    """A source after it was scanned, until the run has ended. Then it is put back."""
    own = trial.own_sources()
    pictures = [
        p for p in sorted(own.foregrounds.parent.rglob("*")) if p.suffix in (".png", ".jpg")
    ]
    path = trial.dice.choice(pictures)
    whole = path.read_bytes()

    def change() -> None:
        data = _changed(how, whole, trial)
        path.unlink()
        if data is not None:
            path.write_bytes(data)

    moment = trial.dice.randrange(_SCANS, _TASKS)
    trial.here(disturbed(moment, change), copies=trial.folder / "copies", sources=own)
    trial.here(copies=trial.folder / "copies", sources=own)
    path.write_bytes(whole)
    return ""


def copies_damaged(how: str, trial: Trial) -> str:
    """Half of the working copies of a run that was interrupted; another process goes on."""
    copies = trial.folder / "copies"
    trial.here(interrupted(trial, _SCANS + 1, _SCANS + _SHARDS), copies=copies)
    for path in sorted(copies.rglob("*.raw")):
        if trial.dice.random() < 0.5:
            data = _changed(how, path.read_bytes(), trial)
            path.unlink()
            if data is not None:
                path.write_bytes(data)
    ran = finish(trial.command())
    return str(ran) if ran.code else ""


def _changed(how: str, data: bytes, trial: Trial) -> bytes | None:
    if how == "deleted":
        return None
    if how == "truncated":
        return data[: trial.dice.randrange(len(data))]
    at = trial.dice.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << trial.dice.randrange(8)]) + data[at + 1 :]


def clock_set_back(trial: Trial) -> str:
    """A run that was interrupted goes on, when its files and working copies are of tomorrow.

    Some working copies are lost, and there is not room for all of them.
    """
    copies = trial.folder / "copies"
    trial.here(interrupted(trial, _SCANS), copies=copies)
    found = sorted(copies.rglob("*.raw"))
    if isinstance(trial.out, Path):
        found += sorted(trial.out.rglob("*"))
    for path in found:
        moment = path.stat().st_mtime + trial.dice.uniform(0, _DAY)
        os.utime(path, (moment, moment))
    sizes = [path.stat().st_size for path in copies.rglob("*.raw")]
    room = max(round(sum(sizes) * trial.dice.uniform(0.2, 1)), 3 * max(sizes, default=1 << 20))
    for path in copies.rglob("*.raw"):
        if trial.dice.random() < 0.3:
            path.unlink()
    return trial.here(copies=copies, copies_bytes=room)


def interrupted(trial: Trial, earliest: int = 0, end: int = _TASKS) -> InProcess:
    """Ends before any of the tasks from `earliest` on, and before `end`."""

    def stop() -> None:
        raise RuntimeError("interrupted")

    return disturbed(trial.dice.randrange(earliest, end), stop)
