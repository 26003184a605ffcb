"""The commands: exit codes, one clear sentence for every mistake, JSON alone on standard output."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.main import get_command

from console.commands import DONE, FAILED, WRONG_USAGE
from datagen.cli import app
from datagen.cluster import Cluster
from datagen.job import make_shard_set
from datagen.resume import check_beginning
from datagen.settings import Settings
from manifests import open_shards
from manifests.shards import data_path
from tests.conftest import (
    SMALL,
    LocalSources,
    Ran,
    contents,
    datagen,
    finish,
    flip_byte,
    folders,
    here,
    make_sources,
    photo,
    start,
)

SETTINGS = Settings(size=64, shard_size=10)
COMMANDS = ["synth", "lint", "compose", "stats", "verify", "replay"]
RESULT = ["samples", "shards", "failed", "skipped", "seconds", "samples_per_second", "bytes"]
Capture = pytest.CaptureFixture[str]
on_the_session_s_ray = pytest.mark.usefixtures("two_workers")


def compose(capsys: Capture, sources: LocalSources, out: Path, *options: str) -> Ran:
    """`datagen compose` in this process, which has the session's Ray."""
    return here(capsys, "compose", *folders(sources), "--out", str(out), *SMALL, *options)


def one_sentence(ran: Ran) -> str:
    """The only line of the message that says what is wrong."""
    (line,) = [line for line in ran.err.splitlines() if line.lower().startswith("error")]
    return line


@pytest.mark.parametrize("command", [*COMMANDS, ""])
def test_help(command: str, capsys: Capture) -> None:
    ran = here(capsys, *([command] if command else []), "--help")
    assert (ran.code, ran.err) == (DONE, "")
    assert "Usage:" in ran.out
    assert all(name in ran.out for name in ([] if command else COMMANDS))


ALL: dict[str, Any] = vars(get_command(app))["commands"]
PATHS = [
    (name, option.opts[0])
    for name, command in ALL.items()
    for option in command.params
    if (option.metavar or "").startswith(("DIR", "FILE")) and "URL" not in option.metavar
]


@pytest.mark.parametrize(("command", "option"), PATHS)
def test_a_url_where_only_paths_work_is_refused(
    command: str, option: str, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would become a folder of that name."""
    monkeypatch.chdir(tmp_path)
    others = {
        other.opts[0]: "." if (other.metavar or "").startswith("DIR") else "1"
        for other in ALL[command].params
        if other.required and other.opts[0] != option
    }
    ran = here(capsys, command, *chain(*others.items()), option, "s3://bucket/x")
    assert (ran.code, ran.out) == (WRONG_USAGE, "")
    said = " ".join(ran.err.replace("│", " ").split())
    assert f"'{option}': it is a URL (s3://), and only paths of this machine work here" in said
    assert list(tmp_path.iterdir()) == []


def test_there_are_options_that_take_paths() -> None:
    assert set(PATHS) >= {("compose", "--cache"), ("stats", "--plot"), ("replay", "--out")}


@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_option(command: str, capsys: Capture) -> None:
    ran = here(capsys, command, "--colour", "blue")
    assert (ran.code, ran.out) == (WRONG_USAGE, "")
    assert "--colour" in one_sentence(ran)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("--size 3", ["size", "3", "16 to 4096"]),
        ("--size large", ["--size", "large", "whole number"]),
        ("--workers 0", ["--workers", "1"]),
        ("--samples 0", ["samples", "1 or more"]),
        ("--seed -1", ["seed", "-1"]),
        ("--shard-size 0", ["shard_size", "0"]),
        ("--jpeg-quality 101", ["jpeg_quality", "101", "70 to 100"]),
        ("--format zip", ["--format", "zip", "parquet"]),
        ("--image-codec gif", ["--image-codec", "gif", "png"]),
        ("--crude wild", ["--crude", "wild", "harsh"]),
        ("--holdout-fg 2", ["holdout_fg", "2", "holdout_bg", "both"]),
        ("--rotation nan", ["rotation", "nan"]),
        ("--merge-probability 2", ["merge_probability", "2", "0 to 1"]),
        ("--scale-min 0.1", ["scale_min", "0.1"]),
    ],
)
def test_wrong_value(
    options: str, named: list[str], sources: LocalSources, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "shards"
    ran = here(capsys, "compose", *folders(sources), "--out", str(out), *options.split())
    assert (ran.code, ran.out) == (WRONG_USAGE, "")
    said = one_sentence(ran).replace("-", "_")
    assert all(word.replace("-", "_") in said for word in named), said
    assert not out.exists()


def test_folder_that_holds_something_else(
    sources: LocalSources, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("")
    (tmp_path / "file").write_text("")
    for name in ("thesis", "file"):
        ran = here(capsys, "compose", *folders(sources), "--out", str(tmp_path / name))
        assert ran.code == WRONG_USAGE
        assert str(tmp_path / name) in one_sentence(ran)
    assert contents(tmp_path / "thesis") == {"chapter.tex": b""}


def test_compose_json(composed: tuple[Path, Ran]) -> None:
    out, ran = composed
    found = json.loads(ran.out)
    assert list(found) == RESULT
    assert (found["samples"], found["shards"]) == (30, 3)
    assert (found["failed"], found["skipped"]) == ([], [])
    assert found["bytes"] == sum(path.stat().st_size for path in (out / "data").iterdir())
    assert "compose: 30 of 30 samples" in ran.err
    assert "\x1b" not in ran.err


@on_the_session_s_ray
def test_plan_writes_nothing(sources: LocalSources, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "shards"
    ran = compose(capsys, sources, out, "--plan", "--json")
    found = json.loads(ran.out)
    assert ran.code == DONE
    assert set(found) >= {"samples", "shards", "bytes", "free_bytes", "hours"}
    assert (found["samples"], found["shards"]) == (30, 3)
    assert 30_000 < found["bytes"] < 3_000_000
    assert not out.exists()


def test_plan_works_beside_any_folder(
    sources: LocalSources, composed: tuple[Path, Ran], capsys: Capture
) -> None:
    """It writes nothing, so other settings, or a folder of something else, are no obstacle."""
    for out in (composed[0], sources.foregrounds.parent):
        before = contents(out)
        ran = compose(capsys, sources, out, "--plan", "--json", "--seed", "7")
        assert ran.code == DONE, ran
        assert json.loads(ran.out)["samples"] == 30
        assert contents(out) == before


def test_missing_folders(sources: LocalSources, tmp_path: Path, capsys: Capture) -> None:
    missing = tmp_path / "no [such] folder"
    out = ("--out", str(tmp_path / "shards"))
    for one in (
        LocalSources(missing, sources.backgrounds),
        LocalSources(sources.foregrounds, missing),
    ):
        ran = here(capsys, "compose", *folders(one), *out)
        assert ran.code == WRONG_USAGE
        assert str(missing) in one_sentence(ran)
    assert not (tmp_path / "shards").exists()


def test_mistake_can_be_corrected(
    sources: LocalSources, two_workers: Cluster, tmp_path: Path
) -> None:
    """A run that could not start does not claim the folder for its settings."""
    out = tmp_path / "shards"
    with pytest.raises(ValueError, match="6 of 6 sources held out"):
        make_shard_set(two_workers, sources, replace(SETTINGS, holdout_fg=6, holdout_bg=1), out)
    check_beginning(out, SETTINGS)


@on_the_session_s_ray
def test_labels_that_hold_out_one_kind_alone(
    own_sources: LocalSources, tmp_path: Path, capsys: Capture
) -> None:
    labels = own_sources.backgrounds / "backgrounds.csv"
    labels.write_text("file,split\nlake.jpg,val\n")
    ran = compose(capsys, own_sources, tmp_path / "shards")
    assert (ran.code, ran.out) == (WRONG_USAGE, "")
    assert "give some foregrounds the split val" in one_sentence(ran)
    assert not (tmp_path / "shards" / "data").exists()


def test_relative_paths_on_a_cluster(
    composed: tuple[Path, Ran], own_sources: LocalSources, address: str, tmp_path: Path
) -> None:
    """Its workers run in other folders than the command."""
    home = own_sources.foregrounds.parent
    relative = ("--fg", "fgs", "--bg", "bgs", "--out", "shards")
    ran = datagen("compose", *relative, *SMALL, "--ray-address", address, cwd=home)
    assert ran.code == DONE, ran
    assert contents(home / "shards", "data") == contents(composed[0], "data")
    ran = datagen("verify", "--shards", "shards", "--ray-address", address, cwd=home)
    assert ran.code == DONE, ran


@on_the_session_s_ray
def test_bad_sources(own_sources: LocalSources, tmp_path: Path, capsys: Capture) -> None:
    bad = own_sources.backgrounds / "broken [1].jpg"
    bad.write_bytes((own_sources.backgrounds / "lake.jpg").read_bytes()[:200])
    out = tmp_path / "shards"
    ran = compose(capsys, own_sources, out, "--json")
    assert (ran.code, ran.out) == (FAILED, "")
    assert f"error: {bad}: " in ran.err
    assert "--skip-bad" in ran.err
    assert not any((out / name).exists() for name in ("data", "index", "dataset.json"))
    ran = compose(capsys, own_sources, out, "--json", "--skip-bad")
    assert ran.code == DONE
    (skipped,) = json.loads(ran.out)["skipped"]
    assert (skipped["file"], set(skipped)) == (str(bad), {"file", "kind", "reason"})
    (recorded,) = open_shards(out).skipped
    assert vars(recorded) == skipped


WATCHED = """
import sys
opened = []
sys.addaudithook(lambda event, values: opened.append(str(values[0])) if event == "open" else None)
from datagen.__main__ import main
try:
    main()
finally:
    for part in ("dataset.json", "foregrounds.parquet", "backgrounds.parquet"):
        print(part, sum(name.endswith(part) for name in opened), file=sys.stderr)
"""


def test_a_run_opens_a_finished_set_once(
    sources: LocalSources, composed: tuple[Path, Ran], address: str, tmp_path: Path
) -> None:
    out = tmp_path / "shards"
    shutil.copytree(composed[0], out)
    compose_again = ("compose", *folders(sources), "--out", str(out), *SMALL)
    for command in (compose_again, ("verify", "--shards", str(out))):
        ran = subprocess.run(
            [sys.executable, "-c", WATCHED, *command, "--ray-address", address],
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == DONE, ran
        for part in ("dataset.json", "foregrounds.parquet", "backgrounds.parquet"):
            assert f"{part} 1\n" in ran.stderr, command[0]


def test_shard_that_cannot_be_written(
    sources: LocalSources, composed: tuple[Path, Ran], tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "shards"
    shutil.copytree(composed[0], out)
    before = contents(out)
    tar = data_path(out, "train-00002", SETTINGS.format)
    tar.unlink()
    tar.mkdir()
    ran = compose(capsys, sources, out)
    assert ran.code == FAILED
    assert ": Is a directory" in one_sentence(ran)
    assert "1 shard failed; the same command makes only these" in ran.out
    assert not (out / "dataset.json").exists()
    assert not list(out.rglob(".part-*"))
    tar.rmdir()
    kept = {p: b for p, b in contents(out, "data", "index").items() if "00002" not in p}
    assert kept == {p: b for p, b in before.items() if p in kept}
    assert len(kept) == 4


@contextlib.contextmanager
def disk_of(size: str, disk: Path) -> Iterator[Path]:
    """A disk of its own, mounted at `disk`."""
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small disk can be mounted by root alone")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@on_the_session_s_ray
@pytest.mark.parametrize("size", ["150k", "1500k"])
def test_a_disk_that_is_too_small(
    size: str, sources: LocalSources, tmp_path: Path, capsys: Capture
) -> None:
    with disk_of(size, tmp_path / "disk") as disk:
        ran = compose(capsys, sources, disk / "shards", "--image-codec", "png")
        assert ran.code == FAILED
        assert f"its disk, {disk}, has only" in one_sentence(ran)
        assert list(contents(disk)) == []


def test_a_disk_that_fills_up(
    sources: LocalSources, address: str, tmp_path: Path, capsys: Capture
) -> None:
    options = ("--size", "64", "--shard-size", "20", "--samples", "500")
    with disk_of("60m", tmp_path / "disk") as disk:
        out = disk / "shards"
        command = ("compose", *folders(sources), "--out", str(out), *options)
        process = start(*command, "--ray-address", address)
        while not list(out.glob("index/*.parquet")):
            assert process.poll() is None
            time.sleep(0.02)
        with (disk / "other").open("wb") as other, contextlib.suppress(OSError):
            while True:
                other.write(bytes(1 << 20))
                other.flush()
        ran = finish(process)
        assert ran.code == FAILED
        assert f"its disk, {disk}, is full (No space left on device)" in one_sentence(ran)
        assert not (out / "dataset.json").exists()
        assert not list(out.rglob(".part-*"))
        (disk / "other").unlink()
        assert here(capsys, *command).code == DONE


def test_strange_names(tmp_path: Path, two_workers: Cluster, capsys: Capture) -> None:
    names = ["a b.c.png", "héllo wörld.png", "[bold]x[.png", "日本.png", "-x.png", "UPPER.PNG"]
    strange = make_sources(tmp_path / "a folder [1]", names)
    (strange.backgrounds / "deep er").mkdir()
    photo(6).save(strange.backgrounds / "deep er" / "ß.x.jpg")
    out = tmp_path / "out put.d"
    result = make_shard_set(two_workers, strange, SETTINGS, out)
    assert (result.samples, result.failed, result.skipped) == (36, (), ())
    ran = here(capsys, "stats", "--shards", str(out), "--by-transparency")
    assert (ran.code, "36 samples of 6 foregrounds over 6 backgrounds" in ran.out) == (DONE, True)
    for key in ("train-00000000", "train-00000035"):
        again = (*folders(strange), "--shards", str(out), "--out", str(tmp_path / "re play"))
        assert here(capsys, "replay", key, *again).code == DONE


@on_the_session_s_ray
def test_no_file_name_controls_the_terminal(own_sources: LocalSources, capsys: Capture) -> None:
    """`Ran` checks that nothing raw is printed; here, that the name can still be read."""
    bad = own_sources.foregrounds / "evil\x1b[2J\x9b31m\n[bold]:car:.png"
    bad.write_text("hello")
    shown = f"{own_sources.foregrounds}/evil\\x1b[2J\\x9b31m\\n[bold]:car:.png: "
    ran = here(capsys, "lint", *folders(own_sources))
    assert ran.code == FAILED
    assert f"error: {shown}" in ran.err
    ran = compose(capsys, own_sources, own_sources.foregrounds.parent / "out", "--skip-bad")
    assert ran.code == DONE
    assert f"warning: left out {shown}" in ran.err
    ran = here(capsys, "lint", *folders(own_sources), "--json")
    assert "\x9b" not in ran.out
    assert [problem["file"] for problem in json.loads(ran.out)["problems"]] == [str(bad)]


@pytest.mark.slow
def test_lint(own_sources: LocalSources) -> None:
    bad = own_sources.foregrounds / "not [a] picture.png"
    bad.write_text("hello")
    ran = datagen("lint", *folders(own_sources), "--workers", "2", "--json")
    found = json.loads(ran.out)
    assert ran.code == FAILED
    assert list(found) == ["problems", "warnings", "foregrounds", "backgrounds"]
    assert (found["foregrounds"], found["backgrounds"]) == (6, 5)
    (problem,) = found["problems"]
    assert list(problem) == ["file", "kind", "reason"]
    assert problem["file"] == str(bad)
    assert all(list(warning) == list(problem) for warning in found["warnings"])


def warnings_of(ran: Ran) -> list[str]:
    return [line for line in ran.err.splitlines() if line.startswith("warning: ")]


@on_the_session_s_ray
def test_compose_repeats_what_lint_warns_of(
    own_sources: LocalSources, tmp_path: Path, capsys: Capture
) -> None:
    alpha = np.zeros((300, 300), np.uint8)
    alpha[20:280, 30:270] = 1  # a mask of 0 and 1
    picture = np.dstack([np.full((300, 300, 3), 90, np.uint8), alpha])
    for number in range(5):
        Image.fromarray(picture).save(own_sources.foregrounds / f"mask {number}.png")
        picture[0, 0, 0] = number
    linted = here(capsys, "lint", *folders(own_sources))
    assert linted.code == DONE
    lines = warnings_of(linted)
    ranges = [line for line in lines if "(alpha-range)" in line]
    assert [f"mask {n}.png: alpha goes from 0 to 1" in ranges[n] for n in range(3)] == [True] * 3
    assert ranges[3].startswith("warning: and 2 more like these, 5 in all (alpha-range)")
    ran = compose(capsys, own_sources, tmp_path / "shards", "--samples", "1", "--json")
    assert ran.code == DONE
    assert json.loads(ran.out)["samples"] == 1
    assert warnings_of(ran) == lines


def test_a_preview_leaves_out_what_cannot_be_read(
    composed: tuple[Path, Ran], tmp_path: Path, capsys: Capture
) -> None:
    root, key = tmp_path / "shards", "train-00000004"
    shutil.copytree(composed[0], root)
    path = data_path(root, "train-00000", Settings().format)
    with tarfile.open(path) as tar:
        position = tar.getmember(f"{key}.alpha.png").offset_data
    for place in range(40):
        flip_byte(path, position + place)
    everything = ("--rows", "64", "--out", str(tmp_path / "p.png"))
    ran = here(capsys, "preview", "--shards", str(root), *everything)
    assert ran.code == FAILED
    assert f"train-00000.tar: sample {key}: alpha: not an" in one_sentence(ran)
    assert (tmp_path / "p.png").exists()
