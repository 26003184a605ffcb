"""`matte predict`: files as promised, and one clear sentence for every mistake."""

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
from PIL import Image

from classical.band import INNER, mask_trimap
from classical.colours import cutout_of
from console.commands import DONE, FAILED, INTERRUPTED, WRONG_USAGE
from manifests.pictures import write_alpha
from manifests.storage import write_bytes
from tests.conftest import contents, finish
from tests.manifests.test_masks import rle_of
from tests.training.conftest import lively
from tests.training.runs import started
from tests.training.three_pictures import (
    SIZES,
    Capture,
    errors,
    in_a_line,
    picture,
    predicting,
    read,
    run,
)
from training.matte.predict import estimated_trimap, matte, predict

pytestmark = pytest.mark.usefixtures("one_thread")


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
        write_alpha(trimaps / f"{name}.png", mask_trimap(mask, INNER, 0.2))
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
        f"error: {folders}/images: no images for 1 of the trimaps in {folders}/crude: fur; "
        "add them, or move these trimaps away"
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
