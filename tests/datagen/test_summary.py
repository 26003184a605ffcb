"""Of many warnings people read all rare ones, and a few of the frequent ones."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from datagen.sources.listing import Problem
from datagen.sources.summary import summary


def test_a_frequent_kind_does_not_bury_the_others() -> None:
    warnings = [Problem(f"fgs/{number}.png", "tiny", "is small") for number in range(44)]
    warnings.insert(20, Problem("fgs", "balance", "foregrounds are unbalanced"))
    assert summary(warnings) == [
        "fgs: foregrounds are unbalanced (balance)",
        "fgs/0.png: is small (tiny)",
        "fgs/1.png: is small (tiny)",
        "fgs/2.png: is small (tiny)",
        "and 41 more like these, 44 in all (tiny); `datagen lint --json` lists them",
    ]


@given(st.lists(st.sampled_from("abcd"), max_size=30))
def test_every_kind_is_shown_and_every_warning_counted(kinds: list[str]) -> None:
    lines = summary(Problem("file", kind, "reason") for kind in kinds)
    for kind in set(kinds):
        shown = [line for line in lines if line == f"file: reason ({kind})"]
        more = [line for line in lines if f", {kinds.count(kind)} in all ({kind})" in line]
        assert len(shown) == min(3, kinds.count(kind))
        assert len(more) == (kinds.count(kind) > 3)
    assert len(lines) <= 4 * len(set(kinds))
