"""What annotators do in a browser: they open tasks, paint, choose and send."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, Route, ViewportSize

from annotation.pull import pull
from annotation.push import Sources, push
from annotation.server.client import Client
from annotation.server.find import existing_project
from annotation.server.project import Project
from annotation.settings import Wanted
from manifests.annotations import Annotation, Kind, annotations_path, read_annotations
from manifests.pixels import Pixels, decode_alpha, decode_trimap
from tests.annotation.conftest import (
    PASSWORD,
    USER,
    Running,
    quiet,
    save_alpha,
    save_photo,
    soft_alpha,
)

ARTEFACTS = Path(os.environ.get("SCREENSHOTS") or Path(tempfile.gettempdir(), "screenshots"))
VIEW = ViewportSize(width=1366, height=768)  # of a small laptop
HEIGHT, WIDTH = 120, 160
BRUSH = 15  # pixels of the screen, as the editor begins


@contextmanager
def logged_in(browser: Browser, server: Running) -> Iterator[Page]:
    """A tab of somebody who is logged in, and who reaches nothing but the server."""
    context = browser.new_context(viewport=VIEW)
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


def soft_and_bare(client: Client, title: str, folder: Path) -> Project:
    """One photo with a soft alpha, one without."""
    for number, name in enumerate(("soft.png", "bare.png")):
        save_photo(folder / "photos", name, number, HEIGHT, WIDTH)
    save_alpha(folder / "alphas", "soft.png", soft_alpha(1, HEIGHT, WIDTH))
    push(client, title, Sources(folder / "photos", folder / "alphas"), quiet)
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
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTEFACTS / f"{name}.png")


def pulled(project: Project, out: Path) -> tuple[Annotation, Pixels]:
    """The accepted annotation of the only annotated task, and its alpha or trimap."""
    found = pull(project.client, project.title, out, Wanted.ALL, quiet)
    assert found.bad == ()
    (row,) = [row for row in read_annotations(annotations_path(out)) if row.accepted]
    decode = decode_alpha if row.kind is Kind.ALPHA else decode_trimap
    return row, decode((out / row.path).read_bytes())


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


def turn_on_solving(page: Page) -> None:
    """The two toggles below the photo; the browser remembers them."""
    for name in ("Auto-Annotation", "Auto-Accept Suggestions"):
        toggle = page.locator("label", has_text=name).locator("input[type=checkbox]")
        if not toggle.is_checked():
            page.get_by_text(name, exact=True).click()
    heading = page.get_by_role("heading", name="Paint the soft border")
    heading.click(position={"x": 5, "y": 5})  # no toggle has the keys; not where a slider is
    page.wait_for_timeout(500)


def click_solve(page: Page) -> None:
    """Choose Solve, click on the photo, and wait for the answer, which is no error."""
    page.keyboard.press("Escape")
    page.keyboard.press("m")
    box = page.locator("canvas").first.bounding_box()
    assert box is not None
    with page.expect_response("**/interactive-annotating*", timeout=60_000) as answer:
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.8)
    assert "errors" not in answer.value.json(), answer.value.json()


@dataclass
class Hand:
    """Somebody's clicks and keys, counted."""

    page: Page
    count: int = 0

    def click(self, where: Locator) -> None:
        self.count += 1
        where.click()

    def press(self, key: str) -> None:
        self.count += 1
        self.page.keyboard.press(key)


def open_row(page: Page, url: str, file: str) -> None:
    """The row of a task in a tab of the data manager; ready when both pictures are there."""
    page.goto(url)
    page.locator("[data-testid=table-row]", has_text=file).click()
    page.locator(".lsf-outliner-item").first.wait_for()
    page.wait_for_load_state("networkidle")


def approve(page: Page) -> int:
    """Approve what is open; how many clicks and keys that took."""
    hand = Hand(page)
    hand.press("a")
    page.locator("input[name=approved]:checked").wait_for()
    with page.expect_response(
        lambda response: "/annotations" in response.url and response.request.method != "GET"
    ) as sent:
        hand.press("Control+Enter")
    assert sent.value.ok
    return hand.count
