"""Which optional part of this distribution a missing module belongs to."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires

DISTRIBUTION = "matting-data"

# As in `httpx>=0.28; extra == "annotation"`
_OF_AN_EXTRA = re.compile(r"""(?P<name>[\w.-]+)[^;]*;.*\bextra\s*==\s*["'](?P<extra>[\w-]+)["']""")


def advice(error: ModuleNotFoundError) -> str:
    """What to install for a module that is missing, in a sentence; "" if it is no part of ours."""
    module = (error.name or "").partition(".")[0]
    try:
        extras = extras_of(module, requires(DISTRIBUTION) or ())
    except PackageNotFoundError:  # run from its source, without being installed
        return ""
    ways = " or ".join(f"pip install '{DISTRIBUTION}[{extra}]'" for extra in extras)
    return f"this needs the package {module}, which is not installed; {ways} installs it" * bool(
        ways
    )


def extras_of(module: str, requirements: Iterable[str]) -> list[str]:
    """The extras whose requirements have a module; those for developers do not count."""
    found = (_OF_AN_EXTRA.match(line) for line in requirements)
    names = {match["extra"] for match in found if match and _plain(match["name"]) == _plain(module)}
    return sorted(names - {"dev", "test"})


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()
