"""The names that the package promises: `datagen.compose` and `datagen.compose_one`."""

from __future__ import annotations

import doctest
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import datagen
from datagen import library
from datagen.cluster import Cluster
from datagen.resume import RefusedError
from datagen.settings import Settings
from manifests.pictures import PictureError
from manifests.pixels import ImageCodec, decode_alpha, decode_colour, decode_trimap, trimap_of
from manifests.shards import ShardFormat, read_index, read_shard
from tests.conftest import QUIET, LocalSources, contents, cutout, photo

LAZY = """
import sys, datagen
assert {"compose", "compose_one", "__version__"} <= set(dir(datagen))
assert not {"ray", "torch", "matplotlib", "cv2", "numpy"} & set(sys.modules), set(sys.modules)
assert datagen.__version__
assert callable(datagen.compose_one)
assert not {"ray", "torch", "matplotlib"} & set(sys.modules)
"""

ALONE = """
import json, signal, sys
import datagen
class Printing:
    def __fspath__(self):
        print("printed while paths are taken")
        return sys.argv[1]
before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
result = datagen.compose(Printing(), sys.argv[2], out="set", samples=7, size=64, workers=1)
assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
import ray
assert not ray.is_initialized()
print(json.dumps([result.samples, result.shards, len(result.failed)]))
"""


def run_python(code: str, *arguments: str, cwd: Path | None = None) -> str:
    root = Path(__file__).parents[2]
    environment = os.environ | QUIET | {"PYTHONPATH": str(root)}
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    ran = subprocess.run(
        command, check=False, cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with fgs/, bgs/, fg.png and bg.jpg."""
    for name in ("fgs", "bgs"):
        (tmp_path / name).mkdir()
    for number in range(3):
        cutout(number).save(tmp_path / "fgs" / f"{number}.png")
        photo(number).save(tmp_path / "bgs" / f"{number}.jpg")
    cutout(4).save(tmp_path / "fg.png")
    photo(4).save(tmp_path / "bg.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_importing_the_package_loads_nothing_heavy() -> None:
    run_python(LAZY)


def test_unknown_names_are_not_found() -> None:
    assert not hasattr(datagen, "composite")


def test_the_examples_of_the_docstrings(folder: Path, two_workers: Cluster) -> None:
    assert two_workers.workers == 2
    assert (folder / "fgs").is_dir()
    ran = doctest.testmod(library)
    assert (ran.failed, ran.attempted) == (0, 6)


@pytest.mark.slow
def test_alone_it_starts_and_ends_a_ray_and_swallows_nothing(folder: Path, tmp_path: Path) -> None:
    printed = run_python(ALONE, str(folder / "fgs"), "bgs", cwd=tmp_path).splitlines()
    assert printed == ["printed while paths are taken", json.dumps([7, 1, 0])]
    assert (folder / "set" / "dataset.json").is_file()


def test_a_running_ray_is_joined_and_goes_on(
    folder: Path, two_workers: Cluster, address: str, sources: LocalSources
) -> None:
    import ray

    given: dict[str, Any] = {"samples": 12, "shard_size": 5, "size": 64, "format": "parquet"}
    fgs, bgs = sources.foregrounds, str(sources.backgrounds)
    result = datagen.compose(fgs, bgs, out="a", **given, workers=1)
    assert ray.is_initialized()
    assert (result.samples, result.shards, result.failed, result.skipped) == (12, 3, (), ())
    assert [outcome.value for outcome in two_workers.run(abs, [-3])] == [3]
    again = datagen.compose(fgs, bgs, out=folder / "a", **given)
    assert (again.samples, again.samples_per_second) == (12, 0.0)
    with pytest.raises(RefusedError, match="size: 64 -> 65"):
        datagen.compose(fgs, bgs, out="a", **(given | {"size": 65}))
    with pytest.raises(ValueError, match=f"cannot join {address}; leave the address out"):
        datagen.compose(fgs, bgs, out="b", ray_address=address)
    with pytest.raises(ConnectionError, match="no Ray cluster at nonsense:1"):
        datagen.compose(fgs, bgs, out="b", ray_address="nonsense:1")
    assert ray.is_initialized()


@pytest.mark.parametrize("seed", [0, 3])
def test_one_sample_is_the_first_of_a_set_of_its_two_files(
    folder: Path, two_workers: Cluster, seed: int
) -> None:
    assert two_workers.workers == 2
    for name, file in (("one-fg", "fg.png"), ("one-bg", "bg.jpg")):
        (folder / name).mkdir()
        (folder / name / file).write_bytes((folder / file).read_bytes())
    chosen: dict[str, Any] = {"size": 72, "seed": seed, "crude": "harsh", "rotation": 20}
    datagen.compose("one-fg", "one-bg", image_codec="png", **chosen)
    (row,) = read_index(folder / "shards", "train-00000")
    (stored,) = read_shard(folder / "shards" / "data" / "train-00000.tar")
    one = datagen.compose_one("fg.png", folder / "bg.jpg", **chosen)
    assert one.recipe == row.recipe
    streams = stored.streams
    assert np.array_equal(one.image, decode_colour(streams["image"]))
    assert np.array_equal(one.alpha, decode_alpha(streams["alpha"]))
    assert np.array_equal(one.trimap, decode_trimap(streams["trimap"]))
    assert np.array_equal(one.crude_trimap, decode_trimap(streams["crude_trimap"]))
    assert one.foreground is not None
    assert one.background is not None
    assert np.array_equal(one.foreground, decode_colour(streams["foreground"]))
    assert np.array_equal(one.background, decode_colour(streams["background"]))
    assert np.array_equal(one.trimap, trimap_of(one.alpha))


def test_one_sample_of_an_alpha_file_and_without_layers(folder: Path) -> None:
    cutout(4).getchannel("A").save(folder / "alpha.png")
    cutout(4).convert("RGB").save(folder / "rgb.png")
    plain = datagen.compose_one("fg.png", "bg.jpg", size=64)
    apart = datagen.compose_one("rgb.png", "bg.jpg", alpha="alpha.png", size=64, layers=False)
    assert np.array_equal(plain.image, apart.image)
    assert np.array_equal(plain.alpha, apart.alpha)
    assert (apart.foreground, apart.background) == (None, None)
    arrays = (plain.image, plain.alpha, plain.trimap, plain.crude_trimap)
    assert {array.dtype for array in arrays} == {np.dtype(np.uint8)}


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"siez": 64}, TypeError, "siez is not a setting; did you mean size"),
        ({"xyz": 1}, TypeError, "xyz is not a setting; expected samples, size"),
        ({"size": "64"}, TypeError, "size = '64', expected int"),
        ({"size": 64.0}, TypeError, "size = 64.0, expected int"),
        ({"size": True}, TypeError, "size = True, expected int"),
        ({"layers": 1}, TypeError, "layers = 1, expected bool"),
        ({"rotation": "x"}, TypeError, "rotation = 'x', expected float"),
        ({"size": 7}, ValueError, "size = 7, expected 16 to 4096"),
        ({"format": "zip"}, ValueError, "format = 'zip', expected webdataset or parquet"),
    ],
)
def test_wrong_settings(
    folder: Path, values: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        datagen.compose("fgs", "bgs", **values)
    assert not (folder / "shards").exists()


def test_settings_take_what_numpy_and_strings_say() -> None:
    given = {"size": np.int64(64), "rotation": 3, "format": "parquet", "image_codec": "png"}
    expected = Settings(size=64, rotation=3.0, format=ShardFormat.PARQUET)
    found = library._settings(given)
    assert (found.size, found.rotation, found.format) == (64, 3.0, expected.format)
    assert (type(found.size), type(found.rotation)) == (int, float)
    assert found.image_codec is ImageCodec.PNG


def test_what_one_sample_does_not_take(folder: Path) -> None:
    with pytest.raises(TypeError, match="samples is a setting of whole sets"):
        datagen.compose_one("fg.png", "bg.jpg", samples=2)
    with pytest.raises(PictureError, match=r"bg\.jpg: has no alpha channel"):
        datagen.compose_one("bg.jpg", "bg.jpg")
    with pytest.raises(PictureError, match=r"nowhere\.png: cannot be read"):
        datagen.compose_one("nowhere.png", "bg.jpg")
    photo(0).resize((300, 4)).save(folder / "strip.png")
    with pytest.raises(PictureError, match=r"strip\.png: is too thin"):
        datagen.compose_one("fg.png", "strip.png")
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        datagen.compose("fgs", "nowhere")
    assert not (folder / "shards").exists()
    assert contents(folder, "fgs")
