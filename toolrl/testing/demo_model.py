"""The demo's tokenizer and model, and smaller random models for tests: all made from nothing, none downloaded.

A tokenizer is made of generated text and is the same wherever it is made. A model is a Hugging Face folder with its tokenizer in it,
which `AutoModelForCausalLM` and vLLM load.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import torch
from tokenizers import AddedToken, Regex, Tokenizer, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, Qwen2Config, Qwen2ForCausalLM, Qwen2Tokenizer
from transformers.utils import logging

from toolrl.data.demo.demonstrations import demo_demonstrations
from toolrl.data.template import PromptTemplate

Model = TypeVar("Model", Qwen2ForCausalLM, LlamaForCausalLM)

MAX_VOCAB_SIZE = 2000
"""Where merges would end; those of the demo end before."""
NUM_TEXTS = 4000
MAX_POSITIONS = 8192
LOOK_BACK = 1.5
"""Size of the biases that make a head attend to a place: a score of 6.4 at its peak."""
PAD, START_OF_TURN, END_OF_TURN = SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TAGS = ("<think>", "</think>", "<tool_call>", "</tool_call>")
"""Ordinary text to the decoder: special tokens would vanish from a completion's text, and with them every reward."""

_TAG = re.compile("|".join(TAGS))
PIECES = r"_?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+"
"""What merges may join: Qwen2's own pieces, but letters never with the space or the quote before them. A value then has the same tokens in
a request and in JSON, which makes copying easy to learn."""

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make_tokenizer(folder: Path) -> Qwen2Tokenizer:
    """Make the demo's tokenizer and save it in `folder`, where `transformers.AutoTokenizer` finds it.

    Merges are learned until every piece of the demo's text is one token, so that each word of a value, however rare, is copied in one step;
    other text falls back on bytes. It is Qwen2's tokenizer with our vocabulary, because Transformers rebuilds the tokenizer of a Qwen2
    folder from vocabulary and merges alone, whatever else its file says.
    """
    learner = Tokenizer(BPE())
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(PIECES), behavior="isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = BpeTrainer(
        vocab_size=MAX_VOCAB_SIZE, min_frequency=1, show_progress=False, initial_alphabet=alphabet, special_tokens=list(SPECIALS)
    )
    learner.train_from_iterator(sorted({piece for text in _texts() for piece in re.split(_TAG, text)}), trainer)
    model = json.loads(learner.to_str())["model"]
    merges = [tuple(pair) for pair in model["merges"]]
    tokenizer = Qwen2Tokenizer(
        vocab=model["vocab"], merges=merges, unk_token=PAD, eos_token=END_OF_TURN, pad_token=PAD, model_max_length=MAX_POSITIONS
    )
    tokenizer.add_tokens([AddedToken(token, special=True) for token in SPECIALS])
    tokenizer.add_tokens([AddedToken(token, special=False) for token in TAGS])
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    return tokenizer


def make_model(folder: Path, *, seed: int) -> None:
    """Write the demo's model with random weights, and its tokenizer, as a Hugging Face folder."""
    tokenizer = make_tokenizer(folder)
    config = Qwen2Config(
        **_ids(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=MAX_POSITIONS,
        initializer_range=0.05,
        tie_word_embeddings=False,
    )
    model = _random(Qwen2ForCausalLM, config, seed)
    with torch.no_grad():  # copying is to find the place and to say what stands there: both halves start half done
        _look_back(model)
        model.lm_head.weight.copy_(model.model.embed_tokens.weight)
    _save(model, folder)


def _look_back(model: Qwen2ForCausalLM) -> None:
    """Let head h of the first layer start by attending to the token h + 1 places before, whatever it is.

    With a query bias `b·(cos θd, −sin θd)` and a key bias `b·(1, 0)` in each rotary pair of frequency θ, the score at distance m is
    `b² Σ cos(θ(m − d)) / √D`, whose peak is at m = d. It brought the loss after 250 steps of copying from 3.1 to 1.2.
    """
    attention = model.model.layers[0].self_attn
    theta = model.model.rotary_emb.inv_freq
    attention.k_proj.bias.copy_(
        LOOK_BACK * torch.cat([torch.ones_like(theta), torch.zeros_like(theta)]).repeat(model.config.num_key_value_heads)
    )
    angles = torch.arange(1, model.config.num_attention_heads + 1)[:, None] * theta
    attention.q_proj.bias.copy_(LOOK_BACK * torch.cat([angles.cos(), -angles.sin()], dim=1).flatten())


def tiny_model(folder: Path, *, tied: bool, architecture: str = "qwen2", seed: int = 0) -> None:
    """Write a random model of 2 layers, width 64, with the demo's tokenizer: what tests of the stack load.

    `architecture` is `qwen2` or `llama`; `tied` shares the head with the embedding.
    """
    kinds = {"qwen2": (Qwen2Config, Qwen2ForCausalLM), "llama": (LlamaConfig, LlamaForCausalLM)}
    make_config, make = kinds[architecture]
    config = make_config(
        **_ids(make_tokenizer(folder)),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,  # vLLM's attention on CPU wants heads of 32 or more
        num_key_value_heads=1,
        max_position_embeddings=MAX_POSITIONS,
        initializer_range=0.05,
        tie_word_embeddings=tied,
    )
    _save(_random(make, config, seed), folder)


def _save(model: PreTrainedModel, folder: Path) -> None:
    """Write a model, without the bar that Transformers draws over a moment."""
    logging.disable_progress_bar()
    model.save_pretrained(folder)
    logging.enable_progress_bar()


def _ids(tokenizer: Qwen2Tokenizer) -> dict[str, int | None]:
    ids = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id, "bos_token_id": None}
    return {"vocab_size": len(tokenizer), **ids}


def _random(make: type[Model], config: Qwen2Config | LlamaConfig, seed: int) -> Model:
    """Initialise in float32 with `seed`, leaving the caller's random state alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make(config).float()


def _texts() -> Iterator[str]:
    """Text with every piece of the demo in it: numbers, what is shown and what is answered, in any form."""
    yield " ".join(str(number) for number in range(100))
    template = PromptTemplate.load("demo")
    for prompt, completion in demo_demonstrations(NUM_TEXTS, seed=0):
        for turn in template.render(prompt):
            yield f"{turn['role']}\n{turn['content']}"
        yield f"assistant\n{completion}"
