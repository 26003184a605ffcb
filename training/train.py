"""The training loop, to be read from top to bottom."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from manifests.dataset import read_dataset
from manifests.sources import Split
from manifests.storage import location_of, write_bytes
from training.checkpoint import checkpoints, sweep
from training.learner import Learner
from training.loading.batches import LoaderSettings, batches, epoch_length
from training.loading.scratch import scratch
from training.log import RunLog, is_busy
from training.processes import Processes
from training.settings import FREE_TO_CHANGE, TrainSettings
from training.validate import Score, validate


class Stopped(Exception):  # noqa: N818 (no error: the user asked for it)
    """The run was saved and can go on."""


@dataclass(frozen=True)
class News:
    """What the loop tells now and then."""

    iteration: int  # done so far
    samples: int  # learned from by all processes since the start of this one
    bad: tuple[str, ...] = ()  # samples and shards of this process since the last time, and why
    losses: dict[str, float] | None = None  # means since the last time
    score: Score | None = None  # of a validation


def train(
    settings: TrainSettings,
    run: Path,
    processes: Processes,
    tell: Callable[[News], None],
    is_stopping: Callable[[], bool] = lambda: False,
) -> None:
    """Train until settings.iterations, from where the run stands; all processes call it.

    Raises ValueError for bad samples, shards and settings, FloatingPointError if a loss is not a
    number, Stopped once `is_stopping` returns True: it is asked after each iteration, so that
    none is left half done.
    """
    learner = Learner(settings, processes)
    first = learner.restore(run)
    stream = batches(loader_settings(settings, processes), first, settings.iterations)
    samples, bad = 0, list[str]()
    with (
        closing(stream),
        scratch() as notes,
        RunLog(run if processes.first else None, first) as log,
    ):
        for batch in stream:
            # A shard that is lost takes whole batches with it; all processes step, or none
            if not processes.any(not batch.keys):
                log.add(learner.step(batch.number, batch))
                samples += len(batch.keys) * processes.world
            done = batch.number + 1
            bad += (*batch.skipped, *batch.damaged)

            is_last = done == settings.iterations
            if is_last and not samples and first == 0:
                tell(News(done, samples, tuple(bad)))
                raise ValueError(f"{_named(settings)}: none of the samples can be read")
            stop = processes.any(is_stopping())
            is_saving = is_last or stop or done % settings.checkpoint_every == 0
            is_validating = is_last or done % settings.validate_every == 0
            if is_saving or is_validating or done % settings.log_every == 0:
                means = log.flush()  # raises if a loss is not a number, before anything is saved
                tell(News(done, samples, tuple(bad), losses=means))
                bad.clear()
            score = None
            if is_validating and processes.first:
                unread: dict[str, str] | None = {} if settings.skip_bad else None
                try:
                    score = validate(learner.model, settings, log.panels(done), unread, notes)
                except (OSError, ValueError):
                    if is_saving:  # what was learned is sound
                        learner.save(run, done, is_best=False)
                    raise
                if score is not None or unread:
                    tell(News(done, samples, tuple((unread or {}).values()), score=score))
            if score is not None:
                log.score(done, score)
            is_best = score is not None and score.sad_whole < learner.best
            if is_best and score is not None:
                learner.best = score.sad_whole
            if processes.first and (is_saving or is_best):
                learner.save(run, done, is_best)
            if stop:
                raise Stopped


def loader_settings(settings: TrainSettings, processes: Processes) -> LoaderSettings:
    return LoaderSettings(
        shards=settings.shards,
        split=Split.TRAIN,
        batch_size=settings.batch_size,
        crop_size=settings.crop_size,
        trimap=settings.trimap,
        scale_probability=settings.scale_probability,
        colour=settings.colour,
        seed=settings.seed,
        rank=processes.rank,
        world=processes.world,
        skip_bad=settings.skip_bad,
        workers=settings.workers,
        cache=settings.cache,
    )


def open_run(run: Path, settings: TrainSettings, resume: bool, processes: Processes) -> None:
    """Make a run's folder, or check that what lies there is the same run; only one process does.

    Raises what `batches` raises for shards that cannot be used, and ValueError if a run is there
    and `resume` is not asked for, or if its settings differ.
    """
    # Before anything is written: a mistyped path must not leave a run that stands in the way.
    epoch_length(loader_settings(settings, processes))
    samples = read_dataset(location_of(settings.shards)).fingerprint
    here = {**settings.to_dict(), "shards": _named(settings), "samples": samples}
    config = run / "config.json"
    if is_busy(run):
        raise ValueError(f"{run}: another process is training there")
    if resume and not config.exists():
        raise ValueError(f"{run}: there is no run here to resume")
    if not resume and checkpoints(run):
        raise ValueError(f"{run}: a run is here; go on with --resume, or name another --out")
    if not resume:  # what ended before its first checkpoint may be begun again
        write_bytes(config, (json.dumps(here, indent=1) + "\n").encode())
        sweep(run)
        return
    try:
        there = dict(json.loads(config.read_bytes()))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{config}: not the settings of a run ({error})") from error
    if there.pop("samples", None) != here.pop("samples"):
        raise ValueError(f"{run}: was trained on other shards than those of {_named(settings)}")
    names = sorted((there.keys() | here.keys()) - FREE_TO_CHANGE)
    changed = [
        f"{name}: {there.get(name)} -> {here.get(name)}"
        for name in names
        if there.get(name) != here.get(name)
    ]
    if changed:
        raise ValueError(f"{run}: is a run with other settings ({', '.join(changed)})")
    sweep(run)


def _named(settings: TrainSettings) -> str:
    """The shard set without what a URL keeps to itself."""
    return str(location_of(settings.shards))
