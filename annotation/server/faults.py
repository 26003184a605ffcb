"""What can go wrong with a request: the errors that a user sees, and the fault of one attempt."""

from __future__ import annotations

from typing import NamedTuple

from manifests.storage import cannot_write


class ServerError(RuntimeError):
    """What went wrong with the server, in words for the user. Never holds the token."""


class RefusedError(ServerError):
    """The server refused the request, and would refuse it again.

    words: what the server said. location: where it sent the client instead, or "".
    """

    def __init__(self, message: str, status: int, words: str = "", location: str = "") -> None:
        super().__init__(message)
        self.status, self.words, self.location = status, words, location


class OutageError(ServerError):
    """There was no answer, or none that could be used, for as long as patience lasts."""


class UnsureError(ServerError):
    """The request broke off: it may have been carried out. `is_over` if it is not being carried
    out any more, because the server itself answered that it failed."""

    def __init__(self, message: str, is_over: bool) -> None:
        super().__init__(message)
        self.is_over = is_over


def ends_session(error: Exception, *statuses: int) -> bool:
    """Whether an error that one task met would meet every other one, too.

    statuses: those of refusals that do; an outage and a full disk always do.
    """
    if isinstance(error, RefusedError):
        return error.status in statuses
    return isinstance(error, ServerError) or cannot_write(error)


class Fault(NamedTuple):
    """Why an attempt failed; `begun` if the server may have acted on it, `is_over` if it no longer
    does."""

    reason: str
    begun: bool
    wait: float | None = None  # as the server asks, in seconds
    is_over: bool = False
    is_there: bool = False  # a server answers, but is busy now
