"""BFCL's files: what is written for upstream, and what is read back."""

import json

import pytest

from toolrl.errors import RunError
from toolrl.evaluation.bfcl.results import Scores, as_result, read_leaderboard, read_scores, result_file, score_file, write_results

BLOCK = '<tool_call>[{"name": "a.b", "arguments": {"n": 1.0, "s": "é", "l": [1, {"k": null}]}}]</tool_call>'


def test_calls_are_handed_over_as_json_text_and_anything_else_as_it_is():
    (call,) = as_result(f"<think>x</think>{BLOCK}")
    assert call == {"a.b": '{"n": 1.0, "s": "é", "l": [1, {"k": null}]}'}
    assert as_result("<tool_call>[]</tool_call>") == []
    for text in ("", "No.", "[f(x=1)]", BLOCK + BLOCK, "<tool_call>{}</tool_call>"):
        assert as_result(text) == text


def test_half_a_surrogate_pair_is_replaced_and_a_whole_one_stays():
    block = '<tool_call>[{"name": "f", "arguments": {"\\ud800": ["\\udc00", "\\ud83d\\ude00"]}}]</tool_call>'
    assert [json.loads(text) for text in as_result(block)[0].values()] == [{"\ufffd": ["\ufffd", "😀"]}]
    assert as_result("x\ud800") == "x\ufffd"


def test_result_files_lie_where_upstream_looks(tmp_path):
    for category, group in {"simple_python": "non_live", "live_simple": "live", "multi_turn_base": "multi_turn"}.items():
        write_results(tmp_path, category, [("a", BLOCK), ("b", "No.")])
        file = tmp_path / f"result/toolrl/{group}/BFCL_v4_{category}_result.json"
        assert result_file(tmp_path, category) == file
        assert [json.loads(line)["id"] for line in file.read_text().splitlines()] == ["a", "b"]


def scores(tmp_path, *rows):
    file = score_file(tmp_path, "multiple")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_scores(tmp_path, "multiple", ["a", "b", "c"])


def test_scores_are_read_item_by_item(tmp_path):
    totals = {"accuracy": 1 / 3, "correct_count": 1, "total_count": 3}
    found = scores(tmp_path, totals, {"id": "b", "error_type": "checker_failed"}, {"id": "c", "error_type": "x"})
    assert found == Scores({"a": True, "b": False, "c": False}, 1 / 3, ("b",))


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{"accuracy": 1.0, "correct_count": 3, "total_count": 4}],
        [{"accuracy": 1.0, "correct_count": 3, "total_count": 3}, {"id": "b"}],
        [{"accuracy": 1.0, "correct_count": 3, "total_count": 3}, {"id": "of another run"}, {}],
    ],
)
def test_scores_of_anything_else_are_refused(tmp_path, rows):
    with pytest.raises(RunError, match=r"multiple_score\.json: is not what BFCL's own evaluator writes"):
        scores(tmp_path, *rows)


def test_scores_that_were_not_written_are_refused(tmp_path):
    with pytest.raises(RunError, match="FileNotFoundError"):
        read_scores(tmp_path, "multiple", ["a"])
    with pytest.raises(RunError, match=r"leaderboard\.json"):
        read_leaderboard(tmp_path)
