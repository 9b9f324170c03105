"""Fixtures that tests of several packages share."""

import os
from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real rows, which is no part of the project."""
    folder = Path(os.environ.get("TOOLRL_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not (folder / "tool_calling" / "train.jsonl").is_file():
        pytest.skip("the real rows are not there; set TOOLRL_SHARED_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def make_byte_tokenizer():
    """Write a tokenizer of 256 bytes, the tokens of turns and the added `tags` into a folder: one token a byte.

    `begin` is a token that it puts before every text, unless told not to.
    """

    def make(
        folder, *, tags=("<think>", "</think>", "<tool_call>", "</tool_call>"), special=False, chat_template=CHAT_TEMPLATE, begin=None
    ):
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        tokenizer = Tokenizer(BPE({piece: i for i, piece in enumerate(alphabet)}, []))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.add_special_tokens([AddedToken(token, special=True) for token in ("<|im_start|>", "<|im_end|>", "<|endoftext|>")])
        tokenizer.add_tokens([AddedToken(tag, special=special) for tag in tags])
        if begin:
            tokenizer.post_processor = TemplateProcessing(single=f"{begin} $A", special_tokens=[(begin, tokenizer.token_to_id(begin))])
        fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>")
        fast.chat_template = chat_template
        fast.save_pretrained(folder)
        return str(folder)

    return make


@pytest.fixture(scope="session")
def byte_tokenizer(tmp_path_factory, make_byte_tokenizer):
    """The folder of a byte tokenizer whose tags are ordinary text to the decoder."""
    return make_byte_tokenizer(tmp_path_factory.mktemp("byte-tokenizer"))


@pytest.fixture(scope="session")
def ray_cluster():
    """A local Ray cluster for tests of actors; other tests start their own drivers, each with a cluster of its own."""
    import ray

    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="ERROR", _node_ip_address="127.0.0.1")
    yield
    ray.shutdown()
