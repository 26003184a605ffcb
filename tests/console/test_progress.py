"""Progress goes to standard error: plain lines for a log, a bar for a person."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import time

import pytest

from console.progress import fitting, progress
from tests.conftest import QUIET

WEIGH = """
from console.progress import progress
with progress("weigh", 1200, "stones") as advance:
    advance(300, 1_000_000)
    advance(1200, 5_000_000)
print("done")
"""
LONG = """
import time
from console.progress import progress
with progress("weigh", 300_000, "iterations", first=100_000) as advance:
    begin = time.monotonic()
    while time.monotonic() - begin < 0.5:
        advance(100_010, note="loss 0.1234, l1 0.0123, trimap 0.0012, 12.3 samples/s")
        time.sleep(0.05)
    raise SystemExit
"""


def test_plain_lines_off_a_terminal() -> None:
    command = [sys.executable, "-c", WEIGH]
    ran = subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | QUIET
    )
    assert ran.stdout == "done\n"
    (line,) = ran.stderr.splitlines()  # nothing in between: it took less than ten seconds
    assert re.fullmatch(r"weigh: 1,200 of 1,200 stones, 0 s, [\d,.]+ stones/s, 5\.0 MB", line), line


def test_lines_come_though_nothing_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("weigh", 8, "stones", line_seconds=0.01) as advance:
        time.sleep(0.2)
        advance(4, note="heavy\x1b[2J")
        time.sleep(0.2)
        advance(8)
    printed = capsys.readouterr()
    lines = printed.err.splitlines()
    assert printed.out == ""
    assert lines[0] == "weigh: 0 of 8 stones, 0.00 stones/s"
    assert any(
        re.fullmatch(r"weigh: 4 of 8 stones, 0 s left, [\d.]+ stones/s, heavy\\x1b\[2J", line)
        for line in lines
    ), lines
    assert re.fullmatch(r"weigh: 8 of 8 stones, \d s, [\d.]+ stones/s", lines[-1])


def test_what_was_done_before_does_not_count(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("weigh", 1000, "stones", first=999) as advance:
        time.sleep(0.1)
        advance(1000)
    (line,) = capsys.readouterr().err.splitlines()
    found = re.fullmatch(r"weigh: 1,000 of 1,000 stones, 0 s, ([\d.]+) stones/s", line)
    assert found, line
    assert 0 < float(found[1]) <= 10


def test_unknown_total(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("weigh", None, "stones") as advance:
        advance(3)
    assert capsys.readouterr().err.startswith("weigh: 3 stones, 0 s, ")


def test_nothing_done_is_no_division_by_zero(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("weigh", 0, "stones"):
        pass
    assert capsys.readouterr().err.startswith("weigh: 0 of 0 stones, 0 s, 0.00 stones/s")


def test_work_that_fails_is_not_called_done(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OSError, match="gone"), progress("weigh", 5, "stones") as advance:
        advance(2)
        raise OSError("gone")
    assert capsys.readouterr().err == ""


def test_facts_that_fit() -> None:
    facts = ["5 of 9 stones", "3 s left", "1.00 stones/s", "note"]
    assert fitting(facts, 100) == "5 of 9 stones, 3 s left, 1.00 stones/s, note"
    assert fitting(facts, 38) == "5 of 9 stones, 3 s left, 1.00 stones/s"
    assert fitting(facts, 37) == "5 of 9 stones, 3 s left"
    assert fitting(facts, 1) == "5 of 9 stones"


def on_terminal(script: str, columns: int) -> tuple[str, str]:
    """What a script shows on a terminal: as it is sent, and without what moves the cursor."""
    ours, theirs = pty.openpty()
    colours = {"TERM": "xterm-256color", "COLUMNS": str(columns)}
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        process = subprocess.Popen(
            [sys.executable, "-c", script],
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
        process.communicate(timeout=20)
    assert process.returncode == 0
    return shown.decode(), re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", shown.decode())


def test_bar_on_a_terminal() -> None:
    raw, text = on_terminal(WEIGH, 120)
    last = text.strip().splitlines()[-1]
    assert "\x1b[" in raw
    assert re.search(r"weigh +━{20} 1,200 of 1,200 stones, 0 s, [\d,.]+ stones/s, 5\.0 MB", last), (
        last
    )


@pytest.mark.parametrize("columns", [80, 100, 160])
def test_count_bar_and_time_left_are_always_there(columns: int) -> None:
    _, text = on_terminal(LONG, columns)
    last = text.strip().splitlines()[-1]
    found = re.search(r"weigh +[━╸╺]{20} 100,010 of 300,000 iterations, [\d.]+ h left(.*)", last)
    assert found, last
    assert len(last.strip()) <= columns
    assert ("iterations/s" in found[1]) == (columns >= 100)
    assert ("trimap 0.0012, 12.3 samples/s" in found[1]) == (columns >= 160)
    assert "…" not in last


def test_what_is_waited_for_is_said_at_once_and_now_and_then() -> None:
    program = (
        "import time\nfrom console.progress import waiting\n"
        "with waiting('The kettle boils', line_seconds=0.2):\n    time.sleep(0.7)\nprint('tea')"
    )
    command = [sys.executable, "-c", program]
    ran = subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | QUIET
    )
    first, *others = ran.stderr.splitlines()
    assert (first, ran.stdout) == ("The kettle boils ...", "tea\n")
    assert others
    assert all(re.fullmatch(r"The kettle boils: [01] s", line) for line in others)
