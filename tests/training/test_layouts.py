"""Test sets of others: their folders are found, and the table is the one that papers print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from console.commands import DONE, FAILED, WRONG_USAGE
from manifests.pictures import PictureError
from manifests.pixels import Pixels
from tests.training.shard_sets import pixels_of
from training.choices import Layout
from training.matte import evaluate
from training.matte.cli import matte_main
from training.matte.layouts import parts_of
from training.matte.metrics import measure

LEVELS = np.array([0, 128, 255], np.uint8)


def save(pixels: Pixels, *parts: str | Path) -> None:
    path = Path(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def matte(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        matte_main(arguments)
    printed = capsys.readouterr()
    return int(stop.value.code or 0), printed.out, printed.err


def write(root: Path, images: str, alphas: str, trimaps: list[str]) -> list[dict[str, Pixels]]:
    made = [pixels_of(number, 40, 48) for number in range(3)]
    for number, pixels in enumerate(made):
        name = f"{number}.png"
        save(pixels["image"], root, images, name)
        save(pixels["alpha"], root, alphas, name)
        for trimap in trimaps:
            save(LEVELS[pixels["trimap"]], root, trimap, name)
            save(np.roll(pixels["alpha"], 1, axis=1), root, "mine", Path(trimap).name, name)
            save(np.roll(pixels["alpha"], 1, axis=1), root, "flat", name)
    return made


@pytest.mark.parametrize(
    ("images", "alphas", "trimaps"),
    [("merged", "alpha_copy", "trimaps"), ("image", "alpha", "trimap")],
)
def test_composition_1k(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], images: str, alphas: str, trimaps: str
) -> None:
    made = write(tmp_path, images, alphas, [trimaps])
    found = [measure(np.roll(p["alpha"], 1, axis=1), p["alpha"], p["trimap"]) for p in made]
    code, out, _ = matte(
        *(capsys, "evaluate", "--layout", "comp1k", "--set", str(tmp_path)),
        *("--predictions", str(tmp_path / "flat")),
    )
    assert code == DONE
    row = [line.split() for line in out.splitlines() if line.split()[:1] == ["trimaps"]][-1]
    means = [
        np.mean([getattr(one, name) for one in found]) for name in ("sad", "mse", "grad", "conn")
    ]
    means[1] *= 1000
    assert row == ["trimaps", "3", *(f"{mean:.2f}" for mean in means)]


def test_alphamatting_com(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(
        tmp_path,
        "input_training_lowres",
        "gt_training_lowres",
        [f"trimap_training_lowres/Trimap{n}" for n in (1, 2)],
    )
    options = ["evaluate", "--layout", "alphamatting", "--set", str(tmp_path)]
    code, out, _ = matte(capsys, *options, "--predictions", str(tmp_path / "mine"), "--json")
    assert code == DONE
    found = json.loads(out)
    assert list(found) == ["Trimap1", "Trimap2"]
    assert all(len(part["images"]) == 3 for part in found.values())
    save(np.zeros((3, 3), np.uint8), tmp_path, "mine", "Trimap2", "1.png")
    code, out, err = matte(capsys, *options, "--predictions", str(tmp_path / "mine"))
    assert code == FAILED
    assert "Trimap2: 1: " in err
    assert [line.split()[:2] for line in out.splitlines() if "Trimap" in line] == [
        ["Trimap1", "3"],
        ["Trimap2", "2"],
    ]


def test_predictions_are_measured_by_as_many_processes_as_wanted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "image", "alpha", ["trimap"])
    used, measured = list[int](), evaluate.evaluate_folders

    def evaluate_folders(*arguments: Any) -> evaluate.Evaluation:
        used.append(arguments[-1])
        return measured(*arguments)

    monkeypatch.setattr(evaluate, "evaluate_folders", evaluate_folders)
    options = ["evaluate", "--layout", "comp1k", "--set", str(tmp_path), "--json"]
    options += ["--predictions", str(tmp_path / "flat")]
    found = [matte(capsys, *options, *more)[:2] for more in ([], ["--workers", "2"])]
    assert used == [1, 2]
    assert found[0] == found[1]
    assert found[0][0] == DONE


def test_folders_that_are_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(PictureError, match="has no folder merged or image or images"):
        parts_of(Layout.COMP1K, tmp_path)
    for name in ("input", "gt"):
        (tmp_path / name).mkdir()
    with pytest.raises(PictureError, match="has no folder Trimap1"):
        parts_of(Layout.ALPHAMATTING, tmp_path)
    (tmp_path / "Trimap3").mkdir()
    assert [part.name for part in parts_of(Layout.ALPHAMATTING, tmp_path)] == ["Trimap3"]
    folder = str(tmp_path)
    for options in (
        ["--set", folder],
        ["--layout", "comp1k"],
        ["--layout", "comp1k", "--set", folder, "--alphas", folder],
    ):
        code, _, _ = matte(capsys, "evaluate", "--predictions", folder, *options)
        assert code == WRONG_USAGE
