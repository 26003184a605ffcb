"""The folder of a run: made, or checked to be that of the same run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from manifests.documents import parse_object
from manifests.shard_set import ShardSet
from manifests.storage import sha256_of, write_bytes
from training.checkpoint import checkpoints, sweep
from training.loading.batches import epoch_length
from training.log import is_busy
from training.processes import Processes
from training.settings import FREE_TO_CHANGE, TrainSettings

_CONFIG = "config.json"
_INIT = "init"  # the weights that the run started from, if it was given any
_LENGTHS = "iterations_from"  # iteration -> how many were planned from there on, if that changed
_OF_THE_RUN = frozenset({"iterations", _INIT, _LENGTHS})


def open_run(
    run: Path,
    shards: ShardSet,
    settings: TrainSettings,
    resume: bool,
    processes: Processes,
    init: Path | None = None,
) -> None:
    """Make a run's folder, or check that it holds the same run; only the first process does this.

    A resumed run may get another number of iterations. init: the file of weights that a new run
    starts from, which its config.json then names.

    Raises what `batches` raises for shards that cannot be used, and ValueError if there is a run
    already and `resume` is False, if there is no run and it is True, if the settings differ, or if
    the run has done more iterations than are wanted.
    """
    # Before anything is written: a mistyped path must not leave a run that is in the way later.
    epoch_length(shards, settings, processes.world)
    config = run / _CONFIG
    if is_busy(run):
        raise ValueError(f"{run}: another process is training there")
    if resume and not config.exists():
        raise ValueError(f"{run}: there is no run here to resume")
    if not resume and checkpoints(run):
        raise ValueError(f"{run}: a run is here; go on with --resume, or name another --out")
    ours = {
        **settings.to_dict(),
        "shards": str(shards.root),  # without what a URL keeps to itself
        "samples": shards.fingerprint,
    }
    if resume:
        theirs = _read_config(config)
        _check_same(run, ours, theirs)
        if settings.iterations != theirs["iterations"]:
            _write_config(config, _lengthened(theirs, settings.iterations, latest_iteration(run)))
    else:  # a run that ended before its first checkpoint may be started again
        if init is not None:
            ours[_INIT] = {"file": str(init), "sha256": sha256_of(init)}
        _write_config(config, ours)
    sweep(run)


def planned_iterations(run: Path) -> int | None:
    """How many iterations a run is to have in all; None without a config. Raises ValueError."""
    config = run / _CONFIG
    return int(_read_config(config)["iterations"]) if config.exists() else None


def latest_iteration(run: Path) -> int:
    """How many iterations a run has done."""
    saved = checkpoints(run)
    return int(saved[-1].name) if saved else 0


def _write_config(config: Path, settings: Mapping[str, Any]) -> None:
    write_bytes(config, (json.dumps(settings, indent=1) + "\n").encode())


def _lengthened(config: dict[str, Any], iterations: int, done: int) -> dict[str, Any]:
    """The config of a run that is to have another number of iterations, after `done` of them."""
    before = config.get(_LENGTHS, {"0": config["iterations"]})
    return {**config, "iterations": iterations, _LENGTHS: {**before, str(done): iterations}}


def _read_config(config: Path) -> dict[str, Any]:
    """The settings of a run. Those that were added since it was started had the default values."""
    try:
        return {**TrainSettings().to_dict(), **parse_object(config.read_bytes())}
    except (TypeError, ValueError) as error:
        raise ValueError(f"{config}: not the settings of a run ({error})") from error


def _check_same(run: Path, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    if theirs.get("samples") != ours["samples"]:
        raise ValueError(f"{run}: was trained on other shards than those of {ours['shards']}")
    done = latest_iteration(run)
    if ours["iterations"] < done:
        raise ValueError(f"{run}: has done {done} iterations; give --iterations {done} or more")
    changed = [
        f"{name}: {theirs.get(name)} -> {ours.get(name)}"
        for name in sorted((theirs.keys() | ours.keys()) - FREE_TO_CHANGE - _OF_THE_RUN)
        if theirs.get(name) != ours.get(name)
    ]
    if changed:
        raise ValueError(f"{run}: is a run with other settings ({', '.join(changed)})")
