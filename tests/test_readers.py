"""Readers that are not ours see the same keys, rows and pixels, in both formats, offline."""

from __future__ import annotations

import gc
import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

import manifests
from datagen.copies import Copies
from datagen.inspect.verify import promises_of, verify_shard
from datagen.plan import plan_splits
from datagen.sample.working_copies import (
    background_path,
    foreground_path,
    prepare_cutout,
    prepare_photo,
    save_background,
    save_foreground,
)
from datagen.settings import Settings
from datagen.shard import make_shard, shard_task
from datagen.sources.scan import scan
from manifests import open_shards
from manifests.card import card_of
from manifests.dataset import CONTRACT, Manifest, write_manifest, write_sources
from manifests.pictures import read_cutout, read_photo
from manifests.pixels import ImageCodec, Pixels
from manifests.samples import EncodedSample, decode_stream, extension_of, stream_names
from manifests.shards import ShardFormat, data_path, read_shard, read_shard_record
from manifests.sources import Background, Foreground, Split
from manifests.tables import to_dict
from tests.training.shard_sets import write_set

SETTINGS = Settings(size=32, shard_size=5, merge_probability=0.5)  # half the recipes hold a second
TRIMAP_LEVELS = np.array([0, 128, 255], np.uint8)


@dataclass(frozen=True)
class Made:
    """A small shard set: the files of its shards, and their samples."""

    settings: Settings
    files: list[str]
    samples: list[EncodedSample]


def write_photos(folder: Path) -> None:
    """Three cut-outs with a soft edge and three photos."""
    for number in range(3):
        rng = np.random.default_rng(number)
        y, x = np.mgrid[:40, :36]
        alpha = ((14 + number - np.hypot(y - 20, x - 18)) * 60).clip(0, 255).astype(np.uint8)
        for name, size in (("fgs", (36, 40)), ("bgs", (60, 50))):
            small = Image.fromarray(rng.integers(0, 256, (5, 5, 3), np.uint8))
            image = small.resize(size, Image.Resampling.BICUBIC)
            if name == "fgs":
                image.putalpha(Image.fromarray(alpha))
            (folder / name).mkdir(exist_ok=True)
            image.save(folder / name / f"{number}.png")


def make(folder: Path, settings: Settings) -> Made:
    """Every pair, composed without a scheduler, and verified."""
    write_photos(folder)
    found, root, cache = scan(folder / "fgs", folder / "bgs"), folder / "shards", folder / "cache"
    assert found.problems == ()
    for fg in found.foregrounds:
        cutout = read_cutout((folder / "fgs" / fg.id).read_bytes(), None)
        path = foreground_path(cache, fg, settings)
        save_foreground(path, prepare_cutout(cutout, fg.box, settings))
    for bg in found.backgrounds:
        photo = prepare_photo(read_photo((folder / "bgs" / bg.id).read_bytes()), settings)
        save_background(background_path(cache, bg, settings), photo)
    checksums = {
        "foregrounds": write_sources(root, Foreground, found.foregrounds),
        "backgrounds": write_sources(root, Background, found.backgrounds),
    }
    made = Made(settings, [], [])
    (plan,) = plan_splits(settings, found.foregrounds, found.backgrounds)
    for number in range(plan.shards):
        shard = plan.shard(number)
        sources = found.foregrounds, found.backgrounds
        make_shard(
            shard_task(root, Copies(cache), settings, shard, *sources), lambda done, size: None
        )
        path = data_path(root, shard.name, settings.format)
        record = read_shard_record(root, shard.name, shard.split)
        assert record is not None
        write_manifest(root, Manifest(CONTRACT, settings.to_json(), {}, (record,), (), checksums))
        assert verify_shard(promises_of(open_shards(root)), record) == []
        made.files.append(str(path))
        made.samples.extend(read_shard(path))
    assert len(made.samples) == 9
    assert {bool(sample.row.recipe.second.foreground_id) for sample in made.samples} == {
        True,
        False,
    }
    return made


VARIANTS = [
    SETTINGS,
    replace(SETTINGS, image_codec=ImageCodec.PNG, layers=False),
]


@pytest.fixture(scope="module", params=VARIANTS, ids=["jpeg with layers", "png without"])
def tars(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp("tars"), request.param)


@pytest.fixture(scope="module", params=VARIANTS, ids=["jpeg with layers", "png without"])
def tables(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    settings = replace(request.param, format=ShardFormat.PARQUET)
    return make(tmp_path_factory.mktemp("tables"), settings)


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """Hugging Face `datasets` without a network or a home; both are read when it is imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("HF_DATASETS_OFFLINE", "1")
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("home")))
        import datasets

        datasets.disable_progress_bars()
        module: ModuleType = datasets
        return module


# webdataset 1.0 opens the tar itself and leaves the closing to the garbage collector.
leaves_files_open = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


def read_tars(made: Made, decode: str | Callable[[str, bytes], Any] = "") -> list[dict[str, Any]]:
    import webdataset

    source = webdataset.WebDataset(made.files, shardshuffle=False, empty_check=False)
    rows = list(source.decode(decode) if decode else source)
    del source
    gc.collect()  # what is left open is warned of here, not in the next test
    return rows


def ours(sample: EncodedSample, stream: str) -> Pixels:
    return decode_stream(stream, sample.streams[stream])


def same_pixels(image: Image.Image, sample: EncodedSample, stream: str) -> None:
    expected = ours(sample, stream)
    theirs = np.asarray(image)
    assert theirs.shape == expected.shape
    if stream in {"trimap", "crude_trimap"}:
        assert image.mode == "P"
        assert np.array_equal(np.asarray(image.convert("L")), TRIMAP_LEVELS[expected])
    if extension_of(stream, ImageCodec.PNG) == "png" and image.format == "PNG":
        assert np.array_equal(theirs, expected), stream
    else:  # two JPEG decoders may round in two ways
        assert np.abs(theirs.astype(int) - expected).max() <= 2, stream


def as_rgb(sample: EncodedSample, stream: str) -> Pixels:
    """A stream as a picture: alpha in grey, the codes of a trimap by their palette."""
    pixels = ours(sample, stream)
    levels = TRIMAP_LEVELS[pixels] if "trimap" in stream else pixels
    return np.dstack([levels] * 3) if levels.ndim == 2 else levels


@leaves_files_open
def test_webdataset_reads_the_tars(tars: Made) -> None:
    rows = read_tars(tars)
    assert [row["__key__"] for row in rows] == [sample.row.key for sample in tars.samples]
    for row, sample in zip(rows, tars.samples, strict=True):
        members = {
            f"{stream}.{extension_of(stream, tars.settings.image_codec)}": data
            for stream, data in sample.streams.items()
        }
        json_bytes = row["json"]
        assert {k: v for k, v in row.items() if k != "json" and k[:2] != "__"} == members
        assert isinstance(json_bytes, bytes)
        assert b'"key":"%s"' % sample.row.key.encode() in json_bytes


@leaves_files_open
def test_webdataset_decodes_the_tars(tars: Made) -> None:
    for row, sample in zip(read_tars(tars, "pil"), tars.samples, strict=True):
        assert row["json"] == to_dict(sample.row)
        for stream in sample.streams:
            extension = extension_of(stream, tars.settings.image_codec)
            theirs = np.asarray(row[f"{stream}.{extension}"])
            expected = as_rgb(sample, stream)  # "pil" turns whatever it opens into RGB
            assert theirs.shape == expected.shape == (32, 32, 3)
            assert np.abs(theirs.astype(int) - expected).max() <= (2 if extension == "jpg" else 0)


@leaves_files_open
def test_webdataset_decodes_the_tars_as_we_do(tars: Made) -> None:
    for row, sample in zip(read_tars(tars, manifests.decode), tars.samples, strict=True):
        assert row["json"] == to_dict(sample.row)
        for stream in sample.streams:
            theirs = row[f"{stream}.{extension_of(stream, tars.settings.image_codec)}"]
            assert np.array_equal(theirs, ours(sample, stream)), stream


def test_only_streams_are_decoded() -> None:
    for name in (".json", ".image", ".image.json", ".other.png", "", ".cls"):
        assert manifests.decode(name, b"anything") is None
    with pytest.raises(ValueError, match="not a JPEG or PNG"):
        manifests.decode(".image.jpg", b"anything")


def load(datasets: ModuleType, form: str, made: Made, cache: Path) -> Any:
    files = {"train": made.files}
    return datasets.load_dataset(form, data_files=files, cache_dir=str(cache), split="train")


def test_hugging_face_reads_the_tars(tars: Made, datasets: ModuleType, tmp_path: Path) -> None:
    rows = load(datasets, "webdataset", tars, tmp_path)
    assert len(rows) == len(tars.samples)
    for row, sample in zip(rows, tars.samples, strict=True):
        assert row["__key__"] == sample.row.key
        assert row["json"] == to_dict(sample.row)
        for stream in stream_names(tars.settings.layers):
            name = f"{stream}.{extension_of(stream, tars.settings.image_codec)}"
            same_pixels(row[name], sample, stream)


def test_hugging_face_reads_the_tables(tables: Made, datasets: ModuleType, tmp_path: Path) -> None:
    rows = load(datasets, "parquet", tables, tmp_path)
    assert len(rows) == len(tables.samples)
    for row, sample in zip(rows, tables.samples, strict=True):
        streams = stream_names(tables.settings.layers)
        assert {k: v for k, v in row.items() if k not in streams} == to_dict(sample.row)
        for stream in streams:
            same_pixels(row[stream], sample, stream)


@pytest.mark.parametrize("form", ShardFormat)
@pytest.mark.parametrize("layers", [True, False])
def test_hugging_face_loads_the_folder(
    datasets: ModuleType, tmp_path: Path, form: ShardFormat, layers: bool
) -> None:
    """Every row once, by its split, with all streams as pictures, and nothing of the index."""
    counts = {Split.TRAIN: [3, 2], Split.VAL: [2]}
    keys = write_set(tmp_path / "set", counts, form, layers=layers)
    splits = datasets.load_dataset(str(tmp_path / "set"), cache_dir=str(tmp_path / "cache"))
    assert set(splits) == {"train", "val"}
    is_tar = form is ShardFormat.WEBDATASET
    found = [row["__key__" if is_tar else "key"] for split in splits.values() for row in split]
    assert found == keys
    with manifests.open_shards(tmp_path / "set") as shards:
        for row, sample in zip([*splits["train"], *splits["val"]], shards, strict=True):
            assert (row["json"] if is_tar else row)["unknown_share"] == sample.row.unknown_share
            for stream, data in sample.encoded.items():
                name = f"{stream}.png" if is_tar else stream
                assert isinstance(splits["train"].features[name], datasets.Image)
                assert np.array_equal(np.asarray(row[name]), decode_stream(stream, data))


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("form", ShardFormat)
def test_hugging_face_reads_a_second_foreground_after_many_without(
    datasets: ModuleType, tmp_path: Path, form: ShardFormat, streaming: bool
) -> None:
    """By the path of the set, and by its files, of which the types are found by five samples."""
    write_set(tmp_path / "set", {Split.TRAIN: [7], Split.VAL: []}, form, merged=[6])
    is_tar = form is ShardFormat.WEBDATASET
    files = str(tmp_path / "set" / "data" / f"*.{form.extension}")
    given: dict[str, Any] = {"cache_dir": str(tmp_path / "cache"), "streaming": streaming}
    with manifests.open_shards(tmp_path / "set") as shards:
        expected = [to_dict(sample.row)["recipe"] for sample in shards]
    assert [one["second"]["foreground_id"] for one in expected] == [*[""] * 6, "fg.png"]
    for splits in (
        datasets.load_dataset(str(tmp_path / "set"), **given),
        datasets.load_dataset("webdataset" if is_tar else "parquet", data_files=files, **given),
    ):
        found = [row["json"] if is_tar else row for row in splits["train"]]
        assert [row["recipe"] for row in found] == expected


@pytest.mark.parametrize("form", ShardFormat)
def test_hugging_face_loads_a_set_without_a_validation_split(
    datasets: ModuleType, tmp_path: Path, form: ShardFormat
) -> None:
    write_set(tmp_path / "set", {Split.TRAIN: [2], Split.VAL: []}, form)
    splits = datasets.load_dataset(str(tmp_path / "set"), cache_dir=str(tmp_path / "cache"))
    assert {name: len(split) for name, split in splits.items()} == {"train": 2}


@pytest.mark.parametrize("form", ShardFormat)
@pytest.mark.parametrize("layers", [True, False])
def test_the_card_of_a_set(
    datasets: ModuleType, tmp_path: Path, form: ShardFormat, layers: bool
) -> None:
    """Its head says what `datasets` finds by itself."""
    write_set(tmp_path / "set", {Split.TRAIN: [3, 2], Split.VAL: [2]}, form, layers=layers)
    head, body = (tmp_path / "set" / "README.md").read_text().removeprefix("---\n").split("---\n")
    keys = yaml.safe_load(head)
    extension = form.extension
    (config,) = keys["configs"]
    assert config["data_files"] == [
        {"split": split, "path": f"data/{split}-*.{extension}"} for split in ("train", "val")
    ]
    files = {s: str(tmp_path / "set" / "data" / f"{s}-*.{extension}") for s in ("train", "val")}
    name = "webdataset" if form is ShardFormat.WEBDATASET else "parquet"
    found = datasets.load_dataset(name, data_files=files, cache_dir=str(tmp_path / "cache"))
    info = keys["dataset_info"]
    assert info["features"] == found["train"].features._to_yaml_list()
    assert {one["name"]: one["num_examples"] for one in info["splits"]} == {"train": 5, "val": 2}
    sizes = [path.stat().st_size for path in (tmp_path / "set" / "data").iterdir()]
    assert info["dataset_size"] == sum(sizes) == sum(one["num_bytes"] for one in info["splits"])
    assert keys["size_categories"] == ["n<1K"]
    assert "5 samples in `train` and 2 samples in `val`" in body
    assert card_of((), ShardFormat.PARQUET).startswith("# A shard set")


def test_pillow_and_pyarrow_are_enough_for_a_table(tables: Made) -> None:
    import pyarrow.parquet as pq

    table = pq.read_table(tables.files[0])
    assert table.column("key").to_pylist() == [sample.row.key for sample in tables.samples[:5]]
    alpha = Image.open(io.BytesIO(table.column("alpha")[0]["bytes"].as_py()))
    assert np.array_equal(np.asarray(alpha), ours(tables.samples[0], "alpha"))
