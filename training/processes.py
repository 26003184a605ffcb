"""Which of several training processes this is: those of `torchrun`, or the only one."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar, cast

import numpy as np
import torch
from torch import distributed

Value = TypeVar("Value")

LOST = (
    "another process of this training has ended, or its machine cannot be reached; what it printed "
    "says why; start all of them again with --resume"
)
_OF_THE_NETWORK = re.compile(r"gloo|nccl|TCPStore", re.IGNORECASE)


@dataclass(frozen=True)
class Processes:
    """This process (`rank`) of `world`, and the device that it computes on."""

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and messages."""
        return self.rank == 0

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        if self.world == 1:
            return flag
        count = torch.tensor(int(flag), device=self.device)
        with _lost():
            distributed.all_reduce(count)
        return bool(count)

    def share(self, data: bytes) -> bytes:
        """What the first process gives, in all of them: they may have no folder in common."""
        if self.world == 1:
            return data
        size = torch.tensor(len(data), device=self.device)
        with _lost():
            distributed.broadcast(size, 0)
            sent = np.frombuffer(bytearray(data) if self.first else bytearray(int(size)), np.uint8)
            content = torch.from_numpy(sent).to(self.device)
            distributed.broadcast(content, 0)
        return content.cpu().numpy().tobytes()

    def all_or_none(self, work: Callable[[], Value]) -> Value:
        """What `work` returns here. Raises what it raises, and RuntimeError in all the others."""
        found, refused = None, None
        try:
            found = work()
        except (OSError, ValueError) as error:
            refused = error
        if self.any(refused is not None):
            raise refused or RuntimeError(
                "another process of this training cannot begin; what it printed says why"
            )
        return cast(Value, found)


def is_lost(error: Exception) -> bool:
    """Whether an error of torch says that another process cannot be reached."""
    return isinstance(error, distributed.DistError) or bool(_OF_THE_NETWORK.search(str(error)))


@contextmanager
def _lost() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise RuntimeError(LOST) from error


def pick_device(name: str | None) -> torch.device:
    """`cpu`, `cuda`, `cuda:1`, `mps`, ...; None is a GPU if there is one, else the CPU.

    Raises ValueError if the device cannot be used.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.ones(1, device=device).item()  # fails for `meta`, which has no values
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"device {name!r} cannot be used: {reason}") from error
    return device


def device_name(device: torch.device) -> str:
    """Such as "NVIDIA H100", or "x86_64, 8 threads"."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = (platform.processor() or platform.machine()) if device.type == "cpu" else str(device)
    threads = torch.get_num_threads()
    return f"{name}, {threads} thread{'s' if threads > 1 else ''}"


@contextmanager
def join(device: torch.device) -> Iterator[Processes]:
    """Join the other processes of `torchrun`, if there are any: NCCL on GPUs, gloo elsewhere."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Processes(0, 1, device)
        return
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(distributed.get_rank(), world, device)
    finally:
        distributed.destroy_process_group()
