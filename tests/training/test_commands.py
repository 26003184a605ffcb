"""`matte` and the helps: exit codes, one clear sentence for every mistake, files as promised."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from classical.band import INNER, band_trimap
from classical.colours import cutout_of
from classical.methods import Method, solve
from console.commands import DONE, FAILED, INTERRUPTED, WRONG_USAGE
from manifests import open_shards
from manifests.pictures import write_alpha
from manifests.pixels import ImageCodec, Pixels, encode_colour
from manifests.sources import Split
from manifests.storage import write_bytes
from tests.conftest import Ran, contents, finish
from tests.manifests.test_masks import rle_of
from tests.training.conftest import VAL_SAMPLES, called, lively
from tests.training.runs import started
from tests.training.shard_sets import break_sample, pixels_of, write_set
from training.checkpoint import save
from training.choices import Variant
from training.cli import train_main
from training.loading.whole import whole_samples
from training.matte.cli import matte_main
from training.matte.metrics import mean_of, measure
from training.matte.predict import estimated_trimap, matte, predict

SIZES = {"hat": (40, 48), "fur": (33, 70), "leaf": (5, 9)}
KEYS = ["name", "sad", "mse", "grad", "conn", "sad_whole", "mse_whole"]
Capture = pytest.CaptureFixture[str]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the lively model."""
    run = tmp_path_factory.mktemp("run")
    optimizer = torch.optim.Adam(lively().parameters())
    return save(run, lively(), Variant.AN, optimizer, {}, {"iteration": 3})


def picture(name: str) -> dict[str, Pixels]:
    return pixels_of(list(SIZES).index(name), *SIZES[name])


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """images, alphas, trimaps and crude (trimaps of the levels 0, 128, 255) of three pictures."""
    for name in SIZES:
        pixels = picture(name)
        suffix = ".jpg" if name == "fur" else ".png"
        codec = ImageCodec.JPEG if name == "fur" else ImageCodec.PNG
        write_bytes(tmp_path / "images" / (name + suffix), encode_colour(pixels["image"], codec))
        write_alpha(tmp_path / "alphas" / f"{name}.png", pixels["alpha"])
        write_alpha(tmp_path / "trimaps" / f"{name}.png", levels(pixels["trimap"]))
        write_alpha(tmp_path / "crude" / f"{name}.png", levels(pixels["crude_trimap"]))
    return tmp_path


def levels(codes: Pixels) -> Pixels:
    return np.array([0, 128, 255], np.uint8)[codes]


def run(capsys: Capture, *arguments: object) -> Ran:
    """`matte` in this process."""
    return called(capsys, matte_main, *map(str, arguments))


def predicting(folders: Path, checkpoint: Path, out: str = "out") -> list[object]:
    """All of `matte predict`, on crude trimaps."""
    sources = ("--images", folders / "images", "--trimaps", folders / "crude")
    return ["predict", "--checkpoint", checkpoint, *sources, "--out", folders / out]


def read(path: Path) -> Pixels:
    with Image.open(path) as image:
        return np.asarray(image)


def errors(ran: Ran) -> list[str]:
    return [line for line in ran.err.splitlines() if line.startswith("error: ")]


def in_a_line(text: str) -> str:
    """What a box of typer's broke over lines."""
    return " ".join(text.replace("│", " ").split())


def test_predict_writes_alphas_of_the_same_names(
    folders: Path, checkpoint: Path, capsys: Capture
) -> None:
    ran = run(capsys, *predicting(folders, checkpoint))
    assert (ran.code, ran.out, errors(ran)) == (DONE, "", [])
    assert f"{folders / 'out'}: 3 alphas, 0 failed" in ran.err
    assert sorted(path.name for path in (folders / "out").iterdir()) == [
        "fur.png",
        "hat.png",
        "leaf.png",
    ]
    for name, size in SIZES.items():
        with Image.open(folders / "out" / f"{name}.png") as image:
            assert (image.format, image.mode, image.size) == ("PNG", "L", size[::-1])
        (photo,) = (folders / "images").glob(f"{name}.*")
        expected = matte(lively(), read(photo), picture(name)["crude_trimap"])
        assert (read(folders / "out" / f"{name}.png") == expected).all()
    assert read(folders / "out" / "fur.png").std() > 20, "the model says something"


def test_no_file_name_controls_the_terminal(
    folders: Path, checkpoint: Path, capsys: Capture
) -> None:
    """`Ran` checks that nothing raw is printed; here, that the name can still be read."""
    name = "evil\x1b[2J[bold]"
    for kind in ("images", "crude"):
        (folders / kind / f"{name}.png").write_bytes(b"no picture")
    (folders / "images" / "alone\x1b.png").write_bytes(b"no picture")
    ran = run(capsys, *predicting(folders, checkpoint, "out\x1b"))
    assert ran.code == FAILED
    assert "evil\\x1b[2J[bold].png: " in errors(ran)[0]
    assert "no trimap for 1 of the images: alone\\x1b" in ran.err
    assert f"{folders}/out\\x1b: 3 alphas, 1 failed" in ran.err


def test_trimaps_of_codes_and_of_levels_mean_the_same(
    folders: Path, checkpoint: Path, capsys: Capture
) -> None:
    assert run(capsys, *predicting(folders, checkpoint, "levels")).code == DONE
    for name in SIZES:
        write_alpha(folders / "crude" / f"{name}.png", picture(name)["crude_trimap"])
    assert run(capsys, *predicting(folders, checkpoint, "codes")).code == DONE
    assert contents(folders / "codes") == contents(folders / "levels")
    assert len(contents(folders / "codes")) == 3


def test_masks_instead_of_trimaps(folders: Path, checkpoint: Path, capsys: Capture) -> None:
    """Pictures and run lengths; as with the trimaps that their band makes."""
    masks, trimaps = folders / "masks", folders / "banded"
    for name in SIZES:
        mask = (picture(name)["alpha"] > 127).astype(np.uint8)
        write_alpha(trimaps / f"{name}.png", band_trimap(mask, INNER, 0.2))
        if name == "hat":
            write_bytes(masks / "hat.json", json.dumps(rle_of(mask)).encode())
        else:
            write_alpha(masks / f"{name}.png", mask * 255)
    command: list[object] = ["predict", "--checkpoint", checkpoint, "--images", folders / "images"]
    ran = run(capsys, *command, "--masks", masks, "--outer", "0.2", "--out", folders / "a")
    assert (ran.code, errors(ran)) == (DONE, [])
    assert run(capsys, *command, "--trimaps", trimaps, "--out", folders / "b").code == DONE
    assert contents(folders / "a") == contents(folders / "b")
    assert len(contents(folders / "a")) == len(SIZES)
    assert run(capsys, *command, "--masks", masks, "--out", folders / "c").code == DONE
    assert contents(folders / "a") != contents(folders / "c"), "the width of the band decides"

    write_bytes(masks / "hat.json", b"{}")
    (masks / "leaf.png").unlink()
    ran = run(capsys, *command, "--masks", masks, "--out", folders / "d")
    assert ran.code == FAILED
    assert f"error: {masks / 'hat.json'}: is not a mask in run-length encoding" in ran.err
    assert "no mask for 1 of the images: leaf" in ran.err
    assert list(contents(folders / "d")) == ["fur.png"]
    for wrong in (
        ["--masks", masks, "--trimaps", trimaps],
        [],
        ["--trimaps", trimaps, "--inner", 0],
    ):
        assert run(capsys, *command, *wrong, "--out", folders / "e").code == WRONG_USAGE


def test_cutouts_have_estimated_colours(folders: Path, checkpoint: Path, capsys: Capture) -> None:
    ran = run(capsys, *predicting(folders, checkpoint), "--foregrounds")
    assert ran.code == DONE, ran
    for name, size in SIZES.items():
        (photo,) = (folders / "images").glob(f"{name}.*")
        cutout, alpha = (read(folders / "out" / f"{x}{name}.png") for x in ("cutouts/", ""))
        assert cutout.shape == (*size, 4)
        assert (cutout[..., 3] == alpha).all()
        assert (cutout == cutout_of(read(photo), alpha)).all()


def test_one_bad_file_does_not_stop_the_others(
    folders: Path, checkpoint: Path, capsys: Capture
) -> None:
    odd = np.full(SIZES["fur"], 127, np.uint8)
    odd[0, :2] = 0, 77
    write_alpha(folders / "crude" / "fur.png", odd)
    write_alpha(folders / "crude" / "hat.png", np.zeros((12, 13), np.uint8))
    ran = run(capsys, *predicting(folders, checkpoint))
    assert (ran.code, ran.out) == (FAILED, "")
    first, second = errors(ran)
    assert first.startswith(f"error: {folders}/crude/fur.png: has the trimap values 0, 77, 127; ")
    assert second == (
        f"error: {folders}/crude/hat.png is 12 x 13, {folders}/images/hat.png is 40 x 48 "
        "(height x width); they must be of one size"
    )
    assert f"{folders / 'out'}: 1 alpha, 2 failed" in ran.err
    assert [path.name for path in (folders / "out").iterdir()] == ["leaf.png"]


LIMITED = """
import resource, sys
from training.matte.cli import matte_main
import training.matte.photos  # all that takes memory is loaded
(size,) = (line.split()[1] for line in open("/proc/self/status") if line.startswith("VmSize"))
limit = 1024 * int(size) + (1 << 30)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
matte_main(sys.argv[1:])
"""


@pytest.mark.slow
def test_a_photo_for_which_memory_is_short_does_not_stop_the_others(
    folders: Path, checkpoint: Path
) -> None:
    large = {"image": (3000, 4000, 3), "trimap": (3000, 4000)}
    names = {"images": "image", "crude": "trimap", "trimaps": "trimap", "alphas": "trimap"}
    for folder, kind in names.items():
        level = 255 if folder == "alphas" else 1
        Image.fromarray(np.full(large[kind], level, np.uint8)).save(folders / folder / "gulls.png")
    ran = finish(started("-c", LIMITED, *map(str, predicting(folders, checkpoint))))
    assert ran.code == FAILED
    (error,) = errors(ran)
    assert error == (
        f"error: {folders}/images/gulls.png: needs more memory than there is; make the picture "
        "smaller"
    )
    assert f"{folders / 'out'}: 3 alphas, 1 failed" in ran.err
    assert sorted(path.stem for path in (folders / "out").iterdir()) == sorted(SIZES)

    sources = [f"--{kind}={folders / kind}" for kind in ("images", "alphas", "trimaps")]
    given = ("evaluate", "--checkpoint", str(checkpoint), *sources, "--json")
    ran = finish(started("-c", LIMITED, *given))
    assert ran.code == FAILED
    found = json.loads(ran.out)
    assert [image["name"] for image in found["images"]] == sorted(SIZES)
    assert [failure["name"] for failure in found["failed"]] == ["gulls"]


def test_long_names(folders: Path, checkpoint: Path, capsys: Capture) -> None:
    """A name may have 255 characters. Of two photos, one has room for the ending .png."""
    fits, too_long = "n" * 251, "n" * 253
    for kind in ("images", "crude"):
        (file,) = (folders / kind).glob("hat.*")
        for name in (f"{fits}.png", too_long):
            shutil.copy(file, folders / kind / name)
    ran = run(capsys, *predicting(folders, checkpoint))
    assert ran.code == FAILED
    (error,) = errors(ran)
    assert error.startswith(f"error: {folders}/images/{too_long}: [Errno 36] File name too long: ")
    assert f"{folders / 'out'}: 4 alphas, 1 failed" in ran.err
    assert sorted(path.stem for path in (folders / "out").iterdir()) == sorted([*SIZES, fits])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one page, which is room for one small file."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(disk)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_full_disk_ends_a_prediction(
    folders: Path, checkpoint: Path, small_disk: Path, capsys: Capture
) -> None:
    """No other photo could be written either."""
    ran = run(capsys, *predicting(folders, checkpoint, str(small_disk)))
    assert ran.code == FAILED
    assert errors(ran) == [f"error: {small_disk}/hat.png: no space left on device"]
    assert [path.name for path in small_disk.iterdir()] == ["fur.png"]


def test_mistakes_of_predict(folders: Path, checkpoint: Path, capsys: Capture) -> None:
    before = contents(folders)
    for name in ("images", "crude"):
        ran = run(capsys, *predicting(folders, checkpoint, name))
        assert ran.code == WRONG_USAGE
        assert "the alphas would overwrite what is read" in in_a_line(ran.err)
    photos = folders / "work" / "cutouts"
    shutil.copytree(folders / "images", photos)
    given = ("predict", "--checkpoint", checkpoint, "--images", photos, "--out", photos.parent)
    ran = run(capsys, *given, "--trimaps", folders / "crude", "--foregrounds")
    assert ran.code == WRONG_USAGE
    assert "the alphas would overwrite what is read" in in_a_line(ran.err)
    shutil.rmtree(photos.parent)
    ran = run(capsys, *predicting(folders, folders / "none"))
    assert (ran.code, errors(ran)[0]) == (
        FAILED,
        f"error: {folders}/none: no checkpoint here; give a run, a checkpoint or a "
        "model.safetensors",
    )
    ran = run(capsys, *predicting(folders, folders / "alphas/hat.png"))
    assert ran.code == FAILED
    assert f"{folders}/alphas/hat.png: not a checkpoint of this model: " in ran.err
    ran = run(capsys, *predicting(folders, checkpoint), "--images", folders / "none")
    assert ran.code == WRONG_USAGE
    assert contents(folders) == before
    (photo,) = (folders / "images").glob("fur.*")
    photo.unlink()
    ran = run(capsys, *predicting(folders, checkpoint))
    assert ran.code == FAILED
    assert errors(ran) == [
        f"error: {folders}/images: no images for 1 of the trimaps in {folders}/crude: fur"
    ]
    assert not (folders / "out").exists()


def test_photos_without_a_trimap_are_named(
    folders: Path, checkpoint: Path, capsys: Capture
) -> None:
    (folders / "crude/fur.png").unlink()
    ran = run(capsys, *predicting(folders, checkpoint))
    assert ran.code == DONE
    assert "no trimap for 1 of the images: fur\n" in ran.err
    assert sorted(path.name for path in (folders / "out").iterdir()) == ["hat.png", "leaf.png"]


def test_a_prediction_is_of_the_picture_and_can_be_shown(folders: Path) -> None:
    pixels = picture("fur")
    prediction = predict(lively(), pixels["image"], pixels["crude_trimap"])
    codes = estimated_trimap(prediction)
    assert codes is not None
    assert prediction.trimap_logits is not None
    assert (codes == prediction.trimap_logits[0].numpy().argmax(axis=0)).all()
    assert codes.dtype == np.uint8
    assert codes.shape == SIZES["fur"]
    alpha = matte(lively(), pixels["image"], pixels["crude_trimap"])
    assert (alpha == np.rint(255 * prediction.alpha[0, 0].numpy())).all()
    assert (
        estimated_trimap(predict(lively().without_trimap_decoder(), pixels["image"], codes)) is None
    )
    with pytest.raises(ValueError, match="image 70 x 33, trimap 48 x 40: sizes differ"):
        matte(lively(), pixels["image"], picture("hat")["trimap"])


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


@pytest.mark.slow
def test_interrupted(folders: Path, checkpoint: Path) -> None:
    """Ctrl-C in the middle: one sentence, nothing about training, and no half of a file."""
    for kind in ("images", "crude"):
        for number in range(500):
            (folders / kind / f"hat{number}.png").symlink_to(folders / kind / "hat.png")
    script = "from training.__main__ import matte; matte()"
    process = started("-c", script, *map(str, predicting(folders, checkpoint)))
    while not list((folders / "out").glob("[a-z]*.png")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    ran = finish(process)
    assert ran.code == INTERRUPTED
    assert errors(ran) == ["error: interrupted"]
    written = list((folders / "out").iterdir())
    assert 0 < len(written) < 503
    assert all(read(path).shape == SIZES[path.stem.rstrip("0123456789")] for path in written)
