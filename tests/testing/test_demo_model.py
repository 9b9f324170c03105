import json

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from toolrl.data.demo.demonstrations import demo_demonstrations
from toolrl.data.template import PromptTemplate
from toolrl.testing.demo_model import END_OF_TURN, MAX_VOCAB_SIZE, TAGS, make_model, make_tokenizer, tiny_model


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    make_tokenizer(folder)
    return AutoTokenizer.from_pretrained(folder)


def shown(tokenizer, prompt):
    return tokenizer.apply_chat_template(PromptTemplate.load("demo").render(prompt), tokenize=False, add_generation_prompt=True)


def test_the_tokenizer_is_the_same_wherever_it_is_made(tmp_path):
    files = [tmp_path / name for name in ("a", "b")]
    for folder in files:
        make_tokenizer(folder)
    assert (files[0] / "tokenizer.json").read_bytes() == (files[1] / "tokenizer.json").read_bytes()


def test_the_merges_end_before_the_vocabulary_is_full_and_the_turn_ends_with_the_eos(tokenizer):
    assert 1000 < len(tokenizer) < MAX_VOCAB_SIZE
    assert tokenizer.eos_token == END_OF_TURN


@pytest.mark.parametrize(
    "text", ['Grüße, 日本!\n\n\t{"x": 1.50, "y":[1, 22,333]}  ', "<think>\na\n</think>\n<tool_call>\n[]\n</tool_call>", "a  b\r\n"]
)
def test_any_text_comes_back_from_its_tokens(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_tags_are_one_token_each_and_survive_decoding_without_special_tokens(tokenizer):
    for tag in TAGS:
        (token,) = tokenizer.encode(tag)
        assert tokenizer.decode([token, tokenizer.eos_token_id], skip_special_tokens=True) == tag


def test_a_word_has_the_same_tokens_in_a_request_and_in_a_call(tokenizer):
    for word, number in (("Paris", 1), ("paella", 1), ("get_forecast", 2), ("fahrenheit", 1), ("17", 2)):
        tokens = tokenizer.tokenize(word)
        assert len(tokens) == number
        for text in (f"weather in {word} please", f'[{{"name": "{word}"}}]', f'{{"name": {word}, '):
            shown = tokenizer.tokenize(text)
            assert any(shown[i : i + number] == tokens for i in range(len(shown)))


def test_a_tokenizer_beside_a_model_is_the_one_that_was_made(tmp_path, tokenizer):
    """Transformers chooses a tokenizer's class by the model's type, whatever the tokenizer's own file says."""
    tiny_model(tmp_path, tied=False)
    beside = AutoTokenizer.from_pretrained(tmp_path)
    for prompt, completion in demo_demonstrations(50, seed=3):
        text = shown(tokenizer, prompt) + completion
        assert beside.encode(text) == tokenizer.encode(text)


def test_every_piece_of_unseen_demonstrations_is_a_whole_token_so_that_none_is_long(tokenizer):
    lengths = []
    for prompt, completion in demo_demonstrations(500, seed=99):
        lengths.append((len(tokenizer.encode(shown(tokenizer, prompt))), len(tokenizer.encode(completion))))
    prompt_tokens, completion_tokens = zip(*lengths, strict=True)
    assert 80 < sum(prompt_tokens) / 500 < 100
    assert max(prompt_tokens) <= 160
    assert max(completion_tokens) <= 80


def test_the_chat_template_marks_turns_and_opens_the_assistants(tokenizer):
    turns = [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert text == "<|im_start|>system\na<|im_end|>\n<|im_start|>user\nb<|im_end|>\n<|im_start|>assistant\n"


def test_the_demo_model_has_under_a_million_parameters_and_its_head_starts_as_its_embedding(tmp_path):
    make_model(tmp_path, seed=0)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert model.config.architectures == ["Qwen2ForCausalLM"]
    assert sum(p.numel() for p in model.parameters()) < 1_000_000
    assert model.lm_head.weight.data_ptr() != model.model.embed_tokens.weight.data_ptr()
    assert torch.equal(model.lm_head.weight, model.model.embed_tokens.weight)


def test_each_head_of_the_first_layer_starts_by_looking_its_own_number_of_places_back(tmp_path):
    make_model(tmp_path, seed=0)
    model = AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="eager")
    ids = torch.randint(10, 1000, (4, 60), generator=torch.Generator().manual_seed(0))
    weights = model(ids, output_attentions=True).attentions[0].mean(0)  # [heads, T, T]
    for head in range(4):
        by_distance = [weights[head].diagonal(-distance)[20:].mean().item() for distance in range(12)]
        assert max(range(12), key=by_distance.__getitem__) == head + 1


def test_the_seed_decides_the_weights_and_nothing_else_does(tmp_path):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    weights = []
    for i, seed in enumerate((0, 0, 1)):
        make_model(tmp_path / str(i), seed=seed)
        weights.append((tmp_path / str(i) / "model.safetensors").read_bytes())
    assert weights[0] == weights[1] != weights[2]
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
def test_a_tiny_model_is_tied_or_has_a_head_of_its_own(tmp_path, architecture, tied):
    tiny_model(tmp_path, tied=tied, architecture=architecture)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert model.config.model_type == architecture
    assert json.loads((tmp_path / "config.json").read_text())["tie_word_embeddings"] is tied
    assert torch.equal(model.lm_head.weight, model.model.embed_tokens.weight) is tied
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    ids = torch.tensor([tokenizer.encode("play some jazz")])
    assert model(ids).logits.shape == (1, ids.shape[1], len(tokenizer))
