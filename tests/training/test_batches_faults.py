"""What is broken is named, with its key, or left out and counted; shards from elsewhere."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from manifests import open_shards
from manifests.shards import ShardFormat, data_path
from manifests.sources import Split
from tests.training.shard_sets import opened, write_set
from tests.web import Web, serving
from training.loading.batches import (
    Batch,
    batches,
    check_loading,
)
from training.loading.whole import whole_samples
from training.settings import LoaderSettings

pytestmark = pytest.mark.slow

COUNTS = [5, 4, 6]
TOTAL = sum(COUNTS)
NAME = "train-00001"
HOME = range(5, 9)  # the numbers of its samples
every_form = pytest.mark.parametrize("form", ShardFormat)
with_and_without_workers = pytest.mark.parametrize("workers", [0, 2])


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A set to be damaged."""
    folder = tmp_path / "set"
    write_set(folder, {Split.TRAIN: COUNTS, Split.VAL: [3]})
    return folder


def settings_of(root: Path | str, **changes: Any) -> LoaderSettings:
    return LoaderSettings(str(root), **{"batch_size": 5, "crop_size": 24, "workers": 0} | changes)


def epoch(settings: LoaderSettings) -> list[Batch]:
    end = TOTAL // settings.batch_size
    with opened(settings) as shards, closing(batches(shards, settings, 0, end)) as made:
        return list(made)


def keys_of(made: list[Batch]) -> list[str]:
    return sorted(key for batch in made for key in batch.keys)


def key(number: int) -> str:
    return f"train-{number:08d}"


def data(root: Path, form: ShardFormat = ShardFormat.WEBDATASET) -> Path:
    return data_path(root, NAME, form)


def member(path: Path, name: str) -> tarfile.TarInfo:
    with tarfile.open(path) as tar:
        return tar.getmember(name)


def overwrite(path: Path, place: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(content)


def damage_stream(root: Path, number: int, stream: str) -> None:
    found = member(data(root), f"{key(number)}.{stream}.png")
    overwrite(data(root), found.offset_data + found.size // 2, b"\0" * 20)


@with_and_without_workers
@pytest.mark.parametrize("stream", ["image", "alpha", "crude_trimap", "foreground"])
def test_a_broken_sample_is_named(root: Path, workers: int, stream: str) -> None:
    damage_stream(root, 6, stream)
    with pytest.raises(ValueError, match=rf"train-00001\.tar: .*{key(6)} \({stream}: ") as error:
        epoch(settings_of(root, workers=workers))
    assert "sha256" in str(error.value)
    assert "Traceback" not in str(error.value)


@with_and_without_workers
def test_broken_samples_are_left_out_and_named(root: Path, workers: int) -> None:
    damage_stream(root, 6, "image")
    damage_stream(root, 8, "alpha")
    made = epoch(settings_of(root, workers=workers, skip_bad=True))
    assert keys_of(made) == [key(n) for n in range(TOTAL) if n not in {6, 8}]
    skipped = sorted(reason for batch in made for reason in batch.skipped)
    path = data(root)
    assert re.fullmatch(rf"{path}: sample {key(6)}: image: not a JPEG or PNG.*", skipped[0])
    assert re.fullmatch(rf"{path}: sample {key(8)}: alpha: not an 8-bit grey PNG.*", skipped[1])
    for batch in made:
        assert len(batch.keys) + len(batch.skipped) == 5
        assert len(batch.image) == len(batch.alpha) == len(batch.trimap) == len(batch.keys)


def test_a_stream_that_is_not_wanted_may_be_broken(root: Path) -> None:
    damage_stream(root, 6, "foreground")
    made = epoch(settings_of(root, layers=False, skip_bad=True))
    assert [batch.skipped for batch in made] == [()] * 3


def test_skipping_does_not_move_the_others(root: Path) -> None:
    whole = {
        key: batch.image[n]
        for batch in epoch(settings_of(root))
        for n, key in enumerate(batch.keys)
    }
    damage_stream(root, 6, "image")
    for batch in epoch(settings_of(root, skip_bad=True)):
        for n, key_ in enumerate(batch.keys):
            assert (batch.image[n] == whole[key_]).all()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def break_header(path: Path) -> None:
    overwrite(path, member(path, f"{key(6)}.alpha.png").offset + 100, b"?" * 30)


SHARD_DAMAGES: list[tuple[Callable[[Path], None], str]] = [
    (Path.unlink, "missing; make it again"),
    (cut, r"not a whole tar file, after sample"),
    (break_header, rf"not a whole tar file, after sample '{key(6)}'"),
    (empty, "not a whole tar file"),
]


@with_and_without_workers
@pytest.mark.parametrize(("damage", "said"), SHARD_DAMAGES, ids=["gone", "cut", "header", "empty"])
def test_a_broken_shard_is_named_or_left_out(
    root: Path, workers: int, damage: Callable[[Path], None], said: str
) -> None:
    damage(data(root))
    keys = "|".join(map(key, HOME))
    sentence = rf"sample ({keys}): {data(root)}: .*{said}"
    with pytest.raises(ValueError, match=rf"^{sentence}"):
        epoch(settings_of(root, workers=workers))
    made = epoch(settings_of(root, workers=workers, skip_bad=True, batch_size=1))
    assert keys_of(made) == [key(n) for n in range(TOTAL) if n not in HOME]
    skipped = [reason for batch in made for reason in batch.skipped]
    assert len(skipped) == len(set(skipped)) == len(HOME)
    assert all(re.match(sentence, reason) for reason in skipped)
    empty = [batch for batch in made if not batch.keys]
    assert len(empty) == len(HOME)
    assert all(batch.image.shape == (0, 3, 24, 24) for batch in empty)


@every_form
def test_damage_that_still_decodes_is_seen_by_the_checksum(
    tmp_path: Path, form: ShardFormat
) -> None:
    write_set(tmp_path, {Split.TRAIN: COUNTS}, form)
    path = data(tmp_path, form)
    content = path.read_bytes()
    path.write_bytes(
        content.replace(b'"fg.png"', b'"fx.png"').replace(b"\x06fg.png", b"\x06fx.png")
    )
    if path.read_bytes() == content:
        overwrite(path, content.index(b"fg.png"), b"fx")
    with pytest.raises(ValueError, match=r"sha256 is not .*; each sample still decodes"):
        epoch(settings_of(tmp_path))
    made = epoch(settings_of(tmp_path, skip_bad=True))
    assert len(keys_of(made)) == TOTAL
    (damage,) = [reason for batch in made for reason in batch.damaged]
    said = "its sha256 is not the one in dataset.json; used as far as it can be read"
    assert damage == f"{path}: {said}"


@every_form
def test_a_shard_of_another_length(tmp_path: Path, form: ShardFormat) -> None:
    write_set(tmp_path, {Split.TRAIN: COUNTS}, form)
    write_set(tmp_path / "other", {Split.TRAIN: [1, 3]}, form)
    data(tmp_path, form).write_bytes(data(tmp_path / "other", form).read_bytes())
    with pytest.raises(ValueError, match=rf"{NAME}.*: \d+ bytes, dataset\.json says \d+"):
        epoch(settings_of(tmp_path))
    made = epoch(settings_of(tmp_path, skip_bad=True))
    assert "3 samples, dataset.json says 4" in "".join(s for b in made for s in b.skipped)


def test_a_stream_of_another_size(root: Path) -> None:
    write_set(root / "other", {Split.TRAIN: COUNTS}, size=(30, 30))
    mixed, odd = data(root).with_name("mixed.tar"), f"{key(7)}.alpha.png"
    with (
        tarfile.open(data(root)) as usual,
        tarfile.open(data(root / "other")) as other,
        tarfile.open(mixed, "w") as new,
    ):
        for name in usual.getnames():
            source = other if name == odd else usual
            new.addfile(source.getmember(name), source.extractfile(name))
    mixed.replace(data(root))
    with pytest.raises(
        ValueError, match=rf"{key(7)} \(the streams differ in size: .*'alpha': \(30"
    ):
        epoch(settings_of(root))


def test_a_set_without_the_crude_trimap(root: Path) -> None:
    thin = data(root).with_name("thin.tar")
    with tarfile.open(data(root)) as old, tarfile.open(thin, "w") as new:
        for part in old:
            if "crude_trimap" not in part.name:
                new.addfile(part, old.extractfile(part))
    thin.replace(data(root))
    with pytest.raises(ValueError, match=r"no stream crude_trimap, only image, alpha, trimap"):
        epoch(settings_of(root))


def test_validation_names_or_leaves_out(tmp_path: Path) -> None:
    write_set(tmp_path, {Split.VAL: [3]})
    path = tmp_path / "data" / "val-00000.tar"
    found = member(path, "val-00000001.image.png")
    overwrite(path, found.offset_data + 40, b"\0" * 20)
    with pytest.raises(ValueError, match=r"broken samples: val-00000001 \(image: "):
        list(whole_samples(open_shards(tmp_path)))
    skipped: dict[str, str] = {}
    kept = [sample.key for sample in whole_samples(open_shards(tmp_path), skipped=skipped)]
    assert kept == ["val-00000000", "val-00000002"]
    assert sorted(skipped) == ["val-00000", "val-00000001"]
    assert skipped["val-00000"].startswith(f"{path}: its sha256 is not the one in dataset.json")
    assert f"{path}: sample val-00000001: image: " in skipped["val-00000001"]


def test_no_such_split(tmp_path: Path) -> None:
    write_set(tmp_path, {Split.TRAIN: [2]})
    with pytest.raises(ValueError, match=r"no split val, only train .*--holdout-fg"):
        next(iter(whole_samples(open_shards(tmp_path))))
    write_set(tmp_path / "empty", {})
    with pytest.raises(ValueError, match="no split train, no samples at all"):
        batches(opened(settings_of(tmp_path / "empty")), settings_of(tmp_path / "empty"))


def test_mistakes_are_reported_before_the_first_batch(root: Path) -> None:
    with pytest.raises(ValueError, match="3 shards for 4 processes"):
        batches(opened(settings_of(root)), settings_of(root), world=4)
    with pytest.raises(ValueError, match="rank 2 of 2 processes"):
        batches(opened(settings_of(root)), settings_of(root), rank=2, world=2)


@pytest.mark.parametrize(
    "change",
    [
        {"batch_size": 0},
        {"crop_size": 4},
        {"seed": -1},
        {"scale_min": 3.0},
        {"colour": 1.5},
        {"workers": -1},
    ],
)
def test_settings_that_cannot_be(change: dict[str, Any]) -> None:
    name, value = next(iter(change.items()))
    with pytest.raises(ValueError, match=rf"{name} = {value}, expected"):
        LoaderSettings("shards", **change)


@pytest.fixture
def web(root: Path) -> Iterator[Web]:
    with serving(root) as served:
        yield served


@with_and_without_workers
@every_form
def test_shards_from_elsewhere(tmp_path: Path, form: ShardFormat, workers: int) -> None:
    write_set(tmp_path, {Split.TRAIN: COUNTS}, form)
    with serving(tmp_path) as web:
        far = epoch(settings_of(web.url, workers=workers))
        shards = [request for request in web.requests if "/data/" in request]
    near = epoch(settings_of(tmp_path))
    assert [batch.keys for batch in far] == [batch.keys for batch in near]
    assert all((a.image == b.image).all() for a, b in zip(far, near, strict=True))
    assert len(shards) == len(set(shards)) == 3, "each is fetched once, by whichever worker"


def test_only_what_is_read_is_fetched(web: Web) -> None:
    settings = settings_of(web.url, batch_size=1)
    with opened(settings) as shards:
        check_loading(shards, settings, 1)
        with closing(batches(shards, settings, 10**6, 10**6 + 1)) as made:
            list(made)
    assert sorted(request.rpartition("/")[2][:5] for request in web.requests) == [
        "backg",
        "datas",
        "foreg",
        "train",
    ]


@pytest.mark.parametrize("cached", [False, True])
def test_few_shards_are_kept_unless_there_is_a_cache(tmp_path: Path, cached: bool) -> None:
    write_set(tmp_path / "set", {Split.TRAIN: [1] * 9})
    cache = tmp_path / "cache"
    with serving(tmp_path / "set") as web:
        settings = settings_of(web.url, batch_size=9, cache=str(cache) if cached else "")
        for _ in range(2):
            with opened(settings) as shards, closing(batches(shards, settings, 0, 2)) as made:
                assert [len(batch.keys) for batch in made] == [9, 9]
        fetched = sum("/data/" in request for request in web.requests)
    if cached:
        assert fetched == len(list(cache.iterdir())) == 9, "kept for other epochs and other runs"
    else:
        assert 2 * (9 + 5) <= fetched <= 2 * (9 + 9), "four are kept"


def test_validation_may_have_a_cache(tmp_path: Path) -> None:
    write_set(tmp_path / "set", {Split.VAL: [1] * 9})
    with serving(tmp_path / "set") as web:
        for _ in range(2):
            found = list(whole_samples(open_shards(web.url, tmp_path / "cache")))
            assert len(found) == 9
        assert sum("/data/" in request for request in web.requests) == 9


def test_a_body_cut_short_and_a_server_that_fails(web: Web) -> None:
    web.faults[f"/data/{NAME}.tar"] += ["cut", 503]
    assert len(keys_of(epoch(settings_of(web.url)))) == TOTAL
    web.faults[f"/data/{NAME}.tar"] += [404]
    with pytest.raises(ValueError, match=rf"{web.url}/data/{NAME}\.tar: HTTP 404"):
        epoch(settings_of(web.url))


def test_damage_elsewhere_is_not_cached(web: Web, root: Path, tmp_path: Path) -> None:
    whole = data(root).read_bytes()
    damage_stream(root, 6, "image")
    settings = settings_of(web.url, cache=str(tmp_path / "cache"))
    with pytest.raises(ValueError, match=rf"{web.url}/data/{NAME}\.tar: .*{key(6)} \(image: "):
        epoch(settings)
    made = epoch(replace(settings, skip_bad=True))
    assert [reason.partition(": image")[0] for batch in made for reason in batch.skipped] == [
        f"{web.url}/data/{NAME}.tar: sample {key(6)}"
    ]
    data(root).write_bytes(whole)
    assert len(keys_of(epoch(settings))) == TOTAL
