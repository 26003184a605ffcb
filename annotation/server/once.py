"""Making a thing on the server once, whatever becomes of the request."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from annotation.server.client import Client
from annotation.server.faults import OutageError, ServerError, UnsureError

TRIES = 5  # at making one thing, each after a look that did not find it

Thing = TypeVar("Thing")


def make_once(
    client: Client,
    make: Callable[[], object],
    find: Callable[[], Sequence[Thing]],
    remove: Callable[[Thing], object],
    what: str,
) -> Thing:
    """Make a thing that is not there yet; after a broken connection, look before it is made again.

    A look afterwards finds twins: a server on SQLite repeats a request by itself after "database is
    locked", even where the first one was carried out. The oldest stays, the others are removed.
    find: what is there, the oldest first. what: the thing in words. Raises ServerError if it cannot
    be made.
    """
    pauses = client.pauses()
    for _ in range(TRIES):
        try:
            make()
        except UnsureError as error:
            last: ServerError = error
            if client.settled(error, lambda: bool(find())):
                break
            time.sleep(next(pauses))
        else:
            break
    else:
        raise OutageError(f"{what}: not done after {TRIES} tries; {last}")
    found = find()
    if not found:
        raise ServerError(f"{client.url}: the server accepted the {what}, but does not list it")
    for twin in found[1:]:
        remove(twin)
    return found[0]
