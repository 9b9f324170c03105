from collections import Counter
from decimal import Decimal
from itertools import islice

import pytest

from toolrl.data.demo.catalog import CATALOG
from toolrl.data.demo.generate import SPLITS, TWO_CALL_SHARE, demo_prompts

TYPES = {"string": str, "integer": int, "number": Decimal, "boolean": bool}


@pytest.fixture(scope="module")
def prompts():
    return {split: list(demo_prompts(split, 4000)) for split in SPLITS}


def asked(prompt):
    """What is asked, whatever the wording, the order and the names: the capability and the values of each call."""
    capability = {name: c.names[0] for c in CATALOG for name in c.names}
    return frozenset((capability[c.name], tuple(map(str, c.arguments.values()))) for c in prompt.reference)


def test_the_same_split_and_seed_give_the_same_prompts_and_fewer_are_a_prefix_of_more():
    assert list(demo_prompts("train", 20, seed=3)) == list(islice(demo_prompts("train", 50, seed=3), 20))


def test_another_seed_gives_other_prompts():
    texts = [{p.messages[0].content for p in demo_prompts("train", 50, seed=seed)} for seed in (0, 1)]
    assert len(texts[0] & texts[1]) < 5


def test_neither_a_held_out_request_nor_a_paraphrase_of_it_occurs_in_training(prompts):
    train = {p.messages[0].content for p in prompts["train"]} | {asked(p) for p in prompts["train"]}
    for prompt in prompts["heldout"]:
        assert prompt.messages[0].content not in train
        assert asked(prompt) not in train


def test_the_held_out_prompts_ask_for_every_capability(prompts):
    assert {name for p in prompts["heldout"] for name, _ in asked(p)} == {c.names[0] for c in CATALOG}


def test_every_call_is_of_an_offered_tool_and_fits_its_schema(prompts):
    for prompt in prompts["train"]:
        offered = {tool.name: tool.parameters for tool in prompt.tools}
        for call in prompt.reference:
            schema = offered[call.name]
            assert set(schema["required"]) <= set(call.arguments) <= set(schema["properties"])
            for name, value in call.arguments.items():
                assert type(value) is TYPES[schema["properties"][name]["type"]]
                assert value in schema["properties"][name].get("enum", [value])


def test_every_value_but_a_flag_is_stated_in_the_request(prompts):
    for prompt in prompts["train"]:
        for call in prompt.reference:
            for value in call.arguments.values():
                assert type(value) is bool or str(value) in prompt.messages[0].content


def test_two_to_five_different_tools_are_on_offer_and_all_numbers_occur(prompts):
    counts = Counter(len({tool.name for tool in p.tools}) for p in prompts["train"])
    assert set(counts) == {2, 3, 4, 5}
    assert all(len({tool.name for tool in p.tools}) == len(p.tools) for p in prompts["train"])


def test_the_share_of_two_calls_is_as_stated(prompts):
    for rows in prompts.values():
        share = sum(len(p.reference) == 2 for p in rows) / len(rows)
        assert share == pytest.approx(TWO_CALL_SHARE, abs=0.03)  # 4 standard errors of 4000 rows


def test_distractors_of_the_same_domain_are_common(prompts):
    domain = {name: c.domain for c in CATALOG for name in c.names}
    near = 0
    for prompt in prompts["train"]:
        right = {c.name for c in prompt.reference}
        near += any(domain[t.name] in {domain[name] for name in right} for t in prompt.tools if t.name not in right)
    assert near / len(prompts["train"]) > 0.3


def test_ids_are_unique_and_tell_the_split(prompts):
    ids = [p.id for rows in prompts.values() for p in rows]
    assert len(set(ids)) == len(ids)
    assert prompts["heldout"][7].id == "demo-heldout-0-7"
