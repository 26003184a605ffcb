"""What was counted of each task, kept in the user's cache folder: it may be removed at any time."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from manifests.documents import parse_object
from manifests.scratch import caches_of_user
from manifests.storage import write_bytes

_VERSION = 2  # of what is counted; memories of another one are not read


def cache_folder() -> Path:
    """Where `annotate` keeps what it can make again."""
    return caches_of_user() / "annotate"


def memory_of(folder: Path, url: str, project: int) -> Path:
    """The file for a project of the server at this address."""
    name = hashlib.sha256(f"{url} {project}".encode()).hexdigest()[:20]
    return folder / f"status-{name}.json"


def read_memory(path: Path) -> dict[str, Any]:
    """What was kept; nothing if there is no such file, or it is damaged."""
    try:
        found = parse_object(path.read_bytes())
        return dict(found["tasks"]) if found["version"] == _VERSION else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def write_memory(path: Path, tasks: Mapping[str, Any]) -> None:
    """Keep JSON by task, for this user alone. Where nothing can be written, nothing is kept: the
    next count only takes longer."""
    data = json.dumps({"version": _VERSION, "tasks": tasks}, separators=(",", ":")).encode()
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_bytes(path, data)
