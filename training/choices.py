"""What a user chooses by name. Without torch, so that the commands can show their help at once."""

from __future__ import annotations

from enum import StrEnum

BUILT_IN = "built-in"  # what the model that comes with this program is called


class Variant(StrEnum):
    """The ablation of the paper."""

    BASE = "base"  # no trimap decoder
    AN = "an"  # with it; fixed weights of the two losses
    AN_TW = "an-tw"  # with it; trainable weights


class Area(StrEnum):
    """The pixels of which the alpha loss is taken."""

    UNKNOWN = "unknown"  # only the unknown area of the estimated trimap, as in the paper
    EVERYWHERE = "everywhere"  # where any of the trimaps is unknown, and the rest of the image


class TrimapChoice(StrEnum):
    """Which trimap of a sample the model is given."""

    CRUDE = "crude"
    EXACT = "exact"
    MIXED = "mixed"  # one or the other, drawn anew for each visit


class Precision(StrEnum):
    """In which the network computes."""

    FP32 = "fp32"
    BF16 = "bf16"  # autocast: weights and sums stay in 32 bits


class Layout(StrEnum):
    """Test sets of others, by their folders."""

    COMP1K = "comp1k"  # Adobe's Composition-1k
    ALPHAMATTING = "alphamatting"  # the training pictures of alphamatting.com
