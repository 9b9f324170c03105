"""The GPU's attention kernels over packed sequences agree with PyTorch's own, sequence by sequence, forward and backward."""

from types import SimpleNamespace

import pytest
import torch

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("one_gpu")]

LENGTHS = (1, 7, 128, 300, 64)
PREFIXES = (None, None, None, 2, 2)
"""The last two continue the third, as completions do their prompt: a kernel must line up the last query with the last key."""
HEADS, KV_HEADS, WIDTH = 8, 2, 64
BOUND = 2e-2
"""Relative error of bfloat16 outputs and gradients against float32."""


@pytest.fixture(params=["flash_attention_2", "varlen", "auto"])
def kernel(request):
    """One of the learner's kernels; skipped where it is not installed."""
    from toolrl.errors import UserError
    from toolrl.learner import attention

    try:
        attention.implementation(request.param)
    except UserError as error:
        pytest.skip(str(error))
    return {"flash_attention_2": attention.flash, "varlen": attention.varlen, "auto": attention.auto}[request.param]


def attend(kernel, dtype, prefixes):
    """Return output and gradients of queries, keys and values, in float32, from the same numbers in `dtype`."""
    from toolrl.learner.attention import make_layout

    generator = torch.Generator("cuda").manual_seed(0)
    shapes = [(1, heads, sum(LENGTHS), WIDTH) for heads in (HEADS, KV_HEADS, KV_HEADS)]
    exact = [torch.randn(shape, device="cuda", generator=generator).to(torch.bfloat16) for shape in shapes]
    weight = torch.randn(1, sum(LENGTHS), HEADS, WIDTH, device="cuda", generator=generator)
    inputs = [x.to(dtype).requires_grad_() for x in exact]
    layout = make_layout(LENGTHS, "cuda", prefixes)
    out, _ = kernel(SimpleNamespace(is_causal=True), *inputs, None, layout=layout, scaling=WIDTH**-0.5)
    (out.float() * weight).sum().backward()
    return [out.detach().float(), *(x.grad.float() for x in inputs)]


@pytest.mark.parametrize("prefixes", [None, PREFIXES], ids=["each alone", "behind a prompt"])
def test_a_kernel_agrees_with_sdpa_over_packed_sequences_forward_and_backward(kernel, prefixes):
    from toolrl.learner.attention import sdpa

    ours, theirs = attend(kernel, torch.bfloat16, prefixes), attend(sdpa, torch.float32, prefixes)
    for name, found, wanted in zip(("output", "dq", "dk", "dv"), ours, theirs, strict=True):
        assert found.shape == wanted.shape
        assert ((found - wanted).norm() / wanted.norm()).item() < BOUND, name


def test_no_sequence_sees_its_neighbour(kernel):
    """The first token of a sequence attends to itself only, so its output is its own value."""
    from toolrl.learner.attention import make_layout

    q, k, v = (torch.randn(1, heads, sum(LENGTHS), WIDTH, device="cuda", dtype=torch.bfloat16) for heads in (HEADS, KV_HEADS, KV_HEADS))
    out, _ = kernel(SimpleNamespace(is_causal=True), q, k, v, None, layout=make_layout(LENGTHS, "cuda"), scaling=WIDTH**-0.5)
    start = 0
    for length in LENGTHS:
        expected = v[0, :, start].repeat_interleave(HEADS // KV_HEADS, dim=0)
        torch.testing.assert_close(out[0, start], expected, rtol=1e-2, atol=1e-2)
        start += length
