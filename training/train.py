"""The training loop, to be read from top to bottom."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from manifests.shard_set import ShardSet
from training.learner import Learner
from training.loading.batches import Batch, batches
from training.log import RunLog
from training.matte.metrics import Errors
from training.processes import Processes
from training.settings import TrainSettings
from training.validate import validate


class Stopped(Exception):  # noqa: N818 (not an error: the user asked for it)
    """The run was saved and can go on."""


@dataclass(frozen=True)
class News:
    """What the loop reports now and then."""

    iteration: int  # how many are done
    samples: int  # that all processes together have learned from since this run was started
    bad: tuple[str, ...] = ()  # samples and shards of this process since the last report, and why
    losses: dict[str, float] | None = None  # means since the last report
    errors: Errors | None = None  # of a validation


def train(
    shards: ShardSet,
    settings: TrainSettings,
    run: Path,
    processes: Processes,
    tell: Callable[[News], None],
    is_stopping: Callable[[], bool] = lambda: False,
) -> None:
    """Train until settings.iterations, from where the run stands; all processes call it.

    Raises ValueError for bad samples, shards and settings, FloatingPointError if a loss is not
    finite, Stopped once `is_stopping` returns True: it is asked after each iteration, so that none
    is left half done.
    """
    learner = Learner(settings, processes)
    first = learner.restore(run)
    ours = processes.rank, processes.world
    stream = batches(shards, settings, first, settings.iterations, *ours)
    report = _Report(tell, processes.world)
    with closing(stream), RunLog(run if processes.first else None, first) as log:
        for batch in stream:
            # A lost shard takes whole batches with it. Either all processes make a step, or none.
            is_step = not processes.any(not batch.keys)
            if is_step:
                log.add(learner.step(batch.number, batch))
            report.count(batch, is_step)

            done = batch.number + 1
            stop = processes.any(is_stopping())
            due = _due(settings, done, stop)
            if due.report:
                report.losses(done, log.flush())  # not finite: raises before anything is saved
            if due.end and first == report.samples == 0:
                raise ValueError(f"{shards.root}: none of the samples can be read")

            validation = _Validation()
            if due.validation and processes.first:
                validation = _validated(learner, shards, settings, log, done)
                report.validation(done, validation)
            is_best = learner.is_best(validation.errors)
            if processes.first and (due.checkpoint or is_best):
                learner.save(run, done, is_best)
            if validation.failure is not None:
                raise validation.failure
            if stop:
                raise Stopped


@dataclass(frozen=True)
class _Due:
    """What is to be done after an iteration."""

    end: bool
    report: bool
    validation: bool
    checkpoint: bool


def _due(settings: TrainSettings, done: int, stop: bool) -> _Due:
    end = done == settings.iterations
    checkpoint = end or stop or done % settings.checkpoint_every == 0
    validation = end or done % settings.validate_every == 0
    report = checkpoint or validation or done % settings.log_every == 0
    return _Due(end, report, validation, checkpoint)


@dataclass(frozen=True)
class _Validation:
    """The outcome of a validation."""

    errors: Errors | None = None
    bad: tuple[str, ...] = ()  # samples that were left out and damaged shards, and why
    failure: OSError | ValueError | None = None  # the loop raises it once the weights are saved


def _validated(
    learner: Learner, shards: ShardSet, settings: TrainSettings, log: RunLog, done: int
) -> _Validation:
    bad: dict[str, str] | None = {} if settings.skip_bad else None
    try:
        errors = validate(learner.model, shards, settings, log.panels(done), bad)
    except (OSError, ValueError) as failure:
        return _Validation(failure=failure)
    if errors is not None:
        log.validation(done, errors)
    return _Validation(errors, tuple((bad or {}).values()))


class _Report:
    """Counts what was learned from, and passes on what is new since the last time."""

    def __init__(self, tell: Callable[[News], None], world: int) -> None:
        self._tell, self._world = tell, world
        self.samples = 0
        self._bad: list[str] = []

    def count(self, batch: Batch, is_step: bool) -> None:
        self.samples += len(batch.keys) * self._world * is_step
        self._bad += (*batch.skipped, *batch.damaged)

    def losses(self, done: int, means: dict[str, float]) -> None:
        self._tell(News(done, self.samples, tuple(self._bad), losses=means))
        self._bad.clear()

    def validation(self, done: int, found: _Validation) -> None:
        if found.errors is not None or found.bad:
            self._tell(News(done, self.samples, found.bad, errors=found.errors))
