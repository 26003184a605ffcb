"""Trials of faults, and what each cost: samples that are lost, twice there, or wrong."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from console.interrupts import silent_stdout
from datagen.cluster import Cluster, cluster
from datagen.job import make_shard_set
from manifests import open_shards
from manifests.storage import Location, Url, files_below, read_bytes, write_bytes
from tests.conftest import contents, make_sources
from tests.datagen.in_process import InProcess
from tests.faults.kinds import FAULTS, IN_FOLDERS
from tests.faults.machine import FEW
from tests.faults.trial import Machines, Trial
from tests.nodes import cluster_of
from tests.object_store import BUCKET, Store, object_store

_REPEATS = 3


@dataclass
class Tally:
    """What became of the trials of one fault."""

    times: int = 0
    lost: int = 0
    duplicated: int = 0
    wrong: int = 0
    other_files: int = 0  # sets whose samples are right, but not all of their other files
    unclear: int = 0  # runs that ended otherwise than they should, or without a sentence
    repeats: int = 0  # of the command, at most, until it succeeded
    unfinished: int = 0  # trials in which it never did
    notes: list[str] = field(default_factory=list)  # on what is not as it should be

    def line(self, name: str) -> str:
        how = f"the same command, {self.repeats} x at most" if self.repeats else "nothing to do"
        counts = self.times, self.lost, self.duplicated, self.wrong, self.other_files
        more = (*counts, self.unclear, self.unfinished)
        return f"{name:36} " + " ".join(f"{n:10}" for n in more) + f"  {how}"

    @property
    def is_clean(self) -> bool:
        faults = self.lost, self.duplicated, self.wrong, self.other_files
        return not (any(faults) or self.unclear or self.unfinished)


HEADER = f"{'fault':36} " + " ".join(
    f"{n:>10}" for n in ("times", "lost", "duplicated", "wrong", "files", "unclear", "unfinished")
)


class Campaign:
    """The same set, disturbed in one way after another."""

    def __init__(self, folder: Path, store: Store, seed: int, stack: ExitStack) -> None:
        self._folder, self._store, self._seed = folder, store, seed
        self._sources = make_sources(folder / "sources")
        self._copies = folder / "copies"
        out = folder / "undisturbed"
        make_shard_set(InProcess(), self._sources, FEW, out, cache=self._copies)
        self._expected = contents(out)

        @cache
        def workers() -> Cluster:
            stack.enter_context(silent_stdout())  # on which Ray tells of workers that died
            return stack.enter_context(cluster(2))

        @cache
        def machines() -> Machines:
            there = Url(f"s3://{BUCKET}/sources")
            for name, data in contents(self._sources.foregrounds.parent).items():
                write_bytes(there / name, data)
            nodes = stack.enter_context(cluster_of(2, **store.environment))
            places = str(there / "fgs"), str(there / "bgs")
            driver = nodes.start(nodes.address, *places, module="tests.faults.driver")
            stack.callback(driver.communicate)
            return Machines(nodes, driver)

        self._workers, self._machines = workers, machines

    def try_once(self, name: str, number: int, tally: Tally) -> None:
        """Disturb a run, repeat the command, and count what is wrong with the result."""
        self._store.requests.clear()
        url = Url(f"s3://{BUCKET}/{self._seed}-{number}-{list(FAULTS).index(name)}")
        with tempfile.TemporaryDirectory(dir=self._folder) as own, ExitStack() as stack:
            folder = Path(own)
            trial = Trial(
                sources=self._sources,
                out=folder / "shards" if name in IN_FOLDERS else url,
                expected=self._expected,
                dice=random.Random(f"{self._seed} {name} {number}"),
                folder=folder,
                copies=self._copies,
                store=self._store,
                workers=self._workers,
                machines=self._machines,
                stack=stack,
            )
            tally.times += 1
            try:
                complaint = FAULTS[name](trial)
            except Exception as error:  # of ours, and what a campaign looks for
                complaint = repr(error)
            if complaint:
                tally.unclear += 1
                tally.notes.append(f"{name}, trial {number}: {complaint}")
            self._repeat(trial, f"{name}, trial {number}", tally)
            self.count(trial.out, tally)

    def _repeat(self, trial: Trial, called: str, tally: Tally) -> None:
        """The command, until all files are as they should be."""
        told = ""
        for times in range(_REPEATS + 1):
            found = self._files(trial.out)
            if found == self._expected:
                tally.repeats = max(tally.repeats, times)
                return
            if times < _REPEATS:
                told = trial.here()
        tally.unfinished += 1
        names = sorted(found.keys() | self._expected.keys())
        other = [name for name in names if found.get(name) != self._expected.get(name)]
        tally.notes.append(f"{called}, repeated: {told}; other files: {other}")

    def _files(self, out: Location) -> dict[str, bytes]:
        found = {}
        for name in files_below(out):
            with suppress(FileNotFoundError):  # workers of a killed command end a moment later
                found[name] = read_bytes(out / name)
        return found

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
        for key in wrong:
            streams = samples[key].keys() | right[key].keys()
            other = sorted(n for n in streams if samples[key].get(n) != right[key].get(n))
            tally.notes.append(f"{out}: {key} is wrong in {', '.join(other)}")
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
    with ExitStack() as stack:
        if store is None:
            import pytest

            store = stack.enter_context(object_store())
            patch = stack.enter_context(pytest.MonkeyPatch.context())
            for name, value in store.environment.items():
                patch.setenv(name, value)
        yield Campaign(folder, store, seed, stack)
