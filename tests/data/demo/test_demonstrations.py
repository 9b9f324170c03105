import json
import re
from decimal import Decimal

import pytest

from toolrl.calls.render import render_completion
from toolrl.data.demo.demonstrations import demo_demonstrations, think

RIGHT = re.compile(r"<think>\n\S.*\n</think>\n<tool_call>\n\[.*\]\n</tool_call>")


@pytest.fixture(scope="module")
def demonstrations():
    return list(demo_demonstrations(3000, seed=1))


def right(prompt):
    return render_completion(prompt.reference, think(prompt.reference))


def said(text):
    """The calls of a text whatever its form, with all values as text."""
    body = re.search(r"<tool_call>\n(.*)\n</tool_call>", text, re.DOTALL)[1]
    objects = json.loads(body if body.startswith("[") else "[" + body.replace("}\n{", "},{") + "]", parse_float=Decimal)
    return [(o["name"], {k: str(v).lower() for k, v in (o.get("arguments") or o["parameters"]).items()}) for o in objects]


def test_the_content_is_always_right(demonstrations):
    for prompt, text in demonstrations:
        assert said(text) == [(c.name, {k: str(v).lower() for k, v in c.arguments.items()}) for c in prompt.reference]


def test_the_stated_share_has_a_fault(demonstrations):
    share = sum(text != right(prompt) for prompt, text in demonstrations) / len(demonstrations)
    assert share == pytest.approx(0.45, abs=0.03)  # 3 standard errors of 3000 rows


def test_every_kind_of_fault_occurs(demonstrations):
    wrong = [(prompt, text) for prompt, text in demonstrations if text != right(prompt)]
    seen = {
        "no think": sum("<think>" not in text for _, text in wrong),
        "parameters": sum('"parameters"' in text for _, text in wrong),
        "no list": sum("<tool_call>\n{" in text for _, text in wrong),
        "quoted": sum(bool(RIGHT.fullmatch(text)) and '"arguments"' in text for _, text in wrong),
    }
    assert min(seen.values()) > 100
    assert sum(seen.values()) == len(wrong)  # one fault in each


def test_a_share_of_nothing_gives_only_right_texts_and_a_share_of_one_none():
    assert all(text == right(prompt) for prompt, text in demo_demonstrations(50, seed=0, fault_share=0.0))
    assert all(text != right(prompt) for prompt, text in demo_demonstrations(50, seed=0, fault_share=1.0))


def test_the_same_seed_gives_the_same_demonstrations():
    assert list(demo_demonstrations(30, seed=5)) == list(demo_demonstrations(30, seed=5))
