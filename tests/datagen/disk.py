"""A model of a disk that forgets what was not synced, fed with the system calls of this process.

Nothing is replaced: a profile function sees each os.fsync, and what it was called for.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any


@dataclass(frozen=True)
class Crash:
    """What a power loss may leave below a folder: paths and the content of the files."""

    files: dict[str, bytes]

    def write(self, root: Path) -> None:
        root.mkdir()
        for path, content in self.files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)


class Disk:
    """What of a folder is on the disk for certain; `crashes` has two states for each sync.

    In one of them, names that were not synced are lost. In the other one every name is there,
    and content that was not synced is lost.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._content: dict[int, bytes] = {}  # by inode
        self._names: dict[Path, dict[str, int]] = {}  # by folder: name -> inode
        self.crashes: list[Crash] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        before = sys.getprofile()
        sys.setprofile(self._called)
        try:
            yield
        finally:
            sys.setprofile(before)
            self._lose_power()

    def _called(self, frame: FrameType, event: str, function: Any) -> None:
        if event == "c_call" and function is os.fsync:
            self._lose_power()
        if event == "c_return" and function is os.fsync:
            self._synced(Path(f"/proc/self/fd/{frame.f_locals['descriptor']}").readlink())

    def _synced(self, path: Path) -> None:
        if path.is_dir():
            self._names[path] = {entry.name: entry.inode() for entry in os.scandir(path)}
        else:
            self._content[path.stat().st_ino] = path.read_bytes()

    def _lose_power(self) -> None:
        found = [path for path in self._root.rglob("*") if path.is_file()]
        every_name = {path: path.stat().st_ino for path in found}
        certain = {
            folder / name: inode
            for folder, names in self._names.items()
            for name, inode in names.items()
            if inode in self._content and self._is_certain(folder)
        }
        for names in (certain, every_name):
            files = {
                str(path.relative_to(self._root)): self._content.get(inode, b"")
                for path, inode in names.items()
                if path.is_relative_to(self._root)
            }
            self.crashes.append(Crash(files))

    def _is_certain(self, folder: Path) -> bool:
        """Whether the folder's own name is on the disk, and those above it."""
        if folder == self._root or not folder.is_relative_to(self._root):
            return True
        names = self._names.get(folder.parent, {})
        return folder.name in names and self._is_certain(folder.parent)
