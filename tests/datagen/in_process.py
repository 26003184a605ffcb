"""A cluster without Ray: every task runs in this process, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from datagen.cluster import Cluster, Outcome


class InProcess(Cluster):
    """Runs tasks here, for tests in which it does not matter where they run."""

    def __init__(self) -> None:
        super().__init__(1)

    def run(
        self,
        function: Callable[..., Any],
        items: Iterable[Any],
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Iterator[Outcome[Any, Any]]:
        more = (lambda samples, bytes_: None,) if on_progress else ()
        for number, item in enumerate(items):
            try:
                yield Outcome(number, item, function(item, *more), "")
            except (ValueError, OSError) as error:
                yield Outcome(number, item, None, str(error))
