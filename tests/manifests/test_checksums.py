"""A file that holds its own checksum shows every change."""

from __future__ import annotations

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from manifests.checksums import BLANK, check_content, has_checksum, with_checksum
from tests.strategies import many

texts = st.text(st.sampled_from('ab"{}: 0checksum\\'), max_size=40)


@given(before=texts, after=st.binary(max_size=9), place=st.floats(0, 1, exclude_max=True))
@many
def test_any_change_is_noticed(before: str, after: bytes, place: float) -> None:
    """Also if the file's other content looks like a checksum."""
    decoy = json.dumps({"text": before, **BLANK})
    whole = with_checksum(decoy.encode() + json.dumps({"text": before, **BLANK}).encode() + after)
    assert has_checksum(whole)
    check_content(whole, must_hold=True)
    position = int(place * len(whole))
    for bit in range(8):
        changed = bytearray(whole)
        changed[position] ^= 1 << bit
        assert not has_checksum(bytes(changed))
        with pytest.raises(ValueError, match="its content is not what was written"):
            check_content(bytes(changed), must_hold=True)
    assert not has_checksum(whole[:position])
    assert not has_checksum(whole + b" ")


@given(data=st.binary(max_size=200))
@many
def test_what_never_held_one(data: bytes) -> None:
    assume(b"checksum" not in data)  # a damaged checksum is none that never was
    assert not has_checksum(data)
    check_content(data, must_hold=False)
    with pytest.raises(ValueError, match="not what was written"):
        check_content(data, must_hold=True)


def test_a_wrong_checksum_counts_where_none_is_expected() -> None:
    whole = with_checksum(json.dumps(BLANK).encode())
    check_content(whole, must_hold=False)
    with pytest.raises(ValueError, match="not what was written"):
        check_content(whole + b"?", must_hold=False)
