"""croissant.json of a set: its files and records in MLCommons' Croissant 1.0.

A program that knows this format reads the set without knowing ours. Parquet shards are one set of
records. Croissant joins no more than two files to a record, so that of tar shards each stream is a
set of records of its own, and so are the rows; all have the key.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from manifests.card import TITLE, About, counts_text
from manifests.pixels import ImageCodec
from manifests.samples import Sample, extension_of, stream_names
from manifests.shards import Shard, ShardFormat
from manifests.tables import schema_of

_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_TABLE, _TAR = "application/x-parquet", "application/x-tar"
_MEDIA = {"jpg": "image/jpeg", "png": "image/png"}
_TYPES = {
    pa.string(): "sc:Text",
    pa.int64(): "sc:Integer",
    pa.float64(): "sc:Float",
    pa.bool_(): "sc:Boolean",
}
_MEANINGS = {
    "image": "The composite, RGB.",
    "alpha": "The exact opacity, 0 to 255.",
    "trimap": "0 background, 1 unknown, 2 foreground: the indices of a palette.",
    "crude_trimap": "As trimap, as a segmentation network would have led to it.",
    "foreground": "The colours of the foreground where alpha is soft, RGB.",
    "background": "The colours of the background where alpha is soft, RGB.",
}

Node = dict[str, Any]


def croissant_json(
    shards: Sequence[Shard], form: ShardFormat, codec: ImageCodec, layers: bool, about: About
) -> bytes:
    """The content of croissant.json."""
    streams = stream_names(layers)
    if form is ShardFormat.WEBDATASET:
        files, records = _of_tars(shards, streams, codec)
    else:
        table = _file_set("shards", "data/*.parquet", _TABLE)
        pictures = [_picture("samples", name, {"column": name}, "shards") for name in streams]
        files, records = (
            [table],
            [_record_set("samples", [*_columns("samples", "shards"), *pictures])],
        )
    said = {"license": about.licence, "url": about.url, "citeAs": about.citation}
    fields: Node = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": about.title or TITLE,
        "description": f"Composites with exact alphas and trimaps: {counts_text(shards)}.",
        **{name: text for name, text in said.items() if text},
        "distribution": files,
        "recordSet": records,
    }
    return (json.dumps(fields, indent=1, ensure_ascii=False) + "\n").encode()


def _of_tars(
    shards: Sequence[Shard], streams: Sequence[str], codec: ImageCodec
) -> tuple[list[Node], list[Node]]:
    """The tars, the members of each stream, and the rows, which are read from the index."""
    tars = [
        {
            "@type": "cr:FileObject",
            "@id": f"{shard.name}.tar",
            "name": f"{shard.name}.tar",
            "contentUrl": f"data/{shard.name}.tar",
            "contentSize": f"{shard.bytes} B",
            "encodingFormat": _TAR,
            "sha256": shard.sha256,
        }
        for shard in shards
    ]
    index = _file_set("index", "index/*.parquet", _TABLE)
    files, records = [*tars, index], [_record_set("rows", _columns("rows", "index"))]
    for name in streams:
        extension = extension_of(name, codec)
        members = _file_set(f"{name}-files", f"*.{name}.{extension}", _MEDIA[extension])
        members["containedIn"] = [{"@id": tar["@id"]} for tar in tars]
        files.append(members)
        regex = {"regex": rf"^(.*)\.{name}\.{extension}$"}
        key = _field(name, "key", "sc:Text", {"fileProperty": "filename"}, f"{name}-files", regex)
        content = {"fileProperty": "content"}
        records.append(_record_set(name, [key, _picture(name, name, content, f"{name}-files")]))
    return files, records


def _columns(record_set: str, files: str) -> list[Node]:
    """The columns of a row that are plain values: all but the recipe."""
    return [
        _field(record_set, field.name, _TYPES[field.type], {"column": field.name}, files)
        for field in schema_of(Sample)
        if field.type in _TYPES
    ]


def _picture(record_set: str, name: str, extract: Node, files: str) -> Node:
    inside = {"jsonPath": "bytes"} if "column" in extract else None
    node = _field(record_set, name, "sc:ImageObject", extract, files, inside)
    return {**node, "description": _MEANINGS[name]}


def _field(
    record_set: str, name: str, kind: str, extract: Node, files: str, transform: Node | None = None
) -> Node:
    source: Node = {"fileSet": {"@id": files}, "extract": extract}
    return {
        "@type": "cr:Field",
        "@id": f"{record_set}/{name}",
        "name": name,
        "dataType": kind,
        "source": source if transform is None else {**source, "transform": transform},
    }


def _record_set(name: str, fields: Sequence[Node]) -> Node:
    key = {"@id": f"{name}/key"}
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "key": key, "field": fields}


def _file_set(name: str, includes: str, encoding: str) -> Node:
    return {
        "@type": "cr:FileSet",
        "@id": name,
        "name": name,
        "encodingFormat": encoding,
        "includes": includes,
    }
