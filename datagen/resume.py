"""What a shard set was begun with: another run must go on with the same, or is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from datagen.settings import Settings, difference
from manifests.dataset import dataset_path, read_dataset
from manifests.sources import Background, Foreground
from manifests.storage import write_bytes

WORK = ".work"  # inside the shard set while it is made: the settings, the lock, the working copies

_LIBRARIES = ("numpy", "pillow", "opencv-python-headless", "pyarrow")


class RefusedError(Exception):
    """The run was not started, for a reason that the user can mend."""


def write_begun(out: Path, settings: Settings) -> None:
    """Keep what decides the bytes, beside the sources."""
    begun = {"settings": settings.to_json(), "libraries": libraries()}
    write_bytes(out / WORK / "settings.json", json.dumps(begun).encode())


def refuse_other_settings(out: Path, settings: Settings) -> None:
    """Raise RefusedError, with the difference, if `out` was begun with other settings, or is not
    finished and was begun with other libraries."""
    begun = _begun(out)
    changes = difference(begun[0], settings.to_json()) if begun is not None else []
    if changes:
        raise RefusedError(
            f"{out}: was begun with other settings; name another --out, or remove it, or repeat "
            f"these ({'; '.join(changes)})"
        )
    if not dataset_path(out).exists():
        refuse_other_libraries(out)


def refuse_other_libraries(out: Path) -> None:
    """Their versions decide bytes, too: a set that is half of one and half of another could not be
    made again."""
    begun = _begun(out)
    changes = difference(begun[1], libraries()) if begun is not None else []
    if changes:
        raise RefusedError(
            f"{out}: was begun with other versions of libraries; name another --out, or remove it, "
            f"or install those ({'; '.join(changes)})"
        )


def _begun(out: Path) -> tuple[dict[str, Any], dict[str, str]] | None:
    """The settings and the libraries of the run that began `out`; None if none did."""
    if dataset_path(out).exists():
        dataset = read_dataset(out)
        return dataset.settings, dataset.libraries
    if (out / WORK / "settings.json").exists():
        fields = json.loads((out / WORK / "settings.json").read_bytes())
        if fields.keys() != {"settings", "libraries"}:
            raise RefusedError(f"{out}: was begun by another version of datagen; remove it")
        return fields["settings"], fields["libraries"]
    if out.exists() and (not out.is_dir() or any(p.name != WORK for p in out.iterdir())):
        raise RefusedError(f"{out}: holds something that is not a shard set; name another --out")
    return None


def libraries() -> dict[str, str]:
    """The versions of what decides the bytes, beside the settings and the sources."""
    return {name: version(name) for name in _LIBRARIES}


def refuse_other_sources(
    out: Path, old: Sequence[Foreground | Background], new: Sequence[Foreground | Background]
) -> None:
    """Raise RefusedError, with the difference, if the sources are not those of the beginning."""
    before, now = {s.id: s for s in old}, {s.id: s for s in new}
    changes = [
        *(f"{name} is gone" for name in before if name not in now),
        *(f"{name} is new" for name in now if name not in before),
        *(f"{name} has changed" for name in now if name in before and before[name] != now[name]),
    ]
    if changes:
        more = f" and {len(changes) - 5} more" if len(changes) > 5 else ""
        raise RefusedError(
            f"{out}: was begun with other sources ({'; '.join(changes[:5])}{more}); "
            "name another --out"
        )
