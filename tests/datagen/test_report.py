"""The report of a set, in a real browser: what it shows, what its filters do, who can read it."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, expect

from console.commands import DONE, FAILED
from datagen.inspect.chosen import of_each_cell, of_split, worst
from datagen.inspect.pictures import error_map
from datagen.inspect.report import use_of
from datagen.inspect.stats import read_rows
from datagen.job import make_shard_set
from datagen.settings import Settings
from manifests import open_shards
from manifests.card import About
from manifests.pixels import BACKGROUND, FOREGROUND, UNKNOWN, Pixels
from tests.chromium import chromium
from tests.conftest import CUTOUTS, PHOTOS, here, make_sources
from tests.datagen.in_process import InProcess
from tests.strategies import trimaps

HOSTILE = "<img src=x onerror='hacked=1'>.png"
ABOUT = About(title="</title><script>hacked=2</script>")
LICENCE = "</script><script>hacked=3</script>"
SETTINGS = Settings(size=48, shard_size=10, samples=24, holdout_fg=2, holdout_bg=2)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set whose names, licences and title try to become markup."""
    sources = make_sources(tmp_path_factory.mktemp("report"))
    (sources.foregrounds / CUTOUTS[0]).rename(sources.foregrounds / HOSTILE)
    labels = sources.foregrounds / "foregrounds.csv"
    labels.write_text(labels.read_text().replace(CUTOUTS[0], HOSTILE))
    rows = "".join(f"{name},{LICENCE}\n" for name in PHOTOS)
    (sources.backgrounds / "backgrounds.csv").write_text(f"file,licence\n{rows}")
    out = tmp_path_factory.mktemp("set") / "shards"
    assert make_shard_set(InProcess(), sources, SETTINGS, out, about=ABOUT).failed == ()
    return out


def written(shards: Path, path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    ran = here(capsys, "report", "--shards", str(shards), "--out", str(path), "--samples", "64")
    assert ran.code == DONE, ran
    return path.read_text()


def data_of(page: str) -> list[dict[str, str]]:
    found = re.findall(r'<script type="application/json" id="samples">(.*?)</script>', page)
    assert len(found) == 1
    samples: list[dict[str, str]] = json.loads(found[0])
    return samples


def test_one_page_that_needs_nothing_else(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = written(shards, tmp_path / "report.html", capsys)
    samples = data_of(page)
    total = len(open_shards(shards))
    assert f"{len(samples)} of {total} samples are on this page" in page
    keys = [sample["key"] for sample in samples]
    assert keys == sorted(set(keys))
    assert len({sample["foreground"].split("\n")[0] for sample in samples}) == 6
    assert all(sample["image"].startswith("data:image/webp;base64,") for sample in samples)
    without = page.replace("data:image", "")
    assert not re.search(
        r"""(src|href)=["']?(?!["']?#|x )|https?://|@import|url\(["']?h""", without
    )
    assert page.count("<script") == 2
    assert "hacked=2</script>" not in page
    assert (tmp_path / "report.html").stat().st_size < 3e6


def test_what_cannot_be_read_is_said(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("README.md", "dataset.json", "index", "sources"):
        (tmp_path / name).symlink_to(shards / name)
    (tmp_path / "data").mkdir()
    for path in (shards / "data").iterdir():
        if path.name != "train-00001.tar":
            (tmp_path / "data" / path.name).symlink_to(path)
    ran = here(capsys, "report", "--shards", str(tmp_path), "--out", str(tmp_path / "r.html"))
    assert ran.code == FAILED
    assert "train-00001" in ran.err
    assert "10 more could not be read" in (tmp_path / "r.html").read_text()


def test_samples_of_each_cell_and_the_worst(shards: Path) -> None:
    opened = open_shards(shards)
    rows = read_rows(opened)
    foregrounds = rows.table["foreground_id"].to_pylist()
    cells = list(
        zip(*(rows.table[n].to_pylist() for n in ("subject", "transparency")), strict=True)
    )
    for count in (1, 3, 100):
        chosen = of_each_cell(rows, opened, count)
        assert chosen == sorted(set(chosen))
        shown = Counter(cells[number] for number in chosen)
        assert shown == {cell: min(count, number) for cell, number in Counter(cells).items()}
    iou = rows.table["crude_iou"].to_numpy()
    bad = worst(rows, 3)
    assert bad[0] == np.argmin(iou)
    assert len({foregrounds[number] for number in bad}) == 3
    assert iou[bad].tolist() == sorted(iou[bad])
    of_val = of_split(opened, "val")
    assert [opened[int(n)].row.split for n in of_val] == ["val"] * len(opened.split("val"))
    assert set(worst(rows, 2, of_val)) <= set(of_val.tolist())


def test_a_small_set_is_shown_whole(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(data_of(written(shards, tmp_path / "r.html", capsys))) == len(open_shards(shards))


@pytest.mark.parametrize("kind", ["foreground", "background"])
def test_sources_are_compared_with_those_of_the_same_split(shards: Path, kind: str) -> None:
    opened = open_shards(shards)
    sources = opened.foregrounds if kind == "foreground" else opened.backgrounds
    rows = read_rows(opened)
    counts = Counter(rows.table[f"{kind}_id"].to_pylist())
    trained = {id_: counts[id_] for id_, source in sources.items() if source.split == "train"}
    found = use_of(rows, kind, sources)
    least, most = dict(found.least), dict(found.most)
    assert (least | most).items() <= trained.items()
    assert not least.keys() & most.keys()
    assert (found.each is not None) == (len(set(trained.values())) == 1)
    assert all(count < max(trained.values()) for count in least.values())
    assert all(count > min(trained.values()) for count in most.values())
    alone = use_of(rows, kind, dict([*sources.items()][:1]))
    assert (alone.least, alone.most) == ([], [])


@given(trimaps())
def test_the_error_map(trimap: Pixels) -> None:
    """A crude trimap is wrong only where it says that it knows."""
    assert set(np.unique(error_map(trimap, trimap))) <= {0, 1}
    assert (error_map(trimap, np.full_like(trimap, UNKNOWN)) == 1).all()
    lost = error_map(trimap, np.full_like(trimap, BACKGROUND))
    assert np.array_equal(lost == 2, trimap != BACKGROUND)
    taken = error_map(trimap, np.full_like(trimap, FOREGROUND))
    assert np.array_equal(taken == 3, trimap != FOREGROUND)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def address(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    from datagen.inspect.report import write_report

    path = tmp_path_factory.mktemp("page") / "report.html"
    with open_shards(shards) as opened:
        write_report(opened, path, 64, pytest.fail, lambda done: None)
    return path.as_uri()


@contextmanager
def opened(
    browser: Browser, address: str, width: int = 1280, scheme: Literal["light", "dark"] = "light"
) -> Iterator[Page]:
    """The page, without a network. Nothing may appear on its console."""
    size: ViewportSize = {"width": width, "height": 900}
    context = browser.new_context(viewport=size, color_scheme=scheme, offline=True)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(address)
    page.locator(".sample").first.wait_for()
    yield page
    assert said == []
    context.close()


@pytest.mark.browser
@pytest.mark.slow
def test_filters_and_the_large_view(browser: Browser, address: str, shards: Path) -> None:
    with opened(browser, address) as page:
        assert page.evaluate("typeof hacked") == "undefined"
        assert page.title() == ABOUT.title
        everything = page.locator(".sample").count()
        rows = [sample.row for sample in open_shards(shards)]
        page.fill("#search", HOSTILE)
        assert page.locator(".sample").count() == sum(row.foreground_id == HOSTILE for row in rows)
        page.fill("#search", "")
        page.select_option("#split", "val")
        assert page.locator(".sample").count() == len(open_shards(shards).split("val"))
        page.select_option("#transparency", "Little")
        page.select_option("#subject", "human")
        chosen = [
            r for r in rows if (r.split, r.transparency, r.subject) == ("val", "Little", "human")
        ]
        assert page.locator(".sample").count() == len(chosen)
        page.click("button[type=reset]")
        expect(page.locator(".sample")).to_have_count(everything)
        page.select_option("#set", "worst")
        assert (
            min(rows, key=lambda row: row.crude_iou).key
            in page.locator(".sample").first.inner_text()
        )
        for stream in ("alpha", "trimap", "crude_trimap", "errors", "image"):
            page.check(f"#stream-{stream}")
            assert page.locator(".view").first.is_visible()
        page.keyboard.press("Tab")
        page.locator(".sample").first.focus()
        page.keyboard.press("Enter")
        first = page.inner_text("#name")
        page.click("#next")
        assert page.inner_text("#name") != first
        page.keyboard.press("ArrowLeft")
        assert page.inner_text("#name") == first
        page.check("#behind-black")
        on_black = _stage(page)
        page.check("#behind-white")
        assert (_stage(page) - on_black).max() == 255
        page.keyboard.press("Escape")
        assert not page.locator("dialog").is_visible()


def _stage(page: Page) -> NDArray[np.int64]:
    """What the large view shows, as it looks."""
    png = page.locator("#stage").screenshot()
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(np.int64)


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_anybody_can_read_it(
    browser: Browser, address: str, width: int, scheme: Literal["light", "dark"]
) -> None:
    """At this width nothing sticks out, and axe finds nothing at all, also in the large view."""
    from axe_playwright_python.sync_playwright import Axe

    with opened(browser, address, width, scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for _ in range(2):
            found = Axe().run(page)
            assert found.violations_count == 0, found.generate_report()
            if not page.locator("dialog").is_visible():
                page.locator(".sample").first.click()
