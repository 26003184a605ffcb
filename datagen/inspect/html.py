"""The page of a report: HTML out of what `report` found. Texts from data are always escaped."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from string import Template
from typing import Any

from datagen.inspect.plots import alpha_plot, crude_plot
from datagen.inspect.stats import CellStats, Stats


@dataclass(frozen=True)
class Use:
    """How often training sources of one kind are used: (id, samples), the least and the most used.

    each: how often all of them are, if that is one number. unused: of all splits.
    """

    kind: str
    each: int | None
    least: Sequence[tuple[str, int]]
    most: Sequence[tuple[str, int]]
    unused: int


@dataclass(frozen=True)
class Found:
    """What a report shows. samples: of each drawn sample what report.js reads."""

    title: str
    splits: Mapping[str, int]
    stats: Stats
    uses: Sequence[Use]
    alike: Sequence[tuple[str, str, str]]  # two sources, and why they may be the same
    samples: Sequence[Mapping[str, Any]]
    unreadable: int


def page_of(found: Found) -> str:
    """The whole page."""
    sections = {
        "Counts": _counts(found.stats),
        "Plots": f'<div class="plots">{alpha_plot(found.stats)}{crude_plot(found.stats)}</div>',
        "Sources": "".join(map(_use, found.uses)),
        "Alike": _alike(found.alike),
        "Licences": _licences(found.stats),
    }
    script, style = _file("report.js"), _file("report.css")
    digest = hashlib.sha256(f"\n{script}".encode()).digest()
    stats = found.stats
    splits = ", ".join(f"{count:,} in {split}" for split, count in found.splits.items())
    return Template(_file("report.html")).substitute(
        **_samples(found),
        title=html.escape(found.title),
        summary=f"{stats.samples:,} samples ({splits}) of {stats.foregrounds:,} foregrounds over "
        f"{stats.backgrounds:,} backgrounds.",
        nav="".join(
            f'<li><a href="#{n.lower()}-part">{n}</a></li>' for n in ("Samples", *sections)
        ),
        sections="\n".join(
            f'<section aria-labelledby="{name.lower()}-part"><h2 id="{name.lower()}-part">{name}'
            f"</h2>\n{content}</section>"
            for name, content in sections.items()
        ),
        samples=json.dumps(found.samples, ensure_ascii=False).replace("<", "\\u003c"),
        script=script,
        script_sha256=base64.b64encode(digest).decode(),
        style=style,
    )


def _file(name: str) -> str:
    return resources.files("datagen.inspect").joinpath("page", name).read_text(encoding="utf-8")


def _samples(found: Found) -> dict[str, str]:
    """What stands around the samples, by its place in report.html."""
    drawn = f"{len(found.samples):,} of {found.stats.samples:,} samples are on this page"
    if len(found.samples) + found.unreadable < found.stats.samples:
        drawn += ": some of each cell, and some of the worst crude trimaps, of as many foregrounds "
        drawn += "as possible"
    drawn += "."
    if found.unreadable:
        drawn += f" {found.unreadable} more could not be read."
    selects = "".join(
        _select(name, sorted({str(sample[name]) for sample in found.samples}))
        for name in ("subject", "transparency", "split")
    )
    names = ("image", "alpha", "trimap", "crude trimap", "error map")
    values = ("image", "alpha", "trimap", "crude_trimap", "errors")
    behind = {"its own": "image", "squares": "checks", "white": "white", "black": "black"}
    return {
        "drawn": drawn,
        "selects": selects,
        "streams": _radios("stream", zip(names, values, strict=True)),
        "behind": _radios("behind", [*behind.items(), ("a colour", "colour")]),
    }


def _select(name: str, values: Sequence[str]) -> str:
    options = "".join(f"<option>{html.escape(value)}</option>" for value in values)
    return (
        f'<div><label for="{name}">{name.capitalize()}</label><select id="{name}" name="{name}">'
        f'<option value="">any</option>{options}</select></div>'
    )


def _radios(name: str, choices: Iterable[tuple[str, str]]) -> str:
    return "".join(
        f'<label for="{name}-{value}"><input type="radio" name="{name}" id="{name}-{value}" '
        f'value="{value}"{" checked" * (place == 0)}> {text}</label>'
        for place, (text, value) in enumerate(choices)
    )


def _counts(stats: Stats) -> str:
    most = max(cell.samples for cell in stats.cells) or 1

    def row(cell: CellStats) -> Sequence[str]:
        bar = f'<td class="bar"><span style="width:{cell.samples / most:.1%}"></span></td>'
        return (
            *(_cell(cell.subject), _cell(cell.transparency)),
            *(_number(f"{cell.samples:,}"), bar, _number(f"{cell.share:.1%}")),
            *(_number(f"{cell.foregrounds:,}"), _number(f"{cell.unknown_share:.1%}")),
        )

    columns = ("subject", "transparency", "samples", "", "share", "foregrounds", "unknown")
    return _table("Samples by subject and transparency", columns, map(row, stats.cells))


def _use(use: Use) -> str:
    rows = [
        (_name(name), _number(f"{count:,}"), _cell(what))
        for what, some in (("least used", use.least), ("most used", use.most))
        for name, count in some
    ]
    note = f"<p>{use.unused:,} {use.kind}s are in no sample.</p>" if use.unused else ""
    title = f"Training {use.kind}s used least and most"
    if use.each is not None:
        return f"<h3>{title}</h3>{note}<p>Each of them is in {use.each:,} samples.</p>"
    return f"<h3>{title}</h3>{note}" + _table(title, (use.kind, "samples", ""), rows)


def _alike(alike: Sequence[tuple[str, str, str]]) -> str:
    if not alike:
        return "<p>No two sources are alike by their records.</p>"
    rows = [(_name(one), _name(other), _cell(why)) for one, other, why in alike]
    return _table("Sources that may be the same", ("source", "and", "why"), rows)


def _licences(stats: Stats) -> str:
    columns = ("licence", "foregrounds", "their samples", "backgrounds", "their samples")
    rows = [
        (
            _name(one.licence),
            *map(_number, (f"{one.foregrounds:,}", f"{one.over:,}")),
            *map(_number, (f"{one.backgrounds:,}", f"{one.under:,}")),
        )
        for one in stats.licences
    ]
    return _table("Sources and samples by licence", columns, rows)


def _table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{name}</th>' if name else "<td></td>" for name in columns)
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{caption}"><table class="words">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(text: str) -> str:
    return f"<td>{html.escape(text)}</td>"


def _name(text: str) -> str:
    return f'<td class="name">{html.escape(text)}</td>'


def _number(text: str) -> str:
    return f'<td class="number">{text}</td>'
