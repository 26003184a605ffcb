"""The folder of a run: made, or checked to be that of the same run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from manifests.documents import parse_object
from manifests.shard_set import ShardSet
from manifests.storage import write_bytes
from training.checkpoint import checkpoints, sweep
from training.loading.batches import epoch_length
from training.log import is_busy
from training.processes import Processes
from training.settings import FREE_TO_CHANGE, TrainSettings


def open_run(
    run: Path, shards: ShardSet, settings: TrainSettings, resume: bool, processes: Processes
) -> None:
    """Make a run's folder, or check that it holds the same run; only the first process does this.

    Raises what `batches` raises for shards that cannot be used, and ValueError if there is a run
    already and `resume` is False, if there is none and it is True, or if the settings differ.
    """
    # Before anything is written: a mistyped path must not leave a run that is in the way later.
    epoch_length(shards, settings, processes.world)
    config = run / "config.json"
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
        _check_same(run, ours, _read_config(config))
    else:  # a run that ended before its first checkpoint may be started again
        write_bytes(config, (json.dumps(ours, indent=1) + "\n").encode())
    sweep(run)


def _read_config(config: Path) -> dict[str, Any]:
    """The settings of a run. Those that were added since it was started had the default values."""
    try:
        return {**TrainSettings().to_dict(), **parse_object(config.read_bytes())}
    except (TypeError, ValueError) as error:
        raise ValueError(f"{config}: not the settings of a run ({error})") from error


def _check_same(run: Path, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    if theirs.get("samples") != ours["samples"]:
        raise ValueError(f"{run}: was trained on other shards than those of {ours['shards']}")
    changed = [
        f"{name}: {theirs.get(name)} -> {ours.get(name)}"
        for name in sorted((theirs.keys() | ours.keys()) - FREE_TO_CHANGE)
        if theirs.get(name) != ours.get(name)
    ]
    if changed:
        raise ValueError(f"{run}: is a run with other settings ({', '.join(changed)})")
