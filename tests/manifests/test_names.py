"""Names from files and servers: whatever passes stays below its folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.export import export_folder
from annotation.solve import solve_folder
from manifests.annotations import Kind, annotations_path, read_annotations, solved_path
from manifests.annotations import write_annotations as write_rows
from manifests.names import file_below, path_below, plain_name, sha256_text
from tests.annotation.pulled import add, trimap
from tests.strategies import many

HOSTILE = [
    *("", ".", "..", "/", "/etc/passwd", "../victim.txt", "a/../../victim.txt", "a/..", "./a"),
    *("a//b", "a/", "C:/windows", "C:victim", "a\\..\\b", "a\0b", "a\nb", "\ud800", "x" * 256),
    "a/\x1b[2J",
]
_PIECES = st.sampled_from(["..", ".", "/", "//", "\\", "C:", "\0", "a", "é", "b.png", "\ud800"])
_NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,60}(\.[a-z]{3})?", fullmatch=True)


@pytest.mark.parametrize("text", HOSTILE, ids=repr)
def test_hostile_names(text: str) -> None:
    for check in (path_below, plain_name, sha256_text):
        with pytest.raises(ValueError, match="is not a"):
            check(text)


@given(text=st.lists(_PIECES, max_size=6).map("".join) | st.text(max_size=20))
@many
def test_what_passes_stays_below(text: str) -> None:
    try:
        path_below(text)
    except ValueError:
        return
    root = "/top/folder"
    inside = os.path.normpath(f"{root}/{text}")
    assert inside == f"{root}/{text}"
    assert inside.startswith(f"{root}/")


@given(text=st.lists(_PIECES, max_size=6).map("".join) | st.text(max_size=20))
@many
def test_names_of_users_files_stay_below(text: str) -> None:
    try:
        file_below(text)
    except ValueError:
        return
    assert os.path.normpath(f"/top/folder/{text}") == f"/top/folder/{text}"
    assert "\0" not in text


def test_users_may_call_files_what_they_like() -> None:
    for text in ("what?.jpg", "a:b.png", "a\\b", "a\nb/c", "…", "a" * 300, ".hidden", "a/..b"):
        assert file_below(text) == text
    for text in ("", "/a", "a/", "../a", "a/../b", "./a", "a//b", "a\0b"):
        with pytest.raises(ValueError, match="below its folder"):
            file_below(text)


@given(parts=st.lists(_NAMES, min_size=1))
@many
def test_the_names_that_we_make_pass(parts: list[str]) -> None:
    assert path_below("/".join(parts)) == "/".join(parts)
    assert [plain_name(part) for part in parts] == parts


@pytest.mark.parametrize("longest", ["x" * 255, "é" * 127 + "x"])
def test_a_name_may_have_255_bytes(longest: str) -> None:
    assert plain_name(longest) == longest
    assert path_below(f"{longest}/{longest}") == f"{longest}/{longest}"
    for longer in (longest + "x", f"a/{longest}x"):
        with pytest.raises(ValueError, match="is not a name") as error:
            path_below(longer)
        assert repr(longer[:80]) in str(error.value), "more would not help"


def test_a_sha256() -> None:
    assert sha256_text("0f" * 32) == "0f" * 32
    for text in ("0F" * 32, "0f" * 31, "0f" * 33, "0f" * 32 + "\n", "٣" * 64):
        with pytest.raises(ValueError, match="64 hexadecimal digits"):
            sha256_text(text)
    with pytest.raises(ValueError, match=f"^'{'a' * 80}' is not a sha256"):
        sha256_text("a" * 200)


@pytest.mark.parametrize("field", ["path", "photo_path", "photo_id"])
@pytest.mark.parametrize("table", [annotations_path, solved_path])
def test_a_crafted_table_reaches_no_other_file(
    tmp_path: Path, field: str, table: Callable[[Path], Path]
) -> None:
    out, victim = tmp_path / "out", tmp_path / "victim.png"
    victim.write_bytes(b"precious")
    good = add(out, "a.png", trimap(), Kind.TRIMAP)
    fields: dict[str, Any] = {field: "../victim" + ("" if field == "photo_id" else ".png")}
    write_rows(annotations_path(out), [good])
    write_rows(table(out), [replace(good, **fields)])
    with pytest.raises(ValueError, match=rf"{table(out).name}: '\.\./victim"):
        read_annotations(table(out))
    with pytest.raises(ValueError, match="below its folder"):
        solve_folder(out)
    assert victim.read_bytes() == b"precious"
    if table is annotations_path:
        with pytest.raises(ValueError, match="below its folder"):
            export_folder(out, tmp_path / "fgs")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "victim.png"]
