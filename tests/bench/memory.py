"""The most memory that a command and its workers take, while it runs."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path


class Memory(threading.Thread):
    """The most memory, in MiB, of a driver and of its largest worker."""

    def __init__(self, driver: int) -> None:
        super().__init__(daemon=True)
        self._driver, self._ends = driver, threading.Event()
        self.driver = self.worker = self.worker_own = 0

    def run(self) -> None:
        while not self._ends.wait(0.5):
            for process in (self._driver, *descendants(self._driver)):
                with suppress(OSError, KeyError, ValueError):
                    fields = status(process)
                    if process == self._driver:
                        self.driver = max(self.driver, fields["VmHWM"])
                    elif is_worker(Path(f"/proc/{process}/cmdline").read_bytes()):
                        self.worker = max(self.worker, fields["VmHWM"])
                        self.worker_own = max(self.worker_own, fields["RssAnon"])

    def end(self) -> None:
        self._ends.set()
        self.join()


def is_worker(command_line: bytes) -> bool:
    """Whether a process is a worker of Ray or of a loader, and not one of Ray's own."""
    return b"ray::" in command_line or b"multiprocessing" in command_line


def status(process: int) -> dict[str, int]:
    """The sizes in /proc, in MiB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    sizes = (line.split() for line in lines if line.endswith(" kB"))
    return {name.rstrip(":"): int(size) // 1024 for name, size, _ in sizes}


def descendants(process: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{process}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *descendants(child)]
    return found
