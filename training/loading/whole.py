"""Whole samples of a split, for validation and evaluation."""

from __future__ import annotations

from collections.abc import Iterator

from manifests.samples import LABELS
from manifests.shard_set import DecodedSample, ShardSet
from manifests.sources import Split

_STREAMS = ("image", *LABELS)


def whole_samples(
    shards: ShardSet,
    split: Split = Split.VAL,
    limit: int | None = None,
    skipped: dict[str, str] | None = None,
    faults: tuple[type[Exception], ...] = (ValueError,),
) -> Iterator[DecodedSample]:
    """The samples of a split with image, alpha and both trimaps decoded; each once, in order.

    limit: at most so many, spread evenly over the split.
    skipped: if given, broken samples are left out and added to it, key -> reason, and damaged
        shards are used as far as they can be read and added, name -> damage.
    faults: what makes a sample a broken one. If OSError is one of them, a shard that cannot be
        opened is tried once.

    Raises ValueError if the split has no samples and, without `skipped`, ValueError that names the
    file and the sample that are broken; OSError if a shard cannot be fetched.
    """
    of_split = shards.split(split)
    counts = [shard.samples for shard in of_split.shards]
    places = [(shard, n) for shard, count in enumerate(counts) for n in range(count)]
    if limit is not None and limit < len(places):
        places = [places[n * len(places) // limit] for n in range(limit)]
    store = of_split.store(_STREAMS, lenient=skipped is not None)
    lost: dict[int, Exception] = {}
    try:
        for place in places:
            try:
                if place[0] in lost:
                    raise lost[place[0]]
                sample = DecodedSample(*store.whole(*place))
                for stream in _STREAMS:
                    getattr(sample, stream)  # decodes it; the sample keeps the pixels
            except faults as error:
                if skipped is None:
                    raise
                if isinstance(error, OSError):
                    lost[place[0]] = error
                skipped[store.name(*place)] = str(error) or type(error).__name__
                continue
            finally:
                if skipped is not None:
                    skipped |= store.damage()
            yield sample
    finally:
        store.close()
