"""The audit passes sound verifiers and catches broken ones."""

from dataclasses import replace

import pytest

from toolrl.errors import ConfigError, DataError
from toolrl.reward.audit import KEPT, audit
from toolrl.reward.verifier import make_verifier
from toolrl.types import Message, Prompt, Reason, Tool, ToolCall, Verdict

TOOLS = (Tool("f", "", {"properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}), Tool("g", "", {}))
REFERENCES = ((ToolCall("f", {"a": 1, "b": 2}),), (ToolCall("g", {}), ToolCall("f", {"a": 3, "b": 4})), ())
ROWS = [Prompt(f"p{i}", "test", (Message("user", f"Do {i}."),), TOOLS, reference) for i, reference in enumerate(REFERENCES)]


def failed(verifier, rows=ROWS):
    return {check.name: check.failed for check in audit(verifier, rows).checks if check.failed and not check.accepted}


@pytest.mark.parametrize(("mode", "no_call"), [("strict", "either"), ("strict", "list"), ("strict", "text"), ("paper", "either")])
def test_the_modes_are_sound(mode, no_call):
    report = audit(make_verifier(mode, no_call), ROWS)
    report.require_sound()
    assert report.rows == 3
    assert {check.name: check.tried for check in report.checks} == {
        "reference": 3, "empty text": 3, "the prompt's own text": 3, "reference inside think": 3,
        "every tool called": 2, "shuffled arguments": 2, "another row's reference": 3,
    }  # fmt: skip


def test_what_the_paper_rewards_by_its_own_rules_is_said_and_is_no_problem():
    report = audit(make_verifier("paper"), ROWS)
    assert report.problems() == ()
    (note,) = report.notes()
    assert "reference inside think: 3 of 3" in note
    assert "wherever it stands" in note


def test_a_verifier_that_rewards_everything_is_caught():
    def generous(prompt, text):
        return Verdict(1.0, Reason.CORRECT)

    found = failed(generous)
    assert found["empty text"] == 3
    assert "reference" not in found
    with pytest.raises(ConfigError, match=r"rewards a wrong answer: change reward.mode or reward.functions"):
        audit(generous, ROWS).require_sound()


def test_a_verifier_that_looks_only_at_names_is_caught():
    strict = make_verifier("strict")

    def names_only(prompt, text):
        bare = replace(prompt, reference=tuple(ToolCall(call.name, {}) for call in prompt.reference))
        verdict = strict(bare, text)
        return replace(verdict, reward=1.0) if verdict.reason is Reason.UNEXPECTED_ARGUMENT else strict(prompt, text)

    assert failed(names_only) == {"shuffled arguments": 2}


def test_a_verifier_that_fails_is_caught():
    def broken(prompt, text):
        raise ZeroDivisionError

    assert failed(broken)["reference"] == 3


def test_a_row_that_no_answer_can_satisfy_is_named_with_what_to_do():
    row = replace(ROWS[0], id="odd", reference=(ToolCall("f", {"a": "</tool_call>"}),))
    audit(make_verifier("strict"), [row]).require_sound()
    with pytest.raises(DataError) as caught:
        audit(make_verifier("paper"), [row]).require_sound()
    assert "prompt odd" in str(caught.value)
    assert "invalid_json" in str(caught.value)
    assert "drop or mend these rows" in str(caught.value)


def test_the_report_keeps_a_few_samples():
    report = audit(lambda prompt, text: Verdict(0.0, Reason.NO_THINK), ROWS * 4)
    check = report.checks[0]
    assert (check.name, check.tried, check.failed, len(check.samples)) == ("reference", 12, 12, KEPT)


def test_real_rows_are_sound(shared_data):
    from toolrl.data.rows import read_rows

    rows = list(read_rows(shared_data / "tool_calling" / "test.jsonl"))
    for mode in ("strict", "paper"):
        audit(make_verifier(mode), rows).require_sound()
