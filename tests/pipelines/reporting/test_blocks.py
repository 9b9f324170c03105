"""Blocks unpack to what was packed, and no text ends the element that it lies in."""

import gzip
import json
import re
from base64 import b64decode

from toolrl.pipelines.reporting import blocks


def unpacked(text):
    return json.loads(gzip.decompress(b64decode(text)))


def test_a_block_is_inert_text_that_unpacks_to_its_value():
    value = {"text": "</script><!--<script>alert(1)</script> \ud800 \u2028 😀", "n": 1.5}
    packed = blocks.packed(value)
    assert re.fullmatch(r"[A-Za-z0-9+/=]+", packed)
    assert unpacked(packed) == value
    assert blocks.packed(value) == packed


def test_values_are_found_where_they_were_said_to_be(monkeypatch):
    monkeypatch.setattr(blocks, "RAW_BYTES", 10)
    made = blocks.Blocks("group-0")
    places = [made.add(value) for value in ("aaaa", "bb", "cccccccccc", "d")]
    made.close()
    assert places == [(0, 0), (0, 1), (1, 0), (2, 0)]
    assert [unpacked(made.done[f"group-0-{at}"])[i] for at, i in places] == ["aaaa", "bb", "cccccccccc", "d"]
