"""The labelling interface of a project, and whether another one will do: pure, no network."""

from __future__ import annotations

import hashlib
from pathlib import Path
from xml.etree import ElementTree

# What earlier versions set, by `_fingerprint`: nobody has changed it, so that it may be replaced
_EARLIER = {"03af709e2d9aeacd2b2f6a5c724896685af948696e75ebdb6421d5dd5f781301"}
# Without these nothing can be annotated; the other controls make it easier
_NEEDED = {"brush", "subject", "transparency", "review"}


def labels_xml() -> str:
    """The labelling interface of a project."""
    return (Path(__file__).parent / "labels.xml").read_text(encoding="utf-8")


def is_earlier(interface: str) -> bool:
    """Whether an interface is as an earlier version made it."""
    try:
        return _fingerprint(interface) in _EARLIER
    except ElementTree.ParseError:
        return False


def missing_parts(interface: str, wanted: str) -> tuple[list[str], list[str]]:
    """(the controls and labels of the interface `wanted` that an interface has to have and lacks,
    others that it lacks), as `Tag name` and `Tag value of name`."""
    there, ours = _controls(interface), _controls(wanted)
    lacking = sorted(part for part in ours if part not in there)
    needed = {part for part in ours if ours[part] in _NEEDED}
    return [p for p in lacking if p in needed], [p for p in lacking if p not in needed]


def _controls(interface: str) -> dict[str, str]:
    """Every picture, control and label of an interface -> the name of its control."""
    try:
        root = ElementTree.fromstring(interface)
    except ElementTree.ParseError:
        return {}
    found = {}
    for parent in root.iter():
        name = parent.attrib.get("name", "")
        if "toName" in parent.attrib or parent.tag == "Image":
            found[f"{parent.tag} {name}"] = name
            found |= {
                f"{child.tag} {child.attrib.get('value')} of {name}": name for child in parent
            }
    return found


def _fingerprint(interface: str) -> str:
    return hashlib.sha256(ElementTree.canonicalize(interface, strip_text=True).encode()).hexdigest()
