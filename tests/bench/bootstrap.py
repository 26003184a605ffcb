"""How sure a mean is: the interval that holds 95 % of the means of resampled samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
RESAMPLED, SEED = 10_000, 0


def interval(
    figures: Iterable[Values], of: Callable[..., Values], groups: Sequence[str] | None = None
) -> str:
    """`of` the means of each row of figures, and its interval of 95 % (bootstrap).

    figures: rows of one figure for each sample. groups: one name for each sample; samples of the
    same name are alike, such as those with the same foreground, and are drawn together. Without
    them each sample is drawn by itself.
    """
    rows = np.stack(list(figures))
    names = np.arange(rows.shape[1]) if groups is None else np.asarray(groups)
    _, group = np.unique(names, return_inverse=True)
    counts = np.bincount(group)
    sums = np.stack([np.bincount(group, row) for row in rows])
    drawn = np.random.default_rng(SEED).integers(len(counts), size=(RESAMPLED, len(counts)))
    means = sums[:, drawn].sum(axis=2) / counts[drawn].sum(axis=1)
    low, high = np.quantile(of(*means), (0.025, 0.975))
    return f"{of(*rows.mean(axis=1)):.3f} ({low:.3f} to {high:.3f})"
