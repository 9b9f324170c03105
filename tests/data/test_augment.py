import json
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrl.data.augment import Augmenter, masked, without_answer
from toolrl.data.labels import contradiction
from toolrl.data.rows import read_rows
from toolrl.types import AcceptedCall, Message, Prompt, Tool, ToolCall

WEATHER = Tool(
    "get_weather",
    "Weather of a city.",
    {
        "type": "object",
        "properties": {"city": {"type": "string", "description": "Its name."}, "days": {"type": "integer", "default": 1}},
        "required": ["city"],
    },
)
NEWS = Tool("get_news", "News.", {"type": "object", "properties": {"topic": {"type": "string"}}})
PROMPT = Prompt(
    "p",
    "s",
    (
        Message("user", "news"),
        Message("assistant", "", (ToolCall("get_news", {"topic": "art"}),)),
        Message("tool", "…"),
        Message("user", "weather"),
    ),
    (WEATHER, NEWS),
    (ToolCall("get_weather", {"city": "Oslo", "days": 2}),),
    "d",
    (AcceptedCall("get_weather", {"city": ("Oslo", "oslo"), "days": (2,)}),),
)


def test_without_its_answer_a_prompt_expects_no_call_of_the_tools_that_are_left():
    changed = without_answer(PROMPT)
    assert changed == replace(PROMPT, tools=(NEWS,), reference=(), accepted=())


@pytest.mark.parametrize(
    "prompt",
    [
        replace(PROMPT, reference=(), accepted=()),
        replace(PROMPT, tools=(WEATHER,)),
        replace(PROMPT, reference=(ToolCall("get_weather", {}), ToolCall("get_news", {}))),
        replace(PROMPT, reference=(ToolCall("get_news", {"topic": "sport"}),)),
    ],
    ids=["nothing to take away", "no tool would be left", "neither would be left", "an earlier turn calls it"],
)
def test_an_answer_is_taken_away_only_where_that_makes_sense(prompt):
    assert without_answer(prompt) is None


def test_masked_names_are_the_same_everywhere_and_descriptions_stay():
    changed = masked(PROMPT)
    weather, news = changed.tools
    assert (weather.name, weather.description, news.name) == ("tool_1", "Weather of a city.", "tool_2")
    assert weather.parameters == {
        "type": "object",
        "properties": {"parameter_1": {"type": "string", "description": "Its name."}, "parameter_2": {"type": "integer", "default": 1}},
        "required": ["parameter_1"],
    }
    assert changed.messages[1].tool_calls == (ToolCall("tool_2", {"parameter_1": "art"}),)
    assert changed.reference == (ToolCall("tool_1", {"parameter_1": "Oslo", "parameter_2": 2}),)
    assert changed.accepted == (AcceptedCall("tool_1", {"parameter_1": ("Oslo", "oslo"), "parameter_2": (2,)}),)
    assert (changed.id, changed.dialogue, changed.messages[3]) == (PROMPT.id, PROMPT.dialogue, PROMPT.messages[3])


def test_a_tools_result_says_its_masked_name_too_and_is_else_untouched():
    told = (
        '[{"name": "get_news", "results": {"names": ["get_news"], "name": "Ann"}}, {"name":"caf\\u00e9"}, {"name": "\\ud800"}, name: "x"]'
    )
    turns = (*PROMPT.messages[:2], Message("tool", told), Message("user", '"name": "get_news"'))
    changed = masked(replace(PROMPT, messages=turns, tools=(*PROMPT.tools, replace(NEWS, name="café"))))
    assert changed.messages[2].content == told.replace('"get_news",', '"tool_2",').replace('"caf\\u00e9"', '"tool_3"')
    assert changed.messages[3] == turns[3]


def with_parameters(parameters):
    return replace(PROMPT, tools=(replace(WEATHER, parameters=parameters), NEWS))


@pytest.mark.parametrize(
    "prompt",
    [
        replace(PROMPT, tools=(), reference=(), accepted=(), messages=PROMPT.messages[:1]),
        with_parameters({**WEATHER.parameters, "dependentRequired": {"days": ["city"]}}),
        with_parameters({**WEATHER.parameters, "allOf": [{"required": ["days"]}]}),
        with_parameters({"type": "object", "properties": {"city": {}, "days": {"$ref": "#/properties/city"}}}),
        with_parameters({"type": "object", "properties": {"city": {}}, "additionalProperties": True}),
        replace(PROMPT, reference=(ToolCall("get_film", {}),)),
        replace(PROMPT, tools=(*PROMPT.tools, Tool("broken", "", {"type": "object", "properties": 5}))),
        replace(PROMPT, tools=(*PROMPT.tools, Tool("broken", "", {"type": "object", "properties": {}, "required": [["a"]]}))),
        replace(PROMPT, tools=(*PROMPT.tools, Tool("broken", "", {"type": "object", "properties": {}, "required": "a"}))),
    ],
    ids=[
        "no tools",
        "dependent",
        "combined",
        "reference into",
        "argument not named",
        "tool not offered",
        "no properties",
        "no names",
        "no list",
    ],
)
def test_names_are_masked_only_where_every_place_of_theirs_is_known(prompt):
    assert masked(prompt) is None


def test_a_share_is_a_share_and_the_seed_chooses():
    prompts = [replace(PROMPT, id=f"p{i}") for i in range(2000)]
    chosen = {seed: {p.id for p in prompts if Augmenter(drop_tools=0.15, seed=seed)(p)[1]} for seed in (0, 1)}
    for ids in chosen.values():
        assert abs(len(ids) - 300) < 5 * (2000 * 0.15 * 0.85) ** 0.5
    assert len(chosen[0] & chosen[1]) < 100  # 45 by chance


def test_a_larger_share_only_adds_rows_and_the_kinds_are_chosen_apart():
    prompts = [replace(PROMPT, id=f"p{i}") for i in range(500)]
    few, many = ({p.id for p in prompts if Augmenter(mask_names=share)(p)[1]} for share in (0.2, 0.6))
    assert few < many
    kinds = Counter(Augmenter(drop_tools=0.5, mask_names=0.5)(p)[1] for p in prompts)
    assert set(kinds) == {(), ("drop_tools",), ("mask_names",), ("drop_tools", "mask_names")}


def test_off_is_the_default():
    assert Augmenter()(PROMPT) == (PROMPT, ())
    assert Augmenter(1.0, 1.0)(PROMPT)[1] == ("drop_tools", "mask_names")


NAMES = st.sampled_from(["a", "b", "tool_1", "parameter_1", "parameter_2", "required", "type"])
KINDS = {"integer": st.integers(), "string": st.text(max_size=3), "boolean": st.booleans()}


@st.composite
def prompts(draw):
    """A prompt whose reference fits its tools, with names that look like neutral ones."""
    tools = []
    for name in draw(st.lists(NAMES, min_size=1, max_size=3, unique=True)):
        kinds = draw(st.dictionaries(NAMES, st.sampled_from(sorted(KINDS)), max_size=3))
        required = draw(st.lists(st.sampled_from(sorted(kinds)), unique=True)) if kinds else []
        tools.append(Tool(name, "", {"type": "object", "properties": {k: {"type": v} for k, v in kinds.items()}, "required": required}))
    called = draw(st.lists(st.sampled_from(tools), max_size=3))
    calls = [ToolCall(tool.name, {k: draw(KINDS[v["type"]]) for k, v in tool.parameters["properties"].items()}) for tool in called]
    return Prompt("p", "s", (Message("user", "x"), Message("assistant", "", tuple(calls[:1]))), tuple(tools), tuple(calls))


@given(prompts())
def test_a_masked_reference_fits_the_masked_tools_and_loses_nothing(prompt):
    changed = masked(prompt)
    assert contradiction(prompt.reference, prompt.tools) is None
    assert contradiction(changed.reference, changed.tools) is None
    assert [list(c.arguments.values()) for c in changed.reference] == [list(c.arguments.values()) for c in prompt.reference]
    assert len({tool.name for tool in changed.tools}) == len(prompt.tools)
    assert all(
        len(new.parameters["properties"]) == len(old.parameters["properties"]) for new, old in zip(changed.tools, prompt.tools, strict=True)
    )


def test_real_rows_stay_right_under_both_changes(shared_data):
    made = Counter()
    for prompt in read_rows(shared_data / "tool_calling" / "train.jsonl"):
        if contradiction(prompt.reference, prompt.tools) is None:
            both, kinds = Augmenter(0.5, 0.5)(prompt)
            made.update(kinds)
            assert contradiction(both.reference, both.tools) is None
            if "mask_names" in kinds:
                shown = json.dumps([both.tools[0].parameters.get("properties", {}), [c.name for c in both.reference]], default=str)
                assert not {tool.name for tool in prompt.tools if len(tool.name) > 6} & set(json.loads(shown)[1])
    assert made["drop_tools"] > 500
    assert made["mask_names"] > 500
