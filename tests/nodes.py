"""Machines of a Ray cluster: each has a mount namespace and temporary files of its own, so that
they share nothing but the network, on loopback, and this package."""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import QUIET, descendants, is_alive

_PRIVATE = "mount -t tmpfs tmpfs /tmp && mount -t tmpfs tmpfs /dev/shm && exec "
_SECONDS = 120.0  # for a node to start; this only keeps a test from hanging


def apart(*command: str) -> list[str]:
    """The command, on a machine of its own."""
    enter = ["unshare", "--mount", "--propagation", "private", "sh", "-c"]
    return [*enter, _PRIVATE + shlex.join(command)]


@dataclass
class Nodes:
    """A cluster. The first node is its head, in which the commands run."""

    port: int
    environment: dict[str, str]
    nodes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    started: int = 0  # with those that were killed

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def add(self) -> None:
        """One more machine with one core."""
        self.started += 1
        head = f"--head --include-dashboard=false --port {self.port}"
        where = head if self.started == 1 else f"--address {self.address}"
        limits = (
            f"--num-cpus 1 --object-store-memory 80000000 --node-ip-address 127.0.0.{self.started}"
        )
        ray = f"-m ray.scripts.scripts start --block {where} {limits}"
        self.nodes.append(
            subprocess.Popen(
                apart(sys.executable, *ray.split()),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=self.environment,
                start_new_session=True,
            )
        )
        end = time.monotonic() + _SECONDS
        while "raylet" not in self._kinds(self.nodes[-1]):
            assert time.monotonic() < end, "the node does not start"
            assert self.nodes[-1].poll() is None, "the node has ended"
            time.sleep(0.1)

    def kill(self, number: int) -> None:
        """Pull the plug of a machine: all of its processes, at once."""
        node = self.nodes.pop(number)
        for process in [node.pid, *descendants(node.pid)]:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        node.wait()

    def start(self, *arguments: str, module: str = "datagen.cli") -> subprocess.Popen[str]:
        """`datagen`, or another program, as a process on the head."""
        enter = ["nsenter", "--mount", "--target", str(self.nodes[0].pid)]
        return subprocess.Popen(
            [*enter, sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment | QUIET,
            start_new_session=True,
        )

    def close(self) -> None:
        while self.nodes:
            found = {self.nodes[-1].pid, *descendants(self.nodes[-1].pid)}
            self.kill(-1)
            while any(map(is_alive, found)):
                time.sleep(0.05)

    @staticmethod
    def _kinds(node: subprocess.Popen[bytes]) -> str:
        found = []
        for process in descendants(node.pid):
            with suppress(OSError):
                found.append(Path(f"/proc/{process}/comm").read_text())
        return " ".join(found)


@contextmanager
def cluster_of(count: int, **environment: str) -> Iterator[Nodes]:
    """So many machines, and a token without which nobody is let in."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    inherited = {n: v for n, v in os.environ.items() if not n.startswith("RAY_") and n != "TMPDIR"}
    secret = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    nodes = Nodes(port, inherited | secret | environment)
    try:
        for _ in range(count):
            nodes.add()
        yield nodes
    finally:
        nodes.close()
