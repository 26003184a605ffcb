"""Who may import whom: the products share files, never code, and heavy libraries stay home."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PRODUCTS = ("datagen", "annotation", "training")
LIBRARIES_OF_FILES = {"isal", "numba", "obstore", "huggingface_hub"}
GROUND_FLOOR = {"manifests", "numpy", "pyarrow", "PIL", "cv2", *LIBRARIES_OF_FILES}
CLASSICAL = {"classical", "manifests", "numpy", "pymatting", "cv2"}

CLI = {
    *(f"{product}/cli.py" for product in PRODUCTS),
    *(
        "datagen/options.py",
        "datagen/inspect/cli.py",
        "annotation/assist_cli.py",
        "annotation/options.py",
        "annotation/serve_cli.py",
        "training/matte/cli.py",
        "training/matte/evaluate_cli.py",
    ),
}
OPTIONS = {"console/commands.py", "console/options.py", "training/options.py"}

# library -> the only files of a product that may import it
HOMES = {
    "ray": {"datagen/board.py", "datagen/cluster.py", "datagen/ray_session.py"},
    "matplotlib": {"datagen/inspect/plot.py"},
    "httpx": {"annotation/server/client.py", "annotation/server/answers.py"},
    "typer": CLI | OPTIONS,
    "click": set[str](),
    "pymatting": {"classical/library.py"},
    "isal": {
        "manifests/png.py",
        "datagen/sample/working_copies.py",
        "training/loading/decoded.py",
    },
    "numba": {"manifests/compiled.py"},
    "obstore": {"manifests/object_store.py"},
    "huggingface_hub": {"manifests/hub.py"},
    "rich": {"console/messages.py", "console/progress.py"},
}
HOME_PACKAGES = {
    "torch": {"training"},
    "label_studio_sdk": {"annotation"},
}

CORE = ("plan", *(f"sample/{path.stem}" for path in sorted((ROOT / "datagen/sample").glob("*.py"))))
SHELL = {
    f"datagen.{name}" for name in ("cli", "cluster", "job", "library", "prepare", "printing")
} | {"console"}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(source: str) -> Iterator[str]:
    """Full names of all that a source imports, wherever in it; `from a import b` is a and a.b."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports go by full name"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def roots(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imported(path.read_text(encoding="utf-8"))}


def test_every_form_of_import_is_seen() -> None:
    source = "import a.b as c, d\nfrom e.f import g\ndef h():\n    if 1:\n        import i\n"
    assert list(imported(source)) == ["a.b", "d", "e.f", "e.f.g", "i"]
    with pytest.raises(AssertionError, match="line 1"):
        list(imported("from . import a"))


def test_there_is_something_to_look_at() -> None:
    assert len(CORE) > 8
    assert {path.stem for path in modules("datagen")} >= {"cli", "cluster", "job", "printing"}
    assert len(modules("manifests")) > 5
    assert "manifests" in roots(ROOT / "datagen/cli.py")


@pytest.mark.parametrize("path", modules("manifests"), ids=lambda path: str(path.stem))
def test_the_ground_floor_stands_on_little(path: Path) -> None:
    assert roots(path) - set(sys.stdlib_module_names) <= GROUND_FLOOR


@pytest.mark.parametrize("path", modules("classical"), ids=lambda path: str(path.stem))
def test_the_classical_methods_stand_on_little(path: Path) -> None:
    assert roots(path) - set(sys.stdlib_module_names) <= CLASSICAL


@pytest.mark.parametrize("path", modules("console"), ids=lambda path: str(path.stem))
def test_the_console_knows_no_product(path: Path) -> None:
    assert roots(path) - set(sys.stdlib_module_names) <= {"console", "rich", "typer"}


def writes(source: str) -> Iterator[int]:
    """The lines of a source that print by themselves."""
    for node in ast.walk(ast.parse(source)):
        if (isinstance(node, ast.Name) and node.id == "print") or (
            isinstance(node, ast.Attribute)
            and ast.unparse(node) in {"sys.stdout.write", "sys.stderr.write"}
        ):
            yield node.lineno


def test_all_that_is_printed_goes_through_the_console() -> None:
    assert list(writes("a()\nprint(1)\nsys.stdout.write('')")) == [2, 3]
    found = {
        str(path): lines
        for package in ("manifests", "classical", *PRODUCTS)
        for path in modules(package)
        if (lines := list(writes(path.read_text(encoding="utf-8"))))
    }
    assert found == {}


@pytest.mark.parametrize("product", PRODUCTS)
def test_products_do_not_import_each_other(product: str) -> None:
    others = {*PRODUCTS, "tests"} - {product}
    assert {str(p): roots(p) & others for p in modules(product) if roots(p) & others} == {}


@pytest.mark.parametrize("library", HOMES)
def test_a_heavy_library_has_one_home(library: str) -> None:
    found = {
        path.relative_to(ROOT).as_posix()
        for package in ("console", "manifests", "classical", *PRODUCTS)
        for path in modules(package)
        if library in roots(path)
    }
    assert found <= HOMES[library]


@pytest.mark.parametrize("library", HOME_PACKAGES)
def test_an_extra_stays_in_its_package(library: str) -> None:
    packages = {"console", "manifests", "classical", *PRODUCTS} - HOME_PACKAGES[library]
    assert [str(p) for package in packages for p in modules(package) if library in roots(p)] == []


@pytest.mark.parametrize("name", CORE)
def test_the_core_knows_no_shell(name: str) -> None:
    names = set(imported((ROOT / "datagen" / f"{name}.py").read_text(encoding="utf-8")))
    assert names & SHELL == set()


@pytest.mark.parametrize("name", CORE)
def test_the_core_reads_no_clock_and_draws_nothing_by_itself(name: str) -> None:
    assert not roots(ROOT / "datagen" / f"{name}.py") & {"random", "time", "datetime", "secrets"}


# room of training -> what of training it may import beside itself
ROOMS = {
    "net": {"training.choices"},
    "loading": {"training.choices", "training.settings"},
}


@pytest.mark.parametrize("room", ROOMS)
def test_the_rooms_of_training_know_no_hall(room: str) -> None:
    paths = sorted((ROOT / "training" / room).glob("*.py"))
    assert len(paths) > 3
    for path in paths:
        source = path.read_text(encoding="utf-8")
        found = {name for name in imported(source) if name.startswith("training.")}
        own = {name for name in found if name.startswith(f"training.{room}")}
        allowed = {name for name in found if any(name.startswith(one) for one in ROOMS[room])}
        assert found == own | allowed, path


def pickled(source: str) -> Iterator[int]:
    """The lines of a source that could run what is in a file."""
    risky = ("pickle", "shelve", "marshal", "torch.load", "yaml.load", "np.load", "joblib")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = list(imported(ast.unparse(node)))
        elif isinstance(node, ast.Attribute):
            names = [ast.unparse(node)]
        else:
            continue
        if any(name.startswith(risky) for name in names):
            yield node.lineno


def test_no_file_can_bring_code() -> None:
    assert list(pickled("import pickle\nfrom shelve import open\ntorch.load(x)\nload(x)")) == [
        1,
        2,
        3,
    ]
    found = {
        str(path): lines
        for package in ("console", "manifests", "classical", *PRODUCTS)
        for path in modules(package)
        if (lines := list(pickled(path.read_text(encoding="utf-8"))))
    }
    assert found == {}
