"""The labels of the files in a folder, and what is wrong with the file that holds them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from datagen.sources.labels import Label, find_labels, read_labels
from datagen.sources.listing import Problem, shown
from manifests.labels import FOREGROUND_LABELS, LabelFileError
from manifests.matching import Matches, match_names
from manifests.pictures import PictureError, read_file
from manifests.storage import Location


class Labelled(NamedTuple):
    """`rows` by the names of the files in the folder. The files in `faulty` have a wrong row. They
    are scanned like the others, to find all of their problems, and then left out."""

    rows: dict[str, Label]
    faulty: set[str]
    problems: list[Problem]
    warnings: list[Problem]


def read_labelled(folder: Location, file_name: str, names: Sequence[str]) -> Labelled:
    """The labels of the files `names` of a folder; every wrong row is a problem.

    Rows without an image are usual if the label file is for a larger set. They are warnings only
    if there are also images without a row, because the rows may have been meant for these.
    """
    labelled = Labelled({}, set(), [], [])
    path = folder
    try:
        found = find_labels(folder, file_name)
        if found is None:
            return labelled
        path = found
        is_foreground = file_name == FOREGROUND_LABELS
        required = ("file", "subject", "transparency") if is_foreground else ("file",)
        rows, faults = read_labels(read_file(path), required)
    except (LabelFileError, PictureError) as error:
        reason = error.reason if isinstance(error, PictureError) else str(error)
        labelled.problems.append(Problem(shown(path), "label", reason))
        return labelled
    given = dict.fromkeys([*rows, *(file for file, _ in faults if file)])
    matches = match_names(list(given), names)
    for file, fault in faults:
        name = matches.files.get(file, file)
        where = shown(folder, name) if name else shown(path)
        labelled.problems.append(Problem(where, "label", f"{shown(path)} {fault}"))
        labelled.faulty.add(name)
    labelled.rows.update(
        {matches.files[file]: label for file, label in rows.items() if file in matches.files}
    )
    without_row = [name for name in names if name not in labelled.rows.keys() | labelled.faulty]
    for name in without_row:
        reason = f"has no row in {shown(path)}"
        reason += ": its subject is unlabelled, its transparency measured" if is_foreground else ""
        labelled.warnings.append(Problem(shown(folder, name), "image-without-label", reason))
    if without_row:
        labelled.warnings.extend(_without_image(folder, path, rows, matches))
    return labelled


def _without_image(
    folder: Location, path: Location, rows: Mapping[str, Label], matches: Matches
) -> Iterator[Problem]:
    taken = set(matches.files.values())
    for file in rows.keys() - matches.files.keys():
        candidates = [name for name in matches.unclear.get(file, []) if name not in taken]
        if candidates:
            rival = ", as another row may" if len(candidates) == 1 else ""
            reason = f"is a row of {shown(path)} that could mean {' or '.join(candidates)}{rival}; "
            yield Problem(shown(folder, file), "label-unclear", reason + "write the whole name")
        else:
            reason = f"is a row of {shown(path)}, but there is no such image"
            yield Problem(shown(folder, file), "label-without-image", reason)
