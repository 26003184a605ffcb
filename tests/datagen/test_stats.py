"""The statistics come from the index only, fast, and agree with an independent count."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from console.commands import DONE, FAILED
from datagen.inspect.stats import CELLS, CRUDE_ERRORS, read_stats
from datagen.printing import sparkline
from datagen.settings import Settings
from manifests import open_shards
from manifests.dataset import CONTRACT, Manifest, read_sources, write_manifest, write_sources
from manifests.pixels import decode_alpha
from manifests.samples import Sample
from manifests.shards import Shard, data_path, read_index, read_notes, read_shard, write_index
from manifests.sources import Background, Foreground, Split
from manifests.tables import to_table
from tests.conftest import LABELS, QUIET, Ran, clean, here

LABEL_COLUMNS = ("subject", "transparency", "foreground_id", "background_id", "unknown_share")
ROWS, SHARDS, FOREGROUNDS, BACKGROUNDS = 1000, 880, 440, 2000


@pytest.fixture(scope="module")
def rows(composed: tuple[Path, Ran]) -> list[Sample]:
    out, _ = composed
    return [row for n in range(3) for row in read_index(out, f"train-{n:05d}")]


def test_counts_and_shares(composed: tuple[Path, Ran], rows: list[Sample]) -> None:
    found = read_stats(open_shards(composed[0]))
    assert (found.samples, found.foregrounds, found.backgrounds) == (30, 6, 5)
    cells = [tuple(line.split(",")[1:]) for line in LABELS.splitlines()[1:]]
    expected = Counter(cells)
    assert [(cell.subject, cell.transparency) for cell in found.cells] == list(CELLS)
    for cell in found.cells:
        name = (cell.subject, cell.transparency)
        unknown = [r.unknown_share for r in rows if (r.subject, r.transparency) == name]
        assert (cell.foregrounds, cell.samples) == (expected[name], 5 * expected[name])
        assert cell.share == pytest.approx(expected[name] / 6, abs=1e-6)
        assert cell.unknown_share == pytest.approx(np.mean(unknown or [0]), abs=1e-6)


def test_crude_errors_are_quantiles(composed: tuple[Path, Ran], rows: list[Sample]) -> None:
    found = read_stats(open_shards(composed[0])).crude
    assert list(found) == list(CRUDE_ERRORS)
    for name, points in found.items():
        values = np.sort([getattr(row, f"crude_{name}") for row in rows])
        places = np.array([0.05, 0.25, 0.5, 0.75, 0.95]) * (len(values) - 1)
        expected = np.interp(places, np.arange(len(values)), values)
        np.testing.assert_allclose(points, expected, atol=2e-6)


def test_histograms_are_those_of_the_stored_alphas(composed: tuple[Path, Ran]) -> None:
    out, _ = composed
    expected = {cell: np.zeros(256, np.int64) for cell in CELLS}
    for path in sorted((out / "data").iterdir()):
        for sample in read_shard(path):
            cell = (str(sample.row.subject), str(sample.row.transparency))
            expected[cell] += np.bincount(
                decode_alpha(sample.streams["alpha"]).ravel(), minlength=256
            )
    found = read_stats(open_shards(out)).histograms
    for cell in CELLS:
        np.testing.assert_array_equal(found.get(cell, np.zeros(256)), expected[cell])


def test_no_pixel_is_read(composed: tuple[Path, Ran], tmp_path: Path) -> None:
    root = tmp_path / "only-rows"
    root.mkdir()
    for name in ("index", "sources", "dataset.json"):
        (root / name).symlink_to(composed[0] / name)
    assert not data_path(root, "train-00000", Settings().format).exists()
    assert read_stats(open_shards(root)).samples == 30


def test_json(composed: tuple[Path, Ran], capsys: pytest.CaptureFixture[str]) -> None:
    ran = here(capsys, "stats", "--shards", str(composed[0]), "--json")
    found = json.loads(ran.out)
    assert ran.code == DONE
    assert list(found) == ["samples", "foregrounds", "backgrounds", "cells", "crude", "licences"]
    keys = ["subject", "transparency", "foregrounds", "samples", "share", "unknown_share"]
    assert [list(cell) for cell in found["cells"]] == [keys] * 8
    assert list(found["crude"]) == list(CRUDE_ERRORS)
    assert all(len(points) == 5 and points == sorted(points) for points in found["crude"].values())


def test_table_has_the_eight_cells(
    composed: tuple[Path, Ran], capsys: pytest.CaptureFixture[str]
) -> None:
    ran = here(capsys, "stats", "--shards", str(composed[0]), "--by-transparency")
    assert ran.code == DONE
    lines = [line.split() for line in ran.out.splitlines()]
    subjects = [subject for subject, _ in CELLS]
    table = {(line[0], line[1]): line[2:] for line in lines if line and line[0] in subjects}
    assert set(CELLS) == set(table)
    assert table["human", "Little"][:3] == ["1", "5", "16.7%"]
    assert table["human", "Highly"][:3] == ["0", "0", "0.0%"]
    assert "an equal share is 12.5%" in ran.out
    assert "\x1b" not in ran.out


LARGE = """
import numpy as np
from datagen.inspect.stats import CELLS, CRUDE_ERRORS, CellStats, Stats
from datagen.printing import print_stats
cells = tuple(CellStats(*cell, 1000, 1_000_000, 0.125, 0.999) for cell in CELLS)
soft = {cell: np.arange(256) for cell in CELLS}
crude = {name: [1.0] * 5 for name in CRUDE_ERRORS}
print_stats(Stats(8_000_000, 8000, 2000, cells, crude, soft), by_transparency=True)
"""


@pytest.mark.parametrize("width", [80, 50])
def test_nothing_is_cut_in_a_narrow_terminal(width: int) -> None:
    reading, writing = pty.openpty()
    fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack("4H", 40, width, 0, 0))
    quiet = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    command = [sys.executable, "-c", LARGE]
    environment = quiet | {"NO_COLOR": "1", "TERM": "xterm"}
    subprocess.run(command, stdout=writing, env=environment, check=True)
    os.close(writing)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", os.read(reading, 1 << 16).decode()).splitlines()
    os.close(reading)
    assert max(map(len, lines[1:])) <= width
    assert "…" not in "".join(lines)
    if width == 80:
        rows = {tuple(line.split()[:2]): line.split()[2:] for line in lines}
        for cell in CELLS:
            assert rows[cell][:4] == ["1,000", "1,000,000", "12.5%", "99.9%"]


def test_plot(
    composed: tuple[Path, Ran], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a picture.png"
    ran = here(capsys, "stats", "--shards", str(composed[0]), "--json", "--plot", str(file))
    assert ran.code == DONE
    assert json.loads(ran.out)["samples"] == 30
    with Image.open(file) as picture:
        picture.load()
        assert picture.format == "PNG"
        assert min(picture.size) > 300
        assert len(set(picture.convert("L").resize((64, 32)).tobytes())) > 10, "nothing is drawn"


@pytest.mark.parametrize("name", ["none", "empty"])
def test_before_compose(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    ran = here(capsys, "stats", "--shards", str(tmp_path / name))
    assert (ran.code, ran.out) == (FAILED, "")
    assert "make them with `datagen compose`" in ran.err
    assert str(tmp_path / name) in ran.err


@pytest.mark.parametrize("options", [["--json"], ["--by-transparency"]], ids=["json", "table"])
def test_closed_pipe(composed: tuple[Path, Ran], options: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "datagen.cli", "stats", "--shards", str(composed[0])]
    ran = subprocess.run(
        [*command, *options],
        check=False,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | QUIET,
    )
    os.close(writing)
    assert clean(ran.stderr) == ""
    assert ran.returncode == FAILED


def test_sparkline() -> None:
    histogram = np.zeros(256, np.int64)
    assert sparkline(histogram).strip() == ""
    histogram[[0, 255]] = 10**9  # not soft
    histogram[1], histogram[254] = 100, 1
    assert (sparkline(histogram)[0], sparkline(histogram)[-1]) == ("█", "▁")
    assert sparkline(histogram)[1:-1].strip() == ""


def write_large(root: Path, composed: Path) -> dict[tuple[str, str], int]:
    """Write the index of 880,000 samples; returns the counts by cell. All rows have the same
    recipe, because writing recipes takes most of the time."""
    sample = read_index(composed, "train-00000")[0]
    table = to_table(Sample, [sample] * ROWS)
    notes = read_notes(composed, "train-00000")
    rng, number = np.random.default_rng(0), np.arange(ROWS)
    counts: Counter[tuple[str, str]] = Counter()
    shards = []
    for shard in range(SHARDS):
        name = f"train-{shard:05d}"
        fg, bg = (shard * ROWS + number) % FOREGROUNDS, (shard * ROWS + number) // FOREGROUNDS
        cells = [CELLS[n % 8] for n in fg.tolist()]
        counts.update(cells)
        columns = {
            "key": [f"train-{n:08d}" for n in (shard * ROWS + number).tolist()],
            "foreground_id": [f"foreground-{n}.png" for n in fg.tolist()],
            "background_id": [f"photo-{n}.jpg" for n in bg.tolist()],
            "subject": [cell[0] for cell in cells],
            "transparency": [cell[1] for cell in cells],
            "unknown_share": fg / FOREGROUNDS,
            **{f"crude_{error}": rng.random(ROWS) for error in CRUDE_ERRORS},
        }
        varied = table
        for column, values in columns.items():
            place = table.schema.get_field_index(column)
            varied = varied.set_column(place, table.schema.field(place), pa.array(values))
        write_index(root, name, varied, notes)
        shards.append(Shard(name, Split.TRAIN, ROWS, 1, "0" * 64, "0" * 64))
    cutout, photo = read_sources(composed, Foreground)[0], read_sources(composed, Background)[0]
    names = [str(number) for number in range(BACKGROUNDS)]
    cutouts = [replace(cutout, id=name, pixels_sha256=name) for name in names[:FOREGROUNDS]]
    photos = [replace(photo, id=name, pixels_sha256=name) for name in names]
    sources = {
        "foregrounds": write_sources(root, Foreground, cutouts),
        "backgrounds": write_sources(root, Background, photos),
    }
    write_manifest(root, Manifest(CONTRACT, Settings().to_json(), {}, tuple(shards), (), sources))
    return dict(counts)


def test_whole_product_is_counted_in_seconds(composed: tuple[Path, Ran], tmp_path: Path) -> None:
    counts = write_large(tmp_path / "large", composed[0])
    begin = time.process_time()
    found = read_stats(open_shards(tmp_path / "large"))
    seconds = time.process_time() - begin
    begin = time.process_time()
    indices = list((tmp_path / "large" / "index").glob("*.parquet"))
    for path in indices:
        pq.ParquetFile(path).read([*LABEL_COLUMNS, *(f"crude_{name}" for name in CRUDE_ERRORS)])
    plain = time.process_time() - begin
    print(f"880,000 rows in {seconds:.2f} s of this process; pyarrow alone {plain:.2f} s")
    assert (found.samples, found.foregrounds, found.backgrounds) == (880_000, 440, 2000)
    assert {(cell.subject, cell.transparency): cell.samples for cell in found.cells} == counts
    assert set(counts.values()) == {110_000}
    np.testing.assert_allclose(found.crude["iou"], [0.05, 0.25, 0.5, 0.75, 0.95], atol=0.005)
    assert len(indices) == SHARDS
    assert seconds < 12 * plain  # 5 or 6 times; looking at each row takes far more
