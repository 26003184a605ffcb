"""The whole loop: photos -> trimaps -> alphas -> approval -> foregrounds -> shards."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from manifests import open_shards
from manifests.dataset import read_sources
from manifests.sources import Foreground, Subject, Transparency
from tests.annotation.conftest import DATA, Running
from tests.annotation.loop import ALPHAMATTING, run_loop
from tests.conftest import finish, start

NAMES = ("GT01.png", "GT03.png", "GT05.png")
SCALE = 0.25


def test_the_whole_loop(server: Running, address: str, title: str, tmp_path: Path) -> None:
    if not ALPHAMATTING.is_dir():
        pytest.skip(f"the photos of alphamatting.com are not at {ALPHAMATTING}")
    loop = run_loop(server, tmp_path / "loop", title, NAMES, SCALE)
    for command, ran in loop.printed:
        print(f"$ {command}\n{ran.out}", end="")
    for one in loop.solutions:
        print(f"{one.photo}: SAD {one.sad:.3f} over {one.unknown} unknown pixels")
        # alpha = 0.5 there would give 0.3 to 0.5 a thousand; closed-form gives a fifth of it
        assert one.sad < 0.15 * one.unknown / 1000
    assert sorted(one.photo for one in loop.solutions) == sorted(NAMES)

    backgrounds = tmp_path / "bgs"
    backgrounds.mkdir()
    for path in sorted((DATA / "backgrounds").glob("*.jpg"))[:4]:
        shutil.copy(path, backgrounds)
    folders = ("--fg", str(loop.foregrounds), "--bg", str(backgrounds))
    lint = finish(start("lint", *folders, "--workers", "2"), 1200)
    assert lint.code == 0, lint
    shards = tmp_path / "shards"
    compose = ("compose", *folders, "--out", str(shards), "--size", "96", "--shard-size", "6")
    composed = finish(start(*compose, "--ray-address", address), 1200)
    assert composed.code == 0, composed
    print(composed.out)
    assert len(open_shards(shards)) == len(NAMES) * 4
    labels = {(one.subject, one.transparency) for one in foregrounds_of(shards)}
    assert labels == {(Subject.NON_HUMAN, Transparency.MEDIUM)}


def foregrounds_of(shards: Path) -> list[Foreground]:
    return read_sources(shards, Foreground)
