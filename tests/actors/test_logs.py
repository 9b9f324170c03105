"""Names of actors, and the lines of their logs."""

import logging
import re

import pytest

from toolrl.actors import logs
from toolrl.actors.logs import speak, telling_name


@pytest.fixture
def logger(monkeypatch):
    """The logger of the package, put back afterwards."""
    found = logging.getLogger("toolrl")
    before = found.handlers[:], found.level, found.propagate
    yield found
    found.handlers[:], found.propagate = before[0], before[2]
    found.setLevel(before[1])


def test_who_takes_the_place_of_another_has_a_number(monkeypatch):
    monkeypatch.setattr(logs, "_made", logs.Counter())
    assert telling_name("demo", "engine-0") == {"name": "demo engine-0"}
    assert telling_name("demo", "engine-0") == {"name": "demo engine-0 #2"}
    assert telling_name("other", "engine-0") == {"name": "other engine-0"}
    assert telling_name("", "engine-0") == {}


def test_a_line_says_run_and_actor(logger, capsys):
    speak("first", "engine-0")
    speak("demo", "engine-0")  # a kept engine belongs to another run now
    logging.getLogger("toolrl.actors.engine").info("version %d is live", 12)
    (line,) = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d INFO demo engine-0: version 12 is live", line)


def test_a_run_may_have_a_percent_sign_in_its_name(logger, capsys):
    speak("lr-50%d", "engine-0")
    logging.getLogger("toolrl.actors.engine").info("version %d is live", 12)
    assert capsys.readouterr().err.endswith("INFO lr-50%d engine-0: version 12 is live\n")


def test_an_actor_of_no_run_leaves_the_logger_alone(logger):
    before = logger.handlers[:], logger.level, logger.propagate
    speak("", "reward")
    assert (logger.handlers[:], logger.level, logger.propagate) == before
