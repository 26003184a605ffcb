"""`matte serve`: one alpha after another, for a program that asks through pipes.

Each line is a JSON object. The first says which model answers:

    {"model": "an-tw-3f2a9c81d0e4", "sha256": "3f2a9c81d0e4..."}

Then each line of the input is a request, and gets one line:

    {"image": FILE, "trimap": FILE, "out": FILE}  ->  {"out": FILE} or {"error": "why not"}

It ends when its input does, which also happens when the program that asks is killed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

import numpy as np

from manifests.documents import parse_object
from manifests.pictures import write_alpha
from manifests.pixels import UNKNOWN
from manifests.storage import sha256_of
from training.checkpoint import find_model, load_network
from training.matte.faults import FAULTS, reason_of
from training.matte.photos import alpha_of_files
from training.matte.predict import matte
from training.net.model import MattingModel
from training.processes import pick_device

_FIELDS = ("image", "trimap", "out")
_PLACES = {"best", "checkpoints"}  # folders of a run that say nothing of it
_SHOWN = 12  # digits of a checksum


def serve(
    checkpoint: Path, device: str | None, requests: Iterable[str], answer: Callable[[str], None]
) -> None:
    """Answer every line of `requests`; the first answer is what the model is called.

    Raises FileNotFoundError if there is no checkpoint, ValueError if it is not one of this
    program's or if the device cannot be used.
    """
    file = find_model(checkpoint)
    model = load_network(file).without_trimap_decoder().to(pick_device(device))
    _warm(model)
    sha256 = sha256_of(file.path)
    answer(json.dumps({"model": f"{_name(checkpoint)}-{sha256[:_SHOWN]}", "sha256": sha256}))
    for line in requests:
        try:
            image, trimap, out = _files(line)
            write_alpha(out, alpha_of_files(model, trimap, image)[1])
            answer(json.dumps({"out": str(out)}))
        except FAULTS as error:
            answer(json.dumps({"error": reason_of(error)}))


def _files(request: str) -> tuple[Path, ...]:
    """The three files of a request. Raises ValueError if it is malformed."""
    try:
        found = parse_object(request.encode())
    except ValueError as error:
        raise ValueError(f"the request is no JSON object: {error}") from error
    wrong = [name for name in _FIELDS if not isinstance(found.get(name), str)]
    if wrong:
        raise ValueError(f"the request names no file as {' and '.join(wrong)}")
    return tuple(Path(found[name]) for name in _FIELDS)


def _name(checkpoint: Path) -> str:
    """What a run is called, of the path to it, to one of its checkpoints, or to their weights."""
    parts = PurePosixPath(checkpoint if ":" in str(checkpoint) else checkpoint.absolute()).parts
    names = [part.removesuffix(".safetensors") for part in parts]
    named = [name for name in names if name not in _PLACES | {"model"} and not name.isdecimal()]
    return named[-1] if named else "model"


def _warm(model: MattingModel) -> None:
    """The first prediction takes longer than all others."""
    matte(model, np.zeros((64, 64, 3), np.uint8), np.full((64, 64), UNKNOWN, np.uint8))
