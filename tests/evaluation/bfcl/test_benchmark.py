"""Our verdicts beside those of the official evaluator, on all of BFCL's single-turn questions."""

import random
from decimal import Decimal
from itertools import cycle
from pathlib import Path

import pytest

from toolrl.calls.render import render_calls, render_completion
from toolrl.errors import ConfigError, DataError, UserError
from toolrl.evaluation.averages import estimate
from toolrl.evaluation.bfcl.benchmark import BfclBenchmark
from toolrl.evaluation.bfcl.categories import ITEMS
from toolrl.types import ToolCall

CEILINGS = ITEMS | {"simple_java": 97, "live_simple": 256, "live_multiple": 1051}
"""What the official evaluator gives BFCL's own answers."""
ODD = [
    None,
    True,
    0,
    1,
    1.0,
    -2.5,
    10**400,
    "",
    "1",
    "é\ud800",
    [],
    [[]],
    [1, "a"],
    [{}],
    {},
    {"a": [1]},
    "[1, 2]",
    "{a: 1}",
    "5L",
    "x" * 3000,
]
"""Values that no label holds."""


def test_gold_answers_reach_the_official_ceilings_and_ours_agrees_item_by_item(judged, gold, benchmark):
    found = judged(gold)
    assert found.counts == {category: (CEILINGS[category], n) for category, n in ITEMS.items()}
    assert found.differing == []
    assert found.wrong == {known.id for known in benchmark.known if known.id != "parallel_178"}
    assert found.official.scores["live_simple"] == pytest.approx(256 / 258, abs=1e-12)
    assert all(verdict.format_right for verdict in found.ours.values())


def changed(value):
    """Another value, of the same type where there is another."""
    if value is None:
        return "x"
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return f"zz {value[::-1]}"  # a literal of Java with something after its end would stay what it is
    if isinstance(value, int | float | Decimal):
        return value + 1
    return [*value, "x"] if isinstance(value, list) else {**value, "x": "x"}


def test_changed_arguments_are_wrong_on_both_sides(judged, benchmark, calls_of):
    def answer(item):
        calls = [ToolCall(call.name, {key: changed(value) for key, value in call.arguments.items()}) for call in calls_of(item)]
        return render_completion([call if call.arguments else ToolCall(call.name, {"x": 1}) for call in calls], "x")

    found = judged({item.id: answer(item) for item in benchmark.items})
    right = {category: n for category, (n, _) in found.counts.items() if n}
    assert right == {"irrelevance": 240, "live_irrelevance": 884, "live_relevance": 16}  # no call was right there, and any is
    assert found.differing == []


def test_a_dropped_call_is_wrong_on_both_sides_but_where_none_is_asked(judged, benchmark, calls_of):
    found = judged({item.id: render_completion(calls_of(item)[:-1], "x") for item in benchmark.items})
    assert {category: n for category, (n, _) in found.counts.items() if n} == {"irrelevance": 240, "live_irrelevance": 884}
    assert found.differing == []


NO_CALLS = [
    "",
    "No function fits.",
    "<think>x</think>",
    "<tool_call>[f(a=1)]</tool_call>",
    "[f(a=1)]",
    "\ud800",
    "<tool_call>[]</tool_call>",
]


@pytest.mark.parametrize("texts", [[""], NO_CALLS], ids=["empty", "unreadable"])
def test_what_makes_no_call_is_right_only_where_no_function_fits(judged, benchmark, texts):
    found = judged({item.id: text for item, text in zip(benchmark.items, cycle(texts), strict=False)})
    assert {category: n for category, (n, _) in found.counts.items() if n} == {"irrelevance": 240, "live_irrelevance": 884}
    assert found.differing == []


def test_a_call_is_wrong_where_no_function_fits_and_any_is_right_where_some_function_does(benchmark, tmp_path):
    asked = [item for item in benchmark.items if "relevance" in item.category]
    text = render_calls([ToolCall("f", {})])
    found = benchmark.official({item.id: text for item in asked}, tmp_path)
    assert found.right == {item.id: item.category == "live_relevance" for item in asked}
    assert found.right == {item.id: benchmark.verdict(item, text).reward == 1.0 for item in asked}


def mixed(item, calls, others, draw):
    """A completion that is right, or wrong in one of many ways, or nothing that can be read."""
    kind = draw.random()
    calls = list(calls)
    accepted = {call.name: call.values for call in item.prompt.accepted}
    if kind < 0.6:
        for i, call in enumerate(calls):
            values = {key: draw.choice(right) for key, right in accepted.get(call.name, {}).items() if right and draw.random() < 0.5}
            odd = {key: draw.choice([*ODD, changed(value)]) for key, value in call.arguments.items() if draw.random() < 0.2}
            calls[i] = ToolCall(call.name, {**call.arguments, **values, **odd})
    elif kind < 0.7:
        calls = draw.choice([calls[1:], calls + calls[:1], [*others]])
    elif kind < 0.8:
        whole = render_completion(calls, "x")
        return draw.choice(["", "None.", whole + whole, whole[:-5], f"<think>{render_calls(calls)}</think>", "<tool_call>{}</tool_call>"])
    draw.shuffle(calls)
    return render_completion(calls, "x") if draw.random() < 0.5 else f"So: {render_calls(calls)}"


def test_on_mixed_answers_only_the_order_of_one_item_tells_the_two_sides_apart(judged, benchmark, calls_of):
    draw = random.Random(1)
    others = [calls_of(item) for item in benchmark.items]
    found = judged({item.id: mixed(item, calls_of(item), draw.choice(others), draw) for item in benchmark.items})
    assert set(found.differing) <= {"parallel_178"}
    assert 1000 < len(found.wrong) < 3000  # a good part of either
    assert "upstream's checker fails on" in found.official.note  # 10**400 as a float: one such answer would end all of it
    averages = {each.name: each for each in benchmark.averages}
    compared = found.official.scores.keys() & averages.keys()
    assert compared > {"Simple", "Non-Live", "Live (AST only)", "Irrelevance", "Relevance", "Overall (leaderboard v4)", "live_simple"}
    for name in compared:
        value = estimate(averages[name], found.counts, resamples=1).value
        assert value == pytest.approx(found.official.scores[name], abs=1e-9)


def test_the_known_item_depends_officially_on_the_order_of_its_calls(benchmark, calls_of, tmp_path):
    (item,) = (item for item in benchmark.items if item.id == "parallel_178")
    text = render_completion(calls_of(item)[::-1], "x")
    assert benchmark.verdict(item, text).reward == 1.0
    assert benchmark.official({item.id: text}, tmp_path).right == {item.id: False}


def test_a_part_of_the_answers_is_judged_and_leaves_out_averages_that_need_the_rest(benchmark, gold, tmp_path):
    ids = [item.id for item in benchmark.items if item.category in ("multiple", "irrelevance")][150:210]
    found = benchmark.official({id: gold[id] for id in ids}, tmp_path)
    assert found.right == dict.fromkeys(ids, True)
    assert found.scores == {"multiple": 1.0, "irrelevance": 1.0, "Overall (leaderboard v4)": pytest.approx(0.1 / 4 + 0.1 / 2)}


def test_what_an_earlier_time_left_behind_does_not_count(benchmark, gold, tmp_path):
    for category in ("live_parallel", "live_relevance"):
        asked = {item.id: gold[item.id] for item in benchmark.items if item.category == category}
        found = benchmark.official(asked, tmp_path)
    assert found.right.keys() == asked.keys()
    assert found.scores == {"live_relevance": 1.0, "Relevance": 1.0, "Overall (leaderboard v4)": 0.0}


def test_other_questions_than_the_official_ones_are_not_judged_officially(environment, tmp_path):
    file = "BFCL_v4_irrelevance.json"
    (tmp_path / file).write_text((environment.data / file).read_text().replace("triangle", "square"))
    benchmark = BfclBenchmark.load(["irrelevance"], tmp_path)
    found = benchmark.official(dict.fromkeys((item.id for item in benchmark.items), ""), tmp_path / "official")
    assert (found.right, found.scores) == ({}, {})
    assert found.not_run.startswith(f"{tmp_path} has other questions than bfcl-eval's own ({file})")


def test_without_the_official_environment_ours_stands_alone(shared_data, tmp_path, monkeypatch):
    def fail(tell):
        raise UserError("no index; set TOOLRL_CACHE")

    monkeypatch.setattr("toolrl.evaluation.bfcl.benchmark.official_environment", fail)
    benchmark = BfclBenchmark.load(["live_parallel"], shared_data / "bfcl_v4")
    item = benchmark.items[0]
    assert benchmark.verdict(item, render_calls(item.prompt.reference)).reward == 1.0
    assert benchmark.official({item.id: ""}, tmp_path).not_run == "no index; set TOOLRL_CACHE"
    with pytest.raises(UserError, match="no index"):
        BfclBenchmark.load(["live_parallel"], None)


def test_categories_are_named_as_in_v4(tmp_path):
    with pytest.raises(ConfigError, match=r"got 'simple'; name any of simple_java, "):
        BfclBenchmark.load(["simple"], tmp_path)
    with pytest.raises(ConfigError, match="multi-turn ones begin with multi_turn"):
        BfclBenchmark.load(["multi_turn_base"], tmp_path)


def test_a_folder_without_the_questions_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"BFCL_v4_parallel\.json: no such file; give the folder"):
        BfclBenchmark.load(["parallel"], Path(tmp_path))
