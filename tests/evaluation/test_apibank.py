"""API-Bank: its 508 calls, name and parameters by our rules, and upstream's own code beside them."""

import json
import sys
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from toolrl.calls.render import render_completion
from toolrl.data.jsonfile import json_rows
from toolrl.errors import ConfigError, DataError, UserError
from toolrl.evaluation.apibank.benchmark import AVERAGES, ApiBankBenchmark
from toolrl.evaluation.apibank.dialogues import CUE, YEAR
from toolrl.evaluation.averages import estimate
from toolrl.types import Reason, ToolCall

sys.path.insert(0, str(Path(__file__).parent))
from upstream_apibank import make_upstream

TOKEN, BOOK, SEARCH = (
    {
        "name": name,
        "description": "",
        "parameters": {"type": "object", "properties": {key: {"type": kind} for key, kind in members.items()}},
    }
    for name, members in (
        ("GetUserToken", {"username": "string"}),
        ("BookRoom", {"hotel": "string", "rooms": "integer"}),
        ("ToolSearcher", {"keywords": "string"}),
    )
)


def api(name, arguments, output, read=None):
    result = {"api_name": name, "input": read or arguments, "output": output, "exception": None}
    return {"role": "API", "api_name": name, "param_dict": arguments, "result": result}


DIALOGUES = {
    1: [
        {"role": "User", "text": "Two rooms at the Ritz, I am Ann."},
        {"role": "AI", "text": "At once."},
        api("GetUserToken", {"username": "Ann"}, {"token": "t"}),
        api("BookRoom", {"hotel": "Ritz", "rooms": "2"}, "1 left", {"hotel": "Ritz", "rooms": 2}),
    ],
    2: [
        {"role": "User", "text": "Two rooms at the Ritz."},
        api("ToolSearcher", {"keywords": "book room"}, [{"name": "GetUserToken"}, {"name": "BookRoom"}]),
        api("BookRoom", {"hotel": "Ritz", "rooms": "2"}, "1 left", {"hotel": "Ritz", "rooms": 2}),
    ],
}


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for level, turns in DIALOGUES.items():
        (folder / f"level{level}_dialogues.jsonl").write_text(json.dumps({"file": "Book-1.jsonl", "turns": turns}) + "\n")
    rows = [{"id": "apibank_l1_0", "tools": [TOKEN, BOOK]}, {"id": "apibank_l2_0", "tools": [SEARCH, TOKEN, BOOK]}]
    (folder / "unified.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def real(shared_data):
    return ApiBankBenchmark.load(shared_data / "apibank")


def call(item, **arguments):
    (label,) = item.prompt.reference
    return render_completion([ToolCall(label.name, {**label.arguments, **arguments})], "x")


def rewards(benchmark, *texts):
    return [benchmark.verdict(item, text).reward for item, text in zip(benchmark.items, texts, strict=True)]


def test_a_call_is_asked_with_all_that_was_said_and_done_before_it(data):
    first, second, search, found = ApiBankBenchmark.load(data).items
    assert [item.id for item in (first, second, search, found)] == [
        "level1/Book-1/2", "level1/Book-1/3", "level2/Book-1/1", "level2/Book-1/2",
    ]  # fmt: skip
    assert [item.category for item in (first, second, search, found)] == ["level1", "level1", "level2_search", "level2_call"]
    assert first.prompt.messages[0] == YEAR
    assert [(m.role, m.content) for m in first.prompt.messages[1:]] == [
        ("user", "Two rooms at the Ritz, I am Ann."),
        ("assistant", f"At once.{CUE}"),
    ]
    *_, called, result = second.prompt.messages
    assert (called.role, called.tool_calls) == ("assistant", (ToolCall("GetUserToken", {"username": "Ann"}),))
    assert (result.role, result.content) == ("tool", f'{{"token": "t"}}{CUE}')
    assert first.prompt.dialogue == second.prompt.dialogue != search.prompt.dialogue


def test_on_offer_are_the_dialogues_apis_and_at_level_2_what_was_found(data):
    offered = [[tool.name for tool in item.prompt.tools] for item in ApiBankBenchmark.load(data).items]
    assert offered == [["GetUserToken", "BookRoom"]] * 2 + [["ToolSearcher"], ["GetUserToken", "BookRoom"]]


def test_a_value_is_right_as_the_label_writes_it_and_as_upstreams_api_reads_it(data):
    benchmark = ApiBankBenchmark.load(data, ["level2_call"])
    (item,) = benchmark.items
    for rooms, reward in (("2", 1), (2, 1), (Decimal("2.0"), 1), ("02", 0), (True, 0), ("3", 0), (None, 0)):
        assert benchmark.verdict(item, call(item, rooms=rooms)).reward == reward, rooms
    assert [(known.id, "rooms" in known.why) for known in benchmark.known] == [(item.id, True)]


def test_one_call_is_asked_for_and_no_other_passes(data):
    benchmark = ApiBankBenchmark.load(data)
    item = benchmark.items[0]
    (label,) = item.prompt.reference
    assert benchmark.verdict(item, render_completion([label], "x")).reward == 1
    twice = benchmark.verdict(item, render_completion([label, label], "x"))
    assert (twice.reward, twice.reason) == (0, Reason.WRONG_COUNT)
    other = benchmark.verdict(item, render_completion([replace(label, name="BookRoom")], "x"))
    assert (other.reward, other.reason) == (0, Reason.WRONG_NAME)
    extra = benchmark.verdict(item, call(item, password=""))
    assert (extra.reward, extra.reason) == (0, Reason.UNEXPECTED_ARGUMENT)


def test_without_upstreams_folder_the_official_metric_is_not_run_and_says_what_to_do(data, tmp_path):
    official = ApiBankBenchmark.load(data).official({}, tmp_path)
    assert not official.right
    assert "--apibank-root" in official.not_run


def test_upstreams_own_code_judges_by_what_a_call_does(data, tmp_path):
    benchmark = ApiBankBenchmark.load(data, root=make_upstream(tmp_path / "upstream"))
    _, book, _, found = benchmark.items
    answers = {item.id: render_completion(item.prompt.reference, "x") for item in benchmark.items}
    answers[book.id] = call(book, hotel="Ritz", rooms=2)
    answers[found.id] = call(found, hotel="Ritz", rooms=1)
    official = benchmark.official(answers, tmp_path / "official")
    assert official.right == {book.id: True, found.id: False}
    assert official.scores == {"level1": 0.5, "level2_search": 0.0, "level2_call": 0.0}  # upstream has neither of the two other APIs
    assert "rejects its own label on 2 items (GetUserToken 1, ToolSearcher 1)" in official.note
    assert "a_package_that_nobody_has" in official.note


def test_what_is_not_one_call_is_wrong_officially_too(data, tmp_path):
    benchmark = ApiBankBenchmark.load(data, ["level2_call"], root=make_upstream(tmp_path / "api-bank").parent)
    (item,) = benchmark.items
    (label,) = item.prompt.reference
    for text in ("", "The rooms are booked.", render_completion([label, label], "x"), "<tool_call>[]</tool_call>"):
        assert benchmark.official({item.id: text}, tmp_path / "official").right == {item.id: False}


def test_mistakes_of_the_user_are_named(data, tmp_path):
    with pytest.raises(UserError, match=r"expected upstream's api-bank, with tool_manager\.py"):
        ApiBankBenchmark.load(data, root=tmp_path)
    with pytest.raises(ConfigError, match="got 'level_1'; name any of level1"):
        ApiBankBenchmark.load(data, ["level_1"])
    with pytest.raises(DataError, match=r"unified\.jsonl: no such file"):
        ApiBankBenchmark.load(tmp_path)
    (data / "unified.jsonl").write_text('{"id": "apibank_l1_0", "tools": []}\n')
    with pytest.raises(DataError, match=r"level1/Book-1/2: no row of unified\.jsonl has the schema of GetUserToken"):
        ApiBankBenchmark.load(data)
    (data / "unified.jsonl").write_text('{"id": "7", "tools": []}\n')
    with pytest.raises(DataError, match=r"unified\.jsonl:1: expected an id with _l1_ or _l2_"):
        ApiBankBenchmark.load(data)


def test_every_call_of_the_dialogues_is_an_item_and_every_row_of_the_conversion_is_one_of_them(real, shared_data):
    assert Counter(item.category for item in real.items) == {"level1": 389, "level2_search": 45, "level2_call": 74}
    assert len({item.id for item in real.items}) == 508
    steps = Counter(_step(item.category[:6], item.prompt.messages[1:], item.prompt.tools, item.prompt.reference) for item in real.items)
    rows = Counter(map(_row, (row for _, row in json_rows(shared_data / "apibank" / "unified.jsonl"))))
    assert not rows.keys() - steps.keys()
    assert (rows.total(), len(rows)) == (526, 500)  # 25 steps stand there twice, and that search
    missing = [step for step in steps if step not in rows]
    assert (steps.total(), len(steps), len(missing)) == (508, 507, 7)  # one search is the same in two dialogues; seven are not there


def _step(level, messages, tools, reference):
    """What a prompt says, in a form that both sides share: words, calls and APIs, without the results."""
    said = [" ".join(m.content.removesuffix(CUE).split()) for m in messages if m.role != "tool" and not m.tool_calls]
    called = [json.dumps([c.name, c.arguments], sort_keys=True) for m in messages for c in m.tool_calls]
    names = sorted(tool.name for tool in tools)
    return json.dumps([level, said, called, names, [[c.name, c.arguments] for c in reference]], sort_keys=True)


def _row(row):
    said, called = [], []
    for message in row["messages"]:
        words = " ".join(message["content"].removesuffix(CUE).split())
        if message["role"] == "assistant" and words.startswith("```["):
            called += [json.dumps([c["name"], c["arguments"]], sort_keys=True) for c in json.loads(words.strip("`"))]
        elif message["role"] != "tool":
            said.append(words)
    names = sorted(tool["name"] for tool in row["tools"])
    level = "level" + row["id"][9]
    return json.dumps([level, said, called, names, [[c["name"], c["arguments"]] for c in row["answer"]]], sort_keys=True)


def test_every_label_passes_under_our_rules(real):
    for item in real.items:
        for text in (
            render_completion(item.prompt.reference, "x"),
            render_completion(item.prompt.reference, "x").partition("\n</think>\n")[2],
        ):
            verdict = real.verdict(item, text)
            assert (verdict.reward, verdict.content_right) == (1, True), item.id
            assert verdict.format_right == text.startswith("<think>")


def test_every_label_passes_as_upstreams_apis_read_it(real):
    read = [item for item in real.items if item.prompt.accepted]
    assert len(read) == 55
    for item in read:
        (accepted,) = item.prompt.accepted
        typed = {name: values[-1] for name, values in accepted.values.items()}
        assert typed != item.prompt.reference[0].arguments
        assert real.verdict(item, call(item, **typed)).reward == 1, item.id


def test_corrupted_and_empty_completions_are_wrong_everywhere(real):
    for item in real.items:
        (label,) = item.prompt.reference
        name, arguments = label.name, label.arguments
        calls = [[replace(label, name=name.lower())], [label, label], [], [replace(label, arguments={**arguments, "extra": "x"})]]
        for key, value in arguments.items():
            calls.append([replace(label, arguments={k: v for k, v in arguments.items() if k != key})])
            calls += [[replace(label, arguments={**arguments, key: other})] for other in (f"{value}x", f"{value} ", "", [value], None)]
        texts = ["", "<think>x</think>", "<think>x</think>Done.", *(render_completion(each, "x") for each in calls)]
        wrong = [text for text in texts if real.verdict(item, text).reward != 0]
        assert not wrong, (item.id, wrong)


def test_labels_that_contradict_what_is_offered_are_known(real):
    why = Counter(known.why.split(": ")[1].partition(".")[2] for known in real.known)
    assert why == {
        "name": 13,  # an API that no search found
        "arguments.health_data": 19 + 3,
        "arguments.room_count": 5 + 3,
        "arguments.verification_code": 4,
        "arguments.device_id": 5 + 3,  # of two APIs whose schema calls it otherwise
    }


def test_the_levels_are_averages_over_their_calls(real):
    counts = {"level1": (300, 389), "level2_search": (9, 45), "level2_call": (50, 74)}
    values = {average.name: estimate(average, counts) for average in AVERAGES}
    assert (values["Level 1 (Call)"].items, values["Level 2 (Retrieve+Call)"].items) == (389, 119)
    assert values["Level 2 (Retrieve+Call)"].value == pytest.approx(59 / 119)
