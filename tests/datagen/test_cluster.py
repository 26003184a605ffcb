"""Work goes out as tasks; failure comes back as a value. All on a real Ray."""

from __future__ import annotations

import errno
import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest

from datagen.cluster import Cluster, Outcome, cluster
from datagen.sources.folders import ChangedSourceError
from manifests.pictures import PictureError
from tests.conftest import descendants

pytestmark = pytest.mark.slow

Task = tuple[str, Path]
PLAN = [
    *[f"fine-{number}" for number in range(5)],
    "killed-once",
    "killed-always",
    "raises",
    "changed-source",
    "picture",
    "full-disk",
    "flaky-disk",
    "broken-disk",
]


def attempt(task: Task) -> str:
    """Do what the task's name says; every attempt leaves a byte in a file of that name."""
    name, folder = task
    with (folder / name).open("ab") as log:
        log.write(b".")
    first = (folder / name).stat().st_size == 1
    if name == "killed-always" or (name == "killed-once" and first):
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "raises":
        raise ValueError("no picture in [this] file")
    if name == "changed-source":
        raise ChangedSourceError(f"{folder}/a.png: has changed since it was scanned")
    if name == "picture":
        raise PictureError("empty-file", "has 0 bytes; copy or export it again")
    if name == "full-disk":
        raise OSError(errno.ENOSPC, "No space left on device", "data/x.tar")
    if name == "broken-disk" or (name == "flaky-disk" and first):
        raise OSError(errno.EIO, "Input/output error")
    return name.upper()


def later(number: int) -> int:
    time.sleep(0.05 * (4 - number))
    return number * number


def fail_on_three(number: int) -> int:
    if number == 3:
        raise ArithmeticError("three is too many")
    return number


def give_nothing(number: int) -> None:
    assert number >= 0


def give_a_file(number: int) -> object:
    return Path(os.devnull).open("rb")  # what cannot be sent back


def count_up(task: Task, report: Callable[[int, int], None]) -> int:
    """Report 1, 2, ... samples of 7 bytes; the third task is killed once, in the middle.

    None goes past the middle before the driver has shown something.
    """
    name, folder = task
    for count in range(1, 21):
        report(count, 7 * count)
        time.sleep(0.03)
        while count == 10 and not (folder / "shown").exists():
            time.sleep(0.03)
        if name == "2" and count == 12 and not (folder / name).exists():
            (folder / name).touch()
            os.kill(os.getpid(), signal.SIGKILL)
    return int(name)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log")


@pytest.fixture(scope="module")
def outcomes(two_workers: Cluster, log: Path) -> dict[str, Outcome[Task, str]]:
    """Good and bad work in one go."""
    tasks = [(name, log) for name in PLAN]
    return {outcome.item[0]: outcome for outcome in two_workers.run(attempt, tasks)}


def attempts(log: Path, name: str) -> int:
    return (log / name).stat().st_size


def test_every_item_has_one_outcome(outcomes: dict[str, Outcome[Task, str]]) -> None:
    assert set(outcomes) == set(PLAN)
    assert [outcomes[name].number for name in PLAN] == list(range(len(PLAN)))


def test_good_work_succeeds_beside_bad(outcomes: dict[str, Outcome[Task, str]]) -> None:
    for name in PLAN[:5]:
        assert (outcomes[name].value, outcomes[name].error) == (name.upper(), "")


def test_killed_worker_is_replaced(outcomes: dict[str, Outcome[Task, str]], log: Path) -> None:
    assert (outcomes["killed-once"].value, outcomes["killed-once"].error) == ("KILLED-ONCE", "")
    assert attempts(log, "killed-once") == 2


def test_worker_that_always_dies_is_reported(
    outcomes: dict[str, Outcome[Task, str]], log: Path
) -> None:
    outcome = outcomes["killed-always"]
    assert outcome.value is None
    assert "worker died 4 times" in outcome.error
    assert attempts(log, "killed-always") == 4


def test_exception_becomes_its_reason(outcomes: dict[str, Outcome[Task, str]], log: Path) -> None:
    outcome = outcomes["raises"]
    assert (outcome.value, outcome.error) == (None, "ValueError: no picture in [this] file")
    assert attempts(log, "raises") == 1


def test_reasons_that_speak_of_a_file_come_without_a_class_name(
    outcomes: dict[str, Outcome[Task, str]], log: Path
) -> None:
    changed = f"{log}/a.png: has changed since it was scanned"
    assert outcomes["changed-source"].error == changed
    assert outcomes["picture"].error == "has 0 bytes; copy or export it again"


def test_full_disk_is_not_tried_again(outcomes: dict[str, Outcome[Task, str]], log: Path) -> None:
    assert outcomes["full-disk"].error == "data/x.tar: No space left on device"
    assert attempts(log, "full-disk") == 1


def test_passing_fault_of_the_disk_is_tried_again(
    outcomes: dict[str, Outcome[Task, str]], log: Path
) -> None:
    assert (outcomes["flaky-disk"].value, outcomes["flaky-disk"].error) == ("FLAKY-DISK", "")
    assert attempts(log, "flaky-disk") == 2
    assert "Input/output error" in outcomes["broken-disk"].error
    assert attempts(log, "broken-disk") == 3


def test_numbers_keep_the_order(two_workers: Cluster) -> None:
    found = {outcome.number: outcome.value for outcome in two_workers.run(later, range(5))}
    assert [found[number] for number in range(5)] == [0, 1, 4, 9, 16]


def test_a_function_that_returns_none(two_workers: Cluster) -> None:
    assert [(o.value, o.error) for o in two_workers.run(give_nothing, range(3))] == [(None, "")] * 3


def test_result_that_cannot_be_sent_names_its_reason(two_workers: Cluster) -> None:
    (outcome,) = two_workers.run(give_a_file, [0])
    assert outcome.value is None
    assert "pickle" in outcome.error
    assert "died" not in outcome.error


def test_no_items(two_workers: Cluster) -> None:
    assert list(two_workers.run(later, [])) == []


def test_items_are_taken_as_they_are_needed(two_workers: Cluster) -> None:
    taken = itertools.count()
    found = two_workers.run(fail_on_three, (next(taken) % 2 for _ in itertools.count()))
    assert {next(found).value for _ in range(20)} == {0, 1}
    assert 20 <= next(taken) <= 20 + 4 * two_workers.workers
    del found


def test_runs_that_are_given_up_do_not_end_the_driver(two_workers: Cluster) -> None:
    """Ray's own cancelling aborted it within a few dozen."""
    rng = random.Random(0)
    for _ in range(40):
        found = two_workers.run(fail_on_three, itertools.repeat(1))
        for _ in range(rng.randrange(1, 20)):
            next(found)
        del found
    assert {outcome.value for outcome in two_workers.run(fail_on_three, [0, 1])} == {0, 1}


def test_progress_ends_at_the_exact_sums(two_workers: Cluster, tmp_path: Path) -> None:
    shown: list[tuple[int, int]] = []

    def show(samples: int, bytes_: int) -> None:
        shown.append((samples, bytes_))
        if 0 < samples < 80 or len(shown) > 400:  # those who wait for it shall not wait for ever
            (tmp_path / "shown").touch()

    tasks = [(str(number), tmp_path) for number in range(4)]
    found = two_workers.run(count_up, tasks, show)
    assert sorted(outcome.value or 0 for outcome in found) == [0, 1, 2, 3]
    assert (tmp_path / "2").exists(), "no worker was killed"
    assert shown[-1] == (80, 560)
    assert all(bytes_ == 7 * samples and samples <= 80 for samples, bytes_ in shown)
    assert any(0 < samples < 80 for samples, _ in shown), "nothing was shown on the way"


LIBRARY = """
import os, signal, sys, threading, time
from pathlib import Path
from datagen.cluster import cluster

folder = Path(sys.argv[1])
stops = []
signal.signal(signal.SIGTERM, lambda number, frame: stops.append(number))
handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

def write(number):
    while True:
        (folder / str(number)).write_text(str(time.monotonic()))
        time.sleep(0.01)

def press():
    while len(list(folder.iterdir())) < 2:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)

def stop():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    while threading.main_thread().is_alive():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)

with cluster(2) as ray:
    assert signal.getsignal(signal.SIGINT) is handlers[0]
    print("printed", flush=True)
    threading.Thread(target=press, daemon=True).start()
    try:
        list(ray.run(write, range(2)))
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    before = [path.read_bytes() for path in folder.iterdir()]
    time.sleep(0.5)
    assert [path.read_bytes() for path in folder.iterdir()] == before
    threading.Thread(target=stop, daemon=True).start()
assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
assert stops
os._exit(0)
"""


def test_what_a_program_does_with_signals_and_output_is_left_alone(tmp_path: Path) -> None:
    """An interrupt ends all tasks, although no command caught it. SIGTERM comes while Ray ends."""
    command = [sys.executable, "-c", LIBRARY, str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert {"printed", "interrupted"} <= set(ran.stdout.splitlines())


def test_no_cluster_at_the_address() -> None:
    with (
        pytest.raises(ConnectionError, match=r"no Ray cluster at nonsense:1"),
        cluster(None, "nonsense:1"),
    ):
        pass


def listening(processes: set[int]) -> set[IPv4Address | IPv6Address]:
    """The addresses on which these processes listen."""
    sockets = set()
    for process in processes:
        try:
            links = [link.readlink() for link in Path(f"/proc/{process}/fd").iterdir()]
        except OSError:
            continue  # it ended meanwhile
        sockets |= {str(link)[8:-1] for link in links if str(link).startswith("socket:")}
    found = set[IPv4Address | IPv6Address]()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in sockets:
                words = bytes.fromhex(fields[1].partition(":")[0])
                parts = [words[n : n + 4][::-1] for n in range(0, len(words), 4)]
                found.add(ip_address(b"".join(parts)))
    return found


def test_only_this_machine_can_connect(two_workers: Cluster) -> None:
    assert len(list(two_workers.run(later, range(3)))) == 3  # workers have sockets, too
    found = listening(descendants(os.getpid()) | {os.getpid()})
    assert found, "nothing listens at all: these are not the processes"
    for address in found:
        inner = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        assert (inner or address).is_loopback, found
