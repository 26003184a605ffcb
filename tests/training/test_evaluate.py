"""Evaluations of folders and methods: the same scores by every way, and every fault by name."""

from __future__ import annotations

import errno
import functools
import json
import pickle
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from classical.methods import Method, solve
from manifests.pictures import PictureError, write_alpha, write_trimap
from manifests.pixels import FOREGROUND, UNKNOWN, ImageCodec, Pixels, encode_colour
from manifests.sources import Subject, Transparency
from manifests.storage import write_bytes
from tests.picture_files import png
from tests.training.methods import Failing, case, halves, particular, redness
from training.matte.evaluate import (
    COLUMNS,
    Case,
    Evaluation,
    Score,
    evaluate_folders,
    evaluate_method,
    folder_cases,
    grouped,
    mean_rows,
    to_json,
)
from training.matte.faults import Failure
from training.matte.metrics import Metrics, mean_of, measure
from training.matte.ranges import check_range

KEYS = ["name", "sad", "mse", "grad", "conn", "sad_whole", "mse_whole"]


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """images, alphas, trimaps, given and predictions of three cases."""
    for one in map(case, range(3)):
        colours = encode_colour(one.image, ImageCodec.PNG)
        write_bytes(tmp_path / "images" / f"{one.name}.png", colours)
        write_alpha(tmp_path / "alphas" / f"{one.name}.png", one.alpha)
        write_trimap(tmp_path / "trimaps" / f"{one.name}.png", one.trimap)
        write_trimap(tmp_path / "given" / f"{one.name}.png", one.given_trimap)
        prediction = redness(one.image, one.given_trimap)
        write_alpha(tmp_path / "predictions" / f"{one.name}.png", prediction)
    return tmp_path


def of_folders(root: Path, workers: int = 1) -> Evaluation:
    return evaluate_folders(
        root / "predictions", root / "alphas", root / "trimaps", workers=workers
    )


def test_the_unknown_region_is_that_of_the_exact_trimap() -> None:
    one = case(2)
    (score,) = evaluate_method(redness, [one]).scores
    assert score == Score(
        "disc2", measure(redness(one.image, one.given_trimap), one.alpha, one.trimap)
    )
    perfect = evaluate_method(redness, [replace(one, given_trimap=one.trimap)]).scores[0]
    assert set(asdict(perfect.metrics).values()) == {0.0}
    assert score.metrics.sad is not None
    assert score.metrics.sad_whole > score.metrics.sad > 0


def test_folders_and_methods_agree(folders: Path) -> None:
    files = of_folders(folders)
    cases = folder_cases(*(folders / name for name in ("images", "alphas", "trimaps", "given")))
    assert evaluate_method(redness, cases) == files
    assert evaluate_method(redness, [case(number) for number in range(3)]) == files
    assert [score.name for score in files.scores] == ["disc0", "disc1", "disc2"]
    same = folder_cases(*(folders / name for name in ("images", "alphas", "trimaps")))
    assert evaluate_method(halves, same) == evaluate_method(
        halves, [replace(one, given_trimap=one.trimap) for one in map(case, range(3))]
    )


@pytest.mark.slow
def test_processes_give_the_same_scores(folders: Path) -> None:
    assert of_folders(folders, workers=2) == of_folders(folders)
    cases: list[Case | Failure] = [
        *(case(number % 3) for number in range(7)),
        Failure("lost", "not found"),
    ]
    assert evaluate_method(redness, iter(cases), workers=2) == evaluate_method(redness, cases)


def test_the_classical_methods_can_travel_to_a_process() -> None:
    method = pickle.loads(pickle.dumps(functools.partial(solve, Method.CLOSED_FORM)))
    one = case(0)
    np.testing.assert_array_equal(
        method(one.image, one.trimap), solve(Method.CLOSED_FORM, one.image, one.trimap)
    )


def test_progress_knows_how_many_where_that_can_be_known() -> None:
    calls: list[tuple[int, int]] = []

    def note(done: int, total: int) -> None:
        calls.append((done, total))

    def some() -> Iterator[Case]:
        yield from (case(0), case(1))

    evaluate_method(redness, list(some()), note)
    evaluate_method(redness, some(), note)
    assert calls == [(1, 2), (2, 2), (1, 0), (2, 0)]


def test_one_fault_fails_one_case() -> None:
    cases: list[Case | Failure] = [case(0), case(1), Failure("gone", "could not be read"), case(2)]
    found = evaluate_method(particular, cases)
    assert [score.name for score in found.scores] == ["disc0", "disc2"]
    assert found.failed == [Failure("disc1", "no solution"), Failure("gone", "could not be read")]
    assert to_json(found)["failed"][0] == {"name": "disc1", "reason": "no solution"}


MEMORY = "needs more memory than there is; make the picture smaller"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            OSError(errno.EIO, "Input/output error", "a.png"),
            "[Errno 5] Input/output error: 'a.png'",
        ),
        (MemoryError(), MEMORY),
        (MemoryError("Unable to allocate 9 TiB for an array"), MEMORY),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), MEMORY),
        (RuntimeError("could not create a primitive\nin a file"), "could not create a primitive"),
        (RuntimeError(), "RuntimeError"),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB."),
            "needs more memory than the GPU has; use --device cpu, or make the picture smaller",
        ),
        (cv2.error("OpenCV(4.12) (-4:Insufficient memory) in OutOfMemoryError"), MEMORY),
    ],
)
def test_whatever_one_case_raises_is_its_own_failure(error: Exception, reason: str) -> None:
    found = evaluate_method(Failing(error), [case(0), case(1), case(2)])
    assert [score.name for score in found.scores] == ["disc0", "disc2"]
    assert found.failed == [Failure("disc1", reason)]


def test_a_mistake_of_ours_is_no_failure_of_a_case() -> None:
    with pytest.raises(KeyError):
        evaluate_method(Failing(KeyError("name")), [case(0), case(1)])


@pytest.mark.slow
def test_a_killed_process_costs_one_case() -> None:
    cases: list[Case | Failure] = [
        replace(case(number % 3), name=f"{number}") for number in range(9)
    ]
    found = evaluate_method(Failing(None), cases, workers=2)
    assert [score.name for score in found.scores] == ["0", "2", "3", "5", "6", "8"]
    reason = "its process was killed, perhaps because memory ran out"
    assert found.failed == [Failure(name, reason) for name in ("1", "4", "7")]
    assert found.scores[:2] == [
        replace(score, name=name)
        for score, name in zip(
            evaluate_method(redness, [case(0), case(2)]).scores, ("0", "2"), strict=True
        )
    ]


def test_files_that_cannot_be_measured_are_named(folders: Path) -> None:
    (folders / "predictions" / "disc0.png").write_text("not a picture")
    write_alpha(folders / "alphas" / "disc1.png", np.zeros((4, 5), np.uint8))
    write_alpha(folders / "trimaps" / "disc2.png", np.full((20, 30), 127, np.uint8))
    found = of_folders(folders)
    assert (found.scores, [failure.name for failure in found.failed]) == (
        [],
        ["disc0", "disc1", "disc2"],
    )
    words = [failure.reason for failure in found.failed]
    assert "predictions/disc0.png: is not a picture" in words[0]
    assert "alphas/disc1.png is 4 x 5" in words[1]
    assert "trimaps/disc2.png: has the trimap values 127" in words[2]
    assert to_json(found)["mean"] == {}
    assert (
        evaluate_method(
            redness, folder_cases(folders / "images", folders / "alphas", folders / "trimaps")
        )
        .failed[1]
        .name
        == "disc2"
    )


def test_a_prediction_whose_rows_are_missing_is_not_scored_as_black(folders: Path) -> None:
    """Pillow reads such a file without an error."""
    half = png((20, 30), 8, 0, bytes(10 * 31))
    (folders / "predictions" / "disc1.png").write_bytes(half)
    found = of_folders(folders)
    assert [score.name for score in found.scores] == ["disc0", "disc2"]
    assert "holds 310 of 620 bytes of PNG pixels" in found.failed[0].reason


def test_a_trimap_without_unknown_pixels_has_no_part_in_the_means(folders: Path) -> None:
    before = to_json(of_folders(folders))["images"]
    known = np.full((20, 30), FOREGROUND, np.uint8)
    write_alpha(folders / "alphas" / "disc1.png", np.full((20, 30), 255, np.uint8))
    write_trimap(folders / "trimaps" / "disc1.png", known)
    found = of_folders(folders)
    shown = to_json(found)
    assert [shown["images"][1][name] for name in ("sad", "mse", "grad", "conn")] == [None] * 4
    for name in ("sad", "mse", "grad", "conn"):
        expected = (before[0][name] + before[2][name]) / 2
        assert shown["mean"][name] == pytest.approx(expected)
    whole = [image["sad_whole"] for image in shown["images"]]
    assert shown["mean"]["sad_whole"] == pytest.approx(sum(whole) / 3)
    (row,) = mean_rows(Evaluation([found.scores[1]], []))
    assert row[:7] == ("all", "", "0 of 1", "-", "-", "-", "-")
    (row,) = mean_rows(found)
    assert row[:3] == ("all", "", "2 of 3")
    assert row[3] == f"{shown['mean']['sad']:.2f}"


def scaled(levels: Pixels, low: int, high: int) -> Pixels:
    return np.rint(low + levels / 255 * (high - low)).astype(np.uint8)


RANGES = [
    (0, 1, "a mask of 0 and 1, or 8-bit values in a 16-bit file"),
    (0, 4, "10-bit values in a 16-bit file"),
    (0, 100, "percentages"),
    (16, 235, "video levels"),
    (0, 127, ""),
]


@pytest.mark.parametrize(("low", "high", "guess"), RANGES)
@pytest.mark.parametrize("kind", ["predictions", "alphas"])
def test_an_alpha_of_another_range_is_refused(
    folders: Path, kind: str, low: int, high: int, guess: str
) -> None:
    file = folders / kind / "disc1.png"
    write_alpha(file, scaled(case(1).alpha, low, high))
    found = of_folders(folders)
    looks = f"it looks like {guess}; " if guess else ""
    reason = (
        f"{file}: has levels from {low} to {high}, not from 0 to 255; {looks}scale it to 0 to 255"
    )
    assert found.failed == [Failure("disc1", reason)]
    assert [score.name for score in found.scores] == ["disc0", "disc2"]
    if kind == "alphas":
        cases = folder_cases(*(folders / name for name in ("images", "alphas", "trimaps")))
        assert evaluate_method(redness, cases).failed == found.failed


def test_a_mask_of_0_and_1_is_refused_without_known_pixels(tmp_path: Path) -> None:
    file = tmp_path / "mask.png"
    unknown = np.full((4, 5), UNKNOWN, np.uint8)
    mask = np.zeros((4, 5), np.uint8)
    check_range(file, mask, unknown)
    mask[1:3] = 1
    with pytest.raises(PictureError, match=rf"^{file}: has levels from 0 to 1, "):
        check_range(file, mask, unknown)


@pytest.mark.parametrize("kind", ["predictions", "alphas", "trimaps"])
def test_what_is_inverted_is_refused(folders: Path, kind: str) -> None:
    file, one = folders / kind / "disc1.png", case(1)
    if kind == "trimaps":
        write_trimap(file, 2 - one.trimap)
    else:
        write_alpha(file, 255 - one.alpha)
    (failure,) = of_folders(folders).failed
    file = folders / "alphas/disc1.png" if kind == "trimaps" else file
    assert failure.reason == (
        f"{file}: is 255 where the trimap says background and 0 where it says foreground; the "
        "alpha or the trimap looks inverted"
    )


@given(st.data())
def test_a_poor_answer_is_no_wrong_range(data: st.DataObject) -> None:
    """Noise around any alpha, a constant, and all that comes near to the ends."""
    one = case(data.draw(st.integers(0, 2)))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    noise = rng.integers(2, 256, one.alpha.shape, dtype=np.uint8)
    levels = data.draw(
        st.sampled_from(
            [
                one.alpha,
                noise,
                np.full_like(one.alpha, data.draw(st.integers(2, 255))),
                scaled(one.alpha, data.draw(st.integers(0, 15)), data.draw(st.integers(129, 255))),
                np.where(one.trimap == UNKNOWN, noise, one.alpha),
            ]
        )
    )
    check_range(Path("a.png"), levels, one.trimap)


def test_every_alpha_needs_a_prediction(folders: Path) -> None:
    (folders / "predictions" / "disc1.png").unlink()
    with pytest.raises(PictureError, match=r"no predictions for 1 of the alphas .*disc1"):
        of_folders(folders)


def test_the_json_is_the_contract(folders: Path) -> None:
    found = json.loads(json.dumps(to_json(of_folders(folders)), allow_nan=False))
    assert list(found) == ["images", "mean"]
    assert [list(image) for image in found["images"]] == [KEYS] * 3
    assert list(found["mean"]) == KEYS[1:]
    sads = [image["sad"] for image in found["images"]]
    assert found["mean"]["sad"] == pytest.approx(sum(sads) / 3)


def labelled() -> Evaluation:
    labels = [
        ("human", "Little"),
        ("non-human", "Little"),
        ("human", "Highly"),
        ("human", "Little"),
    ]
    return Evaluation(
        [
            Score(f"{n}", Metrics(n, n, n, n, n, n), Subject(subject), Transparency(transparency))
            for n, (subject, transparency) in enumerate(labels)
        ],
        [],
    )


def test_groups_by_transparency_and_subject() -> None:
    groups = grouped(labelled())
    assert {key: [m.sad for m in metrics] for key, metrics in groups.items()} == {
        ("Highly", "human"): [2],
        ("Little", "human"): [0, 3],
        ("Little", "non-human"): [1],
        ("Little", ""): [0, 1, 3],
        ("all", ""): [0, 1, 2, 3],
    }
    assert next(iter(groups)) == ("Highly", "human")
    assert list(groups)[-2:] == [("Little", ""), ("all", "")]
    assert mean_of(groups["Little", "human"]).sad == 1.5
    image = to_json(labelled())["images"][1]
    assert (image["subject"], image["transparency"]) == ("non-human", "Little")


def test_the_table(folders: Path) -> None:
    rows = mean_rows(labelled())
    assert ("Little", "human", "2", "1.50", "1.5000", "1.50", "1.50", "1.50", "1.5000") in rows
    assert rows[-1] == ("all", "", "4", "1.50", "1.5000", "1.50", "1.50", "1.50", "1.5000")
    assert [len(row) for row in rows] == [len(COLUMNS)] * len(rows)
    assert [row[0] for row in mean_rows(of_folders(folders))] == ["all"]
    assert mean_rows(Evaluation([], [])) == []
