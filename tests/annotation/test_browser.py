"""What annotators do, in a real browser: what they do not touch comes back bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, Route

from annotation.form.regions import choice
from annotation.pull import pull
from annotation.push import Sources, push
from annotation.push_solved import push_solved
from annotation.server.client import Client
from annotation.server.find import existing_project
from annotation.server.project import Project
from annotation.settings import Wanted
from annotation.solve import solve_folder
from manifests.annotations import (
    Annotation,
    Kind,
    Origin,
    State,
    annotations_path,
    read_annotations,
)
from manifests.pixels import Pixels, decode_alpha, decode_trimap
from manifests.sources import Subject
from tests.annotation.conftest import (
    PASSWORD,
    USER,
    Running,
    paint,
    quiet,
    save_alpha,
    save_photo,
    soft_alpha,
    tasks_of,
    trimap_of_rings,
)
from tests.chromium import chromium

ARTEFACTS = Path(__file__).parent / "artefacts"
HEIGHT, WIDTH = 120, 160
BRUSH = 15  # pixels of the screen, as the editor begins


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def page(browser: Browser, server: Running) -> Iterator[Page]:
    """A tab of somebody who is logged in, and who reaches nothing but the server."""
    context = browser.new_context(viewport={"width": 1500, "height": 1000})
    context.set_default_timeout(30_000)
    context.route(lambda url: not url.startswith(server.url), refuse)
    context.route("**/heidi-tips*", refuse)
    tab = context.new_page()
    tab.goto(f"{server.url}/user/login/")
    tab.fill("input[name=email]", USER)
    tab.fill("input[name=password]", PASSWORD)
    tab.click("button[type=submit]")
    tab.wait_for_url(lambda url: "/login" not in url)
    yield tab
    context.close()


def refuse(route: Route) -> None:
    route.abort()


@pytest.fixture
def project(client: Client, title: str, tmp_path: Path) -> Project:
    """One photo with a soft alpha, one without."""
    for number, name in enumerate(("soft.png", "bare.png")):
        save_photo(tmp_path / "photos", name, number, HEIGHT, WIDTH)
    save_alpha(tmp_path / "alphas", "soft.png", soft_alpha(1, HEIGHT, WIDTH))
    push(client, title, Sources(tmp_path / "photos", tmp_path / "alphas"), quiet)
    return existing_project(client, title)


def open_task(page: Page, project: Project, file: str, label: str = "Alpha") -> Locator:
    """The editor with a task; returns its region of that label in the list of regions.

    By the list, as people do it: with an address that names the task, the list may arrive after
    the task and take its predictions away.
    """
    page.goto(project.url)
    page.locator("[data-testid=table-row]", has_text=file).click()
    region = page.locator(".lsf-outliner-item", has_text=label).first
    region.wait_for()
    page.wait_for_load_state("networkidle")
    return region


def send(page: Page, button: str = "Submit") -> None:
    """Press a button that sends, and wait until the server has it."""
    with page.expect_response(
        lambda response: "/annotations" in response.url and response.request.method != "GET"
    ) as sent:
        page.get_by_text(button, exact=True).click()  # its accessible name is another
    assert sent.value.ok


def choose(page: Page, *values: str) -> None:
    for value in values:
        page.locator("label", has_text=value).first.click()


def keep(page: Page, name: str) -> None:
    """A screenshot for people to look at."""
    ARTEFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTEFACTS / f"{name}.png")


def pulled(project: Project, out: Path) -> tuple[Annotation, Pixels]:
    """The accepted annotation of the only annotated task, and its alpha or trimap."""
    found = pull(project.client, project.title, out, Wanted.ALL, quiet)
    assert found.bad == ()
    (row,) = [row for row in read_annotations(annotations_path(out)) if row.accepted]
    decode = decode_alpha if row.kind is Kind.ALPHA else decode_trimap
    return row, decode((out / row.path).read_bytes())


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


def drag(page: Page, points: list[tuple[float, float]]) -> float:
    """Move the pressed mouse along points of the picture (row, column); the screen's pixels for
    one of the picture."""
    # The first canvas is as large as the picture is shown; what is around it may cut it off.
    box = page.locator("canvas").first.bounding_box()
    assert box is not None
    scale = box["width"] / WIDTH
    for number, (row, column) in enumerate(points):
        page.mouse.move(box["x"] + column * scale, box["y"] + row * scale, steps=8)
        if number == 0:
            page.mouse.down()
    page.mouse.up()
    return scale


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


def test_a_solved_alpha_is_approved(page: Page, project: Project, tmp_path: Path) -> None:
    task = tasks_of(project)["bare.png"]
    trimap = trimap_of_rings(HEIGHT, WIDTH)
    paint(project, task, trimap, choice("subject", "human"), choice("transparency", "Medium"))
    row, found = pulled(project, tmp_path / "out")
    assert (row.kind, row.state) == (Kind.TRIMAP, State.SUBMITTED)
    assert np.array_equal(found, trimap)
    assert solve_folder(tmp_path / "out").written == 1
    assert push_solved(project.client, project.title, tmp_path / "out", quiet).created == 1
    open_task(page, project, "bare.png", "Foreground")
    tab = page.locator(".lsf-annotation-button", has_text="closed-form")
    tab.click()
    tab.hover()
    tab.locator(".lsf-annotation-button__trigger").click()
    page.get_by_text("Duplicate Annotation").click()
    page.get_by_text("Submit", exact=True).wait_for()
    page.locator(".lsf-outliner-item", has_text="Alpha").wait_for()
    choose(page, "approved")
    keep(page, "approving a solved alpha")
    send(page)
    row, alpha = pulled(project, tmp_path / "out")
    solved = decode_alpha((tmp_path / "out" / "solved" / f"{row.photo_id}.png").read_bytes())
    assert np.array_equal(alpha, solved)
    assert (row.kind, row.state, row.model) == (Kind.ALPHA, State.APPROVED, "closed-form")
    assert (row.origin, row.changed_share) == (Origin.PREDICTION, 0.0)
    assert (row.subject, row.transparency) == (Subject.HUMAN, "Medium")
