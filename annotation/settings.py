"""What a user may choose of a session with a server."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Wanted(StrEnum):
    """Which annotations to pull."""

    APPROVED = "approved"
    ALL = "all"


class Gaps(StrEnum):
    """What the pixels beside a foreground are that nobody painted."""

    UNKNOWN = "unknown"
    BACKGROUND = "background"


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for, in seconds."""

    connect: float = 10.0
    answer: float = 60.0  # for the next part of an answer
    work: float = 300.0  # for an answer to an import, which takes the server a while
    first: float = 4.0  # until the first answer: a wrong URL should show soon
    outage: float = 120.0  # for a server that has answered before; a restart takes up to 50
    settle: float = 20.0  # until a request that broke off has surely been carried out, or not
    pause: float = 0.5  # before the first repetition; doubles each time
    longest_pause: float = 15.0
