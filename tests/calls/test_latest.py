"""What is kept for the next completion of a prompt is only ever given for that very prompt."""

from toolrl.calls.latest import kept
from toolrl.types import Prompt


def counting():
    calls = []

    @kept
    def work(*args):
        calls.append(args)
        return len(calls)

    return work, calls


def test_the_same_objects_are_worked_on_once():
    work, calls = counting()
    tools, prompt = ("a",), Prompt("p", "s", (), (), ())
    assert [work(prompt, tools), work(prompt, tools)] == [1, 1]
    assert len(calls) == 1


def test_an_equal_object_is_another_one():
    work, _ = counting()
    assert [work(Prompt("p", "s", (), (), ())), work(Prompt("p", "s", (), (), ()))] == [1, 2]


def test_only_the_latest_is_kept():
    work, _ = counting()
    first, second = Prompt("a", "s", (), (), ()), Prompt("b", "s", (), (), ())
    assert [work(first), work(second), work(first)] == [1, 2, 3]


def test_fewer_arguments_are_not_the_same_arguments():
    work, _ = counting()
    prompt = Prompt("p", "s", (), (), ())
    assert [work(prompt, ()), work(prompt)] == [1, 2]


def test_a_list_may_have_changed_when_it_comes_again():
    work, _ = counting()
    given = ["a"]
    assert [work(given), work(given)] == [1, 2]
