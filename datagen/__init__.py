"""Foregrounds x backgrounds -> shards for training a matting model.

    result = datagen.compose("fgs/", "bgs/", out="shards", samples=100, size=512)
    sample = datagen.compose_one("fg.png", "bg.jpg", size=512, seed=0)

`compose` and `compose_one` are the names that this package promises; they are loaded at their
first use, so that importing the package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datagen.library import compose, compose_one

    __version__: str

__all__ = ["__version__", "compose", "compose_one"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("matting-data")
    if name in __all__:
        from datagen import library

        return getattr(library, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
