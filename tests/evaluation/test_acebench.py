"""ACEBench: its 973 questions, our verdicts, and upstream's rules beside them, in our implementation or by its own checker."""

import json
from collections import Counter
from dataclasses import replace
from decimal import Decimal

import pytest

from toolrl.calls.render import render_completion
from toolrl.errors import ConfigError, DataError, UserError
from toolrl.evaluation.acebench.benchmark import AceBenchmark
from toolrl.evaluation.acebench.categories import ATOM, AVERAGES, SINGLE_TURN, SPECIAL
from toolrl.evaluation.acebench.questions import read_questions
from toolrl.evaluation.acebench.sentences import INSTRUCTION
from toolrl.evaluation.averages import estimates
from toolrl.types import Message, Reason, ToolCall

FUNCTIONS = [
    {
        "name": "book_room",
        "parameters": {"properties": {"hotel": {"type": "string"}, "rooms": {"type": "integer"}}, "required": ["hotel"]},
    },
    {"name": "cancel", "arguments": {"properties": {"id": {"type": "string"}}, "required": ["id"]}, "results": {}},
]
CHECKER = """
from model_eval.utils import OVER

def normal_checker(functions, calls, answer, question, category):
    print("upstream's checker")
    if question == "user: crash\\n":
        raise RuntimeError("upstream's own")
    given = [(name, rooms) for call in calls for name, arguments in call.items() for rooms in [arguments.get("rooms")]]
    return {"valid": given == [(name, OVER)] if (name := list(answer)[0]) else False, "error": ["not so"]}
"""
UTILS = """
OVER = 99

def is_function_call_format_valid(calls):
    return isinstance(calls, list) and len(calls) < 3
"""
DECODE = """
import ast

def decode_ast(MODEL text):
    assert " " not in text
    return [{call.func.id: {k.arg: ast.literal_eval(k.value) for k in call.keywords}} for call in ast.parse(text, mode="eval").body.elts]
"""


def write(folder, category, questions):
    """Write the files of a category; a question is (question, truth, rest of the line)."""
    (folder / "possible_answer").mkdir(parents=True, exist_ok=True)
    rows = [{"id": f"{category}_{i}", "question": q, "function": FUNCTIONS, **rest} for i, (q, _, rest) in enumerate(questions)]
    answers = [{"id": row["id"], "ground_truth": truth} for row, (_, truth, _) in zip(rows, questions, strict=True)]
    (folder / f"data_{category}.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "possible_answer" / f"data_{category}.json").write_text("".join(json.dumps(row) + "\n" for row in answers))


def questions(folder, category, *asked):
    write(folder, category, asked)
    return AceBenchmark.load(folder, [category])


def completion(*calls):
    return render_completion([ToolCall(name, arguments) for name, arguments in calls], "x")


def judged(benchmark, *texts):
    """Return (our reward, official verdict) of an answer to each question."""
    answers = {item.id: text for item, text in zip(benchmark.items, texts, strict=True)}
    official = benchmark.official(answers, None).right
    return [(benchmark.verdict(item, answers[item.id]).reward, official[item.id]) for item in benchmark.items]


@pytest.fixture(scope="module")
def real(shared_data):
    return AceBenchmark.load(shared_data / "acebench_en")


@pytest.fixture(scope="module")
def labels(real):
    """The label of every question in which a call is right, as a completion."""
    return {item.id: render_completion(item.prompt.reference, "x") for item in real.items if item.category not in SPECIAL}


def test_a_question_becomes_the_conversation_and_the_functions_of_the_prompt(tmp_path):
    text = (
        'user: A room at the Ritz.\nsystem: When?\nuser: Today: now.\nsystem: [book_room(hotel="Ritz", rooms=2)]\n'
        "system: Booked:\nroom 7\nuser: One more.\n"
    )
    (item,) = questions(tmp_path, "normal_atom_number", (text, {"book_room": {"hotel": "Ritz"}}, {"time": "It is May."})).items
    assert item.prompt.messages == (
        Message("system", "It is May."),
        Message("user", "A room at the Ritz."),
        Message("assistant", "When?"),
        Message("user", "Today: now."),
        Message("assistant", "", (ToolCall("book_room", {"hotel": "Ritz", "rooms": 2}),)),
        Message("assistant", "Booked:\nroom 7"),
        Message("user", "One more."),
    )
    assert [(tool.name, [*tool.parameters["properties"]]) for tool in item.prompt.tools] == [
        ("book_room", ["hotel", "rooms"]),
        ("cancel", ["id"]),
    ]
    assert item.prompt.reference == (ToolCall("book_room", {"hotel": "Ritz"}),)


def test_what_the_assistant_said_is_left_as_it_is_where_no_calls_can_be_read_in_it(tmp_path):
    text = 'user: Book it.\nsystem: As you say: [book_room(hotel="Ritz")]\nuser: Now cancel.\n'
    (item,) = questions(tmp_path, "normal_atom_bool", (text, {"cancel": {"id": "7"}}, {})).items
    assert item.prompt.messages[1] == Message("assistant", 'As you say: [book_room(hotel="Ritz")]')


def test_the_users_profile_is_told_and_an_empty_time_is_not(tmp_path):
    said = ("user: Cancel it.\n", {"cancel": {"id": "7"}}, {"profile": "{'id': '7'}"})
    (item,) = questions(tmp_path, "normal_preference", said).items
    assert item.prompt.messages[0] == Message("system", "The user's profile:\n{'id': '7'}")
    (item,) = questions(tmp_path, "normal_atom_bool", (*said[:2], {"time": ""})).items
    assert item.prompt.messages == (Message("user", "Cancel it."),)


def test_our_rules_and_upstreams_part_where_hers_are_lenient(tmp_path):
    label = {"book_room": {"hotel": "Ritz", "rooms": 2}}
    benchmark = questions(tmp_path, "normal_atom_number", *[("user: Two rooms.\n", label, {})] * 7)
    found = judged(
        benchmark,
        completion(("book_room", {"hotel": "Ritz", "rooms": 2})),
        completion(("book_room", {"hotel": "Ritz", "rooms": 3})),
        completion(("book_room", {"hotel": "Ritz"})),
        completion(("book_room", {"hotel": "The Ritz Hotel", "rooms": 2})),
        completion(("book_room", {"hotel": "Rit", "rooms": 2})),
        completion(("book_room", {"hotel": "Ritz", "rooms": "2"})),
        completion(("book_room", {"hotel": "Ritz", "rooms": 2}), ("book_room", {"hotel": "Ritz", "rooms": 2})),
    )
    assert found == [(1, True), (0, True), (0, True), (0, True), (0, False), (0, False), (0, False)]


def test_calls_of_one_name_are_told_apart_by_number_and_any_of_several_answers_is_right(tmp_path):
    two = {"book_room_1": {"hotel": "Ritz"}, "book_room_2": {"hotel": "Savoy"}}
    either = [{"book_room": {"hotel": "Ritz"}}, {"book_room": {"hotel": "Savoy"}}]
    benchmark = questions(tmp_path, "normal_atom_list", ("user: a\n", two, {}), ("user: b\n", either, {}))
    ritz, savoy = ("book_room", {"hotel": "Ritz"}), ("book_room", {"hotel": "Savoy"})
    assert judged(benchmark, completion(savoy, ritz), completion(savoy)) == [(1, True), (1, True)]
    assert judged(benchmark, completion(savoy, savoy), completion(savoy, ritz)) == [(0, False), (0, False)]


def test_the_form_is_told_apart_and_reasoning_is_not_asked_for(tmp_path):
    benchmark = questions(tmp_path, "normal_atom_bool", ("user: a\n", {"cancel": {"id": "7"}}, {}))
    (item,) = benchmark.items
    bare = completion(("cancel", {"id": "7"})).partition("</think>")[2]
    assert (benchmark.verdict(item, bare).reward, benchmark.verdict(item, bare).format_right) == (1, False)
    assert judged(benchmark, bare)[0] == (1, False)  # a function with `arguments` in place of `parameters` breaks upstream's checker


def test_where_no_call_is_right_the_question_says_what_to_say_instead(tmp_path):
    asked = ("user: Fly me to the moon.\n", "Due to the limitations of the function, I cannot solve this problem.", {"time": "It is May."})
    benchmark = questions(tmp_path, "special_irrelevant", *[asked] * 4)
    assert benchmark.items[0].prompt.messages[0] == Message("system", f"{INSTRUCTION}\n\nIt is May.")
    assert benchmark.items[0].prompt.reference == ()
    found = judged(benchmark, asked[1], "<think>x</think>No function does that.", completion(), completion(("cancel", {"id": "7"})))
    assert found == [(1, True), (1, False), (1, False), (0, False)]


def test_upstreams_score_of_a_multi_turn_category_is_of_dialogues(tmp_path):
    write(tmp_path, "normal_multi_turn_user_adjust", [("user: a\n", {"book_room": {"hotel": "Ritz"}}, {})] * 3)
    for file in tmp_path.rglob("*.json"):
        file.write_text(
            file.read_text().replace("_adjust_0", "_adjust_0_0").replace("_adjust_1", "_adjust_0_1").replace("_adjust_2", "_adjust_1_0")
        )
    benchmark = AceBenchmark.load(tmp_path, ["normal_multi_turn_user_adjust"])
    good, bad = completion(("book_room", {"hotel": "Ritz"})), completion(("book_room", {"hotel": "Savoy"}))
    assert [item.prompt.dialogue for item in benchmark.items] == ["normal_multi_turn_user_adjust_0"] * 2 + [
        "normal_multi_turn_user_adjust_1"
    ]
    answers = dict(zip([item.id for item in benchmark.items], (bad, good, good), strict=True))
    official = benchmark.official(answers, tmp_path)
    assert [*official.right.values()] == [False, True, True]
    assert official.scores == {"normal_multi_turn_user_adjust": 0.5}
    assert "our implementation" in official.note


@pytest.mark.parametrize("signature", ["", "model_name, "])
def test_with_a_checkout_upstreams_own_checker_judges_calls(tmp_path, signature):
    root = tmp_path / "upstream"
    for folder, files in (("model_eval", {"checker": CHECKER, "utils": UTILS}), ("model_inference", {"utils": DECODE})):
        (root / folder).mkdir(parents=True)
        for name, text in files.items():
            (root / folder / f"{name}.py").write_text(text.replace("MODEL ", signature))
    label = {"book_room": {"hotel": "Ritz Hotel", "rooms": 2}}
    write(
        tmp_path,
        "normal_atom_bool",
        [("user: a\n", label, {}), ("user: a\n", label, {}), ("user: crash\n", label, {}), ("user: a\n", label, {})],
    )
    benchmark = AceBenchmark.load(tmp_path, ["normal_atom_bool"], root=root)
    rooms = [completion(("book_room", {"hotel": "Ritz Hotel", "rooms": number})) for number in (99, 2, 99)]
    answers = dict(zip([item.id for item in benchmark.items], (*rooms, ""), strict=True))
    official = benchmark.official(answers, tmp_path / "official")
    assert [*official.right.values()] == [True, False, False, False]
    assert str(root) in official.note
    assert "upstream's checker" in (tmp_path / "official" / "official.log").read_text()


def test_mistakes_of_the_user_are_named(tmp_path):
    with pytest.raises(ConfigError, match="got 'atoms'; name any of atom"):
        AceBenchmark.load(tmp_path, ["atoms"])
    with pytest.raises(DataError, match=r"data_normal_atom_bool\.json: no such file; name upstream's folder"):
        AceBenchmark.load(tmp_path, ["atom"])
    with pytest.raises(UserError, match=r"expected a checkout of ACEBench, with model_eval/checker\.py"):
        AceBenchmark.load(tmp_path, ["atom"], root=tmp_path)
    write(tmp_path, "normal_atom_bool", [("user: a\n", None, {})])
    with pytest.raises(DataError, match=r"data_normal_atom_bool\.json:1: normal_atom_bool_0 has no answer"):
        AceBenchmark.load(tmp_path, ["normal_atom_bool"])
    write(tmp_path, "normal_atom_bool", [("user: a\n", {}, {}), ("no turn", {}, {})])
    with pytest.raises(DataError, match=r"\.json:2: expected lines `user: …`, got 'no turn'"):
        AceBenchmark.load(tmp_path, ["normal_atom_bool"])
    write(tmp_path, "normal_atom_bool", [("user: a\n", {}, {"function": "x"})])
    with pytest.raises(DataError, match=r"\.json:1: not a question of ACEBench"):
        AceBenchmark.load(tmp_path, ["normal_atom_bool"])
    (tmp_path / "data_normal_atom_bool.json").write_text("7\n")
    with pytest.raises(DataError, match="expected an object"):
        AceBenchmark.load(tmp_path, ["normal_atom_bool"])


def test_a_group_of_categories_is_asked_for_by_its_name(shared_data):
    benchmark = AceBenchmark.load(shared_data / "acebench_en", ["single_turn", "atom"])
    assert Counter(item.category for item in benchmark.items) == dict.fromkeys(ATOM, 50) | dict.fromkeys(SINGLE_TURN, 100)


def test_every_question_of_the_files_is_an_item(real):
    assert len({item.id for item in real.items}) == len(real.items) == 973
    assert sum(item.category in SPECIAL for item in real.items) == 150


def test_every_label_passes_under_our_rules_and_upstreams_reject_69_of_their_own(real, labels):
    for item in real.items:
        if item.id in labels:
            for text in (labels[item.id], labels[item.id].partition("\n</think>\n")[2]):
                assert real.verdict(item, text).reward == 1, item.id
    official = real.official(labels, None)
    rejected = Counter(item.category for item in real.items if official.right.get(item.id) is False)
    assert rejected == {
        "normal_atom_object_deep": 17,
        "normal_multi_turn_user_switch": 14,
        "normal_single_turn_parallel_function": 14,
        "normal_multi_turn_user_adjust": 13,
        "normal_single_turn_single_function": 8,
        "normal_similar_api": 2,
        "normal_preference": 1,
    }
    known = {known.id: known.why for known in real.known}
    assert {id for id, right in official.right.items() if not right} == {id for id, why in known.items() if "reject" in why}
    assert {id for id, why in known.items() if "contradicts" in why} == {
        "normal_atom_object_deep_14", "normal_atom_object_deep_25", "normal_atom_object_deep_35", "normal_preference_38",
        "normal_single_turn_parallel_function_68", "normal_single_turn_parallel_function_84", "normal_single_turn_single_function_50",
        "normal_single_turn_single_function_85",
    }  # fmt: skip


def test_the_sentences_that_upstream_asks_for_pass_both_rules(real, shared_data):
    for category in SPECIAL:
        lines = (shared_data / "acebench_en" / "possible_answer" / f"data_{category}.json").read_text().splitlines()
        truths = {row["id"]: row["ground_truth"] for row in map(json.loads, filter(str.strip, lines))}
        texts = {id: f"<think>x</think>\n{sentence(category, truth)}" for id, truth in truths.items()}
        assert all(real.official(texts, None).right.values())
        assert all(real.verdict(item, texts[item.id]).reward == 1 for item in real.items if item.category == category)


def sentence(category, truth):
    if category == "special_incomplete":
        return " ".join(f"Missing necessary parameters ({', '.join(names)}) for the api ({function})" for function, names in truth.items())
    if category == "special_error_param":
        return " ".join(f"There is incorrect value ({', '.join(values)}) for the parameters ({name})" for name, values in truth.items())
    return truth


def changed(value):
    """Yield values that are not `value`."""
    yield "null" if value is None else None
    if isinstance(value, bool):
        yield from (not value, str(value).lower(), int(value))
    elif isinstance(value, int | Decimal):
        yield from (value + 1, str(value), [value])
    elif isinstance(value, str):
        yield from (f"{value} x", value[:-1], value.swapcase() if value.swapcase() != value else "x", [value])
    elif isinstance(value, list):
        yield from (value[:-1] if value else ["x"], [*value, "x"], str(value))
    elif isinstance(value, dict):
        yield from ({**value, "more": 1}, {} if value else {"more": 1})


def test_corrupted_and_empty_completions_are_wrong_everywhere_by_our_rules(real):
    for item in real.items:
        calls = item.prompt.reference
        texts = ["", "<think>x</think>", "<tool_call>oops</tool_call>"]
        if not calls:
            texts += [render_completion([ToolCall(item.prompt.tools[0].name, {})], "x")]
        else:
            texts += [
                "<think>x</think>Done.",
                render_completion([], "x"),
                render_completion((*calls, calls[0]), "x"),
                render_completion(calls[1:], "x"),
            ]
        for i, call in enumerate(calls):
            others = [replace(call, name=f"{call.name}x"), replace(call, arguments={**call.arguments, "no_such_argument": "x"})]
            for key, value in call.arguments.items():
                others += [replace(call, arguments={**call.arguments, key: other}) for other in changed(value)]
                if not any(tool.parameters.get("properties", {}).get(key, {}).get("default") == value for tool in item.prompt.tools):
                    others.append(replace(call, arguments={k: v for k, v in call.arguments.items() if k != key}))
            texts += [render_completion((*calls[:i], other, *calls[i + 1 :]), "x") for other in others]
        passed = [text for text in texts if real.verdict(item, text).reward != 0]
        assert not passed, (item.id, passed[:2])


def test_an_empty_completion_and_one_without_calls_are_wrong_officially_too(real, labels):
    for text in ("", "<think>x</think>Done.", render_completion([], "x")):
        assert not any(real.official(dict.fromkeys(labels, text), None).right.values())


def test_the_averages_of_the_papers_categories(real):
    counts = dict.fromkeys(ATOM, (25, 50)) | dict.fromkeys(SINGLE_TURN, (80, 100))
    found = {each.name: (each.value, each.items) for each in estimates(AVERAGES, counts)}
    assert found["Atom"] == (pytest.approx(0.5), 300)
    assert found["Single-turn"] == (pytest.approx(0.8), 200)
    assert found["Atom and single-turn, mean of the two"] == (pytest.approx(0.65), 500)
    assert found["Atom and single-turn, by item"] == (pytest.approx(310 / 500), 500)
    assert found["Normal, multi-turn by turn"][0] is None


def test_a_wrong_call_says_where_it_is_wrong(tmp_path):
    benchmark = questions(tmp_path, "normal_atom_bool", ("user: a\n", {"book_room": {"hotel": "Ritz"}}, {}))
    verdict = benchmark.verdict(benchmark.items[0], completion(("book_room", {"hotel": "Savoy"})))
    assert (verdict.reason, verdict.path, verdict.expected) == (Reason.WRONG_VALUE, "[0].arguments.hotel", '"Ritz"')


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        (7, "parameters: expected a JSON schema, got 7"),
        ({"properties": []}, None),
        ({"properties": [1]}, "properties: expected a JSON schema"),
        ({"properties": {}, "required": 7}, "required: expected a JSON schema, got 7"),
        ({"properties": {"a": 7}}, "a: expected a JSON schema, got 7"),
    ],
)
def test_a_schema_that_the_rules_cannot_ask_is_named(tmp_path, parameters, told):
    folder = tmp_path / "possible_answer"
    folder.mkdir()
    row = {"id": "x_0", "question": "user: hi", "function": [{"name": "f", "description": "d", "parameters": parameters}]}
    (tmp_path / "data_normal_atom_number.json").write_text(json.dumps(row))
    (folder / "data_normal_atom_number.json").write_text('{"id": "x_0", "ground_truth": {"f": {}}}')
    if told is None:
        assert read_questions(tmp_path, ["normal_atom_number"])
        return
    with pytest.raises(DataError, match=told):
        read_questions(tmp_path, ["normal_atom_number"])


@pytest.mark.parametrize(("text", "told"), [(" ", "no questions in it"), ('{"id": []}', r"id: expected a text, got \[\]")])
def test_an_empty_file_of_questions_and_an_odd_id_are_named(tmp_path, text, told):
    (tmp_path / "possible_answer").mkdir()
    (tmp_path / "possible_answer" / "data_normal_atom_number.json").write_text('{"id": "x_0", "ground_truth": {"f": {}}}')
    (tmp_path / "data_normal_atom_number.json").write_text(text)
    with pytest.raises(DataError, match=rf"data_normal_atom_number\.json.*: {told}; give upstream's own file"):
        read_questions(tmp_path, ["normal_atom_number"])
