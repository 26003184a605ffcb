"""Checkpoints: weights as safetensors, everything else as JSON; nothing is pickled.

runs/NAME/, a folder or a URL
  config.json                    the settings of the run
  metrics.jsonl                  one line an iteration, one a validation
  checkpoints/00002000/          the last few; a folder with such a name is complete
    model.safetensors            weights (with --ema, their mean); its header has the variant, and
                                 the size of the samples
    optimizer.safetensors        Adam's moments, s1 and s2; with --ema, the weights that are trained
    state.json                   the iteration to go on with
  best/                          the checkpoint with the least validation error
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_bytes
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from manifests.documents import parse_object
from manifests.scratch import Scratch
from manifests.storage import (
    Location,
    Url,
    exists,
    fetch,
    files_below,
    location_of,
    read_bytes,
)
from training import stored
from training.choices import BUILT_IN, Variant
from training.net.model import MattingModel
from training.stored import Place

MODEL, OPTIMIZER, STATE = "model.safetensors", "optimizer.safetensors", "state.json"
FILES = (MODEL, OPTIMIZER, STATE)  # the last one is written last
BUILT_IN_FILE = Path(__file__).parent / "built_in" / MODEL  # see the README.md beside it
_ABOUT = "matting"  # the entry of the header that says what a model is
_ANOTHER = "if another version trained it, use that version or train again"
# What tensors and numbers of other shapes and types raise where they are used
_DAMAGES = (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RuntimeError)
_LAST = re.compile(rf"checkpoints/\d+/{re.escape(MODEL)}")
_copies = Scratch()
_URL = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)  # a Path has made one slash of two


class Found(NamedTuple):
    """A file of weights on this machine, and the path or URL that messages call it by."""

    path: Path
    called: str


def checkpoints(run: Place) -> list[Place]:
    """The whole checkpoints of a run, oldest first. Raises OSError if a store does not answer."""
    return stored.numbered(run / "checkpoints", STATE)


def save(
    run: Place,
    model: MattingModel,
    variant: Variant,
    optimizer: torch.optim.Optimizer,
    beside: Mapping[str, Tensor],
    state: dict[str, Any],
    is_best: bool = False,
) -> Place:
    """Write a checkpoint: its folder. beside: tensors that the model does not hold.

    The best is also copied to `best`, before the checkpoint gets its name: a run that is killed in
    between repeats both. In the other order it would go on without its best checkpoint.
    """
    iteration = state["iteration"]
    target = run / "checkpoints" / f"{iteration:08d}"
    with stored.writing_folder(target, STATE) as part:
        write_model(model, variant, part / MODEL)
        save_file({**_moments(optimizer), **_plain(beside)}, part / OPTIMIZER)
        (part / STATE).write_text(json.dumps(state) + "\n")
        if is_best:
            _save_best(run, part)
    return target


def write_model(model: MattingModel, variant: Variant, file: Path) -> None:
    """Write the weights of a model, in the precision that they have, with what it is.

    Raises OSError if the file cannot be written.
    """
    about = {"variant": str(variant), "seen": model.seen}
    # One entry: the order of several is chance
    save_file(_plain(model.state_dict()), file, {_ABOUT: json.dumps(about)})


def prune(run: Location, keep: int) -> None:
    """Remove all but the last `keep` checkpoints."""
    for old in checkpoints(run)[:-keep]:
        stored.remove_folder(old, STATE)


def _save_best(run: Location, checkpoint: Path) -> None:
    with stored.writing_folder(run / "best", STATE) as part:
        shutil.copy(checkpoint / MODEL, part / MODEL)
        shutil.copy(checkpoint / STATE, part / STATE)


def read(checkpoint: Location) -> dict[str, bytes]:
    """The content of its FILES. Raises OSError (FileNotFoundError if one is not there)."""
    return {name: read_bytes(checkpoint / name) for name in FILES}


def load(
    files: Mapping[str, bytes],
    called: str,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    beside: Mapping[str, Tensor],
) -> dict[str, Any]:
    """Load what `read` returns into a model, its optimizer and the tensors beside; its state.

    Raises ValueError that names the file that is damaged. called: the checkpoint, for that.
    """
    with _named(f"{called}/{MODEL}"):
        _take(model, load_bytes(files[MODEL]))
    with _named(f"{called}/{OPTIMIZER}"):
        tensors = load_bytes(files[OPTIMIZER])
        with torch.no_grad():
            for name, value in beside.items():
                value.copy_(tensors.pop(name))
        _restore(optimizer, tensors)
    with _named(f"{called}/{STATE}"):
        state = parse_object(files[STATE])
        _check_state(state)
    return state


def _check_state(state: Mapping[str, Any]) -> None:
    """Raises ValueError, KeyError or TypeError if a run cannot go on with it."""
    iteration, best = state["iteration"], state["best"]
    if type(iteration) is not int or iteration < 0:
        raise ValueError(f"iteration {iteration!r}, expected a number of 0 or more")
    if best is not None and not float(best) >= 0:
        raise ValueError(f"best {best!r}, expected an error of 0 or more")


def find_model(path: Path) -> Found:
    """The weights that a path means: a file, a checkpoint, or a run (its best, else its last).

    `built-in` is the model that comes with this program. Weights behind a URL are fetched first,
    into a temporary folder.

    Raises FileNotFoundError if there are no weights, OSError if they cannot be fetched.
    """
    if str(path) == BUILT_IN:
        return Found(BUILT_IN_FILE, BUILT_IN)
    if _URL.match(str(path)) and not path.exists():
        location = location_of(str(path).replace(":/", "://", 1))
        if isinstance(location, Url):
            return _fetched(location)
        path = location
    folders = [path, path / "best", *reversed(checkpoints(path))]
    for file in (path, *(folder / MODEL for folder in folders)):
        if file.is_file():
            return Found(file, str(file))
    raise FileNotFoundError(f"{path}: no checkpoint here; give a run, a checkpoint or a {MODEL}")


def _fetched(url: Url) -> Found:
    """A copy of the weights that a URL means, as `find_model` says; one for this process."""
    names = [""] if url.suffix == ".safetensors" else [MODEL, f"best/{MODEL}"]
    if len(names) > 1 and not url.is_of_web:  # a web server does not say what it has
        last = sorted(n for n in files_below(url) if _LAST.fullmatch(n))
        names += reversed(last)
    for name in names:
        found = url / name if name else url
        if exists(found):
            digest = hashlib.sha256(str(found).encode()).hexdigest()[:16]
            path = _copies.folder() / f"{digest}-{found.name}"
            fetch(found, path)
            return Found(path, str(found))
    raise FileNotFoundError(f"{url}: no checkpoint here; give a run, a checkpoint or a {MODEL}")


def load_network(path: Path | Found) -> MattingModel:
    """The network of a checkpoint in evaluation mode, with the decoders that it was trained with.

    Raises FileNotFoundError if there is no checkpoint, ValueError if it is not one of this
    program's.
    """
    file, called = path if isinstance(path, Found) else find_model(path)
    with _named(called):
        with safe_open(file, framework="pt") as content:
            header = content.metadata() or {}
        # Until the size was added the variant was an entry of its own
        about = parse_object(header[_ABOUT].encode()) if _ABOUT in header else header
        if "variant" not in about:
            raise ValueError("no variant in its header")
        seen = about.get("seen")
        if seen is not None and (type(seen) is not int or seen < 1):
            raise ValueError(f"seen {seen!r} in its header, expected a number of pixels")
        model = MattingModel(trimap_decoder=Variant(about["variant"]) is not Variant.BASE)
        model.seen = seen
        _take(model, load_file(file))
    return model.eval()


def load_weights(file: Found, variant: Variant) -> dict[str, Tensor]:
    """The weights of a checkpoint, or of any file of safetensors, to start a model of a variant.

    A trimap decoder may be missing: a model keeps the random one that it has. One that the variant
    does not have is left out. Raises ValueError that names the file if it does not fit the model:
    weights are missing, are others, have another shape or are not finite.
    """
    with _named(file.called):
        weights = load_file(file.path)
        with torch.device("meta"):
            expected = MattingModel(trimap_decoder=variant is not Variant.BASE).state_dict()
        if variant is Variant.BASE or not any(map(_is_optional, weights)):
            weights = {name: value for name, value in weights.items() if not _is_optional(name)}
            expected = {name: value for name, value in expected.items() if not _is_optional(name)}
        _check_fit(weights, expected)
        for name, value in weights.items():
            if not value.isfinite().all():
                raise ValueError(f"{name} is not finite")
    return weights


def _take(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    _check_fit(weights, model.state_dict())
    model.load_state_dict(weights)


def _check_fit(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raises ValueError if the names or shapes are not those of the model."""
    missing, others = expected.keys() - weights.keys(), weights.keys() - expected.keys()
    for names, reason in ((missing, "has no"), (others, "has no place in the model for")):
        if names:
            raise ValueError(f"{reason} {_listed(names)}; {_ANOTHER}")
    for name, value in weights.items():
        if value.shape != expected[name].shape:
            ours, theirs = (tuple(x.shape) for x in (expected[name], value))
            raise ValueError(f"{name} has the shape {theirs}, the model's has {ours}; {_ANOTHER}")


def _is_optional(name: str) -> bool:
    return name.startswith("trimap_decoder.")


def _listed(names: Collection[str]) -> str:
    first, *rest = sorted(names)
    return f"{first} and {len(rest)} more" if rest else first


@contextmanager
def _named(file: str) -> Iterator[None]:
    """Whatever is wrong with the content of a file becomes one sentence that names it."""
    try:
        yield
    except (SafetensorError, *_DAMAGES) as error:
        missing = "no " if isinstance(error, LookupError) else ""
        reason = missing + " ".join(str(error).split())[:300]
        raise ValueError(f"{file}: not a checkpoint of this model: {reason}") from error


def sweep(run: Location) -> None:
    """Remove what killed processes have left."""
    stored.sweep(run / "checkpoints", STATE)
    if isinstance(run, Path):
        stored.sweep(run, STATE)  # of the best


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """As files hold them: on the CPU and contiguous, whatever the run's memory format."""
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}


def _moments(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    named = {f"{n}.{key}": value for n, values in state.items() for key, value in values.items()}
    return _plain(named)


def _restore(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        number, _, key = name.partition(".")
        state.setdefault(int(number), {})[key] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    # The fused kernel reads a weight and its moments in the order of memory, so they must have the
    # same memory format, which files do not record.
    for parameter, values in optimizer.state.items():
        for key, value in values.items():
            if value.shape == parameter.shape:
                values[key] = torch.empty_like(parameter).copy_(value)
