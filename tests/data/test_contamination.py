import json
import pickle

import pytest

from toolrl.data.benchmarks.readers import read_items
from toolrl.data.contamination import (
    MIN_WORDS,
    REQUEST,
    REQUEST_AND_TOOLS,
    Guard,
    Hit,
    fingerprints,
    is_telling,
    request,
    signature,
    to_text,
    training_hits,
)
from toolrl.data.rows import read_prompts_of
from toolrl.errors import DataError
from toolrl.types import Message, Prompt, Tool, ToolCall

LONG = "Find the shortest way from Oslo to Bergen by train."  # 10 words
SHORT = "Is it raining in Oslo?"


def tool(name, **types):
    return Tool(name, "", {"type": "object", "properties": {key: {"type": kind} for key, kind in types.items()}})


TOOLS = (tool("route.find", start="string", end="string", hops="integer"), tool("weather_now", place="string"))
OTHER = (tool("weather_now", place="string", day="string"),)


def prompt(*turns, tools=TOOLS, role="user", id="p"):
    return Prompt(id, "s", tuple(Message(role, turn) for turn in turns), tools, (ToolCall("f", {}),))


def guard_file(folder, name, *items):
    file = folder / f"{name}.fingerprints"
    file.write_text(to_text(name, "", len(items), [key for item in items for key in fingerprints(*item)]))
    return file


@pytest.fixture
def guard(tmp_path):
    return Guard.load([guard_file(tmp_path, "Own", ([LONG], TOOLS), ([SHORT], TOOLS))])


def test_a_request_is_its_words_in_one_width_and_case():
    assert request("  What's THE\ncafe\u0301-bar №７, straße_x? ") == "what s the café bar no7 strasse x"
    assert request("\t/ …") == ""


def test_a_request_tells_from_eight_words_on():
    assert MIN_WORDS == 8
    assert is_telling(request("one two three four five six seven eight"))
    assert not is_telling(request("one two three four five six seven"))
    assert not is_telling(request("one " * 7))
    assert not is_telling(request("Thank you for your help!"))


def test_two_signs_of_a_script_without_spaces_count_as_a_word():
    assert request("从Paris到北京的机票") == "从 paris 到北 京的 机票"
    assert is_telling(request("请帮我预订明天从上海到北京的机票"))  # 16 signs
    assert not is_telling(request("明天从上海到北京的机票多少"))  # 13


@pytest.mark.parametrize(
    "same",
    [
        TOOLS[::-1],
        (tool("route_find", hops="int", end="str", start="string"), tool("Weather-Now", place="String")),
        (
            Tool("route find", "said otherwise", {"type": "dict", "properties": TOOLS[0].parameters["properties"], "required": ["end"]}),
            TOOLS[1],
        ),
    ],
)
def test_origins_agree_on_a_signature(same):
    assert signature(same) == signature(TOOLS)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("object", "dict"),
        ("number", "float"),
        ("number", "double"),
        ("array", "tuple"),
        ("boolean", "bool"),
        (["null", "string"], ["str", "null"]),
    ],
)
def test_type_words_of_origins_agree_on_a_signature(one, other):
    assert signature([tool("f", a=one)]) == signature([tool("f", a=other)])


@pytest.mark.parametrize(
    "other",
    [
        TOOLS[:1],
        (tool("route.find", start="string", end="string"), TOOLS[1]),
        (tool("route.find", start="string", end="string", hops="number"), TOOLS[1]),
        (tool("route.find", start="string", end="string", jumps="integer"), TOOLS[1]),
        (tool("routes.find", start="string", end="string", hops="integer"), TOOLS[1]),
        (),
    ],
)
def test_other_tools_names_arguments_or_types_are_another_signature(other):
    assert signature(other) != signature(TOOLS)


def test_a_long_request_is_a_hit_with_any_tools_and_a_short_one_only_with_its_own(guard):
    assert guard.hits(prompt(LONG)) == (Hit("Own", REQUEST_AND_TOOLS),)
    assert guard.hits(prompt(LONG, tools=OTHER)) == (Hit("Own", REQUEST),)
    assert guard.hits(prompt(SHORT)) == (Hit("Own", REQUEST_AND_TOOLS),)
    assert guard.hits(prompt(SHORT, tools=OTHER)) == ()
    assert guard.hits(prompt(SHORT, tools=())) == ()


def test_every_user_turn_is_looked_at_and_the_stronger_match_is_named(guard, tmp_path):
    assert guard.hits(prompt("Hello.", SHORT, "Thanks.")) == (Hit("Own", REQUEST_AND_TOOLS),)
    assert guard.hits(prompt(LONG, SHORT)) == guard.hits(prompt(SHORT, LONG)) == (Hit("Own", REQUEST_AND_TOOLS),)
    own = Guard.load([guard_file(tmp_path, "Own", ([SHORT], TOOLS), ([LONG], OTHER))])
    assert own.hits(prompt(SHORT, LONG)) == (Hit("Own", REQUEST_AND_TOOLS),)
    mixed = Prompt("p", "s", (Message("user", LONG), Message("assistant", SHORT)), OTHER, ())
    assert guard.hits(mixed) == (Hit("Own", REQUEST),)


def test_words_of_others_and_other_words_are_no_hit(guard):
    assert guard.hits(prompt(LONG, role="assistant")) == guard.hits(prompt(LONG, role="tool")) == ()
    assert guard.hits(prompt(LONG.replace("Oslo", "Moss"))) == ()
    assert guard.hits(prompt(LONG + " Please.")) == ()  # what is reworded or longer is not found: the guard says so


@pytest.mark.parametrize(
    "parameters", [{}, {"properties": []}, {"properties": {"\ud800": True, "b": {"type": [3, None]}, "c": {"type": {}}}}]
)
def test_no_prompt_is_too_odd_to_be_looked_at(guard, parameters):
    odd = (Tool("\ud800", "", parameters),)
    assert guard.hits(prompt("\ud800 \x00", LONG, tools=odd)) == (Hit("Own", REQUEST),)


def test_an_item_without_tools_is_known_by_its_request_alone(tmp_path):
    guard = Guard.load([guard_file(tmp_path, "Own", ([LONG, SHORT], ()))])
    assert guard.hits(prompt(LONG, tools=())) == (Hit("Own", REQUEST),)
    assert guard.hits(prompt(SHORT, tools=())) == ()


def test_benchmarks_that_share_an_item_are_both_named(tmp_path):
    a, b = (guard_file(tmp_path, name, ([LONG], TOOLS)) for name in ("A", "B"))
    both = Guard.load([a, b, a])  # a benchmark may come in several files
    assert both.items == {"A": 2, "B": 1}
    assert set(both.requests.values()) == set(both.pairs.values()) == {("A", "B")}
    assert both.hits(prompt(LONG)) == (Hit("A", REQUEST_AND_TOOLS), Hit("B", REQUEST_AND_TOOLS))


@pytest.mark.parametrize("text", ["", "{}\n", "[1]\n", "é\n", '{"format": "toolrl.fingerprints/1", "benchmark": "B", "items": 1}\nAAAA\n'])
def test_a_file_that_is_none_of_ours_is_refused_with_what_to_do(tmp_path, text):
    file = tmp_path / "x.fingerprints"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"x\.fingerprints: .*make it with `toolrl fingerprint`"):
        Guard.load([file])


def test_a_file_that_is_not_there_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(DataError, match="make it with `toolrl fingerprint`"):
        Guard.load([tmp_path / "missing"])


def test_the_shipped_guard_knows_three_benchmarks_and_travels_to_workers():
    guard = Guard.shipped()
    assert guard.items == {"ACEBench": 973, "API-Bank": 264, "BFCL": 3641}
    assert pickle.loads(pickle.dumps(guard)) == guard  # noqa: S301
    assert Guard.shipped() is guard


BFCL = {
    "id": "x_1",
    "question": [[{"role": "system", "content": "Be kind."}, {"role": "user", "content": SHORT}], [{"role": "user", "content": LONG}]],
    "function": [
        {"name": "weather.now", "description": "d", "parameters": {"type": "dict", "properties": {
            "place": {"type": "string"}, "box": {"type": "dict", "properties": {"n": {"type": "float"}}}, "digits": {"type": "float"},
            "any_of": {"type": "any"}, "pair": {"type": "tuple", "items": {"type": "integer"}}}, "required": ["place"]}},
    ],
}  # fmt: skip
XLAM_TYPES = {"digits": "float", "box": "dict", "pair": "tuple", "place": "str", "any_of": "any"}
XLAM = [{"name": "weather_now", "description": "d", "parameters": {k: {"type": v, "description": ""} for k, v in XLAM_TYPES.items()}}]
CHAT_TYPES = {"place": "string", "pair": "array", "digits": "number", "box": "object"}
CHAT_SCHEMA = {"type": "object", "properties": {"any_of": {}, **{key: {"type": kind} for key, kind in CHAT_TYPES.items()}}}
CHAT = [{"type": "function", "function": {"name": "weather_now", "description": "e", "parameters": CHAT_SCHEMA}}]
CALL = {"name": "weather_now", "arguments": {"place": "Oslo"}}
ROWS = {
    "xLAM": {"id": 1, "query": SHORT, "answers": json.dumps([CALL]), "tools": json.dumps(XLAM)},
    "ToolACE": {
        "system": f"You have these functions:\n{json.dumps(BFCL['function'])}\nAnswer with calls.",
        "conversations": [{"from": "human", "value": SHORT}, {"from": "gpt", "value": '[weather.now(place="Oslo")]'}],
    },
    "Hermes": {"conversations": [
        {"from": "system", "value": f"Call functions. <tools>{json.dumps(CHAT)}</tools>"}, {"from": "human", "value": SHORT},
        {"from": "gpt", "value": f"<tool_call>\n{json.dumps(CALL)}\n</tool_call>"}]},
    "chat": {"messages": [{"role": "user", "content": f" {SHORT}\n"}], "tools": CHAT, "answer": [CALL]},
    "chat, multi-turn": {"tools": CHAT, "messages": [
        {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}, {"role": "user", "content": SHORT},
        {"role": "assistant", "content": None, "tool_calls": [{"type": "function", "function": CALL}]}]},
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_benchmark_item_is_found_in_a_row_of_another_format(tmp_path, row):
    (tmp_path / "BFCL_v4_x.json").write_text(json.dumps(BFCL))
    (item,) = read_items("bfcl", [tmp_path])
    guard = Guard.load([guard_file(tmp_path, "BFCL", (item.turns, item.tools))])
    (tmp_path / "rows.jsonl").write_text(json.dumps(row))
    ((_, prompts),) = read_prompts_of(tmp_path / "rows.jsonl")
    assert guard.hits(prompts[-1]) == (Hit("BFCL", REQUEST_AND_TOOLS),)


def test_a_run_says_which_benchmarks_it_trains_on(guard):
    prompts = [prompt("Hi."), prompt(LONG, id="p7"), prompt(SHORT, id="p8")]
    assert training_hits(iter(prompts), guard) == (
        "trains on prompts that stand in benchmarks: 2 of Own (first: p7); `toolrl prepare` removes them"
    )
    assert training_hits(prompts[:1], guard) == ""


def test_every_user_turn_of_the_benchmarks_is_found(shared_data):
    guard, looked = Guard.shipped(), 0
    for name, folder, title in (("bfcl", "bfcl_v4", "BFCL"), ("apibank", "apibank", "API-Bank"), ("acebench", "acebench_en", "ACEBench")):
        for item in read_items(name, [shared_data / folder]):
            for turn in item.turns:
                if item.tools:
                    assert Hit(title, REQUEST_AND_TOOLS) in guard.hits(prompt(turn, tools=item.tools))
                if is_telling(request(turn)):
                    assert Hit(title, REQUEST) in guard.hits(prompt(turn, tools=()))
                looked += 1
    assert looked > 8000


def test_real_rows_that_stand_in_no_benchmark_are_no_hits(shared_data):
    """Of 2,635 user turns two are in API-Bank, "Thank you!" and "Thank you for your help!": too short to tell."""
    prompts = [p for part in ("train", "test") for _, ps in read_prompts_of(shared_data / "tool_calling" / f"{part}.jsonl") for p in ps]
    assert training_hits(prompts) == ""


def test_every_prompt_of_a_bfcl_file_is_a_hit(shared_data):
    guard, looked = Guard.shipped(), 0
    for file in sorted((shared_data / "bfcl_v4").glob("BFCL_v4_*.json")):
        for row, prompts in read_prompts_of(file):
            assert len(prompts) == 1 or row.unreadable
            for each in prompts:
                assert Hit("BFCL", REQUEST_AND_TOOLS if each.tools else REQUEST) in guard.hits(each)
            looked += len(prompts)
    assert looked == 3625  # the 16 of live_relevance have no answer, so they are no prompts


def test_every_step_of_api_bank_is_a_hit(shared_data):
    prompts = [p for _, ps in read_prompts_of(shared_data / "apibank" / "unified.jsonl") for p in ps]
    assert training_hits(prompts).startswith("trains on prompts that stand in benchmarks: 526 of API-Bank (first: apibank_l1_0);")
