"""What decides the bytes of a set beside its settings and sources: this program, its libraries."""

from __future__ import annotations

import hashlib
import platform
import socket
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path

LIBRARIES = ("numpy", "pillow", "opencv-python-headless", "isal", "pyarrow")
# They do not decide bytes by themselves, but a task needs them.
_BESIDE = ("numba", "obstore")
_PACKAGES = ("datagen", "manifests")


class VersionsError(RuntimeError):
    """A machine has another version of something."""


def libraries() -> dict[str, str]:
    """The versions of the libraries on which the bytes of a set depend."""
    return {name: version(name) for name in LIBRARIES}


@cache
def versions() -> dict[str, str]:
    """The same, with what else has to be equal on all machines of a cluster."""
    python = ".".join(platform.python_version_tuple()[:2])
    beside = {name: version(name) for name in _BESIDE}
    return {"python": python, "this package": _code(), **libraries(), **beside}


def check_versions(wanted: Mapping[str, str]) -> None:
    """Raise VersionsError that names this machine and what differs."""
    ours = versions()
    others = [f"{n}: {ours.get(n)} instead of {v}" for n, v in wanted.items() if ours.get(n) != v]
    if others:
        raise VersionsError(
            f"{socket.gethostname()}: has other versions than the machine of this command "
            f"({'; '.join(others)}); install the same on every machine"
        )


def _code() -> str:
    """Of the code of this package."""
    digest = hashlib.sha256()
    root = Path(__file__).parents[1]
    for package in _PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:12]
