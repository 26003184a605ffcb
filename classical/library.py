"""pymatting, imported where it is used and with a place for what it compiles.

It compiles itself when it is first imported, for about half a minute, and keeps the result on
disk. Where it cannot, it cannot even be imported.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import sys
from pathlib import Path
from typing import Any

from manifests.compiled import keep_compiled


def load() -> Any:
    """The module pymatting."""
    if "pymatting" not in sys.modules:
        spec = importlib.util.find_spec("pymatting")
        beside = spec.submodule_search_locations if spec else None
        keep_compiled(map(Path, beside or ()))
    import pymatting

    return pymatting


def quiet() -> contextlib.AbstractContextManager[object]:
    """While this is entered, pymatting's remarks on standard output are dropped.

    It prints when a factorisation needs another try; standard output belongs to the command.
    """
    return contextlib.redirect_stdout(io.StringIO())
