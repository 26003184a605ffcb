"""The training loop, to be read from top to bottom."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass

from torch import Tensor

from manifests.shard_set import ShardSet
from manifests.storage import Location
from training.learner import Learner
from training.loading.batches import Batch, batches
from training.log import RunLog, Step
from training.matte.faults import lacks_memory
from training.matte.metrics import Errors
from training.processes import LOST, Processes, is_lost
from training.settings import TrainSettings
from training.validate import validate


class Stopped(Exception):  # noqa: N818 (not an error: the user asked for it)
    """The run was saved and can go on."""


@dataclass(frozen=True)
class News:
    """What the loop reports after each iteration, and after a validation."""

    iteration: int  # how many are done
    samples: int  # that all processes together have learned from since this run was started
    bad: tuple[str, ...] = ()  # samples and shards of this process since the last report, and why
    losses: dict[str, float] | None = None  # means since the last time, now and then
    errors: Errors | None = None  # of a validation


def train(
    shards: ShardSet,
    settings: TrainSettings,
    run: Location,
    processes: Processes,
    tell: Callable[[News], None],
    is_stopping: Callable[[], bool] = lambda: False,
    weights: Mapping[str, Tensor] | None = None,
) -> None:
    """Train until settings.iterations, from where the run stands; all processes call it.

    weights: what a new run starts from (see `checkpoint.load_weights`); only the first process
    needs them. Raises ValueError for bad samples, shards and settings, FloatingPointError if a
    loss is not finite, Stopped once `is_stopping` returns True: it is asked after each iteration,
    so that none is left half done. Whatever ends it, what was learned is saved where that is
    possible: after an iteration, never in the middle of one.
    """
    learner = Learner(settings, processes, shards.settings.size)
    if weights is not None and processes.first:
        learner.begin_with(weights)
        learner.save(run, 0)
    first = learner.restore(run)
    ours = processes.rank, processes.world
    stream = batches(shards, settings, first, settings.iterations, *ours)
    report = _Report(tell, processes.world)
    log_of = run if processes.first else None
    with closing(stream), RunLog(log_of, first, learner.owes_validation) as log:
        if learner.owes_validation and processes.first:
            _validate(learner, shards, settings, log, report, run, first)
        save = functools.partial(_save, learner, report, log, run, processes.first)
        for batch in _each(stream, save):
            with _saving(save):
                # A lost shard takes whole batches with it. All processes make a step, or none.
                is_step = not processes.any(not batch.keys)
                if is_step:
                    log.add(_step(learner, batch))
            report.count(batch, is_step)

            done = batch.number + 1
            stop = processes.any(is_stopping())
            due = _due(settings, done, stop)
            if due.report:
                report.losses(done, log.flush())  # not finite: raises before anything is saved
            else:
                report.iteration(done)
            if due.end and first == report.samples == 0:
                raise ValueError(f"{shards.root}: none of the samples can be read")
            if due.checkpoint and processes.first:
                log.send()
                learner.save(run, done, owes_validation=due.validation)
            if due.validation and processes.first and not stop:
                _validate(learner, shards, settings, log, report, run, done)
            if stop:
                raise Stopped


@dataclass(frozen=True)
class _Due:
    """What is to be done after an iteration."""

    end: bool
    report: bool
    validation: bool
    checkpoint: bool  # before a validation, too: it may fail, and may take longer than is left


def _due(settings: TrainSettings, done: int, stop: bool) -> _Due:
    end = done == settings.iterations
    validation = end or done % settings.validate_every == 0
    checkpoint = stop or validation or done % settings.checkpoint_every == 0
    report = checkpoint or done % settings.log_every == 0
    return _Due(end, report, validation, checkpoint)


def _each(stream: Iterator[Batch], save: Callable[[], None]) -> Generator[Batch, None, None]:
    with _saving(save):
        yield from stream


@contextmanager
def _saving(save: Callable[[], None]) -> Iterator[None]:
    """If the body fails, what was learned before is saved first, where that is still possible."""
    try:
        yield
    except Exception:
        with suppress(Exception):  # the first failure is the one to tell
            save()
        raise


def _save(learner: Learner, report: _Report, log: RunLog, run: Location, is_first: bool) -> None:
    if report.done > learner.saved and is_first and learner.is_whole:
        report.losses(report.done, log.flush())
        log.send()
        learner.save(run, report.done)


def _step(learner: Learner, batch: Batch) -> Step:
    try:
        return learner.step(batch.number, batch)
    except (RuntimeError, MemoryError) as error:
        reason = LOST if is_lost(error) else str(error).strip().partition("\n")[0]
        if lacks_memory(error):
            reason = (
                "a step needs more memory than is free; end what else uses it and go on with "
                "--resume, or start a new run with a smaller --batch-size or --crop-size"
            )
        raise RuntimeError(f"iteration {batch.number}: {reason}") from error
    except ValueError as error:
        if "more than 1 value per channel" in str(error):
            raise ValueError(
                "a single crop of this size is too little for the network's normalisation; start a "
                "new run with a larger --batch-size or --crop-size"
            ) from error
        raise


def _validate(
    learner: Learner,
    shards: ShardSet,
    settings: TrainSettings,
    log: RunLog,
    report: _Report,
    run: Location,
    done: int,
) -> None:
    """Validate, and save the model again with what was found. Raises what `validate` raises."""
    bad: dict[str, str] | None = {} if settings.skip_bad else None
    errors = validate(learner.averaged, shards, settings, log.panels(done), bad)
    if errors is not None:
        log.validation(done, errors)
    report.validation(done, errors, tuple((bad or {}).values()))
    log.send()
    learner.save(run, done, learner.is_best(errors))


class _Report:
    """Counts what was learned from, and passes on what is new since the last time."""

    def __init__(self, tell: Callable[[News], None], world: int) -> None:
        self._tell, self._world = tell, world
        self.samples = self.done = 0
        self._bad: list[str] = []

    def count(self, batch: Batch, is_step: bool) -> None:
        self.done = batch.number + 1
        self.samples += len(batch.keys) * self._world * is_step
        self._bad += (*batch.skipped, *batch.damaged)

    def iteration(self, done: int) -> None:
        self._tell(News(done, self.samples))

    def losses(self, done: int, means: dict[str, float]) -> None:
        self._tell(News(done, self.samples, tuple(self._bad), losses=means))
        self._bad.clear()

    def validation(self, done: int, errors: Errors | None, bad: tuple[str, ...]) -> None:
        if errors is not None or bad:
            self._tell(News(done, self.samples, bad, errors=errors))
