import pytest

from toolrl.data.steps import Dialogue, is_multi_turn, steps, trained_steps
from toolrl.errors import DataError
from toolrl.types import AcceptedCall, Message, Tool, ToolCall

F, G = ToolCall("f", {"a": 1}), ToolCall("g", {})
TOOLS = (Tool("f", "", {}),)
ASK, RESULT, SAY = Message("user", "x"), Message("tool", "1"), Message("assistant", "done")
CALL_F, CALL_G = Message("assistant", "", (F,)), Message("assistant", "", (G,))


def cut(*turns, **more):
    return steps(Dialogue("r", "s", turns, TOOLS, **more))


def test_every_turn_of_the_assistant_is_a_step_with_what_stands_before_it():
    first, second, third = cut(ASK, CALL_F, RESULT, SAY, ASK, CALL_G)
    assert (first.id, first.messages, first.reference) == ("r#1", (ASK,), (F,))
    assert (second.id, second.messages, second.reference) == ("r#2", (ASK, CALL_F, RESULT), ())
    assert (third.id, third.messages, third.reference) == ("r#3", (ASK, CALL_F, RESULT, SAY, ASK), (G,))
    assert first.dialogue == second.dialogue == third.dialogue != ""


def test_one_step_bears_the_name_of_its_row():
    assert [(p.id, p.reference) for p in cut(ASK, CALL_F)] == [("r", (F,))]
    assert [(p.id, p.reference) for p in cut(ASK, SAY)] == [("r", ())]


def test_words_that_the_assistant_itself_continues_are_no_step():
    assert [p.messages for p in cut(ASK, SAY, CALL_F, RESULT)] == [(ASK, SAY)]


def test_a_greeting_before_the_user_speaks_is_no_step():
    assert [p.id for p in cut(SAY, ASK, CALL_F)] == ["r"]


def test_a_spelled_out_reference_is_the_one_step_after_all_turns():
    accepted = (AcceptedCall("g", {}),)
    (prompt,) = cut(ASK, CALL_F, RESULT, reference=(G,), accepted=accepted, name="d")
    assert (prompt.messages, prompt.reference, prompt.accepted, prompt.dialogue) == ((ASK, CALL_F, RESULT), (G,), accepted, "d")


@pytest.mark.parametrize(
    ("turns", "more", "what"),
    [
        ((ASK,), {}, "got none; add `answer`"),
        ((SAY,), {}, "add `answer`"),
        ((), {}, "add `answer`"),
        ((SAY,), {"reference": ()}, "expected a user turn"),
    ],
)
def test_what_holds_no_step_is_an_error(turns, more, what):
    with pytest.raises(DataError, match=what):
        cut(*turns, **more)


def test_trained_are_the_calling_steps_or_the_last():
    assert [p.id for p in trained_steps(cut(ASK, CALL_F, RESULT, SAY, ASK, CALL_G, RESULT, SAY))] == ["r#1", "r#3"]
    assert [p.id for p in trained_steps(cut(ASK, SAY, ASK, SAY))] == ["r#2"]


def test_a_row_is_multi_turn_where_the_assistant_spoke_before():
    assert not is_multi_turn(cut(ASK, CALL_F))
    assert is_multi_turn(cut(ASK, CALL_F, RESULT, SAY))
    assert is_multi_turn(cut(ASK, SAY, ASK, reference=(F,)))
    assert not is_multi_turn(())
