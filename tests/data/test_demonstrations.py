"""Demonstrations by name, and what is said of rows that are none."""

import pytest

from toolrl.data.demonstrations import load_demonstrations
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
