"""Demonstrations by name, and what is said of rows that are none."""

import pytest

from toolrl.calls.render import render_calls
from toolrl.data.demonstrations import load_demonstrations, without_reasoning
from toolrl.data.source import load_prompts
from toolrl.errors import DataError
from toolrl.reward.verifier import make_verifier

ROW = '{"id": "a", "messages": [{"role": "user", "content": "hi"}], "tools": [], "answer": [], "completion": "<think>x</think>ok"}\n'


def test_the_share_of_faults_is_the_one_asked_for_and_every_call_is_right_underneath():
    verifier = make_verifier("strict")
    verdicts = [verifier(prompt, text) for prompt, text in load_demonstrations("demo://sft?rows=600&fault_percent=30")]
    assert all(verdict.content_right for verdict in verdicts)
    assert 0.65 < sum(verdict.reward for verdict in verdicts) / 600 < 0.75


def test_rows_of_a_file_come_with_their_completion(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(ROW)
    ((prompt, text),) = load_demonstrations(str(path))
    assert (prompt.id, text) == ("a", "<think>x</think>ok")


def test_held_out_demonstrations_of_the_demo_are_right_and_of_its_held_out_prompts():
    verifier = make_verifier("strict")
    rows = load_demonstrations("demo://sft-heldout?rows=50")
    assert [prompt for prompt, _ in rows] == list(load_prompts("demo://heldout?rows=50"))
    assert all(verifier(prompt, text).reward == 1.0 for prompt, text in rows)


def test_a_file_gives_the_same_prompts_to_supervised_training_and_to_reinforcement_learning(tmp_path):
    (tmp_path / "of_them").mkdir()
    path = tmp_path / "of_them" / "train.jsonl"
    path.write_text(ROW + ROW.replace('"id": "a", ', "").replace("hi", "again"))
    for spec in (str(path), str(path.parent)):
        assert [prompt for prompt, _ in load_demonstrations(spec)] == list(load_prompts(spec))
    assert [prompt.id for prompt in load_prompts(str(path))] == ["a", "train.jsonl:2"]


def test_of_a_distilled_folder_only_what_was_kept_is_read(tmp_path):
    (tmp_path / "demonstrations.jsonl").write_text(ROW)
    (tmp_path / "replies.jsonl").write_text('{"key": ["a", 0], "text": "x"}\n')
    assert [prompt.id for prompt, _ in load_demonstrations(str(tmp_path))] == ["a"]
    assert [prompt.id for prompt in load_prompts(str(tmp_path))] == ["a"]


def test_what_is_cut_off_is_the_reasoning_and_nothing_else():
    rows = load_demonstrations("demo://sft?rows=300")
    cut = without_reasoning(rows)
    assert [prompt for prompt, _ in cut] == [prompt for prompt, _ in rows]
    assert all("think" not in text and text.startswith("<tool_call>") for _, text in cut)
    assert all(text.endswith(short) for (_, text), (_, short) in zip(rows, cut, strict=True))
    assert [text for _, text in without_reasoning(cut)] == [text for _, text in cut]
    right = without_reasoning(load_demonstrations("demo://sft?rows=20&fault_percent=0"))
    assert all(text == render_calls(prompt.reference) for prompt, text in right)


def test_a_completion_that_only_reasons_cannot_be_shown_without(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(ROW.replace("ok", " "))
    with pytest.raises(DataError, match="the completion of a is reasoning and nothing more"):
        without_reasoning(load_demonstrations(str(path)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (ROW + ROW.replace("completion", "answer_text"), "rows.jsonl:2: expected the text to imitate under `completion`"),
        (ROW + "{\n", ":2: not one JSON value"),
        ("\n", "no demonstrations in it"),
    ],
)
def test_a_row_that_is_no_demonstration_is_named(tmp_path, content, message):
    path = tmp_path / "rows.jsonl"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        load_demonstrations(str(path))


@pytest.mark.parametrize("spec", ["demo://sfd", "demo://sft?rows=many", "demo://sft?faults=3", "nowhere.jsonl"])
def test_a_name_that_is_none_is_answered(spec):
    with pytest.raises(DataError):
        load_demonstrations(spec)
