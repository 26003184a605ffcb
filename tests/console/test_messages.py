"""Nothing that is printed moves a cursor, hides, or is taken for markup."""

from __future__ import annotations

import io
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.messages import fail, plain, say, show, show_json, show_pairs, show_table, warn

EVIL = "a\x1b[31m[bold]b[/]:car:\n\x9bc\u202e"
SHOWN = r"a\x1b[31m[bold]b[/]:car:\n\x9bc\u202e"

texts = st.text(st.characters(codec=None))  # lone surrogates too: file names may hold them


@given(texts, st.sampled_from(["utf-8", "ascii", "latin-1", "cp1252"]))
def test_plain_text_can_be_shown(text: str, encoding: str) -> None:
    shown = plain(text, encoding)
    assert shown.encode(encoding).decode(encoding) == shown
    assert all(c.isprintable() or unicodedata.category(c) == "Zs" for c in shown)
    assert plain(shown, encoding) == shown


@pytest.mark.parametrize("text", ["", "train: 5 of 9", "Jürgen", "日本 語", "x [y] {z} \\n", "🚗"])
def test_harmless_text_stays(text: str) -> None:
    assert plain(text) == text


def test_what_an_encoding_lacks_is_escaped() -> None:
    assert plain("Jürgen 日\udcff") == "Jürgen 日\\udcff"
    assert plain("Jürgen 日", "ascii") == "J\\xfcrgen \\u65e5"


def test_messages_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    for print_ in (fail, warn, say):
        print_(EVIL)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == f"error: {SHOWN}\nwarning: {SHOWN}\n{SHOWN}\n"


def test_long_lines_are_not_broken(capsys: pytest.CaptureFixture[str]) -> None:
    fail("x " * 500)
    show("y " * 500)
    printed = capsys.readouterr()
    assert printed.err == f"error: {'x ' * 500}\n"
    assert printed.out == f"{'y ' * 500}\n"


def test_results_go_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    show(EVIL)
    show_table(EVIL, [EVIL], [[EVIL]])
    show_pairs([(EVIL, EVIL)])
    printed = capsys.readouterr()
    assert printed.err == ""
    assert printed.out.count(SHOWN) == 6
    assert printed.out.replace("\n", "").isprintable()


@given(st.recursive(texts, lambda inner: st.lists(inner) | st.dictionaries(texts, inner)))
def test_json_keeps_its_value(value: object) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), "ascii", write_through=True))
        import sys

        show_json(value)
        assert isinstance(sys.stdout, io.TextIOWrapper)
        text = sys.stdout.buffer.getvalue().decode()
    assert json.loads(text) == value


def test_json_is_clean_and_readable(capsys: pytest.CaptureFixture[str]) -> None:
    show_json({"file": f"日{EVIL}\x7f"})
    out = capsys.readouterr().out
    assert json.loads(out) == {"file": f"日{EVIL}\x7f"}
    assert "日a\\u001b[31m" in out
    assert out.replace("\n", "").isprintable()
