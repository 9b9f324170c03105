import numpy as np
import pytest

from toolrl.calls.render import render_completion
from toolrl.data.template import PromptTemplate
from toolrl.data.tokenizer import TAGS, ChatTokenizer
from toolrl.errors import ConfigError, DataError, UserError
from toolrl.types import Message, Prompt, ToolCall

PROMPT = Prompt("p1", "s", (Message("user", "naïve 😀"),), (), ())


@pytest.fixture(scope="module")
def tokenizer(byte_tokenizer):
    return ChatTokenizer(byte_tokenizer)


def test_a_prompt_goes_through_the_chat_template_and_ends_where_the_assistant_begins(tokenizer):
    ids = tokenizer.encode_prompt(PROMPT, PromptTemplate("t", "Tools:{tools}"))
    start, end = 256, 257
    expected = [start, *b"system\nTools:", end, *b"\n", start, *"user\nnaïve 😀".encode(), end, *b"\n", start, *b"assistant\n"]
    assert ids.dtype == np.int32
    assert len(ids) == len(expected)  # one token a byte
    assert [i for i in ids if i in (start, end)] == [start, end, start, end, start]
    assert tokenizer.decode(ids) == "system\nTools:\nuser\nnaïve 😀\nassistant\n"


def test_lengths_of_many_prompts_are_those_of_each_encoded(tokenizer):
    template = PromptTemplate("t", "Tools:{tools}")
    prompts = [PROMPT, Prompt("p2", "s", (Message("user", "x" * 70),), (), ())]
    assert tokenizer.prompt_lengths(prompts, template) == [len(tokenizer.encode_prompt(prompt, template)) for prompt in prompts]
    assert tokenizer.prompt_lengths([], template) == []


def test_a_completion_comes_back_from_its_ids_and_ends_the_turn(tokenizer):
    text = render_completion([ToolCall("f", {"a": "  naïve\n😀 </x>"})], "a  b\n")
    ids = tokenizer.encode_completion(text)
    assert ids[-1] == tokenizer.stop_ids[0] == 257
    assert tokenizer.decode(ids) == text
    assert sum(i >= 259 for i in ids) == len(TAGS)


def test_only_the_chat_template_says_how_a_prompt_begins(tmp_path, make_byte_tokenizer, tokenizer):
    beginning = ChatTokenizer(make_byte_tokenizer(tmp_path, begin="<|endoftext|>"))
    template = PromptTemplate("t", "{tools}")
    assert beginning.encode_prompt(PROMPT, template).tolist() == tokenizer.encode_prompt(PROMPT, template).tolist()
    assert beginning.encode_completion("x").tolist() == tokenizer.encode_completion("x").tolist()


def test_stop_ids_are_the_end_of_a_turn_and_the_end_of_text(tokenizer):
    assert tokenizer.stop_ids == (257, 258)


def test_a_template_that_marks_no_end_of_turn_leaves_the_end_of_text(tmp_path, make_byte_tokenizer):
    plain = "{% for m in messages %}{{ m['content'] }}\n{% endfor %}"
    assert ChatTokenizer(make_byte_tokenizer(tmp_path, chat_template=plain)).stop_ids == (258,)


def test_tags_that_vanish_in_decoding_are_refused_by_name(tmp_path, make_byte_tokenizer):
    folder = make_byte_tokenizer(tmp_path, tags=("<tool_call>", "</think>"), special=True)
    with pytest.raises(ConfigError, match=r"does not give </think>, <tool_call> back .* every reward would be 0; set"):
        ChatTokenizer(folder)


def test_tags_need_no_tokens_of_their_own(tmp_path, make_byte_tokenizer):
    tokenizer = ChatTokenizer(make_byte_tokenizer(tmp_path, tags=()))
    assert tokenizer.decode(tokenizer.encode_completion("<think>x</think>")) == "<think>x</think>"


def test_a_tokenizer_without_a_chat_template_is_refused(tmp_path, make_byte_tokenizer):
    with pytest.raises(ConfigError, match="no chat template; use an instruction-tuned model"):
        ChatTokenizer(make_byte_tokenizer(tmp_path, chat_template=None))


def test_a_conversation_the_chat_template_refuses_is_named(tmp_path, make_byte_tokenizer):
    strict = "{% if messages[1]['role'] == 'tool' %}{{ raise_exception('no tools') }}{% endif %}{{ messages[1]['content'] }}"
    tokenizer = ChatTokenizer(make_byte_tokenizer(tmp_path, chat_template=strict))
    with pytest.raises(DataError, match=r"prompt p1: .*no tools"):
        tokenizer.encode_prompt(Prompt("p1", "s", (Message("tool", "x"),), (), ()), PromptTemplate("t", "{tools}"))


def test_a_chat_template_of_the_users_takes_the_place_of_the_tokenizers(byte_tokenizer):
    mine = (
        "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}<|endoftext|>{% endfor %}{% if add_generation_prompt %}[me]{% endif %}"
    )
    tokenizer = ChatTokenizer(byte_tokenizer, mine)
    assert tokenizer.decode(tokenizer.encode_prompt(PROMPT, PromptTemplate("t", "Tools:{tools}"))) == "[system]Tools:[user]naïve 😀[me]"
    assert tokenizer.stop_ids == (258,)  # the end of a turn is what this template writes


def test_a_chat_template_that_is_no_jinja_is_refused(byte_tokenizer):
    with pytest.raises(ConfigError, match=r"^prompt\.template: the chat template cannot be used"):
        ChatTokenizer(byte_tokenizer, "{% for m in messages %}")


@pytest.mark.parametrize("path", ["/nowhere/at/all", "nobody/no-such-model", "./missing", "a b"])
def test_a_path_that_is_not_there_is_an_error_at_once(path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="no tokenizer there"):
        ChatTokenizer(path)


def test_a_folder_without_a_tokenizer_says_what_must_be_in_it(tmp_path):
    with pytest.raises(UserError, match=r"no tokenizer there; the folder must hold tokenizer\.json"):
        ChatTokenizer(str(tmp_path))


def test_each_token_has_its_own_text_special_ones_too(byte_tokenizer):
    tokenizer = ChatTokenizer(byte_tokenizer)
    ids = [*tokenizer.encode_completion("aé<think>")]
    assert tokenizer.pieces(np.array(ids)) == ["a", "\ufffd", "\ufffd", "<think>", "<|im_end|>"]
