"""The two-decoder matting model, trained on shards.

`training.Samples` reads a shard set as a torch data set, `training.load_model` loads a trained
model. They are imported when they are first asked for, so that `import training` needs no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.loading.samples import Samples
    from training.matte.predict import load_model

    __version__: str

__all__ = ["Samples", "__version__", "load_model"]


def __getattr__(name: str) -> Any:
    if name == "Samples":
        from training.loading.samples import Samples

        return Samples
    if name == "load_model":
        from training.matte.predict import load_model

        return load_model
    if name == "__version__":
        from importlib.metadata import version

        return version("matting-data")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
