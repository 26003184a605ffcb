"""The samples of a shard set as cases to evaluate: crude trimaps are given, exact ones measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from manifests.pixels import trimap_of
from manifests.shard_set import ShardSet
from manifests.sources import Split
from training.choices import TrimapChoice
from training.loading.batches import whole_samples
from training.matte.evaluate import Case, Failure


@dataclass(frozen=True)
class ShardCases:
    """At most `limit` samples of a split, spread evenly over it; read each time anew.

    What cannot be read comes last, as Failures.
    """

    shards: ShardSet
    split: Split
    limit: int | None = None
    given: TrimapChoice = TrimapChoice.CRUDE  # or exact

    def __iter__(self) -> Iterator[Case | Failure]:
        broken: dict[str, str] = {}
        for sample in whole_samples(self.shards, self.split, self.limit, broken):
            exact = trimap_of(sample.alpha)
            yield Case(
                name=sample.key,
                image=sample.image,
                alpha=sample.alpha,
                trimap=exact,
                given_trimap=sample.crude_trimap if self.given is TrimapChoice.CRUDE else exact,
                subject=sample.row.subject,
                transparency=sample.row.transparency,
            )
        yield from (Failure(key, reason) for key, reason in broken.items())
