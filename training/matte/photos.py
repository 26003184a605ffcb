"""Photos with trimaps or masks in folders -> alphas in a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from classical.band import mask_trimap
from classical.colours import cutout_of
from manifests.masks import read_mask
from manifests.pictures import PictureError, read_photo, read_trimap, write_alpha, write_cutout
from manifests.pixels import Pixels
from manifests.storage import cannot_write
from training.matte.faults import FAULTS, reason_of
from training.matte.folders import Matched, check_sizes
from training.matte.predict import matte
from training.net.model import MattingModel


def predict_folders(
    model: MattingModel,
    matched: Sequence[Matched],
    out: Path,
    cutouts: Path | None,
    progress: Callable[[int], None],
    fail: Callable[[str], None],
    band: tuple[float, float] | None = None,
) -> int:
    """Write the alpha of each photo to `out`, as NAME.png; returns how many failed.

    matched: a trimap and a photo each. cutouts: a folder for cut-outs with estimated colours.
    band: the files are masks instead of trimaps, and this is how wide the unknown band around
    their edges is, inside and outside (see `mask_trimap`).
    progress: called with how many are done. fail: called with the file that failed, and why; the
    others go on. Raises OSError if nothing can be written any more, such as on a full disk.
    """
    failed = 0
    for done, pair in enumerate(matched, start=1):
        trimap_file, photo_file = pair.files
        try:
            image, alpha = alpha_of_files(model, trimap_file, photo_file, band)
            write_alpha(out / f"{pair.name}.png", alpha)
            if cutouts is not None:
                write_cutout(cutouts / f"{pair.name}.png", cutout_of(image, alpha))
        except PictureError as error:  # names its file
            failed += 1
            fail(str(error))
        except FAULTS as error:
            if cannot_write(error):
                raise
            failed += 1
            fail(f"{photo_file}: {reason_of(error)}")
        progress(done)
    return failed


def alpha_of_files(
    model: MattingModel,
    trimap_file: Path,
    photo_file: Path,
    band: tuple[float, float] | None = None,
) -> tuple[Pixels, Pixels]:
    """The photo, H x W x 3, and its alpha, H x W. `band`: see `predict_folders`.

    Raises PictureError, which names the file, or any of FAULTS.
    """
    trimap = (
        read_trimap(trimap_file) if band is None else mask_trimap(read_mask(trimap_file), *band)
    )
    image = read_photo(photo_file)
    check_sizes({trimap_file: trimap, photo_file: image})
    return image, matte(model, image, trimap)
