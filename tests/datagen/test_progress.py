"""Progress goes to standard error: plain lines for a log, a bar for a person."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest

from datagen import progress
from datagen.progress import size_text, time_text
from tests.conftest import QUIET

SCRIPT = """
from datagen.progress import progress
with progress("weigh", 1200, "stones") as advance:
    advance(300, 1_000_000)
    advance(1200, 5_000_000)
print("done")
"""


def test_plain_lines_off_a_terminal() -> None:
    command = [sys.executable, "-c", SCRIPT]
    ran = subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | QUIET
    )
    assert ran.stdout == "done\n"
    (line,) = ran.stderr.splitlines()  # nothing in between: it took less than ten seconds
    assert re.fullmatch(r"weigh: 1,200 of 1,200 stones, [\d,]+\.\d stones/s, 5\.0 MB", line), line


def test_first_and_last_counts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_LINE_SECONDS", 0.0)
    with progress.progress("weigh", 8, "stones") as advance:
        for done in range(1, 9):
            advance(done)
    printed = capsys.readouterr()
    lines = printed.err.splitlines()
    assert printed.out == ""
    assert "\x1b" not in printed.err
    assert lines[0].startswith("weigh: 1 of 8 stones, ")
    assert lines[0].endswith(" left")
    assert lines[-1].startswith("weigh: 8 of 8 stones, ")
    assert not lines[-1].endswith(" left")


def test_nothing_done_is_no_division_by_zero(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress("weigh", 0, "stones"):
        pass
    assert capsys.readouterr().err.startswith("weigh: 0 of 0 stones, 0.0 stones/s")


def test_work_that_fails_is_not_called_done(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OSError, match="gone"), progress.progress("weigh", 5, "stones") as advance:
        advance(2)
        raise OSError("gone")
    assert "5 of 5" not in capsys.readouterr().err


def test_bar_on_a_terminal() -> None:
    ours, theirs = pty.openpty()
    colours = {"TERM": "xterm-256color", "COLUMNS": "120"}
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT],
            stdout=subprocess.PIPE,
            stderr=theirs,
            env={name: v for name, v in os.environ.items() if name != "NO_COLOR"} | colours,
        )
        os.close(theirs)
        shown = b""
        while True:
            try:
                block = terminal.read(4096)
            except OSError:  # what Linux says at the end of a terminal
                break
            if not block:
                break
            shown += block
        out, _ = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, b"done\n")
    text = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", shown.decode())
    last = text.strip().splitlines()[-1]
    assert "\x1b[" in shown.decode()
    assert "weigh" in last
    assert "1200/1200" in last
    assert "stones/s, 5.0 MB" in last


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1.34e9, "1.3 GB"), (5e12, "5.00 TB")],
)
def test_size_text(count: float, text: str) -> None:
    assert size_text(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (89.4, "89 s"), (720, "12 min"), (12_600, "3.5 h")]
)
def test_time_text(seconds: float, text: str) -> None:
    assert time_text(seconds) == text
