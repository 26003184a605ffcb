"""Which alpha file belongs to which image, where alpha lies in a folder of its own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from datagen.sources.listing import Problem


def match_alphas(
    names: Sequence[str], alpha_names: Sequence[str]
) -> tuple[dict[str, str], list[Problem]]:
    """Which alpha file belongs to which image: the one of the same name, or else the only one of
    the same name but for its ending. Names that match none ('no-alpha') or several, or share
    their only one with another image ('ambiguous'), are the problems."""
    exact = set(alpha_names)
    by_stem, images_by_stem = _by_stem(alpha_names), _by_stem(names)
    alphas: dict[str, str] = {}
    problems: list[Problem] = []
    for name in names:
        stem = _stem(name)
        candidates = by_stem.get(stem, [])
        if name in exact:
            alphas[name] = name
        elif not candidates:
            reason = f"the alpha folder has no {name}, nor {stem} with another ending"
            problems.append(Problem(name, "no-alpha", reason))
        elif len(candidates) > 1:
            reason = f"the alpha folder has {', '.join(candidates)} for it; leave one of them"
            problems.append(Problem(name, "ambiguous", reason))
        elif len(images_by_stem[stem]) > 1:
            sharing = ", ".join(images_by_stem[stem])
            reason = f"the alpha file {candidates[0]} could belong to {sharing}; rename one of them"
            problems.append(Problem(name, "ambiguous", reason))
        else:
            alphas[name] = candidates[0]
    return alphas, problems


def _by_stem(names: Iterable[str]) -> dict[str, list[str]]:
    stems: dict[str, list[str]] = defaultdict(list)
    for name in names:
        stems[_stem(name)].append(name)
    return stems


def _stem(name: str) -> str:
    return PurePosixPath(name).with_suffix("").as_posix()
