"""Tiny sources, one embedded Ray for the whole session (each start costs seconds), and what the
tests of the commands share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # has no types

from console.interrupts import silent_stdout
from datagen.cli import main
from datagen.cluster import Cluster, cluster
from datagen.sources.folders import SourceFolders
from tests.object_store import Store, object_store

LABELS = """file,subject,transparency
fur.png,non-human,Strongly
glass.png,non-human,Highly
hair.png,human,Medium
leaf.png,non-human,Little
person.png,human,Little
veil.png,human,Strongly
"""
CUTOUTS = [line.split(",")[0] for line in LABELS.splitlines()[1:]]
PHOTOS = ["barn.jpg", "city.png", "lake.jpg", "road.png", "wood.jpg"]
SMALL = ("--size", "64", "--shard-size", "10")
WITH_THE_WHOLE_RUN = tuple(
    f"tests/training/test_{name}.py" for name in ("train", "resume", "runs_in_a_store")
)
QUIET = {"NO_COLOR": "1", "COLUMNS": "100"}

# The machines that run the tests differ in speed, and in load, by more than any deadline is worth.
settings.register_profile("without-deadline", deadline=None)
settings.load_profile("without-deadline")


@dataclass(frozen=True)
class LocalSources(SourceFolders):
    """Sources in folders, which the tests change."""

    foregrounds: Path
    backgrounds: Path
    alphas: Path | None = None


def cutout(number: int) -> Image.Image:
    """A blob with a soft edge, another colour and size for each number; RGBA."""
    height, width = 64 + 11 * (number % 6), 120 - 9 * (number % 6)
    rng = np.random.default_rng([1, number])
    rows, columns = np.mgrid[:height, :width]
    away = np.hypot((rows - height / 2) / height, (columns - width / 2) / width)
    alpha = np.clip((0.42 - away) / (0.05 + 0.03 * number), 0, 1) * 255
    colours = rng.integers(30, 220, 3) + 20 * np.sin(rows / 7 + number)[..., None]
    return Image.fromarray(np.dstack([colours, alpha.round()]).astype(np.uint8))


def photo(number: int) -> Image.Image:
    """Smooth colours with some texture; RGB."""
    rng = np.random.default_rng([2, number])
    coarse = Image.fromarray(rng.integers(0, 256, (5, 6, 3)).astype(np.uint8))
    size = (118 - 4 * number, 80 + 8 * number)
    smooth = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC))
    texture = rng.integers(-9, 10, smooth.shape)
    return Image.fromarray(np.clip(smooth + texture, 0, 255).astype(np.uint8))


def make_sources(folder: Path, cutouts: Sequence[str] = CUTOUTS) -> LocalSources:
    """fgs/ with labels and bgs/ below the folder."""
    fgs, bgs = folder / "fgs", folder / "bgs"
    fgs.mkdir(parents=True)
    bgs.mkdir()
    for number, name in enumerate(cutouts):
        cutout(number).save(fgs / name)
    if cutouts is CUTOUTS:
        (fgs / "foregrounds.csv").write_text(LABELS)
    for number, name in enumerate(PHOTOS):
        photo(number).save(bgs / name)
    return LocalSources(fgs, bgs)


def folders(sources: LocalSources) -> list[str]:
    """--fg, --bg and their folders."""
    return ["--fg", str(sources.foregrounds), "--bg", str(sources.backgrounds)]


def contents(root: Path, *parts: str) -> dict[str, bytes]:
    """Every file below the root, hidden ones too, or below some of its folders, by its path."""
    tops = [root / part for part in parts] or [root]
    files = [path for top in tops for path in (top.rglob("*") if top.is_dir() else [top])]
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(files) if p.is_file()}


def flip_byte(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 0x5A
    path.write_bytes(data)


def clean(text: str) -> str:
    """The text, which must not show how the program looks inside, nor control a terminal."""
    assert "\x1b" not in text, repr(text)
    assert "Traceback" not in text, text
    assert "Exception ignored" not in text, text
    return text


class Ran:
    """What a command printed, and its exit code."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, clean(out), clean(err)

    def __repr__(self) -> str:
        return f"exit code {self.code}\n{self.out}\n{self.err}"


def start(*arguments: str, cwd: Path | None = None) -> subprocess.Popen[str]:
    """`datagen` as a process, the leader of its own group."""
    return subprocess.Popen(
        [sys.executable, "-m", "datagen.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | QUIET,
        cwd=cwd,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str], seconds: float = 300) -> Ran:
    """Waits for its end; the limit only keeps a test from hanging."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return Ran(process.returncode, out, err)


def datagen(*arguments: str, cwd: Path | None = None) -> Ran:
    """`datagen` as a process, to its end."""
    return finish(start(*arguments, cwd=cwd))


def here(capsys: pytest.CaptureFixture[str], *arguments: str) -> Ran:
    """`datagen` in this process: for what needs no workers."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    printed = capsys.readouterr()
    return Ran(int(stop.value.code or 0), printed.out, printed.err)


@pytest.fixture(scope="session")
def store() -> Iterator[Store]:
    """An object store that this process, and those that it starts later, find."""
    with object_store() as found, pytest.MonkeyPatch.context() as patch:
        for name, value in found.environment.items():
            patch.setenv(name, value)
        yield found


def is_alive(process: int) -> bool:
    """Whether it runs; one that has ended stays a zombie until its parent asks for it."""
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def descendants(process: int) -> set[int]:
    """The processes that a process started, and those that they started."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it ended meanwhile
            if fields[0] != "Z":
                parents[int(entry.name)] = int(fields[1])
    found, fresh = set[int](), {process}
    while fresh:
        fresh = {child for child, parent in parents.items() if parent in fresh}
        found |= fresh
    return found


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs a Ray is slow."""
    for item in items:
        if "two_workers" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


class BySharedFixtures(LoadScopeScheduling):  # type: ignore[misc]  # as it has no types
    """Which tests run in one process of `pytest -n`, because what they share takes seconds to make.

    Those of datagen share a Ray, those of annotation a server, and those of one file a training or
    an exported model.
    """

    def _split_scope(self, nodeid: str) -> str:
        file, _, _ = nodeid.partition("::")
        if file in WITH_THE_WHOLE_RUN:
            return "the whole run"
        if file.startswith(("tests/datagen/", "tests/annotation/")):
            return str(Path(file).parent)
        return file if file.startswith("tests/training/") else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> BySharedFixtures:
    return BySharedFixtures(config, log)


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> LocalSources:
    """Six labelled cut-outs and five photos. Not to be changed: `own_sources` may be."""
    return make_sources(tmp_path_factory.mktemp("sources"))


@pytest.fixture
def own_sources(tmp_path: Path) -> LocalSources:
    """The same, for a single test."""
    return make_sources(tmp_path / "own")


@pytest.fixture(scope="session")
def two_workers() -> Iterator[Cluster]:
    """The embedded Ray."""
    with silent_stdout(), cluster(2) as started:
        yield started


@pytest.fixture(scope="session")
def address(two_workers: Cluster) -> str:
    """Where other processes join the embedded Ray."""
    import ray  # not before `cluster` has set what it reads as it is imported

    return str(ray.get_runtime_context().gcs_address)


@pytest.fixture(scope="session")
def composed(
    sources: LocalSources, address: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Ran]:
    """A shard set of all 30 pairs by the command itself, and what it printed. Not to be changed."""
    out = tmp_path_factory.mktemp("composed") / "shards"
    ran = datagen(
        "compose", *folders(sources), "--out", str(out), *SMALL, "--ray-address", address, "--json"
    )
    assert ran.code == 0, ran
    return out, ran
