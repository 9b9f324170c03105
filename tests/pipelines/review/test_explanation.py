"""One sample explained: worked by hand, and the same as JSON and as a page."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolrl.calls.render import to_json
from toolrl.config.task import RewardConfig
from toolrl.errors import ConfigError
from toolrl.pipelines.review import explanation_json, explanation_page
from toolrl.pipelines.review.explanation import COLUMNS, explain, explain_row, group_statistics
from toolrl.pipelines.review.page import columns
from toolrl.pipelines.review.stored import open_run
from toolrl.types import ToolCall

HOSTILE = st.sampled_from('<>/[]{}":,\\think_tool_call 1\n\té\u0301\x1b天')


def page(run, draw, sample, width=100):
    return explanation_page.text(explain(open_run(run), draw, sample), run, width)


def section(text, name):
    return next(part for part in text.split("\n\n") if part.startswith(f"── {name}"))


def test_a_sample_has_its_group_its_diff_and_the_verdict_of_every_mode(make_run):
    found = explain(open_run(make_run()), 0, 2)
    assert (found.row["reason"], found.row["expected"], found.row["got"]) == ("wrong_value", '"Oslo"', '"Rome"')
    assert found.row["advantage"] == pytest.approx(-(3**0.5) / 2)  # rewards 1 0 0 1: mean 1/2, std √(1/3)
    assert [row["reason"] for row in found.siblings] == ["correct", "not_a_list", "wrong_value", "correct"]
    assert (found.group.rewards, found.group.mean, found.group.std) == ((1.0, 0.0, 0.0, 1.0), 0.5, pytest.approx(3**-0.5))
    assert {judged.name: judged.verdict.reward for judged in found.judged} == {"this run": 0.0, "strict": 0.0, "paper": 0.0, "bfcl": 0.0}
    [diff] = found.diffs
    assert [(a.path, a.expected, a.got, str(a.reason)) for a in diff.arguments] == [
        ("city", "Oslo", "Rome", "wrong_value"),
        ("days", 3, 3, "correct"),
    ]
    assert found.row["text"][found.place :].startswith('"Rome"')


def test_the_modes_may_disagree(make_run):
    run = open_run(make_run())
    verdicts = {(draw, i): {j.name: j.verdict.reward for j in explain(run, draw, i).judged} for draw, i in ((0, 1), (0, 3), (8, 0))}
    assert verdicts[0, 1] == {"this run": 0.0, "strict": 0.0, "paper": 1.0, "bfcl": 0.0}
    assert verdicts[0, 3]["strict"] == 1.0 > verdicts[0, 3]["paper"]
    assert verdicts[8, 0]["strict"] == 1.0 > verdicts[8, 0]["paper"]


def test_a_broken_form_is_read_leniently_and_its_place_shown(make_run):
    run = open_run(make_run())
    found = explain(run, 0, 1)
    assert (found.reading, found.diffs[0].right) == ("lenient", True)
    assert found.row["text"][found.place :].startswith('{"name"')
    assert explain(run, 8, 3).reading == "none"


def test_each_reward_function_of_the_run_has_its_own_value(make_run):
    run = make_run(reward=RewardConfig(functions={"partial_format": 1.0, "names": 0.5}))
    found = explain(open_run(run), 0, 2)
    assert found.row["reward"] == pytest.approx(0.2 + 0.5)
    assert {judged.name: judged.verdict.reward for judged in found.functions} == {"partial_format": pytest.approx(0.2), "names": 1.0}
    assert "this run: strict, no call: either, reward = 1 × partial_format + 0.5 × names" in page(run, 0, 2)


def test_a_reward_function_that_is_gone_leaves_the_rest(make_run):
    run = make_run()
    settings = (run / "config.yaml").read_text().replace("functions: {}", "functions: {'gone_module:f': 1.0}")
    (run / "config.yaml").write_text(settings)
    found = explain(open_run(run), 0, 2)
    assert [(j.name, j.verdict is None) for j in (*found.judged, *found.functions)] == [
        ("this run", True),
        ("strict", False),
        ("paper", False),
        ("bfcl", False),
        ("gone_module:f", True),
    ]
    assert "cannot import 'gone_module:f'" in page(run, 0, 2, 200)


def test_a_verdict_that_is_another_today_is_pointed_out(make_run, weather):
    run = make_run()
    (run / "config.yaml").write_text((run / "config.yaml").read_text().replace("mode: strict", "mode: paper"))
    assert "the verifier or a reward function has changed since" in " ".join(page(run, 0, 1).split())
    assert "has changed since" not in page(run, 0, 2)


@pytest.mark.parametrize(
    ("rewards", "mean", "std", "dull"),
    [
        ((1.0, 0.0, None, 0.5), 0.5, 0.5, False),
        ((1.0, 1.0), 1.0, 0.0, True),
        ((1.0, None), 1.0, None, True),
        ((None, None), None, None, True),
    ],
)
def test_statistics_leave_out_what_has_no_reward(rewards, mean, std, dull):
    found = group_statistics(rewards)
    assert (found.mean, found.std, found.dull) == (mean, std, dull)


def test_a_replaced_group_and_a_dull_one_are_said_to_be_so(make_run):
    run = make_run(dropped={1})
    text = page(run, 1, 0)
    assert "replaced, not trained (loop.refill)" in text
    assert "advantage   none: the group was replaced" in text
    assert "dull: all rewards agree" in section(text, "group of draw 1")


def test_rows_that_were_kept_without_text_say_so(make_run):
    run = make_run(keep="share")
    text = page(run, 1, 0)  # draws 0 and 8 are kept whole
    assert "its text was not kept" in section(text, "completion")
    assert "reason      wrong_value" in text
    assert "── calls" not in text
    assert "weights of version 0 or newer" in text
    assert explanation_json.report(explain(open_run(run), 1, 0))["completion"]["text"] is None


def test_a_sample_that_is_not_there_is_answered_with_what_is(make_run):
    run = open_run(make_run())
    for draw, sample in ((2, 0), (0, 4)):
        with pytest.raises(ConfigError, match=f"no {draw}.{sample} in .*draws 0 to 8 in the versions 1 to 2, each with the samples 0 to 3"):
            explain(run, draw, sample)


def test_the_page_reads_from_the_verdict_inwards(make_run):
    text = page(make_run(), 0, 2)
    order = ["sample 0.2", "reward      0", "── prompt weather", "── completion", "── calls", "── verdicts", "── group of draw 0"]
    assert sorted(order, key=text.index) == order
    assert "path        [0].arguments.city" in text
    assert "  forecast(city: string, [days: integer = 3])" in section(text, "prompt weather")
    assert section(text, "calls").splitlines()[1:] == [
        "≠ forecast  (reference[0] and [0])",
        "     argument  reference  completion",
        '  ≠  city      "Oslo"     "Rome"      wrong_value',
        "     days      3          3",
    ]
    lines = section(text, "completion").splitlines()
    marked = next(i for i, line in enumerate(lines) if line.endswith("^"))
    assert lines[marked - 1][lines[marked].index("^") :].startswith('"Rome"')
    assert text.splitlines()[-2].split() == [">", "0.2", "0", "-0.866", "4", "wrong_value", "at", "[0].arguments.city"]


def test_json_has_everything_with_exact_numbers(make_run, weather):
    number = Decimal("0.10000000000000000001")
    prompt = replace(weather.prompt, reference=(ToolCall("forecast", {"city": "Oslo", "x": number}),))
    run = make_run([(1, 0, prompt, (weather.texts.right, weather.texts.wrong))])
    text = to_json(explanation_json.report(explain(open_run(run), 0, 0)))
    assert '"x": 0.10000000000000000001' in text
    told = json.loads(text)
    assert list(told) == [
        "sample", "version", "attempt", "trained", "engine", "prompt", "completion", "stored", "calls", "place", "verdicts", "functions",
        "group",
    ]  # fmt: skip
    assert told["stored"]["rule"] == "every argument of the reference is given, unless it equals the stated default"
    assert told["place"] == {"character": 67, "line": 5, "column": 36}  # the object that lacks x
    assert told["calls"]["diff"][0]["arguments"][1] == {"path": "x", "reason": "missing_argument", "expected": 0.1}
    assert told["completion"]["spans"][0] == {"version": 0, "start": 0, "end": 2}
    assert told["group"]["dull"] is True


@pytest.mark.parametrize("width", [60, 80, 120])
def test_every_line_fits(make_run, weather, width):
    long = weather.completion('[{"name": "forecast", "arguments": {"city": "' + "x" * 999 + '", "days": ' + "[" * 40 + "]" * 40 + "}}]")
    tools = tuple(replace(weather.prompt.tools[0], name=f"tool_{i}" * 9) for i in range(40))
    prompt = replace(weather.prompt, tools=tools, reference=(ToolCall("forecast", {"city": "y" * 999, "z" * 200: 1}),))
    run = make_run([(1, 0, prompt, (long, "x y" * 500))])
    for sample in (0, 1):
        assert max(map(len, page(run, 0, sample, width).splitlines())) <= width


def test_of_a_long_completion_both_ends_and_the_place_are_shown(make_run, weather):
    thought = "\n".join(f"line {i}" for i in range(500))
    text = f"<think>\n{thought}\n</think>\nno\n<tool_call>\n[]\n</tool_call>" + "\n" * 300
    run = make_run([(1, 0, weather.prompt, (text, text))])
    lines = section(page(run, 0, 0), "completion").splitlines()
    assert len(lines) < 64
    assert "  │ line 0" in lines
    assert lines[next(i for i, line in enumerate(lines) if line == "  │ no") + 1] == "  │ ^"
    assert sum("┆ …" in line for line in lines) == 2


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(HOSTILE, max_size=80) | st.text(max_size=20))
def test_whatever_a_model_writes_can_be_shown(text, weather):
    row = dict.fromkeys(COLUMNS, 0) | {
        "reason": "no_think",
        "finish_reason": "stop",
        "path": "",
        "expected": text,
        "got": text,
        "spans": [],
        "text": text,
    }
    found = explain_row(row, [row], weather.prompt, RewardConfig())
    assert all(line.isprintable() and columns(line) <= 80 for line in explanation_page.text(found, Path("run"), 80).split("\n"))
    assert json.loads(to_json(explanation_json.report(found)))["completion"]["text"] == text
