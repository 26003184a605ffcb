"""Trials of faults, and what each cost: samples that are lost, twice there, or wrong."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from datagen.job import make_shard_set
from manifests import open_shards
from manifests.storage import Location, Url, files_below, read_bytes
from tests.conftest import contents, finish, make_sources, start
from tests.datagen.conftest import SIXTY
from tests.datagen.in_process import InProcess
from tests.faults.kinds import AGAIN, ON_FILES, ON_PROCESSES, ON_STORES, Disturb, Trial
from tests.object_store import BUCKET, Store, object_store

FAULTS: dict[str, Disturb] = {**ON_PROCESSES, **ON_FILES, **ON_STORES}
_REPEATS = 3


@dataclass
class Tally:
    """What became of the trials of one fault."""

    times: int = 0
    lost: int = 0
    duplicated: int = 0
    wrong: int = 0
    other_files: int = 0  # sets whose samples are right, but not all of their other files
    repeats: int = 0  # of the command, at most, until it succeeded
    unfinished: int = 0  # trials in which it never did

    def line(self, name: str) -> str:
        how = f"{AGAIN}, {self.repeats} x at most" if self.repeats else "nothing to do"
        counts = self.times, self.lost, self.duplicated, self.wrong, self.other_files
        return f"{name:32} " + " ".join(f"{n:10}" for n in (*counts, self.unfinished)) + f"  {how}"

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.duplicated or self.wrong or self.other_files) and not (
            self.unfinished
        )


HEADER = f"{'fault':32} " + " ".join(
    f"{n:>10}" for n in ("times", "lost", "duplicated", "wrong", "files", "unfinished")
)


class Campaign:
    """The same set, disturbed in one way after another."""

    def __init__(self, folder: Path, store: Store, seed: int) -> None:
        self._folder, self._store, self._seed = folder, store, seed
        self._sources = make_sources(folder / "sources")
        self._copies = folder / "copies"
        out = folder / "undisturbed"
        make_shard_set(InProcess(), self._sources, SIXTY, out, cache=self._copies)
        self._expected = contents(out)
        self._seconds = 0.0

    def try_once(self, name: str, number: int, tally: Tally) -> None:
        """Disturb a run, repeat the command, and count what is wrong with the result."""
        is_there = name in ON_STORES
        url = Url(f"s3://{BUCKET}/{self._seed}-{number}-{list(FAULTS).index(name)}")
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            out: Location = url if is_there else Path(folder) / "shards"
            dice = random.Random(f"{self._seed} {name} {number}")
            trial = Trial(
                *(self._sources, out, self._expected, dice),
                *(self._timed() if name in ON_PROCESSES else 0.0, self._store, self._copies),
            )
            FAULTS[name](trial)
            tally.times += 1
            tally.repeats = max(tally.repeats, self._repeat(trial, tally))
            self.count(out, tally)

    def _timed(self) -> float:
        """Seconds of a run that nothing happens to."""
        if not self._seconds:
            with tempfile.TemporaryDirectory(dir=self._folder) as folder:
                out = Path(folder) / "shards"
                trial = Trial(
                    *(self._sources, out, self._expected, random.Random(0)),
                    *(0.0, self._store, self._copies),
                )
                begin = time.monotonic()
                finish(start(*trial.process()))
                self._seconds = time.monotonic() - begin
        return self._seconds

    def _repeat(self, trial: Trial, tally: Tally) -> int:
        """How often the command had to be repeated."""
        for times in range(_REPEATS + 1):
            if self._files(trial.out) == self._expected:
                return times
            if times < _REPEATS:
                trial.here()
        tally.unfinished += 1
        return _REPEATS

    def _files(self, out: Location) -> dict[str, bytes]:
        return {name: read_bytes(out / name) for name in files_below(out)}

    def count(self, out: Location, tally: Tally) -> None:
        """Add what is wrong with a set."""
        found = self._files(out)
        if found == self._expected:
            return
        right = self._samples(self._folder / "undisturbed")
        try:
            pairs = list(self._samples_in_order(out))
        except (ValueError, OSError):
            tally.lost += len(right)
            return
        keys = [key for key, _ in pairs]
        samples = dict(pairs)
        lost = right.keys() - samples.keys()
        wrong = [key for key in right.keys() & samples.keys() if samples[key] != right[key]]
        tally.lost += len(lost)
        tally.duplicated += len(keys) - len(samples)
        tally.wrong += len(wrong)
        tally.other_files += not lost and not wrong and len(keys) == len(samples)

    def _samples(self, out: Location) -> dict[str, dict[str, bytes]]:
        return dict(self._samples_in_order(out))

    @staticmethod
    def _samples_in_order(out: Location) -> Iterator[tuple[str, dict[str, bytes]]]:
        with open_shards(out) as shards:
            for sample in shards:
                yield sample.key, dict(sample.encoded)


@contextmanager
def campaign(folder: Path, store: Store | None = None, seed: int = 0) -> Iterator[Campaign]:
    """With a store of its own, if none is given."""
    if store is not None:
        yield Campaign(folder, store, seed)
        return
    import pytest

    with object_store() as own, pytest.MonkeyPatch.context() as patch:
        for name, value in own.environment.items():
            patch.setenv(name, value)
        yield Campaign(folder, own, seed)
