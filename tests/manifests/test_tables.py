"""Records to tables, to JSON and back: nothing is lost, nothing is null, nothing is guessed."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.samples import Sample
from manifests.shards import Shard
from manifests.sources import Background, Foreground
from manifests.tables import from_dict, from_table, schema_of, to_dict, to_table
from tests.strategies import few, records

KINDS = [Sample, Foreground, Background, Shard]
every_kind = pytest.mark.parametrize("kind", KINDS)

# The contract names these columns, in this order.
COLUMNS = [
    *("key", "split", "shard", "foreground_id"),
    *("background_id", "foreground_sha256", "background_sha256", "subject"),
    *("transparency", "seed", "height", "width"),
    *("unknown_share", "crude_iou", "crude_missed_share", "crude_false_share"),
    *("crude_edge_p95", "crude_wrong_known_share", "recipe"),
]


@every_kind
@given(data=st.data())
@few
def test_a_table_comes_back(kind: type[Any], data: st.DataObject) -> None:
    rows = data.draw(st.lists(records(kind), max_size=3))
    table = to_table(kind, rows)
    assert from_table(kind, table) == rows
    assert table.schema == schema_of(kind)
    shuffled = table.select(table.schema.names[::-1])
    assert from_table(kind, shuffled) == rows, "columns go by name"


@every_kind
@given(data=st.data())
@few
def test_json_comes_back(kind: type[Any], data: st.DataObject) -> None:
    row = data.draw(records(kind))
    back = from_dict(kind, json.loads(json.dumps(to_dict(row))))
    assert back == row
    for field in dataclasses.fields(kind):
        assert type(getattr(back, field.name)) is type(getattr(row, field.name)), field.name


@every_kind
def test_nothing_is_null(kind: type[Any]) -> None:
    def nullable(path: str, field: pa.Field) -> list[str]:
        below = [field.type.field(n) for n in range(field.type.num_fields)]
        found = [name for f in below for name in nullable(f"{path}.{f.name}", f)]
        return [*found, *([path] if field.nullable else [])]

    assert [n for field in schema_of(kind) for n in nullable(field.name, field)] == []


def test_the_columns_of_the_index() -> None:
    assert schema_of(Sample).names == COLUMNS
    assert pa.types.is_struct(schema_of(Sample).field("recipe").type)


@every_kind
def test_wrong_columns_are_refused(kind: type[Any]) -> None:
    table = to_table(kind, [])
    name = table.schema.names[0]
    for wrong in (
        table.drop_columns([name]),
        table.append_column("more", pa.array([], pa.int64())),
        table.rename_columns({name: "other"}),
    ):
        with pytest.raises(ValueError, match=rf"columns .*expected .*{kind.__name__}"):
            from_table(kind, wrong)


@every_kind
@given(data=st.data())
@few
def test_a_missing_field_is_refused(kind: type[Any], data: st.DataObject) -> None:
    values = to_dict(data.draw(records(kind)))
    name = data.draw(st.sampled_from(sorted(values)))
    del values[name]
    # A field with a default may be missing only if the record says so; today none may.
    with pytest.raises(ValueError, match=f"not a {kind.__name__}: .*{name}"):
        from_dict(kind, values)


@every_kind
@pytest.mark.parametrize("values", [None, 3, "text", [], [1], {}])
def test_what_is_no_record_is_refused(kind: type[Any], values: Any) -> None:
    with pytest.raises(ValueError, match=f"not a {kind.__name__}"):
        from_dict(kind, values)


@given(data=st.data(), more=st.sampled_from([-1, 1]))
@few
def test_a_named_tuple_has_all_its_items_and_no_more(data: st.DataObject, more: int) -> None:
    values = to_dict(data.draw(records(Sample)))
    piece = values["recipe"]["crude"]["lost"]
    values["recipe"]["crude"]["lost"] = [*piece, 0.5] if more == 1 else piece[:-1]
    with pytest.raises(ValueError, match=r"argument|shorter|longer"):
        from_dict(Sample, values)


WRONG: dict[type, list[Any]] = {
    str: [None, 3],
    int: [None, 1.5, "x"],
    float: [None, "x"],
    bool: [None, "false"],
}


@pytest.mark.parametrize(
    ("name", "value"),
    [(n, v) for n, kind in (("id", str), ("height", int)) for v in WRONG[kind]]
    + [("soft_share", v) for v in WRONG[float]]
    + [("transparency_measured", v) for v in WRONG[bool]]
    + [("subject", None), ("subject", "cat"), ("split", "test"), ("box", None), ("box", {})],
)
def test_a_wrong_value_is_refused(name: str, value: Any) -> None:
    values = {
        **dict.fromkeys(["id", "sha256", "pixels_sha256", "labels", "alpha_id"], "text"),
        **{"height": 1, "width": 2, "box": {"top": 0, "left": 0, "height": 1, "width": 1}},
        **{"subject": "human", "transparency": "Little", "transparency_measured": True},
        **{"soft_share": 0.5, "split": "train"},
    }
    assert to_dict(from_dict(Foreground, values)) == values
    with pytest.raises(ValueError):
        from_dict(Foreground, {**values, name: value})


@dataclasses.dataclass(frozen=True)
class _Pair:
    shift: tuple[float, float]
    count: int


@pytest.mark.parametrize(
    "values",
    [
        {"shift": [], "count": 1},
        {"shift": [0.5, 1.0, 2.0], "count": 1},
        {"shift": [0.5, 1.0], "count": True},
        {"shift": [0.5, False], "count": 1},
    ],
)
def test_a_pair_has_two_numbers_and_true_is_not_a_number(values: dict[str, object]) -> None:
    assert from_dict(_Pair, {"shift": [0.5, 1], "count": 2}) == _Pair((0.5, 1.0), 2)
    with pytest.raises((TypeError, ValueError)):
        from_dict(_Pair, values)
