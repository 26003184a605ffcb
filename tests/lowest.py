"""Print the lowest version of each package that pyproject.toml allows, as constraints for pip.

`python -m tests.lowest training annotation` prints those of the core and of these extras. Packages
that only other extras name, such as the tools of the tests, stay free.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def lowest(extras: Sequence[str]) -> Iterator[str]:
    """`name==version` for each `name>=version` or `name==version` of the core and the extras."""
    project = tomllib.loads(PROJECT.read_text("utf-8"))["project"]
    chosen = [project["optional-dependencies"][extra] for extra in extras]
    for requirement in sorted(
        {*project["dependencies"], *(each for one in chosen for each in one)}
    ):
        bound = re.fullmatch(r"([\w-]+)[>=]=([\d.]+)(,<.*)?", requirement)
        if not bound:
            raise ValueError(f"{requirement!r} in {PROJECT.name} has no lowest version")
        yield f"{bound[1]}=={bound[2]}"


if __name__ == "__main__":
    print(*lowest(sys.argv[1:]), sep="\n")
