import json
from decimal import Decimal

import pytest

from toolrl.calls.render import render_calls, render_completion
from toolrl.data.jsontext import loads
from toolrl.data.template import HISTORY_THINK, PromptTemplate
from toolrl.errors import ConfigError
from toolrl.reward.verifier import make_verifier
from toolrl.types import Message, Prompt, Tool, ToolCall

WEATHER = Tool(
    "get weather",
    "Says how warm {tools} is.",
    {
        "type": "object",
        "properties": {
            "city": {"type": "string", "x_type": "str"},
            "unit": {"type": "string", "enum": ["C", "F"], "default": "C"},
            "at": {"type": ["integer", "null"]},
            "x_type": {"description": "an argument", "default": Decimal("1.0")},
        },
        "required": ["city"],
    },
)
CALL = ToolCall("get weather", {"city": "Oslo"})
USER = Message("user", "How warm is Oslo?")


def prompt(*messages):
    return Prompt("i", "s", messages, (WEATHER, Tool("f", "", {})), (CALL,))


def test_the_system_message_holds_one_json_object_a_line_for_each_tool():
    system = PromptTemplate("t", "A <tools>\n{tools}\n</tools> B {x} {{y}}").render(prompt(USER))[0]
    first, *tools, last = system["content"].split("\n")
    assert (system["role"], first, last) == ("system", "A <tools>", "</tools> B {x} {{y}}")
    weather, bare = map(loads, tools)
    assert weather["type"] == bare["type"] == "function"
    assert bare["function"] == {"name": "f", "description": "", "parameters": {}}
    properties = weather["function"]["parameters"]["properties"]
    assert properties["city"] == {"type": "string"}  # the origin's type word is not shown
    assert properties["x_type"] == {"description": "an argument", "default": Decimal("1.0")}  # an argument of that name is


def test_the_compact_form_names_arguments_with_their_types_and_choices():
    system = PromptTemplate("t", "{tools_compact}").render(prompt(USER))[0]
    assert system["content"] == "get weather(city:string, unit:C|F, at:integer|null, x_type:any)\nf()"
    odd = Tool("g", "", {"type": "object", "properties": {"a": {"type": 5}, "b": {"type": True}, "c": {"type": [5]}, "d": 5}})
    system = PromptTemplate("t", "{tools_compact}").render(Prompt("p", "s", (USER,), (odd,), ()))[0]
    assert system["content"] == "g(a:any, b:any, c:5, d:any)"


def test_turns_follow_and_those_with_calls_have_the_form_the_model_must_produce():
    turns = (USER, Message("assistant", "Oslo it is.", (CALL,)), Message("tool", "21"), Message("assistant", "21 degrees."), USER)
    _, *rest = PromptTemplate("t", "{tools}").render(prompt(*turns))
    assert [turn["role"] for turn in rest] == ["user", "assistant", "tool", "assistant", "user"]
    assert rest[1]["content"] == render_completion([CALL], "Oslo it is.")
    assert rest[3]["content"] == "21 degrees."


def test_a_history_turn_without_reasoning_is_itself_a_right_answer():
    asked = prompt(USER)
    rendered = PromptTemplate("t", "{tools}").render(prompt(USER, Message("assistant", "", (CALL,)), USER))[2]["content"]
    assert HISTORY_THINK in rendered
    assert make_verifier("strict", "either")(asked, rendered).reward == 1.0


NO_THINK = PromptTemplate.load("tool_n1_no_think")


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        (PromptTemplate.load("tool_n1").text, True),
        (NO_THINK.text, False),
        (PromptTemplate.load("demo").text, True),  # says nothing of the form
        ("{tools} Put calls between <tool_call> and </tool_call>.", False),
        ("{tools} Reason between <think> and </think>, then <tool_call>…</tool_call>.", True),
    ],
)
def test_a_template_that_describes_the_calls_and_no_reasoning_wants_none(text, reasons):
    assert PromptTemplate("t", text).reasons is reasons


def test_without_reasoning_history_turns_are_their_calls_alone():
    shown = NO_THINK.render(prompt(USER, Message("assistant", "Oslo it is.", (CALL,)), Message("tool", "21"), USER))
    assert shown[2]["content"] == render_calls([CALL])
    assert "think" not in "".join(turn["content"] for turn in shown)


def test_the_templates_with_and_without_reasoning_offer_tools_alike():
    """All that stands before the rules is the same, and so is the reminder of types after the example."""
    full, bare = PromptTemplate.load("tool_n1").text, NO_THINK.text
    assert full.split("How to answer")[0] == bare.split("How to answer")[0]
    assert full.split("</tool_call>\n\n")[-1] == bare.split("</tool_call>\n\n")[-1]


def test_a_system_message_of_the_row_is_kept_after_ours():
    system, user = PromptTemplate("t", "ours {tools_compact}").render(prompt(Message("system", "Be brief."), USER))
    assert system["content"].startswith("ours get weather(")
    assert system["content"].endswith("\n\nBe brief.")
    assert user["role"] == "user"


@pytest.mark.parametrize("name", ["tool_n1", "tool_n1_no_think", "demo"])
def test_shipped_templates_are_found_by_name(name):
    assert "get weather" in PromptTemplate.load(name).render(prompt(USER))[0]["content"]


def test_the_worked_example_of_tool_n1_is_a_right_answer():
    text = PromptTemplate.load("tool_n1").text
    example = text[text.index("<think>\n") : text.rindex("</tool_call>") + len("</tool_call>")]
    calls = json.loads(example[example.index("[") : example.rindex("]") + 1])
    reference = tuple(ToolCall(call["name"], call["arguments"]) for call in calls)
    assert len(reference) == 2
    assert make_verifier("strict", "either")(Prompt("i", "s", (USER,), (), reference), example).reward == 1.0


def test_the_worked_example_without_reasoning_is_right_where_none_is_asked_for():
    example = NO_THINK.text[NO_THINK.text.index("<tool_call>\n") : NO_THINK.text.rindex("</tool_call>") + len("</tool_call>")]
    calls = json.loads(example[example.index("[") : example.rindex("]") + 1])
    asked = Prompt("i", "s", (USER,), (), tuple(ToolCall(call["name"], call["arguments"]) for call in calls))
    assert make_verifier("strict", "either", {"no_think": 1.0})(asked, example).reward == 1.0
    assert make_verifier("strict", "either")(asked, example).reward == 0.0


def test_a_template_of_the_user_must_say_where_the_tools_stand(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("no field")
    with pytest.raises(ConfigError, match=r"mine\.txt holds neither \{tools\} nor \{tools_compact\}"):
        PromptTemplate.load(str(path))
    path.write_text("mine: {tools_compact}")
    assert PromptTemplate.load(str(path)).render(prompt(USER))[0]["content"].startswith("mine: get weather(")


def test_an_unknown_template_names_those_that_are_shipped():
    with pytest.raises(ConfigError, match="got 'tool_n2'; name one of demo, tool_n1, tool_n1_no_think"):
        PromptTemplate.load("tool_n2")


CHAT = "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}{% endfor %}"


def test_one_file_holds_the_system_message_and_the_chat_template(tmp_path):
    (tmp_path / "prompt.template").write_text(f"ours {{tools_compact}}\n\n%% chat template\n{CHAT}\n")
    template = PromptTemplate.load(str(tmp_path))
    assert (template.text, template.chat) == ("ours {tools_compact}", CHAT)


def test_stray_space_around_the_mark_does_not_put_the_chat_template_into_the_system_message(tmp_path):
    for mark in ("%% chat template  ", " %% chat template\t", "%% chat template\r"):
        (tmp_path / "prompt.template").write_bytes(f"ours {{tools}}\n{mark}\n{CHAT}".encode())
        assert PromptTemplate.load(str(tmp_path)).chat == CHAT
    (tmp_path / "prompt.template").write_text("{tools}\nsay %% chat template\n%% chat template of mine\n")
    assert PromptTemplate.load(str(tmp_path)).chat == ""


@pytest.mark.parametrize("chat", ["", CHAT])
def test_a_template_written_beside_a_model_is_read_back_and_is_that_models_own(tmp_path, chat):
    written = PromptTemplate("mine", "first {tools}\n\nlast", chat)
    written.write(tmp_path)
    read = PromptTemplate.load("", model_path=str(tmp_path))
    assert (read.text, read.chat) == (written.text, written.chat)
    assert (tmp_path / "chat_template.jinja").exists() == bool(chat)


def test_without_a_name_a_model_that_brings_none_is_shown_the_papers_form(tmp_path):
    assert PromptTemplate.load("", model_path=str(tmp_path)) == PromptTemplate.load("tool_n1")
    assert PromptTemplate.load("", model_path="Qwen/Qwen2.5-7B-Instruct") == PromptTemplate.load("tool_n1")


def test_a_name_goes_before_what_lies_beside_the_model(tmp_path):
    PromptTemplate("mine", "{tools}").write(tmp_path)
    assert PromptTemplate.load("demo", model_path=str(tmp_path)) == PromptTemplate.load("demo")
