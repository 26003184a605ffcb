"""What is built from this tree holds all that the packages need, and says what it is."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = [path.parent.name for path in sorted(ROOT.glob("*/__init__.py"))]
PACKAGES.remove("tests")
BUILD = "from setuptools.build_meta import *; print(build_{kind}({out!r}))"

pytestmark = pytest.mark.slow


def files_of(root: Path) -> set[str]:
    """Every file of the packages, code or not."""
    found = (path for package in PACKAGES for path in (root / package).rglob("*") if path.is_file())
    return {str(p.relative_to(root)) for p in found if "__pycache__" not in p.parts}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A wheel and an sdist, built from a copy without a network."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("built")
    for name in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tree / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree / name)
    made = {}
    for kind in ("wheel", "sdist"):
        code = BUILD.format(kind=kind, out=str(out))
        ran = subprocess.run(
            [sys.executable, "-c", code], cwd=tree, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr
        made[kind] = out / ran.stdout.splitlines()[-1]
    return made


def test_the_wheel_has_every_file_of_the_packages(built: dict[str, Path]) -> None:
    with zipfile.ZipFile(built["wheel"]) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == files_of(ROOT)
    assert {"datagen/inspect/page/report.js", "annotation/form/labels.xml"} <= names


def test_the_sdist_has_them_too(built: dict[str, Path]) -> None:
    with tarfile.open(built["sdist"]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert files_of(ROOT) | {"pyproject.toml", "README.md", "LICENSE"} <= names


def metadata_of(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as files:
        (name,) = (name for name in files.namelist() if name.endswith("/METADATA"))
        return message_from_bytes(files.read(name))


def test_the_metadata(built: dict[str, Path]) -> None:
    found = metadata_of(built["wheel"])
    assert found["License-Expression"] == "Apache-2.0"
    assert found["Requires-Python"] == ">=3.11"
    assert set(found.get_all("Provides-Extra") or []) == {
        *("annotation", "dev", "mobile", "plot", "test", "training"),
    }
    needed = [text for text in found.get_all("Requires-Dist") or [] if "extra ==" not in text]
    assert not {"torch", "matplotlib", "label-studio-sdk"} & {
        text.partition(">")[0] for text in needed
    }
    assert any("3.13" in one for one in found.get_all("Classifier") or [])
