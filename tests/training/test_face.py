"""What `training` promises to programs: a torch data set, and a trained model as a function."""

from __future__ import annotations

import doctest
import pickle
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

import training
from manifests.pixels import trimap_of
from manifests.shard_set import open_shards
from manifests.sources import Split
from tests.training.conftest import TRAIN_SAMPLES, VAL_SAMPLES, lively
from tests.training.shard_sets import break_sample, pixels_of, write_set
from tests.web import serving
from training.checkpoint import save
from training.choices import Variant
from training.learner import on_device
from training.loading import samples as samples_module
from training.loading.batches import batches
from training.matte import predict as predict_module
from training.matte.predict import matte
from training.settings import LoaderSettings

pytestmark = pytest.mark.slow

S = 24
TOTAL = sum(TRAIN_SAMPLES)
Item = dict[str, Any]


def same(one: Item, other: Item) -> bool:
    """Whether two items, or batches, are equal to the bit."""
    return one.keys() == other.keys() and all(
        torch.equal(one[k], other[k]) if isinstance(one[k], Tensor) else one[k] == other[k]
        for k in one
    )


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A run with one checkpoint."""
    optimizer = torch.optim.Adam(lively().parameters())
    save(tmp_path / "runs/an-tw", lively(), Variant.AN_TW, optimizer, {}, {"iteration": 1})
    return tmp_path / "runs/an-tw"


def test_the_examples(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained.parents[1])
    write_set(Path("shards"), {Split.TRAIN: [5]})
    for module, names in ((samples_module, {}), (predict_module, {"np": np})):
        ran = doctest.testmod(module, extraglobs=names)
        assert ran.attempted >= 5
        assert ran.failed == 0


def test_importing_the_package_needs_no_torch() -> None:
    check = (
        "import sys, training; training.__version__; assert not {'torch', 'cv2'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", check], check=True)
    assert training.__version__
    with pytest.raises(AttributeError, match="no attribute 'Sample'"):
        training.Sample  # noqa: B018 (it is asked for)


def test_an_item_is_what_the_documentation_says(shards: Path) -> None:
    dataset = training.Samples(str(shards), crop=S)
    assert len(dataset) == TOTAL
    for item in (dataset[0], dataset[TOTAL - 1]):
        assert list(item) == [
            "key", "image", "foreground", "background", "alpha", "trimap", "crude_trimap",
        ]  # fmt: skip
        for name in ("image", "foreground", "background", "alpha"):
            assert item[name].dtype == torch.float32
            assert item[name].shape == (1 if name == "alpha" else 3, S, S)
            assert 0 <= item[name].min() < item[name].max() <= 1
        for name in ("trimap", "crude_trimap"):
            assert (item[name].dtype, item[name].shape) == (torch.uint8, (1, S, S))
            assert item[name].max() <= 2
        alpha = (item["alpha"] * 255).round().to(torch.uint8)
        assert torch.equal(item["trimap"][0], torch.from_numpy(trimap_of(alpha[0].numpy())))
    assert dataset[-1]["key"] == f"train-{TOTAL - 1:08d}"
    for index in (TOTAL, -TOTAL - 1):
        with pytest.raises(IndexError):
            dataset[index]
    assert "foreground" not in training.Samples(shards, crop=S, layers=False)[0]


def test_whole_samples_are_the_stored_ones(shards: Path) -> None:
    dataset = training.Samples(open_shards(shards), split="val", crop=None)
    assert len(dataset) == VAL_SAMPLES
    for number in range(len(dataset)):
        item, stored = dataset[number], pixels_of(number, 72, 80)
        assert item["key"] == f"val-{number:08d}"
        for name in ("trimap", "crude_trimap"):
            assert np.array_equal(item[name][0].numpy(), stored[name])
        assert torch.equal(item["alpha"][0], torch.from_numpy(stored["alpha"]).float() / 255)
        for name in ("image", "foreground", "background"):
            assert item[name].dtype == torch.float32
            levels = (item[name] * 255).round().to(torch.uint8).permute(1, 2, 0)
            assert np.array_equal(levels.numpy(), stored[name])


@pytest.mark.parametrize("colour", [0.0, 1.0])
def test_the_crops_are_those_of_the_trainer(shards: Path, colour: float) -> None:
    """Same seed, epoch and sample: the same image, alpha and trimaps as `train` sees them."""
    dataset = training.Samples(shards, crop=S, seed=3, colour=colour)
    numbers = {dataset[n]["key"]: n for n in range(TOTAL)}
    settings = LoaderSettings(str(shards), 1, S, seed=3, colour=colour, workers=0)
    seen = set()
    with closing(batches(open_shards(shards), settings, 0, 2 * TOTAL)) as made:
        for batch in made:
            image, given, alpha, trimap, _ = on_device(batch, torch.device("cpu"))
            dataset.set_epoch(batch.epoch)
            item = dataset[numbers[batch.keys[0]]]
            assert torch.equal(item["image"], image[0])
            assert torch.equal(item["alpha"], alpha[0])
            assert torch.equal(item["trimap"], trimap[0])
            assert torch.equal(item["crude_trimap"].float(), given[0])
            seen.add((batch.epoch, batch.keys[0]))
    assert len(seen) == 2 * TOTAL


def test_seed_number_and_epoch_decide_the_crop(shards: Path) -> None:
    # Not scaled: a window that is the whole image has only two forms
    def crops(**changes: Any) -> list[bytes]:
        dataset = training.Samples(shards, crop=S, scale_probability=0, **changes)
        return [dataset[n]["image"].numpy().tobytes() for n in range(TOTAL)]

    assert crops() == crops()
    assert not set(crops()) & set(crops(seed=1))
    dataset = training.Samples(shards, crop=S, scale_probability=0)
    first = dataset[4]
    dataset.set_epoch(1)
    assert not same(dataset[4], first)
    dataset.set_epoch(0)
    assert same(dataset[4], first)


@pytest.mark.parametrize("context", ["fork", "spawn", "forkserver"])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_an_ordinary_loader_with_workers(shards: Path, context: str) -> None:
    """Files that this process has open already do no harm to its workers."""
    dataset = training.Samples(shards, crop=S)
    alone = list(DataLoader(dataset, batch_size=5))
    assert [len(batch["key"]) for batch in alone] == [5, 5, 2]
    assert alone[0]["image"].shape == (5, 3, S, S)
    loader = DataLoader(
        dataset,
        batch_size=5,
        num_workers=2,
        multiprocessing_context=context,
        persistent_workers=True,
    )
    together = list(loader)
    assert len(together) == len(alone)
    assert all(map(same, alone, together))
    dataset.set_epoch(1)
    again, expected = list(loader), list(DataLoader(dataset, batch_size=5))
    assert all(map(same, again, expected)), "workers that stay notice the epoch"
    assert not same(again[0], alone[0])
    keys = [
        key for batch in DataLoader(dataset, shuffle=True, batch_size=4) for key in batch["key"]
    ]
    assert sorted(keys) == [f"train-{n:08d}" for n in range(TOTAL)]
    assert same(pickle.loads(pickle.dumps(dataset))[3], dataset[3])


def test_a_set_behind_a_url(shards: Path, tmp_path: Path) -> None:
    near = training.Samples(shards, split="val", crop=S)
    with serving(shards) as web:
        far = training.Samples(web.url, split="val", crop=S, cache=tmp_path / "cache")
        assert all(same(far[n], near[n]) for n in range(VAL_SAMPLES))
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such folder"):
        training.Samples(tmp_path / "none")
    write_set(tmp_path / "set", {Split.TRAIN: [3]})
    with pytest.raises(ValueError, match="no split val, only train"):
        training.Samples(tmp_path / "set", split="val")
    for change, message in (
        ({"crop": 4}, "crop_size = 4, expected 8"),
        ({"crop": 48}, "choose crops of 40 or less"),
        ({"seed": -1}, "seed = -1, expected 0 or more"),
        ({"colour": 2.0}, "colour = 2.0, expected 0 to 1"),
        ({"scale_probability": -0.5}, "scale_probability = -0.5, expected 0 to 1"),
    ):
        with pytest.raises(ValueError, match=message):
            training.Samples(tmp_path / "set", **{"crop": S, **change})  # type: ignore[arg-type]  # several types
    with pytest.raises(ValueError, match="epoch = -1, expected 0 or more"):
        training.Samples(tmp_path / "set", crop=S).set_epoch(-1)
    break_sample(tmp_path / "set", Split.TRAIN)
    with pytest.raises(ValueError, match=r"train-00000\.tar: .*train-00000000 \(image"):
        training.Samples(tmp_path / "set", crop=S)[1]


def test_a_trained_model_is_a_function_of_arrays(trained: Path) -> None:
    pixels = pixels_of(0, 40, 56)
    model = training.load_model(str(trained), device="cpu")
    assert model.network.trimap_decoder is None
    assert not model.network.training
    alpha = model(pixels["image"], pixels["crude_trimap"])
    assert alpha.dtype == np.uint8
    assert alpha.shape == (40, 56)
    assert np.array_equal(alpha, matte(lively(), pixels["image"], pixels["crude_trimap"]))
    checkpoint = trained / "checkpoints/00000001"
    for path in (checkpoint, checkpoint / "model.safetensors"):
        other = training.load_model(path, "cpu")
        assert np.array_equal(other(pixels["image"], pixels["crude_trimap"]), alpha)


def test_what_a_model_does_not_take(trained: Path, tmp_path: Path) -> None:
    model = training.load_model(trained, "cpu")
    image, trimap = np.zeros((8, 9, 3), np.uint8), np.ones((8, 9), np.uint8)
    for wrong_image, wrong_trimap, message in (
        (image, trimap[:7], "image 9 x 8, trimap 9 x 7: sizes differ"),
        (image[..., 0], trimap, "image 8 x 9 uint8, expected H x W x 3 uint8"),
        (image / 255, trimap, "image 8 x 9 x 3 float64, expected H x W x 3 uint8"),
        (image[:0], trimap[:0], "image 0 x 9 x 3 uint8, expected"),
        (image, image, "trimap 8 x 9 x 3 uint8, expected H x W uint8"),
        (image, trimap * 128, r"trimap: trimap codes \[128\], expected only 0, 1, 2"),
    ):
        with pytest.raises(ValueError, match=message):
            model(wrong_image, wrong_trimap)  # type: ignore[arg-type]  # that is the mistake
    with pytest.raises(FileNotFoundError, match="no checkpoint here"):
        training.load_model(tmp_path)
    with pytest.raises(ValueError, match="device 'abacus' cannot be used"):
        training.load_model(trained, "abacus")
