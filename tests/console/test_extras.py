"""A missing module is named with the extra that installs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from console.extras import advice, extras_of
from tests.training.conftest import shards

__all__ = ["shards"]

REQUIREMENTS = [
    "numpy>=2.0",
    'torch==2.13.0; extra == "training"',
    'label-studio-sdk<3,>=2.1; extra == "annotation"',
    'PyMatting>=1.1.13; extra == "training"',
    "pymatting>=1.1.13; extra == 'annotation'",
    'pytest>=9; python_version > "3" and extra == "test"',
    'ruff>=0.17; extra == "dev"',
]


def test_extras_of_a_module() -> None:
    assert extras_of("torch", REQUIREMENTS) == ["training"]
    assert extras_of("label_studio_sdk", REQUIREMENTS) == ["annotation"]
    assert extras_of("pymatting", REQUIREMENTS) == ["annotation", "training"]
    for module in ("numpy", "pytest", "ruff", "", "torchvision", "os"):
        assert extras_of(module, REQUIREMENTS) == []


def test_advice_is_for_the_packages_of_the_extras() -> None:
    """The requirements of the distribution itself."""
    assert advice(ModuleNotFoundError("", name="torch.nn")) == (
        "this needs the package torch, which is not installed; "
        "pip install 'matting-data[training]' installs it"
    )
    assert advice(ModuleNotFoundError("", name="datagen.no_such_module")) == ""
    assert advice(ModuleNotFoundError("")) == ""


# Runs commands, each a line on standard input, as where some packages are not installed
BARE = """
import shlex, sys
from importlib import import_module
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name in sys.argv[1:]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
for line in sys.stdin:
    place, *arguments = shlex.split(line)
    module, main = place.split(":")
    try:
        getattr(import_module(module), main)(arguments)
    except SystemExit as stop:
        print(stop.code, file=sys.stderr, flush=True)
"""
TRAIN, MATTE = "training.cli:train_main", "training.matte.cli:matte_main"
FILES = "--checkpoint c --out m"
COMMANDS = {
    ("training", "torch"): [
        f"{TRAIN} --shards s",
        f"{MATTE} predict {FILES} --images . --trimaps .",
        f"{MATTE} predict {FILES} --images . --masks .",
        f"{MATTE} evaluate --checkpoint c --shards set",
        f"{MATTE} export {FILES}.onnx",
        f"{MATTE} bench",
    ],
    ("annotation", "httpx"): [
        f"annotation.cli:main {command} --project Hair --url http://127.0.0.1:9"
        for command in ("push --photos .", "pull --out o", "status")
    ],
    ("plot", "matplotlib"): ["datagen.cli:main stats --shards set --plot p.png"],
}


@pytest.mark.slow
@pytest.mark.parametrize("missing", COMMANDS, ids=lambda missing: str(missing[0]))
def test_every_command_says_what_to_install(
    missing: tuple[str, str], shards: Path, tmp_path: Path
) -> None:
    extra, package = missing
    (tmp_path / "set").symlink_to(shards)
    commands = COMMANDS[missing]
    ran = subprocess.run(
        [sys.executable, "-c", BARE, package],
        input="\n".join(commands),
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    said = (
        f"error: this needs the package {package}, which is not installed; "
        f"pip install 'matting-data[{extra}]' installs it"
    )
    assert ran.stderr.splitlines() == [said, "1"] * len(commands)
