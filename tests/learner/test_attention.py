import sys
from importlib.machinery import ModuleSpec
from itertools import chain, pairwise
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.attention.varlen as torch_varlen
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoConfig, AutoModelForCausalLM, Gemma2Config, GPTNeoConfig, LlamaConfig, MistralConfig, Qwen2Config

from toolrl.errors import UserError
from toolrl.learner import attention
from toolrl.learner.attention import implementation, make_layout, unsupported
from toolrl.learner.collate import demonstration_tokens, policy_tokens
from toolrl.learner.packing import Demonstration, MicroBatch, Row
from toolrl.types import Completion, Draw, Group, Prompt, VersionSpan, WeightVersion

LENGTHS = (5, 40, 1, 17, 17)
HEADS, KV_HEADS, WIDTH = 4, 2, 8


def tokens(lengths=LENGTHS, seed=0):
    rng = np.random.default_rng(seed)
    return demonstration_tokens([Demonstration(rng.integers(0, 200, n).astype(np.int32), 1) for n in lengths], "cpu")


def hidden(model, tokens, layout=None):
    made = {"position_ids": tokens.position_ids, "layout": layout or tokens.layout, "use_cache": False}
    return model.base_model(input_ids=tokens.input_ids, **made).last_hidden_state[0]


def alone(model, tokens):
    """Each sequence in a pass of its own, by a plain model."""
    return torch.cat([model.base_model(ids, use_cache=False).last_hidden_state[0] for ids in tokens.input_ids.split(LENGTHS, dim=1)])


def load(path, name):
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation=name)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
def test_a_packed_row_is_what_each_sequence_alone_is_in_values_and_gradients(models, architecture, checkpointing):
    path = models[architecture, True]
    packed, eager = load(path, implementation("sdpa")).train(), load(path, "eager").train()
    assert packed.config.num_attention_heads > packed.config.num_key_value_heads, "grouped queries are meant to be covered"
    if checkpointing:
        packed.gradient_checkpointing_enable({"use_reentrant": False})
    made = tokens()
    ours, theirs = hidden(packed, made), alone(eager, made)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)
    direction = torch.randn(theirs.shape, generator=torch.Generator().manual_seed(0))
    (ours * direction).sum().backward()
    (theirs * direction).sum().backward()
    wanted = dict(eager.named_parameters())
    for name, parameter in packed.named_parameters():
        assert (parameter.grad - wanted[name].grad).norm() <= 1e-5 * wanted[name].grad.norm(), name


PROMPT, COMPLETIONS = 6, (3, 9, 1)


def test_a_shared_prompt_gives_each_completion_what_it_has_behind_its_own_copy_in_values_and_gradients(models):
    path = models["qwen2", True]
    model, eager = load(path, implementation("sdpa")), load(path, "eager")
    rng = np.random.default_rng(0)
    group, rows = one_group(rng.integers(0, 200, PROMPT), [rng.integers(0, 200, n) for n in COMPLETIONS])
    both = [hidden(model, policy_tokens(MicroBatch(rows, share), group, "cpu").tokens) for share in (True, False)]
    assert [len(row) for row in both] == [5 + 4 + 10 + 2, 9 + 15 + 7], "the prompt once but for its last token; three times"
    wanted = [eager.base_model(torch.as_tensor(ids)[None], use_cache=False).last_hidden_state[0] for ids in sequences(group, rows)]
    torch.testing.assert_close(both[1], torch.cat(wanted), atol=1e-6, rtol=1e-6)
    behind = torch.cat([row[PROMPT - 1 :] for row in wanted])
    torch.testing.assert_close(both[0][PROMPT - 1 :], behind, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(both[0][: PROMPT - 1], wanted[0][: PROMPT - 1], atol=1e-6, rtol=1e-6)
    direction = torch.randn(behind.shape, generator=torch.Generator().manual_seed(0))
    (both[0][PROMPT - 1 :] * direction).sum().backward()
    (behind * direction).sum().backward()
    for (name, ours), theirs in zip(model.named_parameters(), eager.parameters(), strict=True):
        assert (ours.grad - theirs.grad).norm() <= 1e-5 * theirs.grad.norm(), name


def one_group(prompt, completions):
    spans = (VersionSpan(WeightVersion(0), 0, 1),)
    made = [
        Completion(ids.astype(np.int32), np.zeros(len(ids), np.float32), np.ones(len(ids), bool), "", "stop", 0, spans)
        for ids in completions
    ]
    rows = tuple(Row(0, i, len(prompt), len(prompt) + len(ids), 1.0) for i, ids in enumerate(completions))
    return {0: Group(Draw(0, Prompt("p", "", (), (), ()), prompt.astype(np.int32), 0), tuple(made))}, rows


def sequences(groups, rows):
    group = groups[0]
    return [np.concatenate([group.draw.token_ids, group.completions[row.sample].token_ids]) for row in rows]


def test_no_sequence_sees_another_and_the_check_would_notice_if_one_did(models):
    model = load(models["qwen2", False], implementation("auto"))
    first, second = tokens(), tokens()
    second.input_ids[0, :5] += 1  # the first of the sequences
    with torch.no_grad():
        torch.testing.assert_close(hidden(model, first)[5:], hidden(model, second)[5:], atol=0, rtol=0)
        one = make_layout([sum(LENGTHS)], "cpu")
        assert (hidden(model, first, one)[5:] - hidden(model, second, one)[5:]).abs().max() > 1e-3


class Largest(TorchDispatchMode):
    """Elements of the largest tensor made."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, (tuple, list)) else [made]:
            if isinstance(tensor, torch.Tensor):
                self.elements = max(self.elements, tensor.numel())
        return made


def test_no_tensor_is_as_large_as_a_mask_of_the_row(models):
    model = load(models["llama", False], implementation("sdpa"))
    made = tokens([20] * 100)
    with Largest() as largest:
        hidden(model, made).sum().backward()
    row = 2000
    assert row * model.config.intermediate_size <= largest.elements < row * row / 4


def reference(q, k, v, cu_queries, cu_keys, scale):
    """Causal attention of each segment, written out, its last query in line with its last key; [T, heads, D]."""
    out = []
    for (a, b), (c, d) in zip(pairwise(cu_queries.tolist()), pairwise(cu_keys.tolist()), strict=True):
        keys, values = (x[c:d].repeat_interleave(q.shape[1] // x.shape[1], dim=1) for x in (k, v))
        scores = torch.einsum("qhd,khd->hqk", q[a:b], keys) * scale
        unseen = torch.arange(d - c)[None] > torch.arange(b - a)[:, None] + (d - c) - (b - a)
        out.append(torch.einsum("hqk,khd->qhd", scores.masked_fill(unseen, float("-inf")).softmax(-1), values))
    return torch.cat(out)


def fake_flash(q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k, *, softmax_scale, causal):
    """Of the package's signature; it has no CPU kernel."""
    assert causal
    assert cu_seqlens_q.dtype == cu_seqlens_k.dtype == torch.int32
    assert (max_seqlen_q, max_seqlen_k) == (cu_seqlens_q.diff().max(), cu_seqlens_k.diff().max())
    assert len(k) == len(v) == cu_seqlens_k[-1]
    return reference(q, k, v, cu_seqlens_q, cu_seqlens_k, softmax_scale)


def fake_varlen(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, scale=None, window_size=(-1, -1), enable_gqa=False):
    """Of the signature of torch 2.12 and 2.13, which have a kernel for CUDA only."""
    assert window_size == (-1, 0), "causal"
    assert enable_gqa or query.shape[1] == key.shape[1], "torch refuses it"
    return fake_flash(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, softmax_scale=scale, causal=True)


def older_varlen(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, return_aux=None, scale=None, window_size=(-1, -1)):
    """Of a release that knows no word for grouped queries and takes them."""
    return fake_varlen(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, scale=scale, window_size=window_size, enable_gqa=True)


@pytest.fixture
def gpu_kernels(monkeypatch):
    """Both GPU kernels, of their real signatures, computed in plain PyTorch."""
    package = ModuleType("flash_attn")
    package.__spec__ = ModuleSpec("flash_attn", None)
    package.flash_attn_varlen_func = fake_flash
    monkeypatch.setitem(sys.modules, "flash_attn", package)
    monkeypatch.setattr(torch_varlen, "varlen_attn", fake_varlen)
    attention._has_flash_attn.cache_clear(), attention._varlen_parameters.cache_clear()
    yield monkeypatch
    attention._has_flash_attn.cache_clear(), attention._varlen_parameters.cache_clear()


PREFIXES = (None, 0, None, 0, 2)


def attend(kernel, layer=None, prefixes=None, **extras):
    q, k, v = (torch.randn(1, n, sum(LENGTHS), WIDTH, generator=torch.Generator().manual_seed(n)) for n in (HEADS, KV_HEADS, KV_HEADS))
    out, weights = kernel(layer, q, k, v, None, layout=make_layout(LENGTHS, "cpu", prefixes), scaling=0.3, **extras)
    assert weights is None
    bounds = [0, *np.cumsum(LENGTHS)]
    keys = [
        [*(range(*bounds[p : p + 2]) if p is not None else ()), *range(*bounds[i : i + 2])] for i, p in enumerate(prefixes or [None] * 5)
    ]
    q, k, v = (x[0].transpose(0, 1) for x in (q, k, v))
    ends = torch.tensor([0, *np.cumsum([len(each) for each in keys])])
    flat = list(chain.from_iterable(keys))
    wanted = reference(q, k[flat], v[flat], torch.tensor(bounds), ends, 0.3)
    torch.testing.assert_close(out[0], wanted, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("kernel", [attention.flash, attention.varlen, attention.sdpa, attention.auto])
@pytest.mark.parametrize("prefixes", [None, PREFIXES])
def test_every_kernel_is_handed_what_it_needs_for_causal_attention_within_each_segment(gpu_kernels, kernel, prefixes):
    attend(kernel, prefixes=prefixes)


def test_a_layout_continued_keeps_what_it_has():
    longer, made = make_layout(LENGTHS[:4], "cpu", PREFIXES[:4]).followed_by(17), make_layout(LENGTHS, "cpu", (*PREFIXES[:4], None))
    assert (longer.lengths, longer.prefixes, longer.max_queries, longer.max_keys) == (made.lengths, made.prefixes, 40, 45)
    assert longer.keys.tolist() == made.keys.tolist()


def test_a_torch_whose_kernel_has_no_word_for_grouped_queries_is_not_told_of_them(gpu_kernels):
    gpu_kernels.setattr(torch_varlen, "varlen_attn", older_varlen)
    attention._varlen_parameters.cache_clear()
    attend(attention.varlen)


def test_a_kernel_that_is_not_installed_is_an_error_that_says_what_to_use(monkeypatch):
    with pytest.raises(UserError, match="flash_attention_2 needs the package flash-attn; install it, or use auto, varlen or sdpa"):
        implementation("flash_attention_2")
    monkeypatch.setattr(torch_varlen, "varlen_attn", lambda query, key, value, is_causal: None)  # torch 2.10 had no scale
    attention._varlen_parameters.cache_clear()
    with pytest.raises(UserError, match="varlen needs a newer torch"):
        implementation("varlen")
    attention._varlen_parameters.cache_clear()


SMALL = {"num_hidden_layers": 2}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (Qwen2Config(**SMALL), None),
        (Qwen2Config(**SMALL, use_sliding_window=False, sliding_window=131072), None),
        (Qwen2Config(**SMALL, use_sliding_window=True, sliding_window=64, max_window_layers=2), None),
        (Qwen2Config(**SMALL, use_sliding_window=True, sliding_window=64, max_window_layers=1), "layers of sliding_attention"),
        (LlamaConfig(**SMALL), None),
        (MistralConfig(**SMALL, sliding_window=None), None),
        (MistralConfig(**SMALL, sliding_window=4096), "a sliding window of 4096 tokens"),
        (Gemma2Config(**SMALL, layer_types=["full_attention"] * 2), "soft-capped attention scores"),
        (GPTNeoConfig(), "attention that cannot be exchanged"),
    ],
)
def test_a_model_whose_attention_does_more_is_told_apart(config, said):
    assert unsupported(config) == said


@pytest.mark.parametrize("extras", [{"sliding_window": 8}, {"softcap": 30.0}, {"s_aux": torch.zeros(4)}, {"is_causal": False}])
@pytest.mark.parametrize("kernel", [attention.flash, attention.varlen, attention.sdpa])
def test_what_a_layer_asks_for_beside_is_refused_by_name(gpu_kernels, kernel, extras):
    with pytest.raises(UserError, match=next(iter(extras))):
        attend(kernel, **extras)
    with pytest.raises(UserError, match="is_causal"):
        attend(kernel, SimpleNamespace(is_causal=False))


def test_the_names_given_to_transformers_say_nothing_of_flash(models):
    """It would look for the package, and put another kernel in the place of ours, wherever it finds the word."""
    assert not any("flash" in name for name in attention.NAMES.values())
    config = AutoConfig.from_pretrained(models["qwen2", True])
    for name in attention.NAMES.values():
        assert AutoModelForCausalLM.from_config(config, attn_implementation=name).config._attn_implementation == name
