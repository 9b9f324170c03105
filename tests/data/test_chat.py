import json

import pytest

from toolrl.data.chat import chat_dialogue, chat_prompt
from toolrl.data.steps import Origin, steps
from toolrl.errors import DataError
from toolrl.types import Message, Tool, ToolCall

USER = {"role": "user", "content": "How warm is Oslo?"}
TOOLS = [{"type": "function", "function": {"name": "warm", "description": None}}]
CALL = {"id": "c1", "type": "function", "function": {"name": "warm", "arguments": '{"city": "Oslo"}'}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "21"}
SAYING = {"role": "assistant", "content": "21 degrees."}
WARM = ToolCall("warm", {"city": "Oslo"})


def prompt(*messages, **row):
    return chat_prompt({"messages": list(messages), "tools": TOOLS} | row, default_id="i", default_source="s")


def test_the_last_calling_turn_is_the_reference_and_what_follows_is_left_out():
    got = prompt(USER, CALLING, RESULT, SAYING)
    assert got.messages == (Message("user", "How warm is Oslo?"),)
    assert got.reference == (WARM,)


def test_earlier_calling_turns_are_history_with_their_calls():
    got = prompt(USER, CALLING, RESULT, SAYING, USER, CALLING)
    assert [m.role for m in got.messages] == ["user", "assistant", "tool", "assistant", "user"]
    assert got.messages[1].tool_calls == (WARM,)
    assert got.messages[2] == Message("tool", "21")


def test_a_dialogue_without_a_spelled_out_reference_is_cut_into_every_turn_of_the_assistant():
    row = {"id": "d", "messages": [USER, CALLING, RESULT, SAYING, USER, CALLING], "tools": TOOLS}
    prompts = steps(chat_dialogue(row, Origin("i", "s")))
    assert [(p.id, p.reference, len(p.messages)) for p in prompts] == [("d#1", (WARM,), 1), ("d#2", (), 3), ("d#3", (WARM,), 5)]
    assert len(steps(chat_dialogue(row | {"answer": []}, Origin("i", "s")))) == 1


def test_a_row_with_a_completion_is_one_step_whoever_reads_it():
    history = {"messages": [USER, CALLING, RESULT, SAYING, USER], "tools": TOOLS, "completion": "<think>x</think>\n…"}
    (spelled,) = steps(chat_dialogue(history | {"answer": [CALL]}, Origin("i", "s")))
    (shown,) = steps(chat_dialogue(history | {"messages": [*history["messages"], CALLING]}, Origin("i", "s")))
    assert spelled == shown
    assert (len(spelled.messages), spelled.reference) == (5, (WARM,))
    (talk,) = steps(chat_dialogue(history | {"messages": [USER, SAYING]}, Origin("i", "s")))
    assert (len(talk.messages), talk.reference) == (1, ())
    with pytest.raises(DataError, match="`answer`: expected the calls that are right, beside `completion`, got nothing"):
        chat_dialogue(history, Origin("i", "s"))


def test_steps_of_one_dialogue_keep_the_name_that_their_rows_give_it():
    (step,) = steps(chat_dialogue({"messages": [USER], "tools": TOOLS, "answer": [], "dialogue": "talk 7"}, Origin("i", "s")))
    assert step.dialogue == "talk 7"


def test_the_former_words_of_openai_for_calls_and_tools_are_understood():
    calling = {"role": "assistant", "content": None, "function_call": {"name": "warm", "arguments": '{"city": "Oslo"}'}}
    row = {"messages": [USER, calling, {"role": "function", "name": "warm", "content": "21"}, SAYING], "functions": [{"name": "warm"}]}
    first, last = steps(chat_dialogue(row, Origin("i", "s")))
    assert (first.reference, first.tools) == ((WARM,), (Tool("warm", "", {"type": "object", "properties": {}}),))
    assert (last.reference, last.messages[1:]) == ((), (Message("assistant", "", (WARM,)), Message("tool", "21")))
    with pytest.raises(DataError, match="`tools`: expected a list, got nothing"):
        chat_dialogue({"messages": [USER]}, Origin("i", "s"))


def test_lists_may_be_json_text_as_columns_of_tables_hold_them():
    row = {"messages": json.dumps([USER, CALLING]), "tools": json.dumps(TOOLS)}
    assert chat_dialogue(row, Origin("i", "s")) == chat_dialogue({"messages": [USER, CALLING], "tools": TOOLS}, Origin("i", "s"))
    with pytest.raises(DataError, match="`tools`: expected a list or its JSON text"):
        chat_dialogue(row | {"tools": "[{"}, Origin("i", "s"))


def test_a_plain_last_answer_means_that_no_tool_fits():
    got = prompt(USER, SAYING)
    assert got.reference == ()
    assert got.messages == (Message("user", "How warm is Oslo?"),)


@pytest.mark.parametrize("key", ["reference", "answer"])
def test_a_spelled_out_reference_is_taken_and_the_turn_that_gives_it_away_is_not_shown(key):
    got = prompt(USER, CALLING, **{key: [{"name": "warm", "arguments": {"city": "Bergen"}}]})
    assert got.reference == (ToolCall("warm", {"city": "Bergen"}),)
    assert got.messages == (Message("user", "How warm is Oslo?"),)


def test_a_spelled_out_reference_after_a_plain_turn_keeps_the_turn():
    assert len(prompt(USER, SAYING, reference=[]).messages) == 2


def test_calls_written_in_the_text_of_the_last_turn_are_its_reference():
    text = '<think>Need it.</think><tool_call>{"name": "warm", "arguments": {"city": "Oslo"}}</tool_call>'
    assert prompt(USER, {"role": "assistant", "content": text}).reference == (WARM,)


def test_a_conversation_that_ends_with_the_user_has_no_reference():
    with pytest.raises(DataError, match=r"got none; add `answer`"):
        prompt(USER)


def test_text_parts_are_joined_and_pictures_refused():
    parts = [{"type": "text", "text": "How warm"}, {"type": "text", "text": "is Oslo?"}]
    assert prompt({"role": "user", "content": parts}, SAYING).messages[0].content == "How warm\nis Oslo?"
    with pytest.raises(DataError, match=r"messages\[0\]\.content: expected text"):
        prompt({"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, SAYING)


def test_a_result_of_a_tool_may_be_any_json():
    assert prompt(USER, CALLING, RESULT | {"content": {"c": 21}}, SAYING, CALLING).messages[2].content == '{"c": 21}'


def test_tools_may_leave_out_description_and_parameters():
    assert prompt(USER, SAYING).tools == (Tool("warm", "", {"type": "object", "properties": {}}),)


@pytest.mark.parametrize("tool", ["warm", {"description": "x"}, {"function": {"name": 3}}, {"name": "f", "parameters": "none"}])
def test_a_tool_that_is_none_is_named_by_its_place(tool):
    with pytest.raises(DataError, match=r"tools\[0\]"):
        prompt(USER, SAYING, tools=[tool])


def test_words_for_roles_are_understood():
    got = prompt({"role": "developer", "content": "Be brief."}, USER, {"role": "function", "content": "21"}, SAYING)
    assert [m.role for m in got.messages] == ["system", "user", "tool"]


def test_a_dialogue_is_named_by_the_row_or_by_how_it_begins():
    step1, step2 = prompt(USER, CALLING), prompt(USER, CALLING, RESULT, SAYING, USER, CALLING)
    assert step1.dialogue == step2.dialogue
    assert prompt(USER, CALLING, dialogue="d7").dialogue == "d7"
    assert prompt({"role": "user", "content": "Another."}, CALLING).dialogue != step1.dialogue
