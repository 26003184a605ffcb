"""Runs, shards and models in an object store, in bad weather: the same as in folders."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.commands import DONE, FAILED
from manifests.storage import Url, exists, files_below, read_bytes, write_bytes
from tests.conftest import Ran, contents, finish
from tests.object_store import BUCKET, SECRET, Store
from tests.training.conftest import VAL_SAMPLES
from tests.training.runs import Capture, called, options, process
from training.checkpoint import MODEL
from training.cli import train_main
from training.log import METRICS, RunLog
from training.matte.cli import matte_main

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.slow]

ROOT = Url(f"s3://{BUCKET}/training")
RUN = ROOT / "runs" / "an-tw"


@pytest.fixture(scope="module")
def shards_there(shards: Path, store: Store) -> Url:
    url = ROOT / "shards"
    for name, data in contents(shards).items():
        write_bytes(url / name, data)
    return url


@pytest.fixture(autouse=True)
def weather(store: Store) -> Iterator[None]:
    store.latency, store.errors, store.throttled, store.cut = 0.01, 0.05, 0.05, 0.05
    yield
    store.latency = store.errors = store.throttled = store.cut = 0.0


def test_a_run_in_a_store(whole: tuple[Path, Ran], shards_there: Url, capsys: Capture) -> None:
    """The files of one in a folder; then it is measured, and another one starts from it."""
    # As a process: the loader's, once begun, have the environment of this one from then on
    ran = finish(process(*options(shards_there, RUN, "--workers", "1")))
    assert ran.code == DONE, ran
    assert f"{RUN}: trained; `matte predict --checkpoint {RUN}` uses its best" in ran.err
    assert SECRET not in ran.err
    names = {name for name in files_below(RUN) if not name.startswith("tensorboard/")}
    expected = {n: d for n, d in contents(whole[0]).items() if not n.startswith("tensorboard/")}
    assert names == {*expected, "owner"}
    assert [n for n, data in expected.items() if data != read_bytes(RUN / n)] == ["config.json"]
    config = json.loads(read_bytes(RUN / "config.json"))
    assert config["shards"] == str(shards_there)

    again = called(capsys, train_main, *options(shards_there, RUN))
    assert again.code == FAILED
    assert again.err.startswith(f"error: {RUN}: a run is here; go on with --resume")

    measured = ("--shards", str(shards_there), "--checkpoint", str(RUN), "--device", "cpu")
    ran = called(capsys, matte_main, "evaluate", *measured, "--json")
    assert ran.code == DONE, ran
    here = ("--shards", str(shards_there), "--checkpoint", str(whole[0]), "--device", "cpu")
    assert ran.out == called(capsys, matte_main, "evaluate", *here, "--json").out
    assert ran.out.count("val-0") >= VAL_SAMPLES


def test_a_run_starts_from_a_model_in_a_store(
    whole: tuple[Path, Ran], shards: Path, run: Path, capsys: Capture
) -> None:
    model = ROOT / "given" / "best" / MODEL
    write_bytes(model, (whole[0] / "best" / MODEL).read_bytes())
    more = ("--init", str(ROOT / "given"), "--iterations", "1", "--workers", "0", "--keep", "9")
    ran = called(capsys, train_main, *options(shards, run, *more))
    assert ran.code == DONE, ran
    assert json.loads((run / "config.json").read_text())["init"]["file"] == str(model)
    assert (run / "checkpoints/00000000" / MODEL).read_bytes() == read_bytes(model)


def test_the_one_that_begins_last_goes_on(store: Store) -> None:
    """Nobody can ask a process on another machine whether it still trains a run."""
    run = ROOT / "two"
    with RunLog(run, 0) as first:
        first.send()
        with RunLog(run, 0) as second:
            with pytest.raises(ValueError, match=f"^{run}: another process has begun to train"):
                first.send()
            second.send()
    assert exists(run / METRICS)
