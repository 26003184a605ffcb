"""The functions for programs and notebooks: `compose` and `compose_one`."""

from __future__ import annotations

import difflib
import numbers
import typing
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from datagen.sample.build import build_sample
from datagen.sample.recipe import draw_recipe, draw_second, generator
from datagen.sample.working_copies import (
    PreparedBackground,
    PreparedForeground,
    prepare_cutout,
    prepare_photo,
)
from datagen.settings import Settings
from datagen.sources.labels import Label
from datagen.sources.record import background_of, foreground_of
from manifests.pictures import PictureError, read_cutout, read_photo
from manifests.pixels import Pixels, kept_blocks, trimap_of
from manifests.samples import Recipe
from manifests.storage import Location, location_of

if typing.TYPE_CHECKING:
    from datagen.job import Result
    from manifests.card import About

_OF_SETS = (
    *("samples", "format", "image_codec", "jpeg_quality", "shard_size"),
    *("holdout_fg", "holdout_bg", "merge_probability"),
)


@dataclass(frozen=True)
class OneSample:
    """One sample in memory, before any JPEG; uint8 arrays of H x W pixels.

    image: H x W x 3, RGB. alpha: H x W, 0 to 255. trimap, crude_trimap: H x W of 0 background,
    1 unknown, 2 foreground. foreground, background: H x W x 3, RGB, the layers of the image in
    the blocks of 8 x 8 pixels with soft alpha, and grey (128) elsewhere; None with layers=False.
    recipe: all random choices of the sample.
    """

    image: Pixels
    alpha: Pixels
    trimap: Pixels
    crude_trimap: Pixels
    foreground: Pixels | None
    background: Pixels | None
    recipe: Recipe


def compose(
    fg: str | PathLike[str],
    bg: str | PathLike[str],
    *,
    out: str | PathLike[str] = "shards",
    alpha: str | PathLike[str] | None = None,
    skip_bad: bool = False,
    licences: Sequence[str] = (),
    about: About | None = None,
    cache: str | PathLike[str] | None = None,
    cache_bytes: int = 0,
    workers: int | None = None,
    ray_address: str | None = None,
    **settings: Any,
) -> Result:
    """Composite the foregrounds of one folder over the photos of another into a shard set.

    fg: folder of RGBA cut-outs, or of RGB images with `alpha`, the folder of their alphas;
    bg: folder of photos; out: folder of the shard set, made if it is missing. Each may be the URL
    of a folder in a store instead. skip_bad: leave unusable sources out (the result lists them).
    licences: leave out sources whose licence, in the label files, is not among these. about: title,
    licence and citation of the set, for its README.md. cache: folder in which the working copies of
    the sources stay, for other sets of the same sources; cache_bytes: how much of them each machine
    keeps at a time (0: all). workers: number of processes, by default one per core. settings: the
    fields of `datagen.settings.Settings` by name.

    The work runs in Ray. If the program has started Ray already, that Ray is used and keeps
    running afterwards. Otherwise this call starts Ray, or joins the cluster at `ray_address`, and
    shuts it down or leaves it at the end. Progress goes to standard error. Repeat an interrupted
    call to continue it.

        >>> import datagen
        >>> result = datagen.compose("fgs", "bgs", out="shards", samples=6, size=64)
        >>> result.samples, result.shards, result.failed
        (6, 1, ())

    Shards that could not be made are in `Result.failed`. Raises TypeError for an unknown setting,
    ValueError for a value out of its range or a URL of a wrong kind, FileNotFoundError for a
    missing folder, `datagen.prepare.BadSourcesError` for unusable sources,
    `datagen.resume.RefusedError` if `out` holds something else, `datagen.plan.PlanError` if more
    sources are held out than exist, RuntimeError if the workers fail, and ConnectionError if there
    is no cluster at `ray_address`.
    """
    from datagen.cluster import cluster
    from datagen.job import make_shard_set
    from datagen.resume import check_beginning
    from datagen.sources.folders import SourceFolders

    chosen = _settings(settings)
    root, foregrounds, backgrounds = (_absolute(location) for location in (out, fg, bg))
    alphas = None if alpha is None else _absolute(alpha)
    for folder in (foregrounds, backgrounds, alphas):
        if isinstance(folder, Path) and not folder.is_dir():
            raise FileNotFoundError(f"{folder}: no such folder")
    copies = None if cache is None else Path(cache).absolute()
    beginning = check_beginning(root, chosen)  # before the workers start, which takes seconds
    with cluster(workers, ray_address) as ray:
        folders = SourceFolders(foregrounds, backgrounds, alphas, tuple(licences))
        what = folders, chosen, root, skip_bad, beginning, about, copies
        return make_shard_set(ray, *what, cache_bytes)


def _absolute(text: str | PathLike[str]) -> Location:
    """A URL, or the path as workers can use it, which run in folders of their own."""
    location = location_of(fspath(text))
    return location.absolute() if isinstance(location, Path) else location


def compose_one(
    fg: str | PathLike[str],
    bg: str | PathLike[str],
    *,
    alpha: str | PathLike[str] | None = None,
    seed: int = 0,
    **settings: Any,
) -> OneSample:
    """Composite one cut-out over one photo, in memory and without Ray.

    fg: an RGBA cut-out, or an RGB image with `alpha`, its alpha file; bg: a photo. settings: the
    fields of `datagen.settings.Settings` that concern one sample. The result is the first sample of
    the set that `compose` makes from these two files with the same seed.

        >>> import datagen
        >>> sample = datagen.compose_one("fg.png", "bg.jpg", size=64, seed=0)
        >>> sample.image.shape, sample.alpha.shape, sample.trimap.max()
        ((64, 64, 3), (64, 64), np.uint8(2))

    Raises TypeError for an unknown setting, ValueError for a value out of its range, and
    `manifests.pictures.PictureError`, a ValueError that names the file, for unusable pictures.
    """
    chosen = _settings({**settings, "seed": seed}, _OF_SETS)
    cutout_file, photo_file = Path(fg), Path(bg)
    cutout = read_cutout(cutout_file, None if alpha is None else Path(alpha))
    photo = read_photo(photo_file)
    source = foreground_of(cutout_file.name, "", cutout, Label())
    try:
        background = background_of(photo_file.name, "", photo, Label())
    except PictureError as error:
        raise PictureError(error.kind, error.reason, str(photo_file)) from error
    foreground = PreparedForeground(source, prepare_cutout(cutout, source.box, chosen))
    behind = PreparedBackground(background, prepare_photo(photo, chosen))
    rng = generator(chosen.seed, 0, 0, 0)
    draw_second(rng, chosen, 1, 0)  # always None; drawn because a shard draws it, too
    recipe = draw_recipe(rng, chosen, foreground, background)
    built = build_sample(recipe, foreground, None, behind, chosen)
    seen, layers = built.composite, built.composite.layers
    return OneSample(
        image=seen.image,
        alpha=seen.alpha,
        trimap=trimap_of(seen.alpha),
        crude_trimap=built.crude_trimap,
        foreground=kept_blocks(layers.foreground, layers.kept) if layers else None,
        background=kept_blocks(layers.background, layers.kept) if layers else None,
        recipe=recipe,
    )


def _settings(values: Mapping[str, Any], refused: Collection[str] = ()) -> Settings:
    """Settings from keywords. Raises TypeError for a bad name or type, ValueError for a value."""
    kinds = typing.get_type_hints(Settings)
    names = [field.name for field in fields(Settings) if field.name not in refused]
    for name in values:
        if name in refused:
            raise TypeError(f"{name} is a setting of whole sets and does not apply to one sample")
        if name not in names:
            near = difflib.get_close_matches(name, names)
            meant = f"did you mean {' or '.join(near)}?" if near else ""
            raise TypeError(f"{name} is not a setting; {meant or 'expected ' + ', '.join(names)}")
    return Settings(**{name: _typed(name, value, kinds[name]) for name, value in values.items()})


def _typed(name: str, value: Any, kind: Any) -> Any:
    if issubclass(kind, StrEnum):
        if value not in list(kind):
            raise ValueError(f"{name} = {value!r}, expected {' or '.join(kind)}")
        return kind(value)
    abstract: dict[Any, type] = {int: numbers.Integral, float: numbers.Real}
    if isinstance(value, bool) != (kind is bool) or not isinstance(value, abstract.get(kind, kind)):
        raise TypeError(f"{name} = {value!r}, expected {kind.__name__}")
    return kind(value)
