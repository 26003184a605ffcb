"""A trained model in a process of its own: `matte serve`, asked through pipes.

It is a program and not an import, because the products share files, never code. It ends with this
process, whatever ends that, because its input ends.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from classical.closed_form import impose
from manifests.documents import parse_object
from manifests.pictures import read_alpha, write_trimap
from manifests.pixels import ImageCodec, Pixels, encode_colour
from manifests.scratch import Scratch
from manifests.storage import write_bytes

_STOP_SECONDS = 5.0


class ModelError(RuntimeError):
    """Why a model gives no alpha, in words for the user."""


class Worker:
    """The process. `name` is the model's, with the beginning of its checkpoint's checksum."""

    def __init__(self, checkpoint: str, folder: Path) -> None:
        """folder: for what is exchanged with the process; nobody else's."""
        self._folder, self._checkpoint = folder, checkpoint
        self._process = self._start()
        self._model: Mapping[str, Any] = {}

    @property
    def name(self) -> str:
        return str(self._model["model"])

    def greet(self) -> None:
        """Wait until the process is ready. Raises ModelError if it ends instead, or if a process
        that was started again has another model than the first one."""
        model = self._answer()
        if self._model and model != self._model:
            self.end()
            raise ModelError(f"{self._checkpoint} is another model now; restart `annotate assist`")
        self._model = model

    def alpha(self, image: Pixels, trimap: Pixels) -> Pixels:
        """H x W, 0..255, of a photo (H x W x 3) and a trimap (H x W of codes), whose known pixels
        stay 0 and 255. A process that has ended is started again first. Raises ModelError."""
        if self._process.poll() is not None:
            self._process = self._start()
            self.greet()
        files = {name: self._folder / f"{name}.png" for name in ("image", "trimap", "out")}
        write_bytes(files["image"], encode_colour(image, ImageCodec.PNG))
        write_trimap(files["trimap"], trimap)
        request = json.dumps({name: str(file) for name, file in files.items()})
        with suppress(BrokenPipeError):  # then it does not answer either
            _pipe(self._process.stdin).write(f"{request}\n")
            _pipe(self._process.stdin).flush()
        answer = self._answer()
        if "error" in answer:
            raise ModelError(f"the model gives no alpha: {answer['error']}")
        return impose(read_alpha(files["out"]), trimap)

    def end(self) -> None:
        """End the process, which has nothing to lose."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(BrokenPipeError):  # what was not sent any more
                _pipe(pipe).close()

    def _start(self) -> subprocess.Popen[str]:
        with self._log.open("wb") as log:
            return subprocess.Popen(
                [_matte(), "serve", "--checkpoint", self._checkpoint],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C is meant for us, who end it
            )

    @property
    def _log(self) -> Path:
        return self._folder / "log"

    def _answer(self) -> dict[str, Any]:
        """The next line. Raises ModelError if the process ends instead."""
        line = _pipe(self._process.stdout).readline()
        if not line:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_SECONDS)
            self.end()
            raise ModelError(self._last_words())
        return parse_object(line.encode())

    def _last_words(self) -> str:
        said = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        errors = [line.removeprefix("error: ") for line in said if line.startswith("error: ")]
        if errors:
            return errors[-1]
        code = self._process.returncode
        how = f"with exit code {code}" if code >= 0 else f"by {signal.Signals(-code).name}"
        memory = ", perhaps because memory ran out" if code == -signal.SIGKILL else ""
        return f"the model's process was ended {how}{memory}; the next click starts it again"


@contextmanager
def trained_model(checkpoint: str) -> Iterator[Worker]:
    """The model of a checkpoint, as `matte` takes it, ready; ended on the way out.

    Raises ModelError with what `matte` says if it cannot be used.
    """
    scratch = Scratch()
    worker = Worker(checkpoint, scratch.folder())
    try:
        worker.greet()
        yield worker
    finally:
        worker.end()
        scratch.close()


def _matte() -> str:
    """The command that was installed with this one. Raises ModelError if there is none."""
    beside = Path(sys.executable).with_name("matte")
    found = str(beside) if beside.is_file() else shutil.which("matte")
    if not found:
        raise ModelError("the command matte, which runs the model, is not installed here")
    return found


def _pipe(found: IO[str] | None) -> IO[str]:
    assert found is not None
    return found
