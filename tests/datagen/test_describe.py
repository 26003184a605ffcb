"""What a finished set says of itself: README.md, its picture, title and licence."""

from __future__ import annotations

import shlex
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.main import get_command

from datagen.cli import app
from datagen.inspect.card import PREVIEW, command
from datagen.job import make_shard_set
from datagen.settings import Settings
from datagen.sources.about import find_about
from manifests.card import About
from manifests.dataset import read_manifest
from manifests.shards import ShardFormat
from tests.conftest import PHOTOS, LocalSources, contents
from tests.datagen.in_process import InProcess

SETTINGS = Settings(size=32, samples=7, shard_size=3, layers=False)
TOML = """
title = "Blobs"
licence = "CC0-1.0"
url = "https://example.org/blobs"
citation = '''
@misc{blobs,
  title = {Blobs}
}'''
"""


def make(sources: LocalSources, out: Path, settings: Settings, about: About | None = None) -> str:
    result = make_shard_set(InProcess(), sources, settings, out, about=about)
    assert result.failed == ()
    return (out / "README.md").read_text()


@pytest.fixture
def described(own_sources: LocalSources) -> LocalSources:
    (own_sources.foregrounds.parent / "card.toml").write_text(TOML)
    rows = [f"{name},[x](http://x) | <b>`\u2028# y" for name in PHOTOS]
    labels = "\n".join(["file,licence", *rows])
    (own_sources.backgrounds / "backgrounds.csv").write_text(labels)
    return own_sources


def test_the_card_says_what_the_set_is(described: LocalSources, tmp_path: Path) -> None:
    out = tmp_path / "set"
    card = make(described, out, SETTINGS)
    lines = card.splitlines()
    assert "# Blobs" in lines
    assert "license: cc0-1.0" in lines
    assert "    @misc{blobs," in lines
    assert "<https://example.org/blobs>" in card
    assert "    datagen compose --fg FOREGROUNDS --bg BACKGROUNDS " in card
    assert "--samples 7 --size 32 --shard-size 3 --no-layers" in card
    assert "7 samples in `train`: 6 foregrounds over 5 backgrounds, 32 x 32 pixels" in card
    assert "| human | Medium | 1 | " in card
    assert "| not stated | foregrounds | 6 |" in lines
    # Nothing of a label file is more than words
    assert r"| \[x\](http://x) \| &lt;b&gt;\` # y | backgrounds | 5 |" in lines
    assert f"]({PREVIEW})" in card
    with Image.open(out / PREVIEW) as picture:
        assert picture.format == "JPEG"
        assert picture.height > 3 * 240  # the samples of the first shard


def test_the_set_remembers_what_was_said(described: LocalSources, tmp_path: Path) -> None:
    """Options win over card.toml, and that wins over what was said when the set was begun."""
    out = tmp_path / "set"
    make(described, out, SETTINGS, About(title="Mine", citation="A. Person"))
    first = About("Mine", "CC0-1.0", "https://example.org/blobs", "A. Person")
    assert read_manifest(out)[0].about == first
    before = contents(out)
    make(described, out, SETTINGS, About(title="Mine", citation="A. Person"))
    assert contents(out) == before
    (described.foregrounds.parent / "card.toml").unlink()
    card = make(described, out, replace(SETTINGS, samples=9))
    assert read_manifest(out)[0].about == first
    assert "    A. Person\n" in card
    assert "9 samples in `train`" in card
    card = make(described, out, replace(SETTINGS, samples=9), About(citation="B. Person"))
    assert read_manifest(out)[0].about == replace(first, citation="B. Person")
    assert "    B. Person\n" in card


@pytest.mark.parametrize("lost", ["README.md", PREVIEW])
def test_what_is_lost_is_made_again(sources: LocalSources, tmp_path: Path, lost: str) -> None:
    make(sources, tmp_path / "set", SETTINGS)
    before = contents(tmp_path / "set")
    (tmp_path / "set" / lost).unlink()
    make(sources, tmp_path / "set", SETTINGS)
    assert contents(tmp_path / "set") == before


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("title = 3", r"card\.toml: title = 3, expected a text"),
        ("license = 'MIT'", r"card\.toml: 'license' is none of title, licence, url, citation"),
        ("title = 'a", r"card\.toml: it cannot be read as TOML"),
        ('title = "a\\nb"', r"card\.toml: title = 'a\\nb', expected one line"),
        ("url = 'javascript:x'", r"card\.toml: url = 'javascript:x', expected one that begins"),
    ],
)
def test_a_wrong_card_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "card.toml").write_text(text)
    with pytest.raises(ValueError, match=reason):
        find_about(tmp_path, About(), About())


def value(kind: Any, name: str) -> st.SearchStrategy[Any]:
    drawn: dict[str, st.SearchStrategy[Any]] = {
        "samples": st.integers(0, 9),
        "size": st.integers(16, 99),
        "format": st.sampled_from(ShardFormat),
        "layers": st.booleans(),
        "hue": st.floats(0, 180).map(lambda x: round(x, 3)),
        "scale_min": st.floats(0.5, 1).map(lambda x: round(x, 2)),
    }
    return drawn.get(name, st.just(kind))


SOME = st.builds(Settings, **{one.name: value(one.default, one.name) for one in fields(Settings)})


@settings(max_examples=25)
@given(SOME)
def test_the_command_in_the_card_makes_these_settings(
    sources: LocalSources, chosen: Settings
) -> None:
    folders = {"FOREGROUNDS": sources.foregrounds, "BACKGROUNDS": sources.backgrounds}
    text = command(chosen, False, ["CC0-1.0", "My own"])
    program, name, *words = [str(folders.get(word, word)) for word in shlex.split(text)]
    assert (program, name) == ("datagen", "compose")
    group: Any = get_command(app)
    given_ = group.commands[name].make_context(name, words).params
    values = {one.name: given_.get(one.name) for one in fields(Settings)}
    assert Settings(**{key: one for key, one in values.items() if one is not None}) == chosen
    assert given_["licence_allow"] == "CC0-1.0,My own"
    assert "--alpha ALPHAS" in command(chosen, True, ())
