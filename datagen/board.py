"""What the driver and its tasks tell each other meanwhile: how far they are, and when to stop.

A nicety: without the board the tasks still run, and end well. `ray.cancel` would stop tasks, too,
but it races with their ends, and then aborts the driver ("Tried to complete task that was not
pending").
"""

from __future__ import annotations

import _thread
import signal
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

REPORT_SECONDS = 0.25
_ANSWER_SECONDS = 5.0
_WATCH_SECONDS = 0.5


class Board:
    """An actor on the cluster. If it is lost, it is made again, without what it knew."""

    def __init__(self) -> None:
        import ray

        class _Board:
            def __init__(self) -> None:
                self._done: dict[str, dict[int, tuple[int, int]]] = {}
                self._stopped = set[str]()

            def post(self, run: str, number: int, samples: int, bytes_: int) -> None:
                self._done.setdefault(run, {})[number] = (samples, bytes_)

            def is_stopped(self, run: str) -> bool:
                return run in self._stopped

            def total(self, run: str, running: Collection[int]) -> tuple[int, int]:
                done = self._done.get(run, {})
                self._done[run] = done = {n: done[n] for n in running if n in done}
                return sum(one[0] for one in done.values()), sum(one[1] for one in done.values())

            def stop(self, run: str) -> None:
                self._stopped.add(run)
                self._done.pop(run, None)

        self._actor = ray.remote(num_cpus=0, max_restarts=-1)(_Board).remote()

    def total(self, run: str, running: Collection[int]) -> tuple[int, int]:
        """Samples and bytes of the running tasks so far; a task that is retried starts at 0."""
        return self._ask(self._actor.total.remote(run, list(running))) or (0, 0)

    def post(self, run: str, number: int, samples: int, bytes_: int) -> None:
        """What a task has done so far. Does not wait."""
        self._actor.post.remote(run, number, samples, bytes_)

    def is_stopped(self, run: str) -> bool:
        """Whether the run has ended."""
        return bool(self._ask(self._actor.is_stopped.remote(run)))

    def stop(self, run: str) -> None:
        """Tasks of the run end from now on, wherever they are. Does not wait for it."""
        self._actor.stop.remote(run)

    def _ask(self, answer: Any) -> Any:
        """None if the board is lost."""
        import ray

        try:
            return ray.get(answer, timeout=_ANSWER_SECONDS)
        except ray.exceptions.RayError:
            return None


class Reporter:
    """Reports what one task has done so far, a few times per second."""

    def __init__(self, board: Board, run: str, number: int) -> None:
        self._board, self._run, self._number, self._last = board, run, number, 0.0
        self.done = (0, 0)

    def __call__(self, samples: int, bytes_: int) -> None:
        self.done = (samples, bytes_)
        if time.monotonic() - self._last >= REPORT_SECONDS:
            self._last = time.monotonic()
            self._board.post(self._run, self._number, *self.done)


@contextmanager
def interrupted_with(board: Board, run: str) -> Iterator[None]:
    """In a worker: raise KeyboardInterrupt inside if the run has ended."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_WATCH_SECONDS):
            if board.is_stopped(run):
                _thread.interrupt_main()
                return

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's & has it ignored
    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield
    finally:
        ended.set()
        watching.join()
