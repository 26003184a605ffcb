"""The commands of training as a whole: helps, options, what is not installed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from console.commands import DONE, FAILED, WRONG_USAGE
from tests.conftest import finish
from tests.training.runs import called, started
from tests.training.three_pictures import (
    Capture,
    errors,
    in_a_line,
    run,
)
from training.cli import train_main

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("command", ["", "predict", "evaluate", "export", "bench"])
def test_help(capsys: Capture, command: str) -> None:
    ran = run(capsys, *([command] if command else []), "--help")
    assert (ran.code, ran.err) == (DONE, "")
    assert "Usage:" in ran.out
    if not command:
        assert all(name in ran.out for name in ("predict", "evaluate", "export", "bench"))


def test_help_of_train(capsys: Capture) -> None:
    ran = called(capsys, train_main, "--help")
    assert ran.code == DONE
    for option in ("--variant", "--resume", "--skip-bad", "--precision", "--crop-size", "torchrun"):
        assert option in ran.out
    assert "300000" in ran.out.replace(",", "")


@pytest.mark.parametrize("command", ["predict", "evaluate", "export", "bench", "paint"])
def test_wrong_options(capsys: Capture, command: str) -> None:
    ran = run(capsys, command, "--colour", "blue")
    assert (ran.code, ran.out) == (WRONG_USAGE, "")
    assert "Usage:" in ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        "predict --checkpoint c --images s3://bucket/i --trimaps . --out o",
        "predict --checkpoint c --images . --trimaps . --out s3://bucket/o",
        "evaluate --predictions . --alphas . --trimaps . --out s3://bucket/f.json",
        "export --checkpoint c --out gs://bucket/model.onnx",
    ],
)
def test_a_url_where_only_paths_work_is_refused(capsys: Capture, arguments: str) -> None:
    ran = run(capsys, *arguments.split())
    assert (ran.code, ran.out) == (WRONG_USAGE, "")
    assert "only paths of this machine work here" in in_a_line(ran.err)


WITHOUT = """
import sys
sys.modules["torch"] = None  # its import fails, as if it were not installed
from training.__main__ import {main}
{main}()
"""


@pytest.mark.parametrize(
    "arguments",
    [
        "train --shards s",
        "matte predict --checkpoint c --images {0} --trimaps {0} --out o",
        "matte evaluate --checkpoint c --shards {1}",
        "matte export --checkpoint c --out o.onnx",
        "matte bench",
    ],
)
def test_a_missing_extra_is_named(folders: Path, shards: Path, arguments: str) -> None:
    main, *rest = arguments.format(folders / "images", shards).split()
    ran = finish(started("-c", WITHOUT.format(main=main), *rest))
    assert (ran.code, ran.out) == (FAILED, "")
    assert errors(ran) == [
        "error: this needs the package torch, which is not installed; "
        "pip install 'matting-data[training]' installs it"
    ]


def test_alphas_are_measured_without_torch(folders: Path) -> None:
    alphas = ("--predictions", folders / "alphas", "--alphas", folders / "alphas")
    given = ("evaluate", *alphas, "--trimaps", folders / "trimaps", "--json")
    ran = finish(started("-c", WITHOUT.format(main="matte"), *map(str, given)))
    assert ran.code == DONE, ran
    assert json.loads(ran.out)["mean"]["sad"] == 0


def test_export_of_nothing(tmp_path: Path, capsys: Capture) -> None:
    ran = run(capsys, "export", "--checkpoint", tmp_path / "none", "--out", tmp_path / "model.onnx")
    assert ran.code == FAILED
    assert errors(ran)[0].startswith(f"error: {tmp_path}/none: no checkpoint here")
    assert list(tmp_path.iterdir()) == []
