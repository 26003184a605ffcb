"""The data contract: what a source, a sample and a shard are, and the bytes that carry them.

`manifests.open_shards` opens a shard set for reading. `manifests.decode` decodes the streams for
readers that use webdataset. They are imported when they are first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from manifests.samples import decode_member as decode
    from manifests.shard_set import open_shards

    __version__: str

__all__ = ["__version__", "decode", "open_shards"]


def __getattr__(name: str) -> Any:
    if name == "open_shards":
        from manifests.shard_set import open_shards

        return open_shards
    if name == "decode":
        from manifests.samples import decode_member

        return decode_member
    if name == "__version__":
        from importlib.metadata import version

        return version("matting-data")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
