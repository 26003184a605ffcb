"""A cluster without Ray: every task runs in this process, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from datagen.cluster import Cluster, Outcome


def _nothing(item: Any) -> None:
    pass


@dataclass(frozen=True)
class InProcess(Cluster):
    """Runs tasks here, for tests in which it does not matter where they run."""

    workers: int = 1
    # Called before each task, with its item
    before: Callable[[Any], None] = field(default=_nothing, kw_only=True)

    def run(
        self,
        function: Callable[..., Any],
        items: Iterable[Any],
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Iterator[Outcome[Any, Any]]:
        more = (lambda samples, bytes_: None,) if on_progress else ()
        for number, item in enumerate(items):
            self.before(item)
            try:
                yield Outcome(number, item, function(item, *more), "")
            except (ValueError, OSError) as error:
                yield Outcome(number, item, None, str(error))
