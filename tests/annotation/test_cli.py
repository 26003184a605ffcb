"""What `annotate` prints, without a server."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

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


def test_the_package_promises_its_version_alone() -> None:
    assert annotation.__all__ == ["__version__"]
    assert annotation.__version__ == version("matting-data")
    assert not hasattr(annotation, "version_of_something_else")
