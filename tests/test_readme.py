"""README and docs name commands, options, targets and files that exist. Links lead somewhere."""

from __future__ import annotations

import importlib
import importlib.util
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")]
PAGES.append(ROOT / "training/built_in/README.md")
PAGES += sorted((ROOT / "docs").glob("*.md"))

APPS = {
    "datagen": "datagen.cli:app",
    "annotate": "annotation.cli:app",
    "train": "training.cli:train_app",
    "matte": "training.matte.cli:matte_app",
}
TORCHRUN = "--no-python train "  # what follows is for `train`
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")


@cache
def commands() -> dict[str, set[str]]:
    """The options of every command, by its words ("datagen compose", "train")."""
    found = {}
    for program, place in APPS.items():
        module, name = place.split(":")
        command: Any = get_command(getattr(importlib.import_module(module), name))
        parts = {
            f"{program} {word}": part for word, part in getattr(command, "commands", {}).items()
        }
        for words, part in {program: command, **parts}.items():
            names = {name for p in part.params for name in (*p.opts, *p.secondary_opts)}
            found[words] = names | {"--help"}
    return found


def code_of(page: str) -> list[str]:
    """What a page shows as code, one line each: indented blocks, and spans in the text.

    A line that ends in a backslash goes on in the next one.
    """
    joined = re.sub(r"\\\n\s*", "", page).splitlines()
    blocks = [line for line in joined if line.startswith("    ")]
    text = " ".join(line for line in joined if not line.startswith("    "))
    spans = re.findall(r"`([^`]+)`", text.replace(r"\|", "|"))
    return [line.strip() for line in (*blocks, *spans)]


def wrong_in(line: str) -> list[str]:
    """The commands and options of a line of code that do not exist."""
    code, _, comment = line.removeprefix("$ ").removeprefix(".venv/bin/").partition("#")
    everything = set.union(*commands().values())
    wrong = [option for option in OPTION.findall(comment) if option not in everything]
    if code.startswith("--"):
        return wrong + [option for option in OPTION.findall(code) if option not in everything]
    if TORCHRUN in code:
        code = "train " + code.partition(TORCHRUN)[2]
    words = code.split()
    if not words or words[0] not in APPS or code == words[0] + "/":
        return wrong
    name = " ".join(words[:2]) if f"{words[0]} --help" != code and words[0] != "train" else words[0]
    if words[1:] and name not in commands():
        return [*wrong, name] if re.fullmatch("[a-z]+", words[1]) else wrong
    known = commands()[name if words[1:] else words[0]]
    return wrong + [f"{name} {option}" for option in OPTION.findall(code) if option not in known]


@pytest.fixture(params=PAGES, ids=lambda page: page.name)
def page(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_commands_and_options_exist(page: Path) -> None:
    assert [wrong for line in code_of(page.read_text()) for wrong in wrong_in(line)] == []


def test_every_command_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    shown = set()
    for row in rows:
        program, *more = re.findall(r"`([^`]+)`", row)
        first, _, word = program.partition(" ")
        shown |= {f"{first} {name}".strip() for name in (word, *more)}
    assert shown == commands().keys() - {"datagen", "annotate", "matte"}


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("datagen compose --fg fgs/ --bg bgs/", []),
        ("datagen compose --fg fgs/ --background bgs/", ["datagen compose --background"]),
        ("datagen compsoe --fg fgs/", ["datagen compsoe"]),
        ("datagen stats [--by-transparency] [--plots FILE.png]", ["datagen stats --plots"]),
        ("train --shards S [--variant base|an]", []),
        ("train --shard S", ["train --shard"]),
        ("torchrun --nproc-per-node 4 --no-python train --shard shards", ["train --shard"]),
        ("annotate push --project P   # [--alphas DIR | --trimap DIR]", []),
        ("annotate push --project P   # or --mattes DIR", ["--mattes"]),
        ("--no-layers", []),
        ("--without-layers", ["--without-layers"]),
        ("python -m tests.bench.evidence WORK --together", []),
    ],
)
def test_what_does_not_exist_is_found(line: str, wrong: list[str]) -> None:
    assert wrong_in(line) == wrong


def test_targets_modules_and_files_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    missing = []
    for line in code_of(page.read_text()):
        if (target := re.match(r"make ([a-z]+)", line)) and f"\n{target[1]}:" not in makefile:
            missing.append(line)
        if (module := re.match(r"python -m (tests[\w.]*)", line)) and not _is_module(module[1]):
            missing.append(line)
        if re.fullmatch(r"[\w.-]+(/[\w.-]+)+\.\w+", line) and (ROOT / line.split("/")[0]).is_dir():
            missing += [] if (ROOT / line).exists() else [line]
    assert missing == []


def _is_module(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def test_the_tree_holds_every_package() -> None:
    block = (ROOT / "README.md").read_text().partition("## The code")[2].partition("\n## ")[0]
    folders = set(re.findall(r"^    (\w+)/", block, re.MULTILINE))
    assert {name for name in folders if not (ROOT / name).is_dir()} == set()
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages <= folders


def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)]+)\)", page.read_text())
    assert [link for link in links if "://" not in link and not _leads_somewhere(page, link)] == []


def _leads_somewhere(page: Path, link: str) -> bool:
    name, _, heading = link.partition("#")
    target = page.parent / name if name else page
    if not target.exists():
        return False
    headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE) if heading else []
    slugs = [re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings]
    return not heading or heading in slugs
