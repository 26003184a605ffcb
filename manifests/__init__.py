"""The data contract: what a source, a sample and a shard are, and the bytes that carry them.

`manifests.open_shards` opens a shard set for reading. It is imported when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from manifests.shard_set import open_shards

    __version__: str

__all__ = ["__version__", "open_shards"]


def __getattr__(name: str) -> Any:
    if name == "open_shards":
        from manifests.shard_set import open_shards

        return open_shards
    if name == "__version__":
        from importlib.metadata import version

        return version("matting-data")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
