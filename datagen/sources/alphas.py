"""Which alpha file belongs to which image, where the alphas are in a folder of their own."""

from __future__ import annotations

from collections.abc import Sequence

from datagen.sources.listing import Problem
from manifests.matching import match_names


def match_alphas(
    names: Sequence[str], alpha_names: Sequence[str]
) -> tuple[dict[str, str], list[Problem]]:
    """The alpha file of each image, found by its name as `match_names` does.

    Names that match none ('no-alpha') or several, or share one with another image ('ambiguous'),
    are the problems.
    """
    alphas, unclear = match_names(names, alpha_names)
    problems: list[Problem] = []
    for name in names:
        candidates = unclear.get(name, [])
        if name in alphas:
            continue
        if not candidates:
            reason = f"the alpha folder has no {name}, with this ending or another"
            problems.append(Problem(name, "no-alpha", reason))
        elif len(candidates) > 1:
            reason = f"the alpha folder has {', '.join(candidates)} for it; leave one of them"
            problems.append(Problem(name, "ambiguous", reason))
        else:
            reason = f"the alpha file {candidates[0]} could belong to another image, too; "
            problems.append(Problem(name, "ambiguous", f"{reason}rename one of the images"))
    return alphas, problems
