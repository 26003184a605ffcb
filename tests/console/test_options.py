"""A setting is described once: the library checks it, and a command offers it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer

from console.commands import DONE, WRONG_USAGE, new_command, run
from console.options import existing_file, existing_folder, local_path, with_options
from console.settings import check_ranges, setting

Capture = pytest.CaptureFixture[str]


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Paint:
    """Of one stroke."""

    width: int = setting(3, "Width of the brush.", low=1, high=9)
    layers: int = setting(0, "Number of layers.", low=2, default="as many as needed")
    colour: Colour = setting(Colour.RED, "Colour of the paint.", panel="Looks")
    thick_coat: bool = setting(False, "Paint a thick coat.")
    dry: bool = setting(True, "Let it dry.")
    speed: float = setting(0.5, "Speed of the brush.", low=0)
    hidden: int = setting(7, low=5)
    plain: str = "no description"

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.colour is Colour.BLUE and self.width > 5:
            raise ValueError("there is not enough blue")


def paint(capsys: Capture, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Run a command with these settings: its exit code, what it was given, what it printed."""
    app, given = new_command(), dict[str, Any]()

    @app.command()
    @with_options(Paint)
    def command(
        wall: Annotated[str, typer.Option(help="What to paint.")],
        settings: Paint,
        again: Annotated[bool, typer.Option("--again")] = False,
    ) -> None:
        """Paint something."""
        given.update(wall=wall, settings=settings, again=again)

    with pytest.raises(SystemExit) as stop:
        run(app, "paint", arguments)
    printed = capsys.readouterr()
    return int(stop.value.code or 0), given, printed.out + printed.err


def test_the_defaults_are_those_of_the_class(capsys: Capture) -> None:
    code, given, _ = paint(capsys, "--wall", "north")
    assert code == DONE
    assert given == {"wall": "north", "settings": Paint(), "again": False}


def test_every_described_setting_is_an_option(capsys: Capture) -> None:
    looks = ("--width", "9", "--layers", "2", "--colour", "blue", "--speed", "2.5")
    values = (*looks, "--thick-coat", "--no-dry")
    code, _, said = paint(capsys, "--wall", "north", *values)
    assert (code, "there is not enough blue" in said) == (WRONG_USAGE, True)
    code, given, _ = paint(capsys, "--wall", "north", "--again", *values, "--width", "1")
    assert code == DONE
    chosen = Paint(1, 2, Colour.BLUE, thick_coat=True, dry=False, speed=2.5)
    assert given == {"wall": "north", "settings": chosen, "again": True}
    for name in ("hidden", "plain", "no-colour", "settings"):
        assert paint(capsys, "--wall", "north", f"--{name}", "8")[0] == WRONG_USAGE


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--width", "10", "width = 10, expected 1 to 9"),
        ("--layers", "0", "layers = 0, expected 2 or more"),
        ("--speed", "nan", "speed = nan, expected 0 or more"),
        ("--colour", "green", "Invalid value for '--colour'"),
    ],
)
def test_a_value_out_of_range(option: str, value: str, expected: str, capsys: Capture) -> None:
    code, given, said = paint(capsys, "--wall", "north", option, value)
    assert (code, given) == (WRONG_USAGE, {})
    assert expected in said


def test_the_help_says_it_all(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    code, _, said = paint(capsys, "--help")
    shown = " ".join(said.replace("│", "").split())
    assert code == DONE
    for text in (
        "Paint something.",
        "--width 1 to 9 Width of the brush. [default: 3]",
        "--layers 2 or more Number of layers. [default: (as many as needed)]",
        "Looks",
        "--colour COLOUR Colour of the paint. One of: red, blue. [default: red]",
        "--thick-coat --no-thick-coat Paint a thick coat. [default: no-thick-coat]",
        "--dry --no-dry Let it dry. [default: dry]",
    ):
        assert text in shown, said
    assert "hidden" not in said


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"width": 0}, "width = 0, expected 1 to 9"),
        ({"layers": 1}, "layers = 1, expected 2 or more"),
        ({"hidden": 4}, "hidden = 4, expected 5 or more"),
        ({"speed": math.nan}, "speed = nan, expected 0 or more"),
    ],
)
def test_the_class_checks_itself(values: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Paint(**values)
    assert Paint(layers=0).layers == 0, "the default in words"


@pytest.mark.parametrize("url", ["s3://bucket/x", "https://host/x", "hf://datasets/x", "file:///x"])
def test_a_url_is_no_path(url: str) -> None:
    for check in (local_path, existing_folder, existing_file):
        with pytest.raises(typer.BadParameter, match="only paths of this machine work here"):
            check(Path(url))


def test_paths_are_what_they_are_said_to_be(tmp_path: Path) -> None:
    file = tmp_path / "a:b"
    file.touch()
    for path in (file, tmp_path, tmp_path / "new", Path("C:/x"), None):
        assert local_path(path) == path
    assert (existing_folder(tmp_path), existing_file(file)) == (tmp_path, file)
    assert (existing_folder(None), existing_file(None)) == (None, None)
    for path in (file, tmp_path / "new"):
        with pytest.raises(typer.BadParameter, match="is not a folder"):
            existing_folder(path)
    for path in (tmp_path, tmp_path / "new"):
        with pytest.raises(typer.BadParameter, match="is not a file"):
            existing_file(path)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--width", "abc"), "'--width': 'abc' is not a whole number"),
        (("--width", "1.5"), "'--width': '1.5' is not a whole number"),
        (("--speed", "fast"), "'--speed': 'fast' is not a number"),
        (("--colour", "green"), "'--colour': 'green' is not one of 'red', 'blue'"),
    ],
)
def test_a_value_of_the_wrong_kind(capsys: Capture, arguments: tuple[str, ...], said: str) -> None:
    code, given, printed = paint(capsys, "--wall", "north", *arguments)
    assert (code, given) == (WRONG_USAGE, {})
    assert said in " ".join(printed.split())


@pytest.mark.parametrize(
    ("size", "said"),
    [("3", "3 is too small, expected 32 or more"), ("70", "70 is too large, expected 64 or less")],
)
def test_a_value_out_of_a_range_of_typer(capsys: Capture, size: str, said: str) -> None:
    app = new_command()

    @app.command()
    def command(size: Annotated[int, typer.Option(min=32, max=64)]) -> None:
        """Do nothing."""

    with pytest.raises(SystemExit) as stop:
        run(app, "nothing", ["--size", size])
    assert stop.value.code == WRONG_USAGE
    assert said in " ".join(capsys.readouterr().err.split())
