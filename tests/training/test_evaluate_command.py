"""`matte evaluate`: the same figures however they are asked for, and what is wrong by its name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from classical.methods import Method, solve
from console.commands import DONE, FAILED, WRONG_USAGE
from manifests import open_shards
from manifests.pictures import write_alpha
from manifests.sources import Split
from tests.training.conftest import VAL_SAMPLES, lively
from tests.training.shard_sets import break_sample, write_set
from tests.training.three_pictures import (
    SIZES,
    Capture,
    errors,
    in_a_line,
    levels,
    picture,
    predicting,
    read,
    run,
)
from training.loading.whole import whole_samples
from training.matte.metrics import mean_of, measure
from training.matte.predict import matte

KEYS = ["name", "sad", "mse", "grad", "conn", "sad_whole", "mse_whole"]

pytestmark = pytest.mark.usefixtures("one_thread")


def test_evaluate_predictions(folders: Path, checkpoint: Path, capsys: Capture) -> None:
    assert run(capsys, *predicting(folders, checkpoint)).code == DONE
    sources = ["--alphas", folders / "alphas", "--trimaps", folders / "trimaps"]
    file = folders / "scores" / "found.json"
    given = ["evaluate", "--predictions", folders / "out", *sources]
    ran = run(capsys, *given, "--out", file)
    assert ran.code == DONE, ran
    assert "SAD whole" in ran.out
    found = json.loads(file.read_text())
    assert list(found) == ["images", "mean"]
    assert [list(image) for image in found["images"]] == [KEYS] * 3
    assert list(found["mean"]) == KEYS[1:]
    expected = {
        name: measure(read(folders / "out" / f"{name}.png"), pixels["alpha"], pixels["trimap"])
        for name, pixels in ((name, picture(name)) for name in sorted(SIZES))
    }
    assert found["images"] == [{"name": n, **vars(m)} for n, m in expected.items()]
    assert found["mean"] == vars(mean_of(list(expected.values())))
    piped = run(capsys, *given, "--json")
    assert (piped.code, json.loads(piped.out)) == (DONE, found)

    whole = np.full_like(picture("leaf")["alpha"], 255)
    write_alpha(folders / "alphas/leaf.png", whole)
    write_alpha(folders / "trimaps/leaf.png", whole)
    known = run(capsys, *given)
    assert known.code == DONE
    assert "1 of 3 images have no unknown pixels; the means of SAD, MSE, Grad and Conn" in known.err
    assert known.out.split()[-10:-6] == ["all", "2", "of", "3"]
    write_alpha(folders / "alphas/leaf.png", picture("leaf")["alpha"])
    write_alpha(folders / "trimaps/leaf.png", levels(picture("leaf")["trimap"]))

    # The same by the model itself, which saw crude trimaps
    by_model = ["evaluate", "--checkpoint", checkpoint, *sources, "--images", folders / "images"]
    ran = run(capsys, *by_model, "--given-trimaps", folders / "crude", "--json")
    assert json.loads(ran.out) == found

    (folders / "out/hat.png").write_text("no picture")
    ran = run(capsys, *given, "--json")
    assert ran.code == FAILED
    assert errors(ran)[0].startswith(f"error: hat: {folders}/out/hat.png: is not a picture (")
    rest = json.loads(ran.out)
    assert [image["name"] for image in rest["images"]] == ["fur", "leaf"]
    assert [failure["name"] for failure in rest["failed"]] == ["hat"]


def test_evaluate_a_model_on_shards(
    shards: Path, checkpoint: Path, folders: Path, capsys: Capture
) -> None:
    given = ["evaluate", "--checkpoint", checkpoint, "--shards", shards]
    ran = run(capsys, *given, "--out", folders / "found.json")
    assert ran.code == DONE, ran
    assert ran.out.splitlines()[-1].split()[:2] == ["all", f"{VAL_SAMPLES}"]
    found = json.loads((folders / "found.json").read_text())
    samples = list(whole_samples(open_shards(shards)))
    expected = [
        measure(matte(lively(), s.image, s.crude_trimap), s.alpha, s.trimap) for s in samples
    ]
    assert found["images"] == [
        {"name": s.key, "subject": "human", "transparency": "Medium", **vars(m)}
        for s, m in zip(samples, expected, strict=True)
    ]
    assert found["mean"] == vars(mean_of(expected))
    other = run(capsys, *given, "--split", "train", "--limit", "2", "--json")
    names = [image["name"] for image in json.loads(other.out)["images"]]
    assert names == ["train-00000000", "train-00000006"]
    exact = json.loads(run(capsys, *given, "--trimap", "exact", "--json").out)
    first = measure(
        matte(lively(), samples[0].image, samples[0].trimap), samples[0].alpha, samples[0].trimap
    )
    assert exact["images"][0]["sad_whole"] == first.sad_whole != expected[0].sad_whole


def test_a_bad_sample_does_not_stop_an_evaluation(
    checkpoint: Path, tmp_path: Path, capsys: Capture
) -> None:
    write_set(tmp_path, {Split.VAL: [3]})
    break_sample(tmp_path, Split.VAL)
    ran = run(capsys, "evaluate", "--checkpoint", checkpoint, "--shards", tmp_path, "--json")
    assert ran.code == FAILED
    found = json.loads(ran.out)
    assert [image["name"] for image in found["images"]] == ["val-00000001", "val-00000002"]
    failed = {failure["name"]: failure["reason"] for failure in found["failed"]}
    shard = f"{tmp_path}/data/val-00000.tar"
    assert sorted(failed) == ["val-00000", "val-00000000"], "a damaged shard is named"
    assert f"{shard}: sample val-00000000: image: " in failed["val-00000000"]
    assert failed["val-00000"].startswith(f"{shard}: its sha256 is not the one in dataset.json")
    assert len(errors(ran)) == 2


def test_a_shard_that_cannot_be_opened_does_not_stop_an_evaluation(
    checkpoint: Path, tmp_path: Path, capsys: Capture
) -> None:
    write_set(tmp_path, {Split.VAL: [2, 2, 1]})
    shard = tmp_path / "data/val-00001.tar"
    shard.unlink()
    shard.mkdir()
    ran = run(capsys, "evaluate", "--checkpoint", checkpoint, "--shards", tmp_path, "--json")
    assert ran.code == FAILED
    found = json.loads(ran.out)
    names = [f"val-{number:08d}" for number in range(5)]
    assert [image["name"] for image in found["images"]] == [names[0], names[1], names[4]]
    assert [failure["name"] for failure in found["failed"]] == names[2:4]
    assert all(str(shard) in failure["reason"] for failure in found["failed"])


def test_evaluate_a_classical_method(shards: Path, capsys: Capture) -> None:
    given = ["evaluate", "--method", "closed-form", "--shards", shards, "--limit", "1"]
    ran = run(capsys, *given, "--json")
    assert ran.code == DONE, ran
    (sample,) = whole_samples(open_shards(shards), limit=1)
    alpha = solve(Method.CLOSED_FORM, sample.image, sample.crude_trimap)
    expected = vars(measure(alpha, sample.alpha, sample.trimap))
    found = json.loads(ran.out)
    assert {name: found["images"][0][name] for name in expected} == pytest.approx(expected)


def test_evaluations_that_make_no_sense(
    folders: Path, shards: Path, checkpoint: Path, capsys: Capture
) -> None:
    alphas, trimaps = ("--alphas", folders / "alphas"), ("--trimaps", folders / "trimaps")
    predictions, images = ("--predictions", folders / "alphas"), ("--images", folders / "images")
    model, method, set_ = ("--checkpoint", checkpoint), ("--method", "knn"), ("--shards", shards)
    given = ("--given-trimaps", folders / "crude")
    one = "give exactly one of --predictions, --checkpoint, --method"
    for arguments, said in (
        ((), one),
        ((*model, *method, *set_), one),
        ((*predictions, *model, *alphas, *trimaps), one),
        (predictions, "--alphas is needed here"),
        ((*predictions, *alphas), "--trimaps is needed here"),
        ((*model, *alphas, *trimaps), "--images is needed here"),
        ((*method, *images, *trimaps), "--alphas is needed here"),
        ((*predictions, *alphas, *trimaps, *set_), "--shards cannot be used with --predictions"),
        ((*predictions, *alphas, *trimaps, *given), "--given-trimaps cannot be used with"),
        ((*model, *set_, *images, *alphas), "--alphas, --images cannot be used with --shards"),
        ((*model, *set_, "--trimap", "mixed"), "--trimap is crude or exact here"),
        ((*model, *set_, "--workers", "2"), "--workers cannot be used with --checkpoint"),
        (
            (*predictions, *alphas, *trimaps, "--device", "cpu"),
            "--device cannot be used without --checkpoint",
        ),
        (
            (*predictions, *alphas, *trimaps, "--limit", "3", "--split", "val"),
            "--split, --limit cannot be used without --shards",
        ),
    ):
        ran = run(capsys, "evaluate", *arguments)
        assert (ran.code, ran.out) == (WRONG_USAGE, ""), arguments
        assert said in in_a_line(ran.err), (arguments, ran)


def test_mistakes_on_shards(checkpoint: Path, tmp_path: Path, capsys: Capture) -> None:
    write_set(tmp_path / "set", {Split.TRAIN: [1]})
    for root, said in (
        (tmp_path / "none", f"{tmp_path}/none/dataset.json: no such folder"),
        (tmp_path / "set", f"{tmp_path}/set: no split val, only train"),
    ):
        ran = run(capsys, "evaluate", "--checkpoint", checkpoint, "--shards", root)
        assert (ran.code, ran.out) == (FAILED, "")
        assert said in errors(ran)[0]
