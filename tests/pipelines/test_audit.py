"""`toolrl audit DATA`: exit 0 where the reward tells references from the rest, else what is wrong and the exit code of the audit."""

import json

import pytest

from toolrl.cli.main import main

TOOLS = [{"name": "f", "description": "", "parameters": {"type": "object", "properties": {"n": {"type": "integer"}}}}]


def rows(path, *answers):
    lines = [
        {"id": f"r{i}", "messages": [{"role": "user", "content": f"do {i}"}], "tools": TOOLS, "answer": a} for i, a in enumerate(answers)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def test_a_sound_data_set_ends_with_0_and_a_table(tmp_path, capsys):
    data = rows(tmp_path / "rows.jsonl", *([{"name": "f", "arguments": {"n": n}}] for n in range(3)))
    assert main(["audit", data]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{data}: 3 prompts, reward strict, no call: either\n")
    assert "sound: every reference scores full marks" in out
    assert [line.split()[-1] for line in out.split("\n\n")[1].splitlines()[1:]] == ["ok"] * 5


@pytest.mark.parametrize("as_json", [False, True])
def test_a_reward_that_likes_a_wrong_answer_ends_with_the_audit_s_error_after_its_table(tmp_path, capsys, as_json, monkeypatch):
    (tmp_path / "lax_reward.py").write_text("def anything(prompt, text):\n    return 1.0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    data = rows(tmp_path / "rows.jsonl", [{"name": "f", "arguments": {"n": 1}}], [{"name": "f", "arguments": {"n": 2}}])
    assert main(["audit", data, "--functions", "lax_reward:anything=1", *(["--json"] if as_json else [])]) == 2
    out, err = capsys.readouterr()
    assert "empty text: 2 of 2" in err
    if as_json:
        told = json.loads(out)
        assert (told["sound"], told["rows"]) == (False, 2)
        assert {check["name"]: check["failed"] for check in told["checks"]}["empty text"] == 2
    else:
        assert "FAILED" in out
        assert "sound" not in out


def test_what_a_mode_does_by_its_own_rules_is_said_and_is_sound(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    data = rows(tmp_path / "rows.jsonl", [{"name": "f", "arguments": {"n": 1}}])
    assert main(["audit", data, "--mode", "paper"]) == 0
    out = capsys.readouterr().out
    assert "by its rules" in out
    assert "the paper's rules take the last block" in " ".join(out.split())


def test_the_first_rows_of_a_data_set_can_be_audited(capsys):
    assert main(["audit", "demo://heldout", "--rows", "5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none.jsonl",), "none.jsonl: no such file"),
        (("demo://heldout", "--rows", "0"), "--rows: got 0"),
        (("demo://heldout", "--mode", "lax"), "reward.mode: got 'lax'"),
    ],
)
def test_mistakes_end_with_2(capsys, arguments, message):
    assert main(["audit", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_wrong_choice_is_answered_with_the_choices(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["audit", "demo://heldout", "--part", "test"])
    assert ended.value.code == 2
    assert "argument --part: invalid choice: 'test'" in capsys.readouterr().err
