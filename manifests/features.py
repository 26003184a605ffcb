"""The columns of a set as Hugging Face `datasets` knows them, for the head of README.md.

With them `datasets` infers nothing from the first samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

from manifests.pixels import ImageCodec
from manifests.samples import Sample, extension_of, stream_names
from manifests.tables import schema_of


def features_yaml(is_tar: bool, codec: ImageCodec, layers: bool) -> str:
    """The value of `features`, indented by two spaces."""
    row = schema_of(Sample)
    names = stream_names(layers)
    if not is_tar:
        streams = (_item(name, "dtype: image", "  ") for name in names)
        return "".join([*_fields(row, "  "), *streams])
    members = (f"{name}.{extension_of(name, codec)}" for name in names)
    lines = [
        *(_item(name, "dtype: image", "  ") for name in members),
        _item("json", "struct:", "  "),
        *_fields(row, "    "),
        *(_item(name, "dtype: string", "  ") for name in ("__key__", "__url__")),
    ]
    return "".join(lines)


def _fields(fields: Iterable[pa.Field], indent: str) -> Iterator[str]:
    """The lines of some columns; those of a struct are further in."""
    for field in fields:
        kind = field.type
        if pa.types.is_struct(kind):
            yield _item(field.name, "struct:", indent)
            yield from _fields(kind, indent + "  ")
        elif pa.types.is_list(kind):
            yield _item(field.name, f"list: {_NAMES[kind.value_type]}", indent)
        else:
            yield _item(field.name, f"dtype: {_NAMES[kind]}", indent)


def _item(name: str, kind: str, indent: str) -> str:
    return f"{indent}- name: {name}\n{indent}  {kind}\n"


_NAMES = {pa.string(): "string", pa.int64(): "int64", pa.float64(): "float64", pa.bool_(): "bool"}
