"""What a survey makes of a node, from fakes of what it answers."""

import time
from types import SimpleNamespace

import pytest
from ray.exceptions import GetTimeoutError

from toolrl.actors import survey
from toolrl.actors.survey import CALL_S, NodeFacts

FACTS = NodeFacts("10.0.0.2", "b", {}, {}, 0, 65536)


@pytest.fixture
def ray(monkeypatch):
    def get(call, timeout):
        if isinstance(answer := call(), Exception):
            raise answer
        return answer

    monkeypatch.setattr(survey.ray, "get", get)


def node(*answers):
    """A node whose clock is asked again and again."""
    left = iter(answers)
    return SimpleNamespace(clock=SimpleNamespace(remote=lambda: lambda: next(left)()))


def late(seconds):
    def answer():
        time.sleep(seconds)
        return time.time() + 100

    return answer


def test_the_fastest_of_a_few_questions_says_how_far_a_clock_is_ahead(ray):
    found = survey._with_clock("10.0.0.2", FACTS, node(*map(late, (0.2, 0.2, 0.0, 0.2, 0.2))), {})
    assert found.seconds_ahead == pytest.approx(100, abs=0.05)
    assert found.seconds_about < 0.05


def test_a_node_that_stops_answering_is_told_by_its_address(ray):
    silent = {}
    assert survey._with_clock("10.0.0.2", FACTS, node(late(0), lambda: GetTimeoutError("late")), silent) is None
    assert silent == {"10.0.0.2": f"no answer within {CALL_S:g} s"}


def answers(value):
    return SimpleNamespace(remote=lambda *arguments: lambda: value)


def whole(reach):
    """A node that answers all that it is asked, and `reach` where it is sent to another."""
    clock = SimpleNamespace(remote=lambda: time.time)
    return SimpleNamespace(facts=answers(FACTS), clock=clock, listen=answers(7), reach=answers(reach))


@pytest.mark.parametrize(
    ("reach", "silent", "unreachable"),
    [
        (GetTimeoutError("late"), {"10.0.0.1": f"no answer within {CALL_S + 2 * survey.REACH_S:g} s"}, []),
        ("nothing comes back", {}, [("10.0.0.1", "10.0.0.2", "nothing comes back")]),
    ],
)
def test_a_node_that_falls_silent_on_its_way_to_another_is_told_and_is_not_the_others_fault(ray, monkeypatch, reach, silent, unreachable):
    monkeypatch.setattr(survey, "_surveyors", lambda: {"10.0.0.1": whole(reach), "10.0.0.2": whole("")})
    monkeypatch.setattr(survey.ray, "kill", lambda actor: None)
    found = survey.survey([])
    assert (found.silent, found.unreachable, found.collective) == (silent, unreachable, "")
