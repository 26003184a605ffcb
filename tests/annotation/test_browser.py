"""What annotators do, in a real browser: what they do not touch comes back bit for bit."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Page

from annotation.assist import Assistant, listen, register
from annotation.form.regions import choice
from annotation.push_solved import push_solved
from annotation.server.client import Client
from annotation.server.project import Project
from annotation.solve import solve_folder
from annotation.status import measure
from annotation.worker import trained_model
from classical.closed_form import closed_form
from manifests.annotations import Kind, Origin, State, annotations_path, read_annotations
from manifests.pixels import (
    BACKGROUND,
    FOREGROUND,
    UNKNOWN,
    Pixels,
    decode_alpha,
    decode_trimap,
)
from manifests.sources import Subject
from tests.annotation.browsing import (
    BRUSH,
    HEIGHT,
    VIEW,
    WIDTH,
    Hand,
    approve,
    choose,
    click_solve,
    drag,
    keep,
    logged_in,
    open_row,
    open_task,
    pulled,
    send,
    soft_and_bare,
    turn_on_solving,
)
from tests.annotation.conftest import (
    USER,
    Running,
    colours,
    paint,
    quiet,
    soft_alpha,
    tasks_of,
    trimap_of_rings,
)
from tests.chromium import chromium
from tests.ports import free_port
from tests.training.conftest import lively
from training.checkpoint import save
from training.choices import Variant
from training.matte.predict import load_model


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def page(browser: Browser, server: Running) -> Iterator[Page]:
    with logged_in(browser, server) as page:
        yield page


@pytest.fixture
def project(client: Client, title: str, tmp_path: Path) -> Project:
    return soft_and_bare(client, title, tmp_path)


def test_untouched_alpha_comes_back_bit_for_bit(
    page: Page, project: Project, tmp_path: Path
) -> None:
    open_task(page, project, "soft.png")
    keep(page, "soft pre-annotation")
    send(page)
    row, alpha = pulled(project, tmp_path / "out")
    assert np.array_equal(alpha, soft_alpha(1, HEIGHT, WIDTH))
    assert (row.origin, row.changed_share, row.model) == (Origin.PREDICTION, 0.0, "pushed")
    assert (row.author, row.state) == (USER, State.SUBMITTED)


def test_a_stroke_changes_its_own_pixels_alone(
    page: Page, project: Project, tmp_path: Path
) -> None:
    before = soft_alpha(1, HEIGHT, WIDTH)
    open_task(page, project, "soft.png").click()
    page.get_by_role("button", name="brush-tool").click()
    scale = drag(page, [(20.5, 30.5), (20.5, 90.5)])
    keep(page, "one stroke")
    send(page)
    row, alpha = pulled(project, tmp_path / "out")
    is_changed = alpha != before
    rows, columns = np.nonzero(is_changed)
    reach = BRUSH / 2 / scale + 2  # of the stroke around its middle, with its antialiased rim
    assert 20.5 - reach <= rows.min() <= rows.max() <= 20.5 + reach
    assert 30.5 - reach <= columns.min() <= columns.max() <= 90.5 + reach
    assert (alpha[20, 31:90] == 255).all()
    assert (alpha >= before).all()
    assert row.origin is Origin.PREDICTION_CHANGED
    assert row.changed_share == pytest.approx(is_changed.mean())


def test_choices_are_pulled(page: Page, project: Project, tmp_path: Path) -> None:
    open_task(page, project, "soft.png")
    choose(page, "non-human", "Strongly")
    send(page)
    row, _ = pulled(project, tmp_path / "out")
    assert (row.subject, row.transparency) == (Subject.NON_HUMAN, "Strongly")
    assert (row.origin, row.changed_share) == (Origin.PREDICTION, 0.0)


def test_a_solved_alpha_is_approved_by_looking(
    page: Page, project: Project, tmp_path: Path
) -> None:
    """Two keys after the click on its row, in the tab of what waits, which `status` names."""
    task = tasks_of(project)["bare.png"]
    trimap = trimap_of_rings(HEIGHT, WIDTH)
    paint(project, task, trimap, choice("subject", "human"), choice("transparency", "Medium"))
    row, _ = pulled(project, tmp_path / "out")
    assert (row.kind, row.state) == (Kind.TRIMAP, State.SUBMITTED)
    assert solve_folder(tmp_path / "out").written == 1
    assert push_solved(project.client, project.title, tmp_path / "out", quiet).created == 1
    waiting = measure(project.client, project.title, 8, quiet)
    assert waiting.waiting == 2  # and the alpha that was pushed with its photo
    open_row(page, waiting.waiting_url, "bare.png")
    shown = page.locator("img[src*='/data/upload/']")
    keep(page, "approving a solved alpha")
    assert shown.count() >= 2
    for value in ("approved", "rejected", "human", "Little"):
        box = page.locator("label", has_text=value).first.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < VIEW["height"]
    assert approve(page) <= 2
    row, alpha = pulled(project, tmp_path / "out")
    solved = decode_alpha((tmp_path / "out" / "solved" / f"{row.photo_id}.png").read_bytes())
    assert np.array_equal(alpha, solved)
    assert (row.kind, row.state, row.model) == (Kind.ALPHA, State.APPROVED, "closed-form")
    assert (row.origin, row.changed_share) == (Origin.PREDICTION, 0.0)
    assert (row.subject, row.transparency) == (Subject.HUMAN, "Medium")
    rows = read_annotations(annotations_path(tmp_path / "out"))
    (painted,) = [one for one in rows if one.kind is Kind.TRIMAP]
    assert np.array_equal(decode_trimap((tmp_path / "out" / painted.path).read_bytes()), trimap)
    now = measure(project.client, project.title, 8, quiet)
    assert (now.waiting, now.states["approved"], now.approved_trimaps) == (1, 1, 0)


def test_a_pushed_alpha_is_approved_by_looking(
    page: Page, project: Project, tmp_path: Path
) -> None:
    url = measure(project.client, project.title, 8, quiet).waiting_url
    open_row(page, url, "soft.png")
    keep(page, "approving a pushed alpha")
    assert approve(page) <= 2
    row, alpha = pulled(project, tmp_path / "out")
    assert np.array_equal(alpha, soft_alpha(1, HEIGHT, WIDTH))
    assert (row.state, row.origin, row.changed_share) == (State.APPROVED, Origin.PREDICTION, 0.0)


def test_a_trimap_is_painted_without_traps(page: Page, project: Project, tmp_path: Path) -> None:
    """Each key begins a new stroke, whatever stroke was selected before."""
    page.goto(project.url)
    page.locator("[data-testid=table-row]", has_text="bare.png").click()
    page.locator("label", has_text="approved").first.wait_for()
    page.locator("canvas").first.wait_for()
    page.wait_for_load_state("networkidle")
    keep(page, "before a trimap is painted")
    regions = page.locator(".lsf-outliner-item")
    hand = Hand(page)

    def stroke(key: str, *points: tuple[float, float]) -> None:
        before = regions.count()
        hand.press(key)
        drag(page, list(points))
        regions.nth(before).wait_for()

    def click(points: list[tuple[float, float]]) -> None:
        before = regions.count()
        box = page.locator("canvas").first.bounding_box()
        assert box is not None
        for row, column in points:
            x, y = box["width"] * column / WIDTH, box["height"] * row / HEIGHT
            page.mouse.click(box["x"] + x, box["y"] + y, delay=80)
            page.wait_for_timeout(500)  # two clicks at once are a double click
        regions.nth(before).wait_for()

    page.wait_for_timeout(500)
    stroke("u", (20, 20), (20, 60), (100, 60), (100, 20), (20, 20))
    stroke("Escape", (60, 110), (60, 130))
    stroke("u", (60, 90), (60, 100))
    stroke("Escape", (80, 110), (80, 130))
    keep(page, "a stroke is selected")
    hand.press("Escape")
    hand.press("f")
    click([(60, 40)])
    hand.press("Escape")
    hand.press("q")
    click([(90, 80), (90, 100), (112, 100), (90, 80)])
    keep(page, "a painted trimap")
    send(page)
    (task,) = [number for file, number in tasks_of(project).items() if file == "bare.png"]
    (made,) = project.task(task)["annotations"]
    labels = [region["value"].get(region["type"]) for region in made["result"]]
    expected = ["Unknown", "Foreground", "Unknown", "Foreground", "Fill", "Unknown"]
    assert labels == [[label] for label in expected]
    row, trimap = pulled(project, tmp_path / "out")
    assert (row.kind, row.origin) == (Kind.TRIMAP, Origin.MANUAL)
    assert (trimap[40:80, 38:42] == FOREGROUND).all()  # filled
    assert (trimap[[60, 80], 115:125] == FOREGROUND).all()
    assert (trimap[[20, 100], 30:50] == UNKNOWN).all()
    assert trimap[95, 97] == UNKNOWN  # in the polygon
    assert (trimap[115:, :] == BACKGROUND).all()


def test_solve_puts_the_alpha_in_place_of_the_trimap(
    page: Page, project: Project, tmp_path: Path
) -> None:
    """One click, strokes that are not submitted included; nothing has to be deleted."""
    made: list[Pixels] = []

    def solver(image: Pixels, trimap: Pixels) -> Pixels:
        made.append(closed_form(image, trimap))
        return made[-1]

    with listen(Assistant(project, "closed-form", solver), free_port()) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for _ in range(2):
            register(project, f"http://127.0.0.1:{server.server_port}", "closed-form")
        assert len(project.client.get("/api/ml/", project=project.id)) == 1
        page.goto(project.url)
        page.locator("[data-testid=table-row]", has_text="bare.png").click()
        page.locator("canvas").first.wait_for()
        turn_on_solving(page)
        regions = page.locator(".lsf-outliner-item")
        for number, (key, at) in enumerate((("u", 40), ("Escape", 60))):
            page.keyboard.press(key)
            drag(page, [(at, 50), (at, 110)])
            regions.nth(number).wait_for()
        click_solve(page)
        page.locator(".lsf-outliner-item", has_text="Alpha").first.wait_for()
        keep(page, "a trimap was solved")
        assert page.locator(".lsf-outliner-item", has_text="Unknown").count() == 0
        send(page)
        server.shutdown()
    row, alpha = pulled(project, tmp_path / "out")
    assert np.array_equal(alpha, made[-1])
    assert (row.kind, row.model, row.origin) == (Kind.ALPHA, "closed-form", Origin.PREDICTION)
    assert row.changed_share == 0.0


def test_solve_corrects_an_alpha_where_it_is_painted_on(
    page: Page, project: Project, tmp_path: Path
) -> None:
    """The rest stays bit for bit, and the row tells what it was and how much of it changed."""
    before, made = soft_alpha(1, HEIGHT, WIDTH), list[Pixels]()

    def solver(image: Pixels, trimap: Pixels) -> Pixels:
        made.append(trimap)
        return np.where(trimap == UNKNOWN, 99, 255 * (trimap == FOREGROUND)).astype(np.uint8)

    with listen(Assistant(project, "closed-form", solver), free_port()) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        register(project, f"http://127.0.0.1:{server.server_port}", "closed-form")
        open_task(page, project, "soft.png")
        turn_on_solving(page)
        page.keyboard.press("u")
        scale = drag(page, [(20.5, 30.5), (20.5, 90.5)])
        page.locator(".lsf-outliner-item", has_text="Unknown").first.wait_for()
        click_solve(page)
        page.locator(".lsf-outliner-item", has_text="Unknown").first.wait_for(state="detached")
        keep(page, "an alpha was corrected")
        send(page)
        server.shutdown()
    row, alpha = pulled(project, tmp_path / "out")
    rows, columns = np.nonzero(alpha != before)
    reach = BRUSH / 2 / scale + 2
    assert 20.5 - reach <= rows.min() <= rows.max() <= 20.5 + reach
    assert 30.5 - reach <= columns.min() <= columns.max() <= 90.5 + reach
    assert (alpha[20, 31:90] == 99).all()
    assert row.origin is Origin.PREDICTION_CHANGED
    assert (row.model, row.kind) == ("pushed", Kind.ALPHA)
    assert row.changed_share == pytest.approx((alpha != before).mean())


def test_a_models_alpha_is_there_when_a_task_is_opened(
    page: Page, project: Project, tmp_path: Path
) -> None:
    """Nothing has to be painted; two keys approve it."""
    optimizer = torch.optim.Adam(lively().parameters())
    save(tmp_path / "an-tw", lively(), Variant.AN, optimizer, {}, {"iteration": 3})
    unknown = np.full((HEIGHT, WIDTH), UNKNOWN, np.uint8)
    expected = load_model(tmp_path / "an-tw", "cpu")(colours(1, HEIGHT, WIDTH), unknown)
    with trained_model(str(tmp_path / "an-tw")) as model:
        assistant = Assistant(project, model.name, model.alpha, needs_trimap=False)
        with listen(assistant, free_port()) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            register(project, f"http://127.0.0.1:{server.server_port}", model.name)
            open_row(page, project.url, "bare.png")
            page.locator(".lsf-outliner-item", has_text="Alpha").first.wait_for()
            keep(page, "the alpha of a model")
            assert approve(page) <= 2
            server.shutdown()
        row, alpha = pulled(project, tmp_path / "out")
        assert (row.kind, row.state, row.model) == (Kind.ALPHA, State.APPROVED, model.name)
    assert (row.origin, row.changed_share) == (Origin.PREDICTION, 0.0)
    assert np.array_equal(alpha, expected)
