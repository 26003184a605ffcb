"""Counts and errors of a shard set, read from its index; no pixel is decoded."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.shard_set import ShardSet
from manifests.shards import Cell, Histogram, read_columns_and_notes
from manifests.sources import Background, Foreground, Subject, Transparency, licence_of
from manifests.storage import each_of

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
CRUDE_ERRORS = ("iou", "missed_share", "false_share", "edge_p95", "wrong_known_share")
_COLUMNS = (
    *("subject", "transparency", "foreground_id", "background_id", "unknown_share"),
    *(f"crude_{name}" for name in CRUDE_ERRORS),
)
CELLS: tuple[Cell, ...] = tuple(
    (str(subject), str(transparency))
    for subject in (Subject.HUMAN, Subject.NON_HUMAN)
    for transparency in Transparency
)


@dataclass(frozen=True)
class CellStats:
    """One cell of subject x transparency."""

    subject: str
    transparency: str
    foregrounds: int
    samples: int
    share: float  # of all samples; an equal share is 1/8
    unknown_share: float  # mean over the samples; 0 if there are no samples


@dataclass(frozen=True)
class LicenceStats:
    """The sources of a set under one licence."""

    licence: str
    foregrounds: int
    over: int  # samples with one of these foregrounds; a second one behind it is not counted
    backgrounds: int
    under: int  # samples with one of these backgrounds


@dataclass(frozen=True)
class Stats:
    samples: int
    foregrounds: int
    backgrounds: int
    cells: tuple[CellStats, ...]
    crude: dict[str, list[float]]  # for each error its 5, 25, 50, 75 and 95 % quantiles
    histograms: dict[Cell, Histogram]  # 256 counts of alpha levels
    licences: tuple[LicenceStats, ...] = ()


class Rows(NamedTuple):
    """What the statistics are made of: columns of all rows, and alpha counts by cell."""

    table: pa.Table
    histograms: dict[Cell, Histogram]


def read_stats(shards: ShardSet) -> Stats:
    """The statistics of a finished shard set.

    Raises ValueError that names the file if its index cannot be read.
    """
    return count(read_rows(shards), shards)


def read_rows(shards: ShardSet) -> Rows:
    """The columns that are counted, in the order of the samples. Raises as `read_stats`."""
    tables: list[pa.Table] = []
    histograms: dict[Cell, Histogram] = {}
    names = [shard.name for shard in shards.shards]
    read = partial(read_columns_and_notes, shards.root, columns=list(_COLUMNS))
    for table, notes in each_of(shards.root, names, read):
        tables.append(table)
        for cell, counts in notes.alpha_histograms.items():
            histograms[cell] = histograms.get(cell, np.zeros(256, np.int64)) + counts
    return Rows(pa.concat_tables(tables), histograms)


def count(rows: Rows, shards: ShardSet) -> Stats:
    """The statistics of rows that were read."""
    table = rows.table
    return Stats(
        samples=table.num_rows,
        foregrounds=pc.count_distinct(table["foreground_id"]).as_py(),
        backgrounds=pc.count_distinct(table["background_id"]).as_py(),
        cells=_cells(table),
        crude={
            name: np.quantile(table[f"crude_{name}"].to_numpy(), QUANTILES).round(6).tolist()
            for name in CRUDE_ERRORS
        },
        histograms=rows.histograms,
        licences=_licences(table, shards),
    )


def _licences(rows: pa.Table, shards: ShardSet) -> tuple[LicenceStats, ...]:
    """The licences by their names. Samples of sources that the tables lack are not counted."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    tables: dict[str, Mapping[str, Foreground | Background]] = {
        "foreground": shards.foregrounds,
        "background": shards.backgrounds,
    }
    for kind, sources in tables.items():
        uses = {
            one["values"]: one["counts"] for one in pc.value_counts(rows[f"{kind}_id"]).to_pylist()
        }
        for source in sources.values():
            licence = licence_of(source)
            counts[licence][kind] += 1
            counts[licence][f"{kind} samples"] += uses.get(source.id, 0)
    return tuple(
        LicenceStats(
            licence,
            found["foreground"],
            found["foreground samples"],
            found["background"],
            found["background samples"],
        )
        for licence, found in sorted(counts.items())
    )


def _cells(rows: pa.Table) -> tuple[CellStats, ...]:
    """The eight cells in their order, then the cells of unlabelled subjects, if any."""
    grouped = rows.group_by(["subject", "transparency"]).aggregate(
        [("foreground_id", "count_distinct"), ([], "count_all"), ("unknown_share", "mean")]
    )
    found = {(row["subject"], row["transparency"]): row for row in grouped.to_pylist()}
    others = [
        (str(Subject.UNLABELLED), str(transparency))
        for transparency in Transparency
        if (Subject.UNLABELLED, transparency) in found
    ]
    cells = []
    for subject, transparency in (*CELLS, *others):
        row = found.get((subject, transparency))
        samples = row["count_all"] if row else 0
        cells.append(
            CellStats(
                subject=subject,
                transparency=transparency,
                foregrounds=row["foreground_id_count_distinct"] if row else 0,
                samples=samples,
                share=round(samples / rows.num_rows, 6),
                unknown_share=round(row["unknown_share_mean"], 6) if row else 0.0,
            )
        )
    return tuple(cells)
