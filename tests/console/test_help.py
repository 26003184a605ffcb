"""Every help page is quick, whole and clean."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.conftest import QUIET

PROGRAMS = {
    "train": ("training.cli", "train_main", ""),
    "datagen": (
        "datagen.cli",
        "main",
        "synth lint compose trimap stats preview report verify replay",
    ),
    "annotate": ("annotation.cli", "main", "push pull solve export status serve assist"),
    "matte": ("training.matte.cli", "matte_main", "predict serve evaluate export bench"),
}
SLOW = {
    *("torch", "ray", "matplotlib", "httpx", "pymatting", "numba", "label_studio_sdk", "onnx"),
    *("pyarrow.compute", "scipy", "asyncio", "multiprocessing.pool"),
}
SCRIPT = """
import sys
from {module} import {main}
for command in [[], *([one] for one in "{commands}".split())]:
    for option in ("--help", "--version") if not command else ("--help",):
        try:
            {main}([*command, option])
        except SystemExit as stop:
            assert stop.code == 0, command
sys.stderr.write(" ".join(sys.modules))
"""


@pytest.mark.parametrize("columns", [80, 100])
@pytest.mark.parametrize("program", PROGRAMS)
def test_no_help_needs_what_is_slow_to_import(program: str, columns: int) -> None:
    module, main, commands = PROGRAMS[program]
    script = SCRIPT.format(module=module, main=main, commands=commands)
    ran = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | QUIET | {"COLUMNS": str(columns)},
    )
    assert set(ran.stderr.split()) & SLOW == set()
    lines = ran.stdout.splitlines()
    assert sum(line.strip().startswith(f"Usage: {program}") for line in lines) == 1 + len(
        commands.split()
    )
    assert max(map(len, lines)) <= columns
    assert "…" not in ran.stdout, "something was cut off"
    assert re.findall(r"--\S+ +<[a-z]+>", ran.stdout) == []  # the names of Python's types
