"""Speed of the training loader on real composites, as JSON.

    python -m tests.bench.loader [--quick]

Samples of 800 x 800 with layers, JPEG quality 95, crops of 512, batches of 16. On one core: the
loader (`workers=0`), also where all samples are kept decoded, the floor (only decoding, from
memory, what such crops need of the streams), and the `webdataset` library, which reads the same
tars with the same decoders, crops and batches. Its own decoders are slower and are measured, too.
These rates are by processor time; scaling over workers is by the clock. All take turns, and the
best turn of each counts, so that a slow minute of the machine affects all. Run it on an idle
machine. It takes five minutes (--quick: three).
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from manifests import open_shards
from manifests.pixels import Pixels, trimap_of
from manifests.samples import LAYERS
from manifests.shards import ShardFormat, read_shard
from manifests.store import Streams
from training.loading.augment import (
    Scales,
    Window,
    cut_into,
    cut_unmixed_into,
    draw_pixel,
    draw_window,
)
from training.loading.batches import batches
from training.settings import LoaderSettings

DATA = Path(__file__).parents[3] / "shared" / "data"
SAMPLES, PER_SHARD, BATCH, CROP = 512, 256, 16, 512
PLAIN = ("image", "alpha", "crude_trimap")
Names = tuple[str, ...]
SCALES = Scales(1 / 1.5, 2.5, 0.5)  # as in a training run


def compose(root: Path, form: ShardFormat) -> None:
    arguments = ["--fg", DATA / "foregrounds", "--bg", DATA / "backgrounds", "--out", root]
    arguments += ["--samples", SAMPLES, "--shard-size", PER_SHARD, "--format", form]
    command = [sys.executable, "-m", "datagen.cli", "compose", *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def rate(seconds_of: Callable[[], float]) -> float:
    return SAMPLES / seconds_of()


def loader_seconds(root: Path, layers: bool, epoch: int = 1, decoded: str = "") -> float:
    """Seconds of an epoch in this process. Epoch 0 also checks the checksums of the shards."""
    settings = LoaderSettings(
        batch_size=BATCH, crop_size=CROP, layers=layers, workers=0, decoded=decoded
    )
    size = SAMPLES // BATCH
    with closing(batches(open_shards(root), settings, 0, (epoch + 1) * size)) as made:
        # The first batch of a run opens files, so the time begins after the first batch.
        count = sum(len(batch.keys) for batch in itertools.islice(made, epoch * size))
        begin = time.process_time()  # processor time depends least on other processes
        count += sum(len(batch.keys) for batch in made)
        seconds = time.process_time() - begin
    assert count == (epoch + 1) * SAMPLES
    return seconds


def workers_seconds(root: Path, workers: int) -> float:
    """The same with worker processes, by the clock, after they have started."""
    settings = LoaderSettings(batch_size=BATCH, crop_size=CROP, layers=False, workers=workers)
    size = SAMPLES // BATCH
    with closing(batches(open_shards(root), settings, 0, 3 * size)) as made:
        # As many batches are ready in advance at the beginning as at the end.
        for _ in itertools.islice(made, size):
            pass
        begin = time.perf_counter()
        count = sum(len(batch.keys) for batch in itertools.islice(made, size))
        seconds = time.perf_counter() - begin
    assert count == SAMPLES
    return seconds


def window_of(rng: np.random.Generator, alpha: Pixels, crude: Pixels) -> Window:
    return draw_window(rng, draw_pixel(rng, alpha, crude), alpha.shape, CROP, SCALES)


def floor_seconds(encoded: list[dict[str, bytes]], streams: Names) -> float:
    rng, wanted = np.random.default_rng(0), []
    for sample in encoded:
        of_sample = Streams({name: sample[name] for name in streams})
        alpha = of_sample["alpha"]
        window = window_of(rng, alpha, of_sample["crude_trimap"])
        wanted.append((of_sample, window.inside(alpha.shape)))
    begin = time.process_time()
    for of_sample, inside in wanted:
        for name in streams:
            of_sample.part(name, inside)
    return time.process_time() - begin


class Work:
    """The loader's work on one sample, as a function for a pipeline of `webdataset`."""

    def __init__(self, streams: Names, decoded: bool) -> None:
        self._streams, self._decoded = streams, decoded
        self._rng = np.random.default_rng(0)

    def __call__(self, sample: dict[str, Any]) -> dict[str, Pixels]:
        members = {name.partition(".")[0]: value for name, value in sample.items()}
        if self._decoded:  # its decoders return trimaps as grey levels
            members["crude_trimap"] = cv2.LUT(members["crude_trimap"], _CODE_OF_GREY)
            window = window_of(self._rng, members["alpha"], members["crude_trimap"])
            inside = window.inside(members["alpha"].shape)
            parts = {name: members[name][inside] for name in self._streams}
        else:
            streams = Streams({name: members[name] for name in self._streams})
            alpha, crude = streams["alpha"], streams["crude_trimap"]
            window = window_of(self._rng, alpha, crude)
            inside = window.inside(alpha.shape)
            parts = {"alpha": alpha[inside], "crude_trimap": crude[inside]}
            parts |= {n: streams.part(n, inside) for n in self._streams if n not in parts}
        out = {
            name: np.empty((CROP, CROP, *array.shape[2:]), np.uint8)
            for name, array in parts.items()
        }
        for name, array in parts.items():
            cut = cut_into if name in {"image", "alpha"} else cut_unmixed_into
            cut(array, window, out[name])
        return {**out, "trimap": trimap_of(out["alpha"])}


_CODE_OF_GREY = np.array([0] * 64 + [1] * 128 + [2] * 64, np.uint8)


def collate(samples: list[dict[str, Pixels]]) -> dict[str, torch.Tensor]:
    names = [name for name in samples[0] if not name.startswith("__")]  # webdataset adds the key
    return {name: torch.from_numpy(np.stack([s[name] for s in samples])) for name in names}


def pillow_or_grey(name: str, data: bytes) -> Any:
    """Decode with Pillow, as webdataset does."""
    import webdataset

    how = "rgb8" if name.rpartition(".")[0].endswith((".image", *LAYERS)) else "l8"
    return webdataset.imagehandler(how)(name, data)


def webdataset_batches(files: list[str], streams: Names, own: bool) -> Iterator[Any]:
    import webdataset

    source = webdataset.WebDataset(files, shardshuffle=len(files)).shuffle(128)
    if own:
        source = source.decode(pillow_or_grey)
    yield from source.map(Work(streams, own)).batched(BATCH, collation_fn=collate)


def webdataset_seconds(root: Path, streams: Names, own: bool) -> float:
    files = sorted(map(str, (root / "data").glob("*.tar")))
    begin = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # webdataset leaves files open
        count = sum(len(batch["alpha"]) for batch in webdataset_batches(files, streams, own))
    assert count == SAMPLES
    return time.process_time() - begin


def measure(folder: Path, turns: int) -> dict[str, float]:
    tars, tables = folder / "tars", folder / "tables"
    compose(tars, ShardFormat.WEBDATASET)
    compose(tables, ShardFormat.PARQUET)
    encoded = [s.streams for path in sorted((tars / "data").glob("*")) for s in read_shard(path)]
    ways: dict[str, Callable[[], float]] = {}
    for name, streams in (("", PLAIN), ("_layers", (*PLAIN, *LAYERS))):
        layers = len(streams) > len(PLAIN)
        ways |= {
            f"floor{name}": partial(floor_seconds, encoded, streams),
            f"loader{name}": partial(loader_seconds, tars, layers),
            f"loader_first_epoch{name}": partial(loader_seconds, tars, layers, epoch=0),
            f"webdataset{name}": partial(webdataset_seconds, tars, streams, own=False),
        }
    ways |= {
        "webdataset_own_decoders": partial(webdataset_seconds, tars, PLAIN, own=True),
        "loader_decoded": partial(loader_seconds, tars, False, decoded=str(folder / "decoded")),
        "loader_parquet": partial(loader_seconds, tables, layers=False),
        "one_worker": partial(workers_seconds, tars, 1),
        "two_workers": partial(workers_seconds, tars, 2),
        "two_workers_parquet": partial(workers_seconds, tables, 2),
    }
    rates: dict[str, float] = dict.fromkeys(ways, 0.0)
    for _ in range(turns):
        for name, seconds_of in ways.items():
            rates[name] = max(rates[name], rate(seconds_of))
    return {
        **{f"{name}_per_second": round(value, 1) for name, value in rates.items()},
        "floor_ratio": round(rates["loader"] / rates["floor"], 3),
        "floor_ratio_layers": round(rates["loader_layers"] / rates["floor_layers"], 3),
        "over_webdataset": round(rates["loader"] / rates["webdataset"], 3),
        "over_webdataset_layers": round(rates["loader_layers"] / rates["webdataset_layers"], 3),
        "scaling_two_workers": round(rates["two_workers"] / rates["one_worker"], 3),
        "parquet_over_tar": round(rates["loader_parquet"] / rates["loader"], 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of the training loader, as JSON.")
    parser.add_argument("--quick", action="store_true", help="Take one turn instead of three.")
    options = parser.parse_args()
    if not DATA.is_dir():
        parser.error(f"{DATA}: missing; the figures need real composites")
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder), 1 if options.quick else 3), indent=1))


if __name__ == "__main__":
    main()
