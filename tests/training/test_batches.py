"""Batches: the same for any number of workers and from any beginning, each sample once an epoch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from manifests import open_shards
from manifests.pixels import trimap_of
from manifests.shards import ShardFormat
from manifests.sources import Split
from tests.conftest import descendants, is_alive
from tests.training.shard_sets import opened, pixels_of, write_set
from training.choices import TrimapChoice
from training.loading.batches import (
    Batch,
    batches,
    check_loading,
)
from training.loading.whole import whole_samples
from training.settings import LoaderSettings

pytestmark = pytest.mark.slow

COUNTS = [7, 1, 12, 5]
TOTAL = sum(COUNTS)
every_form = pytest.mark.parametrize("form", ShardFormat)


@pytest.fixture(scope="module", params=ShardFormat)
def root(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Uneven shards, a val split, layers; in both forms. Not to be changed."""
    folder: Path = tmp_path_factory.mktemp("set")
    write_set(folder, {Split.TRAIN: COUNTS, Split.VAL: [3, 4]}, request.param)
    return folder


def settings_of(root: Path, **changes: Any) -> LoaderSettings:
    return LoaderSettings(str(root), **{"batch_size": 4, "crop_size": 24, "workers": 0} | changes)


def run(
    settings: LoaderSettings, first: int, end: int, rank: int = 0, world: int = 1
) -> list[Batch]:
    with (
        opened(settings) as shards,
        closing(batches(shards, settings, first, end, rank, world)) as made,
    ):
        return list(made)


def same(one: Batch, other: Batch) -> bool:
    pairs = [(getattr(one, f.name), getattr(other, f.name)) for f in fields(Batch)]
    return all(torch.equal(a, b) if isinstance(a, Tensor) else a == b for a, b in pairs)


def keys_of(made: list[Batch]) -> list[str]:
    return [key for batch in made for key in batch.keys]


def test_a_batch_holds_what_it_says(root: Path) -> None:
    (batch,) = run(settings_of(root, batch_size=9), 2, 3)
    assert (batch.number, batch.epoch, len(batch.keys), batch.skipped) == (2, 0, 9, ())
    colours = {"image": batch.image, "foreground": batch.foreground, "background": batch.background}
    for tensor in colours.values():
        assert tensor is not None
        assert (tensor.dtype, tensor.shape) == (torch.uint8, (9, 3, 24, 24))
        assert tensor.is_contiguous(memory_format=torch.channels_last)
    for tensor in (batch.alpha, batch.trimap, batch.given_trimap):
        assert (tensor.dtype, tensor.shape) == (torch.uint8, (9, 1, 24, 24))
    assert torch.equal(batch.trimap, torch.from_numpy(trimap_of(batch.alpha.numpy())))
    assert not torch.equal(batch.trimap, batch.given_trimap), "the given one is crude"
    assert batch.given_trimap.max() <= 2
    assert all((batch.given_trimap[n] == 1).any() or (batch.trimap[n] == 1).any() for n in range(9))


def test_without_scale_the_crops_are_pieces_of_the_stored_pixels(root: Path) -> None:
    for batch in run(settings_of(root, scale_probability=0), 0, 5):
        for n, key in enumerate(batch.keys):
            stored = pixels_of(int(key.rpartition("-")[2]), 40, 48)
            piece = batch.image[n].permute(1, 2, 0).numpy()
            windows = [
                (top, left, flip)
                for flip in (1, -1)
                for top in range(17)
                for left in range(25)
                if np.array_equal(
                    stored["image"][top : top + 24, left : left + 24][:, ::flip], piece
                )
            ]
            assert len(windows) == 1, key
            ((top, left, flip),) = windows
            expected = {"alpha": batch.alpha, "crude_trimap": batch.given_trimap}
            for name, tensor in expected.items():
                window = stored[name][top : top + 24, left : left + 24][:, ::flip]
                assert np.array_equal(tensor[n, 0].numpy(), window), name
            for name in ("foreground", "background"):
                window = stored[name][top : top + 24, left : left + 24][:, ::flip]
                layer = getattr(batch, name)[n].permute(1, 2, 0).numpy()
                assert np.array_equal(layer, window), name


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_do_not_change_the_batches(root: Path, workers: int) -> None:
    alone = run(settings_of(root), 0, 13)
    together = run(settings_of(root, workers=workers), 0, 13)
    assert all(map(same, alone, together))
    assert len(alone) == len(together) == 13


def test_beginning_at_n_is_the_tail_of_the_whole(root: Path) -> None:
    settings = settings_of(root, trimap=TrimapChoice.MIXED)
    whole = run(settings, 0, 20, 1, 2)
    for first in (1, 7, 12, 19):
        tail = run(settings, first, 20, 1, 2)
        assert len(tail) == 20 - first
        assert all(map(same, whole[first:], tail))
    assert all(map(same, whole[9:], run(replace(settings, workers=2), 9, 20, 1, 2)))


@pytest.mark.parametrize("world", [1, 2, 3])
def test_each_sample_once_an_epoch_over_all_ranks(root: Path, world: int) -> None:
    settings = settings_of(root, batch_size=1, crop_size=8)
    seen: dict[int, Counter[str]] = {}
    for rank in range(world):
        made = run(settings, 0, 2 * TOTAL, rank, world)
        assert Counter(keys_of(made)).most_common(1)[0][1] == 2, "two cycles of all samples"
        for batch in made:
            seen.setdefault(batch.epoch, Counter()).update(batch.keys)
    everything = Counter(f"train-{n:08d}" for n in range(TOTAL))
    assert len(seen) == 2 * world
    assert all(epoch == everything for epoch in seen.values())


def test_batches_straddle_the_borders_of_shards_and_epochs(root: Path) -> None:
    settings = settings_of(root, batch_size=2 * TOTAL + 3, crop_size=8)
    (batch,) = run(settings, 1, 2)
    one_by_one = run(replace(settings, batch_size=1), 2 * TOTAL + 3, 4 * TOTAL + 6)
    assert list(batch.keys) == keys_of(one_by_one)
    assert torch.equal(batch.image, torch.cat([b.image for b in one_by_one]))


def test_epochs_seeds_and_samples_are_augmented_differently(root: Path) -> None:
    # No window is the whole image, of which there are but two
    settings = settings_of(root, batch_size=TOTAL, scale_max=1.5)
    first, second = run(settings, 0, 2)
    (other,) = run(replace(settings, seed=1), 0, 1)
    assert first.keys != second.keys != other.keys
    pieces = {key: first.image[n] for n, key in enumerate(first.keys)}
    assert (
        len({each.numpy().tobytes() for each in (first.colours, second.colours, other.colours)})
        == 3
    )
    for batch in (second, other):
        again = [torch.equal(batch.image[n], pieces[key]) for n, key in enumerate(batch.keys)]
        assert not any(again)


def test_the_trimap_that_is_given(root: Path) -> None:
    made = {c: run(settings_of(root, batch_size=TOTAL, trimap=c), 0, 1)[0] for c in TrimapChoice}
    assert torch.equal(made[TrimapChoice.EXACT].given_trimap, made[TrimapChoice.EXACT].trimap)
    crude, mixed = made[TrimapChoice.CRUDE], made[TrimapChoice.MIXED]
    exact = [torch.equal(mixed.given_trimap[n], mixed.trimap[n]) for n in range(TOTAL)]
    assert 4 < sum(exact) < TOTAL - 4
    assert not any(torch.equal(crude.given_trimap[n], crude.trimap[n]) for n in range(TOTAL))


@every_form
def test_a_set_without_layers(tmp_path: Path, form: ShardFormat) -> None:
    write_set(tmp_path, {Split.TRAIN: [3]}, form, layers=False)
    for wanted in (True, False):
        (batch,) = run(settings_of(tmp_path, layers=wanted), 0, 1)
        assert batch.foreground is None
        assert batch.background is None


def test_layers_that_are_not_wanted(root: Path) -> None:
    (batch,) = run(settings_of(root, layers=False), 0, 1)
    assert batch.foreground is None
    (with_layers,) = run(settings_of(root), 0, 1)
    assert torch.equal(batch.image, with_layers.image)


def test_images_smaller_than_the_crop(tmp_path: Path) -> None:
    """Each would be there several times, side by side and mirrored."""
    write_set(tmp_path, {Split.TRAIN: [5]}, size=(24, 24))
    for batch in run(settings_of(tmp_path, crop_size=24), 0, 3):
        assert batch.image.shape == (4, 3, 24, 24)
    for choose in (run, lambda settings, *_: check_loading(open_shards(tmp_path), settings, 1)):
        with pytest.raises(ValueError, match=r"have 24 x 24 pixels, and a crop 25 x 25"):
            choose(settings_of(tmp_path, crop_size=25), 0, 3)


def test_the_model_s_generator_is_left_alone(root: Path) -> None:
    before = torch.get_rng_state()
    for workers in (0, 1):
        run(settings_of(root, workers=workers), 0, 2)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_end_of_the_range(root: Path) -> None:
    assert run(settings_of(root), 5, 5) == []
    with closing(batches(open_shards(root), settings_of(root), 10**12)) as endless:
        assert next(endless).number == 10**12


def bytes_read() -> int:
    """What this process has asked the kernel for, all files together."""
    text = Path("/proc/self/io").read_text()
    return int(text.partition("rchar: ")[2].partition("\n")[0])


@every_form
def test_resuming_reads_as_little_anywhere(tmp_path: Path, form: ShardFormat) -> None:
    write_set(tmp_path, {Split.TRAIN: [4] * 20}, form, size=(64, 64))
    whole = sum(path.stat().st_size for path in (tmp_path / "data").iterdir())
    costs = []
    for first in (0, 5, 19, 10**6):
        before = bytes_read()
        run(settings_of(tmp_path), first, first + 1)
        costs.append(bytes_read() - before)
    assert max(costs) < 1.5 * min(costs), costs
    assert max(costs) < whole / 4, "one shard of twenty, checked and then read"


def test_validation_samples_are_whole_and_once_each(root: Path) -> None:
    found = list(whole_samples(open_shards(root)))
    assert [sample.key for sample in found] == [f"val-{n:08d}" for n in range(7)]
    for number, sample in enumerate(found):
        stored = pixels_of(number, 40, 48)
        for name in ("image", "alpha", "trimap", "crude_trimap"):
            assert np.array_equal(getattr(sample, name), stored[name]), name
        assert sample.row.shard == ("val-00000" if number < 3 else "val-00001")


@pytest.mark.parametrize(
    ("limit", "numbers"), [(1, [0]), (3, [0, 2, 4]), (7, range(7)), (9, range(7))]
)
def test_a_limit_is_spread_evenly(root: Path, limit: int, numbers: list[int]) -> None:
    found = [sample.key for sample in whole_samples(open_shards(root), limit=limit)]
    assert found == [f"val-{n:08d}" for n in numbers]


def workers_now() -> set[int]:
    """The children of the fork server: processes that load."""
    return {pid for pid in descendants(os.getpid()) if "multiprocessing" in command_line(pid)}


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""  # it ended meanwhile


def wait_for(processes: set[int], seconds: float = 60) -> None:
    limit = time.monotonic() + seconds
    while workers_now() - processes:
        assert time.monotonic() < limit, "workers are left behind"
        time.sleep(0.05)


@pytest.mark.parametrize("how", ["close", "error", "exhausted"])
def test_workers_end_with_the_batches(root: Path, how: str) -> None:
    run(settings_of(root, workers=1), 0, 1)  # the server itself stays
    before = workers_now()
    made = batches(
        open_shards(root), settings_of(root, workers=2), 0, 3 if how == "exhausted" else None
    )
    next(made)
    assert len(workers_now() - before) >= 2
    if how == "close":
        made.close()
    elif how == "error":
        with pytest.raises(RuntimeError, match="the loop failed"), closing(made):
            raise RuntimeError("the loop failed")
    else:
        list(made)
    wait_for(before)


def test_a_killed_worker_is_an_error(root: Path) -> None:
    run(settings_of(root, workers=1), 0, 1)
    before = workers_now()
    with closing(batches(open_shards(root), settings_of(root, workers=2))) as made:
        next(made)
        for pid in workers_now() - before:
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(RuntimeError, match=r"batch \d+: a process that loads was killed"):
            list(made)
    wait_for(before)


INTERRUPTED = """
import sys
from manifests import open_shards
from training.loading.batches import batches
from training.settings import LoaderSettings
if __name__ == "__main__":
    settings = LoaderSettings(batch_size=4, crop_size=24, workers=2)
    for batch in batches(open_shards(sys.argv[1]), settings):
        print(batch.number, flush=True)
"""


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupt_ends_all_processes(root: Path, tmp_path: Path, by: signal.Signals) -> None:
    script = tmp_path / "loop.py"
    script.write_text(INTERRUPTED)
    process = subprocess.Popen(
        [sys.executable, str(script), str(root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "0\n"
    started = descendants(process.pid)
    assert len(started) >= 3, "a server and two workers"
    if by is signal.SIGINT:
        os.killpg(process.pid, by)  # as a terminal does: to all of them
    else:
        process.send_signal(by)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == -by
    if by is signal.SIGINT:
        assert errors.count("Traceback") == 1, errors
        assert errors.endswith("KeyboardInterrupt\n"), "only of the loop"
    limit = time.monotonic() + 60
    while any(map(is_alive, started)):
        assert time.monotonic() < limit, "workers are left behind"
        time.sleep(0.1)
