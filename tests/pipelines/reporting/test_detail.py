"""A group's texts come with the diff that the verifier's own rules make."""

from dataclasses import replace
from decimal import Decimal

from toolrl.monitor import rollouts
from toolrl.pipelines.reporting import detail
from toolrl.types import AcceptedCall, ToolCall


def completions(run, prompt, draw=0, mode="strict"):
    rows = rollouts.find(run / "rollouts", draw, detail.COLUMNS).to_pylist()
    return detail.group_json(rows, prompt, mode)["completions"]


def test_each_completion_has_its_verdict_and_its_calls_beside_the_reference(make_run, weather):
    right, no_list, wrong, default = completions(make_run(), weather.prompt)
    assert (right["reward"], right["reading"], right["place"]) == (1.0, "strict", None)
    assert right["calls"][0]["right"]
    assert (no_list["reading"], no_list["reason"]) == ("lenient", "not_a_list")
    assert wrong["calls"][0]["arguments"] == [["city", "wrong_value", '"Oslo"', '"Rome"'], ["days", "correct", "3", "3"]]
    assert weather.texts.wrong[wrong["place"] :].startswith('"Rome"')
    assert default["calls"][0]["arguments"][1] == ["days", "correct", "3", None]
    assert wrong["seed"] == "102"
    assert wrong["weights"] == "version 0 (tokens 0–2), version 0 (tokens 2–4)"


def test_a_place_is_counted_as_a_browser_counts(make_run, weather):
    text = weather.texts.wrong.replace("hm", "h😀m")
    (one,) = completions(make_run([(1, 0, weather.prompt, (text,))]), weather.prompt)
    assert text.encode("utf-16-le")[2 * one["place"] :].decode("utf-16-le").startswith('"Rome"')


def test_a_place_is_given_only_where_the_verdict_is_the_strict_one(make_run, weather):
    assert completions(make_run(), weather.prompt, mode="paper")[2]["place"] is None


def test_where_texts_were_not_kept_the_verdict_is_there(make_run, weather):
    one = completions(make_run(keep="share"), weather.prompt, draw=1)[0]
    assert "text" not in one
    assert (one["reward"], one["reason"], one["weights"]) == (0.0, "wrong_value", "version 0 or newer")


def test_a_prompt_keeps_every_digit(weather):
    prompt = replace(weather.prompt, reference=(ToolCall("pay", {"sum": Decimal("0.10"), "id": 2**63}),))
    assert detail.prompt_json(prompt)["reference"] == ['{"name": "pay", "arguments": {"sum": 0.10, "id": 9223372036854775808}}']
    accepted = replace(prompt, accepted=(AcceptedCall("pay", {"sum": (1, 2)}),))
    assert detail.prompt_json(accepted)["reference"] == ['pay: {"sum": [1, 2]}']
