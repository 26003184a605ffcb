"""The samples of a shard set as cases to evaluate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from manifests.shard_set import ShardSet
from manifests.sources import Split
from training.choices import TrimapChoice
from training.loading.whole import whole_samples
from training.matte.evaluate import Case
from training.matte.faults import FAULTS, Failure


@dataclass(frozen=True)
class ShardCases:
    """At most `limit` samples of a split, spread evenly over it; each iteration reads them anew.

    Samples and shards that cannot be read come last, as Failures.
    """

    shards: ShardSet
    split: Split
    limit: int | None = None
    given: TrimapChoice = TrimapChoice.CRUDE  # or exact

    def __iter__(self) -> Iterator[Case | Failure]:
        broken: dict[str, str] = {}
        is_crude = self.given is TrimapChoice.CRUDE
        for sample in whole_samples(self.shards, self.split, self.limit, broken, FAULTS):
            yield Case(
                name=sample.key,
                image=sample.image,
                alpha=sample.alpha,
                trimap=sample.trimap,
                given_trimap=sample.crude_trimap if is_crude else sample.trimap,
                subject=sample.row.subject,
                transparency=sample.row.transparency,
            )
        yield from (Failure(key, reason) for key, reason in broken.items())
