"""How a run begins: its folder is made, or checked to be that of the same run."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from manifests.documents import parse_object
from manifests.shard_set import ShardSet, open_shards
from manifests.storage import Location, exists, read_bytes, sha256_of, write_bytes
from training.checkpoint import Found, checkpoints, find_model, load_weights, sweep
from training.loading.batches import check_loading
from training.log import held
from training.processes import Processes
from training.settings import FREE_TO_CHANGE, TrainSettings

_CONFIG = "config.json"
_INIT = "init"  # the weights that the run started from, if it was given any
_LENGTHS = "iterations_from"  # iteration -> how many were planned from there on, if that changed
_OF_THE_RUN = frozenset({"iterations", _INIT, _LENGTHS})


@dataclass(frozen=True)
class Begun:
    """What all processes need to train."""

    shards: ShardSet
    settings: TrainSettings  # with the number of iterations of the first process
    weights: Mapping[str, Tensor] | None  # of --init, in the first process
    hold: ExitStack  # to be closed at the end of the training: see `open_run`


def as_begun(
    run: Location, settings: TrainSettings, given: Collection[str], processes: Processes
) -> tuple[TrainSettings, int]:
    """The settings to resume a run with: those that are given, and for the rest those that it was
    begun with. And how many iterations it was to have.

    All processes call it; the first one reads. Raises ValueError if there is no run, or a damaged
    config.json.
    """
    config = run / _CONFIG

    def read() -> dict[str, Any]:
        if not exists(config):
            raise ValueError(f"{run}: there is no run here to resume")
        return _read_config(config)

    found = processes.all_or_none(lambda: read() if processes.first else {})
    before = json.loads(processes.share(json.dumps(found).encode()))
    rest = settings.to_dict().keys() - given
    try:
        values = {name: type(getattr(settings, name))(before[name]) for name in rest}
        return replace(settings, **values), int(before["iterations"])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{config}: not the settings of a run ({error})") from error


def begin(
    run: Location, settings: TrainSettings, resume: bool, processes: Processes, init: Path | None
) -> Begun:
    """Begin a run, or go on with it; all processes call it, each with its own settings.

    The first reads and writes the run's folder. The others check that they train the same.

    Raises as `open_run`, and what `open_shards`, `find_model` and `load_weights` raise.
    RuntimeError if it is another process that cannot begin.
    """

    def lead() -> Begun:
        shards = open_shards(settings.shards, settings.cache or None)
        found = _beginning(run, resume, init)
        weights = None if found is None else load_weights(found, settings.variant)
        hold = open_run(run, shards, settings, resume, processes, found)
        return Begun(shards, settings, weights, hold)

    def follow(first: dict[str, Any]) -> Begun:
        shards = open_shards(settings.shards, settings.cache or None)
        _check_alike(_identity(shards, settings), first)
        return Begun(shards, replace(settings, iterations=first["iterations"]), None, ExitStack())

    begun = processes.all_or_none(lambda: lead() if processes.first else None)
    ours = _identity(begun.shards, settings) if begun else None
    first = json.loads(processes.share(json.dumps(ours).encode()))
    return processes.all_or_none(lambda: begun or follow(first))


def open_run(
    run: Location,
    shards: ShardSet,
    settings: TrainSettings,
    resume: bool,
    processes: Processes,
    init: Found | None = None,
) -> ExitStack:
    """Make a run's folder, or check that it holds the same run; only the first process does this.

    Until what it returns is closed, nobody else on this machine can open the run. config.json then
    holds what the run goes on with, which may be another number of iterations, and names the file
    of weights that a new run starts from (init).

    Raises what `batches` raises for shards that cannot be used, FileNotFoundError if `resume` is
    True and there is no run, and ValueError if it is False and there is one, if somebody else has
    opened it, if the settings differ, or if it has done more iterations than are wanted.
    """
    # Before anything is written: a mistyped path must not leave a run that is in the way later.
    check_loading(shards, settings, processes.world)
    with ExitStack() as stack:
        stack.enter_context(held(run))
        config = run / _CONFIG
        if not resume and checkpoints(run):
            raise ValueError(f"{run}: a run is here; go on with --resume, or name another --out")
        ours = _identity(shards, settings)
        if resume:
            theirs = _read_config(config)
            _check_same(run, ours, theirs)
            ours = _resumed(theirs, ours, latest_iteration(run))
        elif init is not None:
            ours[_INIT] = {"file": init.called, "sha256": sha256_of(init.path)}
        _write_config(config, ours)
        sweep(run)
        return stack.pop_all()


def _beginning(run: Location, resume: bool, init: Path | None) -> Found | None:
    """The weights that a run starts from, if it was given any: a new one, or one that ended before
    its first checkpoint.

    Raises ValueError if they are not what they were, FileNotFoundError if they are gone.
    """
    if not resume:
        return None if init is None else find_model(init)
    config = run / _CONFIG
    named = _read_config(config).get(_INIT) if exists(config) and not checkpoints(run) else None
    if not named:
        return None
    found = find_model(Path(named["file"]))
    if sha256_of(found.path) != named["sha256"]:
        raise ValueError(
            f"{found.called}: has changed since {run} was begun with it; "
            "begin again with --init, without --resume"
        )
    return found


def latest_iteration(run: Location) -> int:
    """How many iterations a run has done."""
    saved = checkpoints(run)
    return int(saved[-1].name) if saved else 0


def _identity(shards: ShardSet, settings: TrainSettings) -> dict[str, Any]:
    """What makes a run what it is, as its config.json holds it."""
    return {
        **settings.to_dict(),
        "shards": str(shards.root),  # without what a URL keeps to itself
        "samples": shards.fingerprint,
    }


def _write_config(config: Location, settings: Mapping[str, Any]) -> None:
    write_bytes(config, (json.dumps(settings, indent=1) + "\n").encode())


def _resumed(config: dict[str, Any], ours: dict[str, Any], done: int) -> dict[str, Any]:
    """The config of a run that goes on after `done` iterations, with what may change in it."""
    found = {**config, **{name: ours[name] for name in FREE_TO_CHANGE}}
    if ours["iterations"] != config["iterations"]:
        before = config.get(_LENGTHS, {"0": config["iterations"]})
        found |= {
            "iterations": ours["iterations"],
            _LENGTHS: {**before, str(done): ours["iterations"]},
        }
    return found


def _read_config(config: Location) -> dict[str, Any]:
    """The settings of a run. Those that were added since it was started had the default values."""
    try:
        return {**TrainSettings().to_dict(), **parse_object(read_bytes(config))}
    except (TypeError, ValueError) as error:
        raise ValueError(f"{config}: not the settings of a run ({error})") from error


def _check_same(run: Location, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    if theirs.get("samples") != ours["samples"]:
        raise ValueError(f"{run}: was trained on other shards than those of {ours['shards']}")
    done = latest_iteration(run)
    if ours["iterations"] < done:
        raise ValueError(f"{run}: has done {done} iterations; give --iterations {done} or more")
    if changed := _changed(theirs, ours):
        raise ValueError(f"{run}: is a run with other settings ({changed}); leave out what differs")


def _check_alike(ours: dict[str, Any], first: dict[str, Any]) -> None:
    if first["samples"] != ours["samples"]:
        raise ValueError(f"{ours['shards']}: not the shards that the first process trains on")
    if changed := _changed(first, ours):
        raise ValueError(
            f"the first process has other settings ({changed}); start all with the same ones"
        )


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name}: {before.get(name)} -> {after.get(name)}"
        for name in sorted((before.keys() | after.keys()) - FREE_TO_CHANGE - _OF_THE_RUN)
        if before.get(name) != after.get(name)
    )
