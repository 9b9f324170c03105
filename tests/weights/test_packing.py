"""Tensors packed into buckets."""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from toolrl.weights.packing import ALIGNMENT_BYTES, buckets, digest, empty_buffer, meta_buckets, num_bytes, views


@dataclass
class Meta:
    name: str
    dtype: torch.dtype
    shape: tuple


def test_runs_fill_up_to_the_limit_and_a_larger_one_stands_alone():
    assert buckets("abcdef", [3, 4, 3, 20, 1, 9], 10) == [["a", "b", "c"], ["d"], ["e", "f"]]


@given(st.lists(st.integers(0, 50)), st.integers(1, 40))
def test_runs_keep_order_and_lose_nothing(sizes, limit):
    runs = buckets(range(len(sizes)), sizes, limit)
    assert [item for run in runs for item in run] == list(range(len(sizes)))
    assert all(len(run) == 1 or sum(sizes[i] for i in run) <= limit for run in runs)


def test_bytes_of_a_tensor():
    assert num_bytes(Meta("w", torch.bfloat16, (3, 5))) == 30
    assert num_bytes(Meta("scalar", torch.float32, ())) == 4


def test_tensors_of_mixed_types_come_out_as_they_went_in():
    tensors = [torch.arange(5).bfloat16(), torch.randn(3, 2), torch.tensor(7.5), torch.arange(3, dtype=torch.int64), torch.empty(0)]
    metas = [Meta(str(i), t.dtype, tuple(t.shape)) for i, t in enumerate(tensors)]
    sent = empty_buffer(metas)
    for (_, room), tensor in zip(views(sent, metas), tensors, strict=True):
        room.copy_(tensor)
    received = empty_buffer(metas).copy_(sent)
    for (meta, out), tensor in zip(views(received, metas), tensors, strict=True):
        assert out.dtype == meta.dtype
        assert torch.equal(out, tensor)


def test_every_tensor_starts_aligned():
    metas = [Meta("a", torch.bfloat16, (3,)), Meta("b", torch.float32, (1,)), Meta("c", torch.float64, (2,))]
    buffer = empty_buffer(metas)
    offsets = [room.data_ptr() - buffer.data_ptr() for _, room in views(buffer, metas)]
    assert offsets == [0, ALIGNMENT_BYTES, 2 * ALIGNMENT_BYTES]


def test_buckets_of_tensors_are_cut_by_their_bytes():
    metas = [Meta(name, torch.float32, (4,)) for name in "abc"]  # 16 bytes each
    assert [[m.name for m in run] for run in meta_buckets(metas, 32)] == [["a", "b"], ["c"]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64, torch.int8])
def test_a_digest_changes_with_any_one_value(dtype):
    tensor = torch.arange(24).reshape(4, 6).to(dtype)
    before = int(digest(tensor))
    assert before == int(digest(tensor.clone()))
    for i in range(24):
        other = tensor.clone()
        other.view(-1)[i] += 1
        assert int(digest(other)) != before


def test_a_digest_is_the_sum_of_the_bits():
    assert int(digest(torch.tensor([1.0, -2.0]))) == 0x3F800000 + (0xC0000000 - 2**32)


def test_a_digest_reads_a_view_in_its_own_order():
    matrix = torch.randn(3, 5)
    assert int(digest(matrix.t())) == int(digest(matrix.t().contiguous()))
