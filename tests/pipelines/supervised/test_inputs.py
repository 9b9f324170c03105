"""What a supervised run starts from, and the mistakes that end it before it begins."""

import json

import numpy as np
import pytest

from toolrl.config.load import load
from toolrl.config.sft import SftConfig
from toolrl.data.demonstrations import load_demonstrations
from toolrl.errors import ConfigError, DataError
from toolrl.pipelines.inputs import resolve_model
from toolrl.pipelines.supervised.closing import facts
from toolrl.pipelines.supervised.inputs import load_supervised

START = resolve_model("demo://start")
ROWS = "demo://sft?rows=64"


def inputs(*overrides, train=ROWS):
    return load_supervised(load(SftConfig, ["conf/demo_sft.yaml", f"data.train={train}", *overrides]), START)


def texts(found):
    return [found.tokenizer.decode(row.token_ids[row.prompt_tokens :]) for row in found.train.rows]


def test_the_loss_is_on_the_completion_and_the_end_of_the_turn():
    found = inputs()
    row = found.train.rows[0]
    assert row.token_ids[-1] == found.tokenizer.stop_ids[0]
    assert found.tokenizer.decode(row.token_ids[: row.prompt_tokens]).endswith("assistant\n")
    assert texts(found) == [text for _, text in load_demonstrations(ROWS)]


def test_without_reasoning_only_the_calls_are_imitated_held_out_too():
    found = inputs("data.reasoning=false", "data.heldout=demo://sft-heldout?rows=20")
    assert all(text.startswith("<tool_call>") for text in texts(found))
    assert not any("think" in found.tokenizer.decode(row.token_ids) for row in found.heldout.rows)


def test_a_part_of_the_dialogues_is_trained_and_told():
    whole, first, second = inputs(), inputs("data.subset=0-25"), inputs("data.subset=25-100")
    assert sorted(texts(first) + texts(second)) == sorted(texts(whole))
    assert (len(first.train.rows), len(second.train.rows)) == (16, 48)
    assert any("demonstrations: 16 with " in line and "0-25 percent of the dialogues" in line for line in facts(first))


def test_epochs_are_counted_in_what_is_left_to_train():
    found = inputs("data.subset=0-50", "loop.epochs=3", "data.copy_warmup_steps=0", "loop.rows_per_batch=8")
    assert found.config.run.steps == 12
    assert any("3 passes" in line for line in facts(found))


def test_what_is_held_out_is_the_same_each_time_and_no_more_than_asked_for():
    held = [inputs("data.heldout=demo://sft-heldout?rows=50", "eval.prompts=7").heldout.rows for _ in range(2)]
    assert len(held[0]) == 7
    assert all(np.array_equal(one.token_ids, other.token_ids) for one, other in zip(*held, strict=True))


def test_without_prompts_to_answer_nobody_judges():
    assert inputs().judged is None
    judged = inputs("eval.heldout=demo://heldout?rows=30", "eval.prompts=9").judged
    assert len(judged.draws) == 9
    assert judged.verifier(judged.draws[0].prompt, "nothing").reward == 0.0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ([f"data.heldout={ROWS}"], "data.heldout: 64 of 64 prompts are in data.train too (first: 'demo-train-0-0')"),
        (["eval.heldout=demo://train?rows=10"], "eval.heldout: 10 of 10 prompts are in data.train too"),
        (["data.max_tokens=20"], "data.max_tokens: none of 64 demonstrations of data.train has 20 tokens or fewer (the shortest has "),
        (["data.subset=10-10.1"], "data.subset: no dialogue begins in 10-10.1 percent of 64 rows of 64 dialogues; widen it"),
        (["data.heldout=nowhere.jsonl"], "nowhere.jsonl: no such file or folder"),
        (["eval.heldout=demo://sft"], "demo://sft: expected demo://train or demo://heldout"),
    ],
)
def test_a_mistake_is_told_before_anything_starts(settings, said):
    with pytest.raises(DataError) as caught:
        inputs(*settings)
    assert str(caught.value).startswith(said)


def test_a_reward_that_does_not_reward_the_references_is_refused(tmp_path):
    call = {"name": "f", "arguments": {}}
    tools = [{"name": "f", "parameters": {}}, {"name": "g", "parameters": {}}]
    row = {"id": "a", "messages": [{"role": "user", "content": "hi"}], "tools": tools, "answer": [call]}
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(ConfigError, match="reference"):
        inputs(f"eval.heldout={path}", "reward.functions={binary: -1}")


def test_what_is_longer_is_left_out_and_counted():
    found = inputs("data.max_tokens=130", "learner.max_tokens_per_microbatch=130")
    assert 0 < len(found.train.rows) < 64
    assert max(len(row.token_ids) for row in found.train.rows) <= 130
    assert f"  {64 - len(found.train.rows)} longer than data.max_tokens left out" in facts(found)


@pytest.mark.parametrize(
    ("settings", "note"),
    [
        (["data.reasoning=false", "prompt.template=tool_n1"], "note: data.reasoning=false, while the template tool_n1 asks for reasoning"),
        (["prompt.template=tool_n1_no_think"], "note: data.reasoning=true, while the template tool_n1_no_think asks for calls alone"),
        (["data.reasoning=false", "prompt.template=tool_n1_no_think"], None),
        (["prompt.template=tool_n1"], None),
        (["data.reasoning=false"], None),  # the demo's template says nothing of the form
    ],
)
def test_a_template_that_asks_for_something_else_than_is_taught_is_told(settings, note):
    room = ("data.max_tokens=2048", "learner.max_tokens_per_microbatch=2048")
    told = [line for line in facts(inputs(*settings, *room)) if line.startswith("note: data.reasoning")]
    assert [line.startswith(note) for line in told] == ([True] if note else [])
