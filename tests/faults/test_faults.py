"""A few faults of the campaign; `python -m tests.faults` tries all of them, again and again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.campaign import Campaign, Tally, campaign
from tests.object_store import Store

A_FEW = (
    *("damaged: index", "source damaged", "disk full: shards", "read-only disk"),
    *("read-only folder", "low limit: open files", "clock set back", "kill -9: raylet"),
    *("store, errors, 5 %", "store, bodies cut, 5 %", "store, truncated: shard"),
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    with campaign(tmp_path_factory.mktemp("campaign"), store) as begun:
        yield begun


@pytest.mark.parametrize("name", A_FEW)
def test_nothing_is_lost(running: Campaign, name: str) -> None:
    tally = Tally()
    running.try_once(name, 0, tally)
    assert tally.times == 1
    assert tally.is_clean, (tally.line(name), tally.notes)


def test_what_is_lost_is_counted(running: Campaign, tmp_path: Path) -> None:
    """A campaign that cannot find anything wrong would be worth nothing."""
    tally = Tally()
    running.count(tmp_path / "nothing", tally)
    assert (tally.lost, tally.is_clean) == (36, False)
