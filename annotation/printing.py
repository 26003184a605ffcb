"""What the commands print: results on standard output, warnings and errors on standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.messages import fail, show, show_table, warn

if TYPE_CHECKING:  # what leads to results takes long to import, and a help page needs none
    from annotation.export import Exported
    from annotation.pull import Pulled
    from annotation.push import Pushed
    from annotation.solve import Solved
    from annotation.status import Annotator, Status


def print_pushed(found: Pushed) -> None:
    """`annotate push`: what is wrong by name, then what there is."""
    for one in found.warnings:
        warn(f"{one.file}: {one.reason}")
    for one in found.failed:
        fail(f"{one.file}: {one.reason}")
    show(f"{found.url}: {found.created:,} created, {found.kept:,} already there")


def print_pulled(found: Pulled) -> None:
    """`annotate pull`: what cannot be used by name, then what there is."""
    for one in found.warnings:
        warn(one.line)
    for one in (*found.bad, *found.gone):
        fail(one.line)
    show(
        f"{found.tasks:,} tasks, {found.fetched:,} of them new or changed: {found.rows:,} results, "
        f"{found.approved:,} approved{_of_which(found.approved_trimaps)}; "
        f"{len(found.bad):,} annotations cannot be used"
        + (f"; {len(found.gone):,} kept that the server no longer has" if found.gone else "")
        + (f"; {found.removed:,} removed" if found.removed else "")
    )


def _of_which(trimaps: int) -> str:
    """Why fewer are exported than were approved."""
    return f" ({trimaps:,} of them trimaps, to be solved and approved again)" if trimaps else ""


def print_solved(found: Solved) -> None:
    """`annotate solve`."""
    for one in found.warnings:
        warn(f"{one.file}: {one.reason}")
    for one in found.failed:
        fail(f"{one.file}: {one.reason}")
    show(f"{found.written:,} solved, {found.kept:,} already up to date")


def print_exported(found: Exported) -> None:
    """`annotate export`."""
    for photo in found.trimaps:
        warn(
            f"{photo}: what was approved is a trimap, which is no foreground yet; `annotate solve` "
            "and `annotate push --solved` give an alpha to approve"
        )
    for one in found.failed:
        fail(f"{one.file}: {one.reason}")
    show(
        f"{found.written:,} foregrounds written, {found.kept:,} already up to date, "
        f"{found.removed:,} removed because they are no longer approved"
    )


def _times(one: Annotator) -> tuple[str, str, str]:
    """Hours in all, minutes and seconds for one annotation, and levels of 255; "-": unknown."""
    median = one.median_seconds
    return (
        f"{one.seconds / 3600:.1f}" if one.timed else "-",
        "-" if median is None else f"{int(median) // 60}:{int(median) % 60:02d}",
        "-" if one.difference is None else f"{one.difference:.2f}",
    )


def print_status(found: Status) -> None:
    """`annotate status`."""
    for one in found.bad:
        fail(one.line)
    show(f"{found.url}: {found.tasks:,} tasks of {found.project}")
    states = [(name, f"{count:,}") for name, count in found.states.items()]
    show_table("By state", ("state", "tasks"), states)
    if found.waiting:
        show(f"{found.waiting:,} tasks have an alpha that waits for approval: {found.waiting_url}")
    if found.approved_trimaps:
        warn(
            f"{found.approved_trimaps:,} of the approved are trimaps, which do not count below: "
            "solve them, and approve the alphas"
        )
    cells = [
        (cell.subject, cell.transparency, *(f"{n:,}" for n in (cell.approved, cell.tasks)), lack)
        for cell in found.cells
        for lack in [f"{cell.missing:,}"]
    ]
    columns = ("subject", "transparency", "approved", "tasks", "missing")
    show_table("By subject and transparency", columns, cells, left=2)
    people = [
        (
            one.name or "(removed)",
            *(f"{n:,}" for n in (one.painted, one.judged, one.approved)),
            *times,
        )
        for one in found.annotators
        for times in [_times(one)]
    ]
    if people:
        show_table(
            "By annotator",
            ("annotator", "painted", "judged", "approved", "hours", "median", "difference"),
            people,
        )
    if found.mean_difference is not None:
        count = len(found.agreement)
        worst = max(found.agreement, key=lambda pair: pair.difference)
        show("")
        show(
            f"Agreement: mean absolute difference {found.mean_difference:.2f} levels of 255 in "
            f"{count:,} pairs of annotations, worst {worst.difference:.2f}: "
            f"{worst.photo} by {' and '.join(worst.authors)} ({worst.url})"
        )
