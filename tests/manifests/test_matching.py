"""A name means one file or none, and the exact name always means its file."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from manifests.matching import match_names

stems = st.sampled_from(
    ["a", "A", "b", "a.b", "d/a", "\u00e9", "e\u0301", "\u00c9", "ss", "\u00df"]
)
writings = st.builds(str.__add__, stems, st.sampled_from(["", ".png", ".PNG", ".jpg"]))
folders = st.lists(writings, unique=True, max_size=8)


@given(folders, folders)
def test_matches_are_one_to_one(names: list[str], files: list[str]) -> None:
    files_of, unclear = match_names(names, files)
    assert len(set(files_of.values())) == len(files_of)
    assert set(files_of.values()) <= set(files)
    assert files_of.keys() | unclear.keys() <= set(names)
    assert not files_of.keys() & unclear.keys()
    for name in set(names) & set(files):
        assert files_of[name] == name
    assert all(set(meant) <= set(files) and meant for meant in unclear.values())


@given(folders, folders)
def test_the_order_does_not_matter(names: list[str], files: list[str]) -> None:
    found = match_names(names, files)
    again = match_names(names[::-1], files[::-1])
    assert again.files == found.files
    assert again.unclear.keys() == found.unclear.keys()


def test_each_kind_of_difference() -> None:
    files = ["x.png", "Lake.JPG", "\u00e9t\u00e9.png", "noend"]
    names = ["x", "lake.jpeg", "e\u0301te\u0301.png", "NOEND.png", "other.png"]
    found = match_names(names, files)
    assert found.files == dict(zip(names[:4], files, strict=True))
    assert found.unclear == {}


def test_what_is_unclear_names_its_candidates() -> None:
    found = match_names(["a", "B.png", "b.png"], ["a.png", "a.tif", "b.jpg"])
    assert found.files == {"b.png": "b.jpg"}
    assert found.unclear == {"a": ["a.png", "a.tif"], "B.png": ["b.jpg"]}
