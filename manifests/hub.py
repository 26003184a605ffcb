"""Files of the Hugging Face Hub, hf://. They are read, never written.

huggingface_hub does it, which is installed with `datasets` or by itself, not with this package. It
finds the token of `hf auth login`, or that of HF_TOKEN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import IO, Any

_CHUNK = 1 << 20


def download(url: str, called: str, sink: IO[bytes]) -> None:
    """The whole file into `sink`. Raises FileNotFoundError or another OSError."""
    with _asked(called, lambda hub: hub.open(url, "rb")) as file:
        while chunk := _asked(called, lambda _: file.read(_CHUNK)):
            sink.write(chunk)


def size_of(url: str, called: str) -> int:
    """In bytes. Raises as `download`."""
    return int(_asked(called, lambda hub: hub.size(url)))


def listing(url: str, called: str) -> Iterator[tuple[str, int]]:
    """Names and sizes of all files below a folder. Raises as `download`."""
    folder = url.removeprefix("hf://").rstrip("/") + "/"
    found = _asked(called, lambda hub: hub.find(folder, detail=True))
    for path, details in found.items():
        yield path.removeprefix(folder), int(details["size"])


def _asked(called: str, question: Callable[[Any], Any]) -> Any:
    try:
        from huggingface_hub import HfFileSystem
    except ModuleNotFoundError as error:
        raise ValueError(f"{called}: hf:// needs `pip install huggingface_hub`") from error
    try:
        return question(HfFileSystem())
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{called}: not found") from error
    except Exception as error:  # its errors are those of an HTTP client of its own
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise OSError(f"{called}: cannot be fetched ({reason})") from error
