"""Upstream's code in a process of its own: what it raises, hangs on or prints harms one verdict at most."""

import os
import sys
from pathlib import Path

import pytest

from toolrl.errors import RunError, UserError
from toolrl.evaluation.checkout import process
from toolrl.evaluation.checkout.process import Checkout

sys.path.insert(0, str(Path(__file__).parent))
from upstream_apibank import make_upstream


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_upstream(tmp_path_factory.mktemp("upstream"))


@pytest.fixture
def upstream(root, tmp_path):
    with Checkout("apibank", root, python=sys.executable, log=tmp_path / "log", answer_s=3.0) as started:
        yield started


def request(number, name, arguments, output, read=None):
    label = {"api_name": name, "result": {"input": read or arguments, "output": output, "exception": None}}
    return {"id": str(number), "call": {"name": name, "arguments": arguments}, "label": label}


def rights(upstream, *requests):
    return [answer.right for answer in upstream.ask(requests)]


def test_a_call_is_executed_on_fresh_databases_and_judged_by_its_api(upstream):
    booked = request(0, "BookRoom", {"hotel": "Ritz", "rooms": "2"}, "1 left", {"hotel": "RITZ", "rooms": 2})
    other = request(1, "BookRoom", {"hotel": "Ritz", "rooms": "1"}, "1 left", {"hotel": "RITZ", "rooms": 2})
    wrong_name = {**booked, "call": {"name": "Raises", "arguments": {"how": "1 left"}}}
    assert rights(upstream, booked, booked, other, wrong_name) == [True, True, False, False]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"how": "raise"}, "RuntimeError: upstream's own"),
        ({"how": "exit"}, "SystemExit: 3"),
        ({"what": "x"}, "AssertionError: invalid parameter name"),
        ({"tool_name": "Raises"}, "multiple values"),
        ({}, "missing 1 required positional argument"),
    ],
)
def test_what_upstream_raises_is_a_wrong_answer_and_says_why(upstream, arguments, told):
    (answer,) = upstream.ask([request(0, "Raises", arguments, "x")])
    assert (answer.right, told in answer.why) == (False, True), answer.why


def test_a_call_that_hangs_or_ends_the_process_is_wrong_and_the_next_one_is_judged(upstream):
    found = rights(
        upstream,
        *(request(number, "Raises", {"how": how}, how) for number, how in enumerate(("well", "hang", "die", "well"))),
    )
    assert found == [True, False, False, True]


def test_nothing_of_upstreams_outlives_the_one_who_asks(root, tmp_path):
    with Checkout("apibank", root, python=sys.executable, log=tmp_path / "log", answer_s=60.0) as upstream:
        pid = upstream._process.pid
        assert Path(f"/proc/{pid}").exists()
    assert not Path(f"/proc/{pid}").exists()


def test_what_upstream_prints_goes_to_the_log_and_is_never_taken_for_a_verdict(upstream, tmp_path):
    assert rights(upstream, request("x", "Raises", {"how": "print"}, "other")) == [False]
    told = (tmp_path / "log").read_text()
    assert "upstream prints to standard output" in told
    assert '"right": true' in told


def test_a_package_that_one_api_wants_is_stood_in_for_and_told(upstream):
    assert upstream.lacking == ("a_package_that_nobody_has",)
    (answer,) = upstream.ask([request(0, "Searches", {"keywords": "x"}, "x")])
    assert (answer.right, "a_package_that_nobody_has is not installed" in answer.why) == (False, True)


def test_no_key_of_ours_is_in_upstreams_environment(root, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    with Checkout("apibank", root, python=sys.executable, log=tmp_path / "log") as upstream:
        assert b"OPENAI_API_KEY" not in Path(f"/proc/{upstream._process.pid}/environ").read_bytes()


@pytest.mark.parametrize(
    "said", [b"garbage\n", b'{"id": "1", "right": true, "why": ""}\n', b'{"id": "0", "right": "yes", "why": ""}\n', b"[]\n"]
)
def test_what_is_no_verdict_on_the_request_ends_all_and_is_shown(root, tmp_path, monkeypatch, said):
    with Checkout("apibank", root, python=sys.executable, log=tmp_path / "log") as upstream:
        monkeypatch.setattr(upstream, "_line", lambda seconds: said.strip())
        with pytest.raises(RunError, match="expected upstream's verdict on 0, got"):
            rights(upstream, request(0, "Raises", {"how": "x"}, "x"))


def test_an_answer_without_end_ends_all(root, tmp_path, monkeypatch):
    monkeypatch.setattr(process, "MAX_ANSWER_BYTES", 10)
    with pytest.raises(RunError, match="more than 10 bytes at once"):
        Checkout("apibank", root, python=sys.executable, log=tmp_path / "log")


def test_a_process_that_is_lost_again_and_again_ends_all(upstream, monkeypatch):
    monkeypatch.setattr(process, "MAX_LOST", 1)
    with pytest.raises(RunError, match="lost 2 times, last on 1"):
        rights(upstream, *(request(number, "Raises", {"how": "die"}, "x") for number in range(3)))


@pytest.mark.parametrize(
    ("manager", "told"),
    [
        ("import upstream_wants_this.first", "upstream_wants_this"),
        ("def broken(", "SyntaxError"),
        ("import os; os._exit(1)", "ended at once"),
    ],
)
def test_a_folder_that_does_not_start_is_the_users_to_mend(tmp_path, manager, told):
    (tmp_path / "tool_manager.py").write_text(manager)
    with pytest.raises(UserError, match="does not start") as error:
        Checkout("apibank", tmp_path, python=sys.executable, log=tmp_path / "log")
    assert told in str(error.value) or "ToolManager" in str(error.value)


def test_an_interpreter_that_is_not_there_is_named(root, tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(UserError, match="/no/python: cannot be started"):
        Checkout("apibank", root, python="/no/python", log=tmp_path / "log")
    assert len(os.listdir("/proc/self/fd")) == before
