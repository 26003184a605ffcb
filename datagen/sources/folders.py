"""The folders of a user's sources, and the one way in which a scanned source is read again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from manifests.pictures import read_cutout, read_file, read_photo
from manifests.pixels import Pixels
from manifests.sources import Background, Foreground
from manifests.storage import Location


@dataclass(frozen=True)
class SourceFolders:
    """Where the sources are. `alphas` is given if each foreground's alpha is a file of its own.

    licences: those under which a source may be used; empty: all sources.
    """

    foregrounds: Location
    backgrounds: Location
    alphas: Location | None = None
    licences: tuple[str, ...] = ()

    def path_of(self, source: Foreground | Background) -> Location:
        """The file of a source. If alpha is in a file of its own, that of the colours."""
        folder = self.foregrounds if isinstance(source, Foreground) else self.backgrounds
        return folder / source.id


class ChangedSourceError(ValueError):
    """A source is no longer the file that was scanned."""


def read_foreground(folders: SourceFolders, source: Foreground) -> Pixels:
    """The straight RGBA of a scanned foreground, H x W x 4, from the bytes that were hashed.

    Raises ChangedSourceError if the bytes have changed, PictureError if they cannot be read,
    ValueError if alphas were scanned but their folder is not given now, or the other way round.
    """
    path = folders.path_of(source)
    if (folders.alphas is not None) != bool(source.alpha_id):
        advice = "give --alpha" if source.alpha_id else "leave --alpha out"
        home = f"a file of its own ({source.alpha_id})" if source.alpha_id else "the image"
        raise ValueError(f"{path}: was scanned with its alpha in {home}; {advice}")
    data = read_file(path)
    alpha = None if folders.alphas is None else read_file(folders.alphas / source.alpha_id)
    _check_unchanged(path, source, data + (alpha or b""))
    return read_cutout(data, alpha)


def read_background(folders: SourceFolders, source: Background) -> Pixels:
    """The RGB of a scanned background, H x W x 3, from the bytes that were hashed.

    Raises ChangedSourceError if the bytes have changed, PictureError if they cannot be read.
    """
    path = folders.path_of(source)
    data = read_file(path)
    _check_unchanged(path, source, data)
    return read_photo(data)


def _check_unchanged(path: Location, source: Foreground | Background, data: bytes) -> None:
    found = hashlib.sha256(data).hexdigest()
    if found != source.sha256:
        raise ChangedSourceError(
            f"{path}: has changed since it was scanned (sha256 {found[:12]}..., scanned "
            f"{source.sha256[:12]}...); put the scanned file back, or compose another set of it"
        )
