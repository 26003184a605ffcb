"""Alphas to a Label Studio server and back, without losing a grey level."""

from typing import Any

__all__ = ["__version__"]


def __getattr__(name: str) -> Any:
    """The version, looked up when somebody asks for it."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version

    return version("matting-data")
