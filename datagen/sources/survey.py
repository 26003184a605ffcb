"""What is doubtful about usable sources, as far as their records show it: records -> warnings."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from datagen.sources.listing import Problem, shown
from manifests.sources import Background, Foreground, Split, Subject, Transparency
from manifests.storage import Location

TINY = 256  # pixels, the short side


def survey(
    foregrounds: Sequence[Foreground],
    backgrounds: Sequence[Background],
    foreground_folder: Location,
    background_folder: Location,
) -> list[Problem]:
    """Warnings: 'balance', 'unlabelled', 'duplicate', 'binary-alpha', 'tiny'."""
    warnings = list(_unbalanced(foregrounds, shown(foreground_folder)))
    for foreground in foregrounds:
        warnings += _doubtful(foreground, shown(foreground_folder, foreground.id))
    for background in backgrounds:
        short = min(background.height, background.width)
        if short < TINY:
            reason = f"is {_size(background)} px (height x width), and soft in larger composites"
            warnings.append(Problem(shown(background_folder, background.id), "tiny", reason))
    files = [(shown(foreground_folder, source.id), source) for source in foregrounds]
    more = [(shown(background_folder, source.id), source) for source in backgrounds]
    return warnings + list(_duplicates([*files, *more]))


def _unbalanced(foregrounds: Sequence[Foreground], folder: str) -> Iterator[Problem]:
    cells = Counter((source.subject, source.transparency) for source in foregrounds)
    subjects = (Subject.HUMAN, Subject.NON_HUMAN)
    counts = {
        f"{subject} {kind}": cells[subject, kind] for subject in subjects for kind in Transparency
    }
    labelled = sum(counts.values())
    if labelled < len(foregrounds):
        reason = (
            f"{len(foregrounds) - labelled} of {len(foregrounds)} foregrounds have no subject "
            "(human or non-human), so they do not count for the balance; label them"
        )
        yield Problem(folder, "unlabelled", reason)
    if max(counts.values()) - min(counts.values()) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        reason = f"foregrounds are unbalanced: {listed}; an equal share is {labelled / 8:.1f}"
        yield Problem(folder, "balance", reason)


def _doubtful(source: Foreground, file: str) -> Iterator[Problem]:
    box = source.box
    # The antialiased outline of a subject of any size has about as many soft pixels as its box has
    # around it. Shapes with long straight sides have fewer, so a quarter of that is enough.
    outline = (box.height + box.width) / 2
    soft = round(source.soft_share * source.height * source.width)
    if soft < outline:
        reason = (
            f"alpha is (nearly) binary: {soft} soft pixels, where an antialiased outline of its "
            f"size has at least {outline:.0f}; a model learns nothing about soft edges from it"
        )
        yield Problem(file, "binary-alpha", reason)
    if min(box.height, box.width) < TINY:
        reason = (
            f"its subject is {box.height} x {box.width} px (height x width); it is never enlarged, "
            "so it stays that small in larger composites"
        )
        yield Problem(file, "tiny", reason)


def _duplicates(files: Sequence[tuple[str, Foreground | Background]]) -> Iterator[Problem]:
    same: dict[str, list[tuple[str, Split]]] = defaultdict(list)
    for file, source in files:
        same[source.pixels_sha256].append((file, source.split))
    for (first, split), *others in same.values():
        for file, other_split in others:
            reason = f"has the same pixels as {first}"
            if other_split is not split:
                reason += f", which is in another split ({split} and {other_split}): a leak"
            yield Problem(file, "duplicate", reason)


def _size(source: Background) -> str:
    return f"{source.height} x {source.width}"
