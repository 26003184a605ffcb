"""Checkpoints: back to the bit, whole or not there, and files of other kinds refused by name."""

from __future__ import annotations

import ast
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from manifests.storage import Location, Url, files_below, read_bytes, remove, write_bytes
from tests.object_store import BUCKET, SECRET, Store
from training import checkpoint
from training.checkpoint import MODEL, OPTIMIZER, STATE
from training.choices import Variant
from training.net.model import MattingModel
from training.stored import Place

ROOT = Path(__file__).parents[2]
ANOTHER = "if another version trained it, use that version or train again"

pytestmark = pytest.mark.usefixtures("one_thread")


class Toy:
    """A small network that learns, with something beside it, as the trainer has."""

    def __init__(self, layout: torch.memory_format = torch.channels_last, seed: int = 0) -> None:
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Conv2d(3, 5, 3, bias=False), nn.BatchNorm2d(5), nn.Conv2d(5, 2, 3)
        )
        network.seen = None  # type: ignore[assignment]  # as a MattingModel of samples of any size
        self.network = network.to(memory_format=layout)  # type: ignore[call-overload]  # torch forgot this one
        self.weight = nn.Parameter(torch.ones(2))
        self.optimizer = torch.optim.Adam([*self.network.parameters(), self.weight], fused=True)

    def learn(self, seed: int) -> None:
        image = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
        self.optimizer.zero_grad()
        (self.network(image).square().mean() * self.weight.prod()).backward()
        self.optimizer.step()

    def save(self, run: Place, iteration: int, is_best: bool = False, **more: Any) -> Place:
        state = {"iteration": iteration, "best": 0.1 + 0.2, **more}
        return checkpoint.save(
            run, self.network, Variant.AN, self.optimizer, self.beside(), state, is_best
        )

    def load(self, saved: Location) -> dict[str, Any]:
        files = checkpoint.read(saved)
        return checkpoint.load(files, str(saved), self.network, self.optimizer, self.beside())

    def beside(self) -> dict[str, Tensor]:
        return {"weight": self.weight}

    def everything(self) -> dict[str, Tensor]:
        state = self.optimizer.state_dict()["state"]
        moments = {f"{n}.{key}": x for n, values in state.items() for key, x in values.items()}
        return {**self.network.state_dict(), **moments, "weight": self.weight}


def same(one: Toy, other: Toy) -> bool:
    ours, theirs = one.everything(), other.everything()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[n], theirs[n]) for n in ours)


def names(run: Location) -> list[str]:
    return [path.name for path in checkpoint.checkpoints(run)]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_what_comes_back_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, layout: torch.memory_format
) -> None:
    one, other = Toy(layout), Toy(layout, seed=9)
    for seed in range(3):
        one.learn(seed)
    saved = one.save(tmp_path, 3)
    assert other.load(saved) == {"iteration": 3, "best": 0.1 + 0.2}
    assert same(one, other)
    assert len(one.everything()) == 9 + 3 * 6, "weights, statistics; step and two moments of each"
    for seed in range(3, 6):
        one.learn(seed)
        other.learn(seed)
        assert same(one, other)


def test_a_file_does_not_know_the_memory_format(tmp_path: Path) -> None:
    one, other = Toy(torch.channels_last), Toy(torch.contiguous_format)
    one.learn(0)
    one.save(tmp_path / "a", 1)
    other.load(tmp_path / "a/checkpoints/00000001")
    other.save(tmp_path / "b", 1)
    for file in (MODEL, OPTIMIZER):
        first, second = (
            load_file(tmp_path / run / "checkpoints/00000001" / file) for run in ("a", "b")
        )
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first)


def test_weights_that_were_not_trained_yet_have_no_moments(tmp_path: Path) -> None:
    one, other = Toy(), Toy(seed=9)
    other.load(one.save(tmp_path, 0))
    assert same(one, other)
    one.learn(0)
    other.learn(0)
    assert same(one, other)


def test_a_save_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    toy = Toy()
    toy.learn(0)
    first = toy.save(tmp_path, 1, is_best=True)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(TypeError, match="not JSON serializable"):
        toy.save(tmp_path, 2, note=object())  # after both files of tensors were written
    with pytest.raises(TypeError, match="not JSON serializable"):
        toy.save(tmp_path, 1, is_best=True, note=object())
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert not list(tmp_path.rglob(".part-*"))
    assert checkpoint.checkpoints(tmp_path) == [first]


def test_what_a_killed_writer_left_is_no_checkpoint_and_is_swept(tmp_path: Path) -> None:
    toy = Toy()
    saved = toy.save(tmp_path, 1, is_best=True)
    half = saved.with_name(".part-0123456789ab")
    shutil.copytree(saved, half)
    shutil.copytree(saved, tmp_path / ".part-ba9876543210")
    assert checkpoint.checkpoints(tmp_path) == [saved]
    checkpoint.sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best", "checkpoints"]
    assert list(saved.parent.iterdir()) == [saved]
    checkpoint.sweep(tmp_path / "none")


def test_a_second_save_takes_the_place_of_the_first(tmp_path: Path) -> None:
    toy, other = Toy(), Toy(seed=9)
    toy.save(tmp_path, 1)
    toy.learn(0)
    saved = toy.save(tmp_path, 1)
    other.load(saved)
    assert same(toy, other)
    assert list(saved.parent.iterdir()) == [saved]


def test_the_same_weights_are_never_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a validation only the state is new, so that a kill leaves a checkpoint at any time."""
    toy = Toy()
    saved = toy.save(tmp_path, 1, owes_validation=True)
    moved, rename = list[Path](), Path.rename

    def noted(path: Path, to: Path) -> Path:
        moved.append(path)
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", noted)
    toy.save(tmp_path, 1, is_best=True)
    assert json.loads((saved / STATE).read_text()) == {"iteration": 1, "best": 0.1 + 0.2}
    assert (tmp_path / "best" / STATE).read_bytes() == (saved / STATE).read_bytes()
    assert saved not in moved
    assert list(saved.parent.iterdir()) == [saved]


def test_the_last_are_kept_and_the_best(tmp_path: Path) -> None:
    toy = Toy()
    for iteration in (2, 10, 9, 100_000_000):
        toy.learn(iteration)
        toy.save(tmp_path, iteration, is_best=iteration == 9)
    assert names(tmp_path) == ["00000002", "00000009", "00000010", "100000000"]
    nine = load_file(tmp_path / "checkpoints/00000009" / MODEL)
    checkpoint.prune(tmp_path, 2)
    assert names(tmp_path) == ["00000010", "100000000"]
    checkpoint.prune(tmp_path, 5)
    assert names(tmp_path) == ["00000010", "100000000"]
    best = load_file(tmp_path / "best" / MODEL)
    assert all(torch.equal(best[name], nine[name]) for name in best)
    assert json.loads((tmp_path / "best" / STATE).read_text())["iteration"] == 9
    assert checkpoint.checkpoints(tmp_path / "none") == []


@pytest.mark.parametrize("file", [MODEL, OPTIMIZER, STATE])
@pytest.mark.parametrize("damage", ["missing", "cut", "text", "empty", "other"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, file: str, damage: str) -> None:
    toy = Toy()
    toy.learn(0)
    path = toy.save(tmp_path, 1) / file
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
        with pytest.raises(FileNotFoundError, match=file):
            toy.load(path.parent)
        return
    if damage == "other" and file != STATE:
        save_file({"weights": torch.zeros(3)}, path)
    else:
        path.write_bytes(
            {"cut": data[: len(data) // 2], "empty": b""}.get(damage, b"no such thing")
        )
    with pytest.raises(ValueError, match=rf"{path}: not a checkpoint of this model: \w"):
        toy.load(path.parent)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run of the real model: checkpoints of iterations 1 and 2, the first is the best.

    The second one is of variant base, which a run would not do.
    """
    folder = tmp_path_factory.mktemp("run")
    for iteration, variant in enumerate((Variant.AN_TW, Variant.BASE), 1):
        torch.manual_seed(iteration)
        model = MattingModel(trimap_decoder=variant is not Variant.BASE)
        optimizer = torch.optim.Adam(model.parameters())
        state = {"iteration": iteration}
        checkpoint.save(folder, model, variant, optimizer, {}, state, is_best=iteration == 1)
    yield folder
    shutil.rmtree(folder)


def test_a_run_a_checkpoint_or_a_file_means_a_model(run: Path, tmp_path: Path) -> None:
    first, second = checkpoint.checkpoints(run)
    assert checkpoint.find_model(run).path == run / "best" / MODEL
    assert checkpoint.find_model(second) == (second / MODEL, str(second / MODEL))
    assert checkpoint.find_model(first / MODEL).path == first / MODEL
    (tmp_path / "checkpoints").symlink_to(run / "checkpoints")
    assert checkpoint.find_model(tmp_path).path == tmp_path / "checkpoints" / second.name / MODEL
    with pytest.raises(FileNotFoundError, match=rf"{tmp_path / 'none'}: no checkpoint here"):
        checkpoint.load_network(tmp_path / "none")


def test_a_model_comes_back_with_the_decoders_that_it_had(run: Path) -> None:
    best = checkpoint.load_network(run)
    torch.manual_seed(1)
    expected = MattingModel().state_dict()
    assert not best.training
    assert best.trimap_decoder is not None
    assert best.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in best.state_dict().items())
    assert checkpoint.load_network(run / "checkpoints/00000002").trimap_decoder is None


def test_files_that_are_no_model_are_refused_by_name(run: Path, tmp_path: Path) -> None:
    """Text, a pickle, nothing, a piece of a model, other weights, and other weights so named."""
    whole = run / "best" / MODEL
    with whole.open("rb") as file:
        piece = file.read(3_000_000)
    contents = {"text": b"not a model, but long enough", "nothing": b"", "piece": piece}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    torch.save({"weights": torch.zeros(2)}, tmp_path / "pickle")
    save_file({"weights": torch.zeros(2)}, tmp_path / "unnamed")
    save_file({"weights": torch.zeros(2)}, tmp_path / "named", {"variant": "an"})
    save_file({"weights": torch.zeros(2)}, tmp_path / "odd", {"variant": "better"})
    save_file(load_file(whole), tmp_path / "less", {"variant": "base"})
    said = {"garbled": "{", "list": "[]", "nameless": "{}", "tiny": '{"variant": "an", "seen": 0}'}
    for name, about in said.items():
        save_file({"weights": torch.zeros(2)}, tmp_path / name, {"matting": about})
    reasons = {
        "text": "deserializing header",
        "nothing": "deserializing header",
        "piece": "deserializing header",
        "pickle": "deserializing header",
        "unnamed": "no variant in its header",
        "named": f"has no .* and [0-9]+ more; {ANOTHER}",
        "odd": "'better' is not a valid Variant",
        "garbled": "",
        "list": "",
        "nameless": "no variant in its header",
        "tiny": "seen 0 in its header, expected a number of pixels",
        "less": f"has no place in the model for trimap_decoder.* more; {ANOTHER}",
    }
    for name, reason in reasons.items():
        path = tmp_path / name
        with pytest.raises(
            ValueError, match=rf"^{path}: not a checkpoint of this model: .*{reason}"
        ):
            checkpoint.load_network(path)


def test_weights_to_start_from(run: Path, tmp_path: Path) -> None:
    """The trimap decoder is dropped or may be missing; everything else must be there and fit."""
    best = load_file(run / "best" / MODEL)
    lean = {name: value for name, value in best.items() if not name.startswith("trimap_decoder.")}
    ours, base = map(checkpoint.find_model, (run, run / "checkpoints/00000002"))
    assert checkpoint.load_weights(ours, Variant.AN_TW).keys() == best.keys()
    assert checkpoint.load_weights(ours, Variant.BASE).keys() == lean.keys() < best.keys()
    assert checkpoint.load_weights(base, Variant.AN).keys() == lean.keys()
    found = checkpoint.load_weights(ours, Variant.AN)
    assert all(torch.equal(found[name], value) for name, value in best.items())

    stem = "encoder.stem.0.0.weight"
    shape = tuple(best[stem].shape)
    file = tmp_path / "weights.safetensors"
    for change, reason in (
        ({stem: best[stem][:1]}, rf"{stem} has the shape \(1, .*, the model's has .*; {ANOTHER}$"),
        ({stem: torch.full(shape, torch.nan)}, f"{stem} is not finite"),
        ({"head.weight": torch.zeros(1)}, f"has no place in the model for head.weight; {ANOTHER}$"),
        ({stem: None}, f"has no {stem}; {ANOTHER}$"),
        (dict.fromkeys(best), f"has no .* and [0-9]+ more; {ANOTHER}$"),
    ):
        changed = {name: value for name, value in {**best, **change}.items() if value is not None}
        save_file(changed, file)
        with pytest.raises(ValueError, match=f"^{file}: not a checkpoint of this model: {reason}"):
            checkpoint.load_weights(checkpoint.find_model(file), Variant.AN)


def test_a_model_in_a_store(run: Path, store: Store) -> None:
    """By a run (its best, else its last checkpoint), a checkpoint, or a file, as in a folder."""
    assert SECRET in store.environment.values()
    root = Url(f"s3://{BUCKET}/models")
    for name in ("checkpoints/00000002", "checkpoints/00000010"):
        write_bytes(root / "last" / name / MODEL, (run / "best" / MODEL).read_bytes())
    write_bytes(root / "best" / "best" / MODEL, (run / "best" / MODEL).read_bytes())
    expected = load_file(run / "best" / MODEL)
    for name in ("last", "best", "best/best", f"best/best/{MODEL}"):
        found = checkpoint.load_network(Path(str(root / name))).state_dict()
        assert all(torch.equal(found[key], value) for key, value in expected.items()), name
    write_bytes(root / "text" / MODEL, b"not a model, but long enough")
    with pytest.raises(ValueError, match=f"^{root}/text/{MODEL}: not a checkpoint of this model"):
        checkpoint.load_network(Path(f"{root}/text"))
    with pytest.raises(FileNotFoundError, match=f"^{root}/none: no checkpoint here"):
        checkpoint.load_network(Path(f"{root}/none"))


def test_checkpoints_in_a_store(store: Store) -> None:
    """There when their last file is; a killed process leaves no more than can be swept."""
    run = Url(f"s3://{BUCKET}/checkpoints-in-a-store")
    toy, other = Toy(), Toy(seed=9)
    for iteration in (1, 2, 3):
        toy.learn(iteration)
        saved = toy.save(run, iteration, is_best=iteration < 3)
    toy.save(run, 3)
    assert other.load(saved) == {"iteration": 3, "best": 0.1 + 0.2}
    assert same(toy, other)
    assert names(run) == ["00000001", "00000002", "00000003"]
    folder = f"PUT /{str(saved).removeprefix('s3://')}/"
    sent = [r.removeprefix(folder) for r in store.requests if r.startswith(folder)]
    assert [name == STATE for name in sent] == [False, False, True] * 2
    best = read_bytes(run / "best" / MODEL)
    assert best == read_bytes(run / "checkpoints/00000002" / MODEL)

    remove(run / "checkpoints/00000002" / STATE)  # half sent, or half removed
    assert names(run) == ["00000001", "00000003"]
    checkpoint.sweep(run)
    checkpoint.prune(run, 1)
    assert {name.rpartition("/")[0] for name in files_below(run)} == {
        "best",
        "checkpoints/00000003",
    }


def test_nothing_in_training_reads_a_pickle() -> None:
    """Not torch.load (even the careful one), not pickle, not what numpy makes of objects."""
    sources = sorted((ROOT / "training").rglob("*.py"))
    assert len(sources) > 20
    for path in sources:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert (node.value.id, node.attr) not in {("torch", "load"), ("np", "load")}, path
            if isinstance(node, ast.Import | ast.ImportFrom):
                found = {alias.name for alias in node.names} | {getattr(node, "module", "")}
                assert not found & {"pickle", "joblib", "dill", "shelve", "torch.serialization"}, (
                    path
                )
            if isinstance(node, ast.keyword):
                assert node.arg not in {"weights_only", "allow_pickle"}, path


@pytest.mark.parametrize(
    "state",
    [
        '"[/b]"',
        "[]",
        "{}",
        '{"iteration": "3", "best": null}',
        '{"iteration": -1, "best": null}',
        '{"iteration": 3, "best": {}}',
        '{"iteration": 3, "best": NaN}',
        "[" * 100_000,
    ],
    ids=["text", "list", "empty", "text in it", "negative", "object in it", "nan", "nested"],
)
def test_a_state_of_another_shape_is_refused_by_name(tmp_path: Path, state: str) -> None:
    toy = Toy()
    toy.learn(0)
    saved = toy.save(tmp_path, 3)
    toy.load(saved)
    (saved / STATE).write_text(state)
    with pytest.raises(ValueError, match=rf"{saved / STATE}: not a checkpoint of this model: "):
        toy.load(saved)


def test_moments_of_another_shape_are_refused_by_name(tmp_path: Path) -> None:
    toy = Toy()
    toy.learn(0)
    saved = toy.save(tmp_path, 3)
    tensors = load_file(saved / OPTIMIZER)
    for changed in (
        {"x.y": torch.ones(1)},
        {"99.exp_avg": torch.ones(1)},
        {"weight": torch.ones(3)},
    ):
        save_file({**tensors, **changed}, saved / OPTIMIZER)
        with pytest.raises(ValueError, match=rf"{saved / OPTIMIZER}: not a checkpoint"):
            toy.load(saved)
