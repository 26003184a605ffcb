"""JSON that comes from a file or a server."""

from __future__ import annotations

import json
from typing import Any

MAX_BYTES = 1 << 28  # a list of a million shards; takes about 3 GB when it is parsed


def parse_json(data: bytes) -> Any:
    """The plain values in a JSON document. Raises ValueError if it is malformed or too large."""
    if len(data) > MAX_BYTES:
        raise ValueError(f"{len(data)} bytes of JSON, at most {MAX_BYTES}")
    try:
        return json.loads(data)
    except UnicodeDecodeError as error:
        raise ValueError(f"JSON that is not UTF-8 (at byte {error.start})") from error
    except RecursionError:
        raise ValueError("JSON with too many lists or objects inside each other") from None


def parse_object(data: bytes) -> dict[str, Any]:
    """As `parse_json`, for a document that has to be an object."""
    values = parse_json(data)
    if not isinstance(values, dict):
        raise ValueError(f"JSON with a {type(values).__name__} where an object is expected")
    return values
