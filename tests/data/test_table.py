import random
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from toolrl.data.table import Table, key_of


@given(st.lists(st.tuples(st.integers(0, 9) | st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))))
def test_a_table_answers_as_a_dict_does(pairs):
    table, expected = Table(), {}
    for key, value in pairs:
        key = key or 1  # 0 marks an empty slot, so 0 and 1 are one key
        assert table.get(key) == expected.get(key)
        table.put(key, value)
        expected[key] = value
    assert len(table) == len(expected)


def test_a_table_that_grew_has_kept_everything_in_48_bytes_an_entry():
    keys = random.Random(0).sample(range(1, 2**63), 50_000)
    tracemalloc.start()
    table = Table()
    for i, key in enumerate(keys):
        table.put(key, i)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held <= 48 * len(keys)
    assert [table.get(key) for key in keys] == list(range(len(keys)))
    assert table.get(12345) is None


def test_keys_are_the_same_in_every_process():
    assert key_of(b"abc") == int.from_bytes(bytes.fromhex("d8bb14d833d59559"), "little")  # `printf abc | b2sum -l 64`
