"""README.md of a set that grows: what people wrote into it stays."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from manifests.card import About, card_of
from manifests.dataset import card_path, read_manifest, write_manifest
from manifests.shards import ShardFormat
from manifests.sources import Split
from tests.training.shard_sets import write_set

Edit = Callable[[str], str]

# By a person, to a card of three samples; and so they must be found in the card of seven.
EDITS: dict[str, Edit] = {
    "nothing": lambda card: card,
    "title": lambda card: card.replace("# A shard set for image matting", "# Cats, cut out"),
    "licence before configs": lambda card: card.replace("---\n", "---\nlicense: cc0-1.0\n", 1),
    "licence after configs": lambda card: card.replace("---\n\n", "license: cc0-1.0\n---\n\n"),
    "text before": lambda card: card.replace("\n<!--", "\nRead `LICENSE` first.\n\n<!--", 1),
    "text after": lambda card: card + "\n## Origin\n\nMy garden: configs:\n---\n",
    "not UTF-8": lambda card: card + "caf\udce9\n",
}


def grown(root: Path, edit: Edit, few: ShardFormat = ShardFormat.WEBDATASET) -> str:
    """README.md of a set of three samples that was edited before it grew to seven."""
    write_set(root / "many", {Split.TRAIN: [3, 2], Split.VAL: [2]}, few)
    write_set(root / "few", {Split.TRAIN: [3], Split.VAL: []}, few)
    card = card_path(root / "few")
    card.write_bytes(edit(card.read_text()).encode(errors="surrogateescape"))
    write_manifest(root / "few", read_manifest(root / "many")[0])
    return card.read_bytes().decode(errors="surrogateescape")


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_what_people_write_into_the_card_stays_when_the_set_grows(
    edit: Edit, tmp_path: Path
) -> None:
    found = grown(tmp_path, edit)
    expected = edit(card_path(tmp_path / "many").read_text())
    assert found == expected
    assert "5 samples in `train` and 2 samples in `val`" in found
    assert "path: data/val-*.tar" in found


def configs_of(root: Path) -> str:
    text = card_path(root).read_text()
    return "".join(re.findall(r"^configs:\n(?:[ -].*\n)+", text, re.MULTILINE))


def test_without_the_marks_only_configs_are_written(tmp_path: Path) -> None:
    found = grown(tmp_path, lambda card: "---\nlicense: mit\n---\n# Mine\n\nFive cats.\n")
    configs = configs_of(tmp_path / "many")
    assert found == f"---\nlicense: mit\n{configs}---\n# Mine\n\nFive cats.\n"


def test_what_follows_from_the_shards_is_never_out_of_date(tmp_path: Path) -> None:
    found = grown(tmp_path, lambda card: re.sub("<!--.*-->", "", card))
    assert "num_examples: 5" in found
    assert "num_examples: 3" not in found
    assert "3 samples in `train`." in found  # a person's text, now


def test_a_title_and_a_licence(tmp_path: Path) -> None:
    write_set(tmp_path, {Split.TRAIN: [1]})
    manifest = read_manifest(tmp_path)[0]
    for licence, expected in {
        "CC-BY-4.0": {"license": "cc-by-4.0"},
        "My own: #1": {"license": "other", "license_name": "My own: #1"},
        "": {},
    }.items():
        about = About(title='Cats: "cut" #1', licence=licence)
        card_path(tmp_path).unlink()
        write_manifest(tmp_path, replace(manifest, about=about))
        head, body = card_path(tmp_path).read_text().removeprefix("---\n").split("---\n")
        keys = yaml.safe_load(head)
        assert keys["pretty_name"] == about.title
        assert {name: text for name, text in keys.items() if "license" in name} == expected
        assert body.startswith('\n# Cats: "cut" #1\n')
        assert read_manifest(tmp_path)[0].about == about


def test_a_card_without_a_head_gets_one(tmp_path: Path) -> None:
    found = grown(tmp_path, lambda card: "# Mine\n")
    configs = configs_of(tmp_path / "many")
    assert found == f"---\n{configs}---\n\n# Mine\n"


def test_windows_line_ends_hide_nothing(tmp_path: Path) -> None:
    found = grown(tmp_path, lambda card: card.replace("\n", "\r\n"))
    assert found == card_path(tmp_path / "many").read_text()


@given(
    st.text(st.characters(codec="utf-8"), max_size=40).filter(
        lambda text: not text.startswith("---")
    )
)
def test_any_text_is_kept_and_a_card_is_final_once_written(text: str) -> None:
    once = card_of((), ShardFormat.PARQUET, text)
    assert text.strip().replace("\r\n", "\n") in once
    assert card_of((), ShardFormat.PARQUET, once) == once
