"""Metrics of many mattes: of predictions on disk, or of a method on cases; as JSON and as a table.

Nothing is printed, and one failure does not stop the rest: an image that could not be measured is a
Failure with a name and a reason, and the means are over all others.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from manifests.pictures import read_alpha, read_photo, read_trimap
from manifests.pixels import Pixels
from manifests.sources import Subject, Transparency
from training.matte.faults import FAULTS, Failure, reason_of
from training.matte.folders import Matched, check_sizes, match_folders
from training.matte.metrics import Metrics, figure, mean_of, measure
from training.matte.pool import Pool
from training.matte.ranges import check_range

Matting = Callable[[Pixels, Pixels], Pixels]  # image, trimap -> alpha
Progress = Callable[[int, int], None]  # done, of how many (0: not known)

Item = TypeVar("Item", Matched, "Case | Failure")

# Of the table of means; the first two are texts.
COLUMNS = (
    "transparency",
    "subject",
    "images",
    "SAD",
    "MSE",
    "Grad",
    "Conn",
    "SAD whole",
    "MSE whole",
)


@dataclass(frozen=True)
class Case:
    """One picture to matte, and the truth.

    The method sees `image` and `given_trimap`, which may be crude. The metrics of the unknown
    region are taken where the exact `trimap` is unknown. With the crude one each trimap would have
    its own region, and a mask that loses half of the subject would make the task easier. Pixels
    that a crude trimap wrongly calls known count in the metrics of the whole image. For folders
    without crude trimaps both trimaps are the same.
    """

    name: str
    image: Pixels  # H x W x 3 uint8
    alpha: Pixels  # H x W uint8
    trimap: Pixels  # H x W, codes 0, 1, 2
    given_trimap: Pixels
    subject: Subject | None = None
    transparency: Transparency | None = None


@dataclass(frozen=True)
class Score:
    name: str
    metrics: Metrics
    subject: Subject | None = None
    transparency: Transparency | None = None


@dataclass(frozen=True)
class Evaluation:
    """In the order of the cases."""

    scores: list[Score]
    failed: list[Failure]


def _silent(done: int, total: int) -> None:
    """Show no progress."""


def evaluate_folders(
    predictions: Path,
    alphas: Path,
    trimaps: Path,
    progress: Progress = _silent,
    workers: int = 1,
) -> Evaluation:
    """Metrics of the predictions of any method, matched by stem.

    Every alpha needs its prediction and its trimap, so that a method which fails on hard pictures
    does not look better than it is. Raises PictureError if files are missing.
    """
    folders = {"predictions": predictions, "alphas": alphas, "trimaps": trimaps}
    return _evaluation(_score_files, match_folders(folders), progress, workers)


def evaluate_method(
    method: Matting,
    cases: Iterable[Case | Failure],
    progress: Progress = _silent,
    workers: int = 1,
) -> Evaluation:
    """Metrics of `method(image, given_trimap)` on each case; Failures among them are passed on.

    If the method raises one of `FAULTS`, or ends its process, only that case fails. With more than
    one worker there are processes, so the method must be picklable; the scores are the same. At
    most three cases per worker are held in memory.
    """
    return _evaluation(functools.partial(_score_case, method), cases, progress, workers)


@dataclass(frozen=True)
class FolderCases:
    """Cases whose files are read one after another, whenever they are iterated over."""

    matched: list[Matched]

    def __len__(self) -> int:
        return len(self.matched)

    def __iter__(self) -> Iterator[Case | Failure]:
        return map(_read_case, self.matched)


def folder_cases(
    images: Path, alphas: Path, trimaps: Path, given_trimaps: Path | None = None
) -> FolderCases:
    """Folders matched by stem; without `given_trimaps` the method sees the exact ones.

    Raises PictureError if files are missing; a file that cannot be read is a Failure later.
    """
    folders = {"images": images, "alphas": alphas, "trimaps": trimaps}
    if given_trimaps is not None:
        folders["given trimaps"] = given_trimaps
    return FolderCases(match_folders(folders))


def _read_case(matched: Matched) -> Case | Failure:
    image_file, alpha_file, *trimap_files = matched.files
    try:
        image, alpha = read_photo(image_file), read_alpha(alpha_file)
        trimaps = [read_trimap(file) for file in trimap_files]
        check_sizes(dict(zip(matched.files, (image, alpha, *trimaps), strict=True)))
        check_range(alpha_file, alpha, trimaps[0])
    except FAULTS as error:
        return Failure(matched.name, reason_of(error))
    return Case(matched.name, image, alpha, trimaps[0], trimaps[-1])


def _score_case(method: Matting, case: Case | Failure) -> Score | Failure:
    if isinstance(case, Failure):
        return case
    try:
        metrics = measure(method(case.image, case.given_trimap), case.alpha, case.trimap)
    except FAULTS as error:
        return Failure(case.name, reason_of(error))
    return Score(case.name, metrics, case.subject, case.transparency)


def _score_files(matched: Matched) -> Score | Failure:
    prediction_file, alpha_file, trimap_file = matched.files
    try:
        prediction, alpha = read_alpha(prediction_file), read_alpha(alpha_file)
        trimap = read_trimap(trimap_file)
        check_sizes(dict(zip(matched.files, (prediction, alpha, trimap), strict=True)))
        for file, pixels in ((alpha_file, alpha), (prediction_file, prediction)):
            check_range(file, pixels, trimap)
        metrics = measure(prediction, alpha, trimap)
    except FAULTS as error:
        return Failure(matched.name, reason_of(error))
    return Score(matched.name, metrics)


def _evaluation(
    score: Callable[[Item], Score | Failure],
    items: Iterable[Item],
    progress: Progress,
    workers: int,
) -> Evaluation:
    evaluation = Evaluation([], [])
    total = len(items) if isinstance(items, Sized) else 0
    for done, result in enumerate(_results(score, items, workers), 1):
        if isinstance(result, Failure):
            evaluation.failed.append(result)
        else:
            evaluation.scores.append(result)
        progress(done, total)
    return evaluation


def _results(
    score: Callable[[Item], Score | Failure], items: Iterable[Item], workers: int
) -> Iterator[Score | Failure]:
    """In the order of the items."""
    if workers <= 1:
        yield from map(score, items)
        return
    with closing(Pool(score, workers)) as pool:
        for item in items:
            pool.submit(item)
            if pool.waiting >= 3 * workers:
                yield pool.next()
        while pool.waiting:
            yield pool.next()


def to_json(evaluation: Evaluation) -> dict[str, Any]:
    """{"images": [{"name", "sad", ...}], "mean": {"sad", ...}}, ready for json.dumps.

    An image has a subject and a transparency if they are known. The metrics of the unknown region
    are null for an image whose trimap has no unknown pixel; it is left out of their means. "mean"
    is empty if nothing could be measured; "failed" lists names and reasons, if there are any.
    """
    images = [
        {"name": score.name}
        | ({} if score.subject is None else {"subject": str(score.subject)})
        | ({} if score.transparency is None else {"transparency": str(score.transparency)})
        | asdict(score.metrics)
        for score in evaluation.scores
    ]
    found: dict[str, Any] = {"images": images, "mean": {}}
    if evaluation.scores:
        found["mean"] = asdict(mean_of([score.metrics for score in evaluation.scores]))
    if evaluation.failed:
        found["failed"] = [asdict(failure) for failure in evaluation.failed]
    return found


def grouped(evaluation: Evaluation) -> dict[tuple[str, str], list[Metrics]]:
    """(transparency, subject) -> metrics, in the order of the classes; ("all", "") comes last.

    A subject of "" means all subjects of that transparency; such a group exists if there are
    several.
    """
    groups: dict[tuple[str, str], list[Metrics]] = {}
    for transparency in Transparency:
        within = [s for s in evaluation.scores if s.transparency is transparency]
        subjects = {
            subject: [score.metrics for score in within if score.subject is subject]
            for subject in Subject
        }
        present = {str(subject): metrics for subject, metrics in subjects.items() if metrics}
        groups |= {(str(transparency), subject): metrics for subject, metrics in present.items()}
        if within and len(present) != 1:
            groups[str(transparency), ""] = [score.metrics for score in within]
    groups["all", ""] = [score.metrics for score in evaluation.scores]
    return groups


def mean_rows(evaluation: Evaluation) -> list[tuple[str, ...]]:
    """Means by transparency and subject, and over all: a text for each of COLUMNS.

    "2 of 3" images: three were measured, of which two have unknown pixels. "-" stands for a mean of
    the unknown region where no image has one.
    """
    rows = []
    for (transparency, subject), metrics in grouped(evaluation).items():
        if metrics:
            mean = mean_of(metrics)
            values = (mean.sad, mean.mse, mean.grad, mean.conn, mean.sad_whole, mean.mse_whole)
            digits = (2, 4, 2, 2, 2, 4)
            shown = (figure(value, n) for value, n in zip(values, digits, strict=True))
            asked = len(metrics) - without_unknown(metrics)
            images = f"{asked} of {len(metrics)}" if asked < len(metrics) else f"{asked}"
            rows.append((transparency, subject, images, *shown))
    return rows


def without_unknown(metrics: Sequence[Metrics]) -> int:
    """How many images have no unknown pixels, and so no part in the means of that region."""
    return sum(image.sad is None for image in metrics)
