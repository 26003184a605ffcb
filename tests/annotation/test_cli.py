"""What `annotate` prints, without a server."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

import annotation
from manifests.annotations import Kind
from tests.annotation.conftest import start_annotate
from tests.annotation.proxy import Trouble, proxied
from tests.annotation.pulled import add, trimap, write
from tests.conftest import finish


def test_no_answer_of_a_server_controls_the_terminal() -> None:
    """`Ran` checks that nothing raw is printed; here, that the answer can still be read."""
    with proxied("http://127.0.0.1:9") as proxy:
        body = b"evil\x1b[2J[bold]"
        proxy.troubles.append(Trouble("answer", "", times=99, status=400, body=body))
        settings = {"LABEL_STUDIO_URL": proxy.url, "LABEL_STUDIO_API_KEY": "0" * 40}
        ran = finish(start_annotate("status", "--project", "any", **settings))
    assert ran.code == 1
    assert "evil\\x1b[2J[bold]" in ran.err


def test_no_name_of_a_photo_controls_the_terminal(tmp_path: Path) -> None:
    row = add(tmp_path, "a.jpg", trimap(), Kind.TRIMAP)
    (tmp_path / row.path).unlink()
    write(tmp_path, replace(row, photo_file="evil\x1b[2J.jpg"))
    ran = finish(start_annotate("solve", "--out", str(tmp_path)))
    assert ran.code == 1
    assert "error: evil\\x1b[2J.jpg: " in ran.err


@pytest.mark.parametrize(
    "options",
    [
        "push --project Hair --photos s3://bucket/photos",
        "push --project Hair --photos . --labels https://host/labels.csv",
        "pull --project Hair --out s3://bucket/out",
        "solve --out hf://datasets/out",
        "export --out gs://bucket/fgs --pulled .",
        "export --out fgs --pulled file:///pulled",
        "serve --data s3://bucket/data",
    ],
)
def test_a_url_where_only_paths_work_is_refused(tmp_path: Path, options: str) -> None:
    """It would become a folder of that name."""
    ran = finish(start_annotate(*options.split(), LABEL_STUDIO_API_KEY="0" * 40, PWD=str(tmp_path)))
    assert ran.code == 2
    assert "only paths of this machine work here" in " ".join(ran.err.replace("│", " ").split())
    assert not [path for path in Path.cwd().iterdir() if path.name.endswith(":")]


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    """Commands that need no server work without it."""
    start = "import sys; sys.modules['httpx'] = None; from annotation.__main__ import main; main()"

    def ran(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", start, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    without = ran("status", "--project", "Hair", "--token", "0" * 40)
    assert (without.returncode, without.stdout) == (1, "")
    assert without.stderr == (
        "error: this needs the package httpx, which is not installed; "
        "pip install 'matting-data[annotation]' installs it\n"
    )
    write(tmp_path)
    assert ran("solve", "--out", str(tmp_path)).returncode == 0
    assert "annotate pull" in ran("export", "--pulled", ".", "--out", str(tmp_path / "o")).stderr


def test_the_package_promises_only_its_version() -> None:
    assert annotation.__all__ == ["__version__"]
    assert annotation.__version__ == version("matting-data")
    assert not hasattr(annotation, "version_of_something_else")
