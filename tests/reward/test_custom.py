"""A user's own reward: found by name, here and in another process, and no failure of it becomes a reward."""

import math
import pickle
import subprocess
import sys
from dataclasses import replace

import pytest

from toolrl.errors import ConfigError
from toolrl.reward.audit import audit
from toolrl.reward.custom import Custom
from toolrl.reward.judge import judge
from toolrl.reward.observed import Observed
from toolrl.reward.verifier import make_verifier
from toolrl.types import Prompt, Reason, ToolCall, Verdict

SOURCE = """
import time
from fractions import Fraction
import numpy as np
from toolrl.types import Reason, Verdict

class Nested:
    @staticmethod
    def half(prompt, text):
        return 0.5

def length(prompt, text): return len(text)
def told(prompt, text): return Verdict(0.25, Reason.WRONG_VALUE, "[0].name", "a", "b")
def given(prompt, text): return text
def sleeps(prompt, text): time.sleep(60)
def fails(prompt, text): raise KeyError("mine")
def silent(prompt, text): return Verdict(None, Reason.VERIFIER_ERROR, got="no answer from the judge")
def truth(prompt, text): return np.float32(1.5) if text == "np" else Fraction(1, 4) if text == "1/4" else text == "yes"
NUMBER = 5
"""
PROMPT = Prompt("p", "test", (), (), (ToolCall("f", {}),))
RIGHT = '<think>x</think><tool_call>[{"name": "f", "arguments": {}}]</tool_call>'


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A module in the current folder, as a user has it; its name is new in each test."""
    name = f"mine_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    yield name
    sys.modules.pop(name, None)


def verifier(*functions):
    return make_verifier("strict", functions=dict.fromkeys(functions, 1.0))


def test_a_module_in_the_current_folder_is_found(mine):
    assert verifier(f"{mine}:length")(PROMPT, "four").reward == 4.0
    assert verifier(f"{mine}:Nested.half")(PROMPT, "").reward == 0.5


@pytest.mark.parametrize(("text", "reward"), [("yes", 1.0), ("no", 0.0), ("np", 1.5), ("1/4", 0.25)])
def test_whatever_is_a_number_is_a_reward(mine, text, reward):
    found = verifier(f"{mine}:truth")(PROMPT, text).reward
    assert found == reward
    assert type(found) is float


def test_a_number_leaves_the_modes_reasons_and_a_verdict_brings_its_own(mine):
    number = verifier(f"{mine}:length")(PROMPT, "four")
    assert (number.reason, number.format_right) == (Reason.NO_THINK, False)
    assert verifier(f"{mine}:length")(PROMPT, RIGHT).reason is Reason.CORRECT
    verdict = make_verifier("strict", functions={f"{mine}:told": 2.0})(PROMPT, RIGHT)
    assert verdict == Verdict(0.5, Reason.WRONG_VALUE, "[0].name", "a", "b", format_right=True, content_right=True)


def test_a_verdict_among_several_functions_gives_its_reward_alone(mine):
    for others in ({"binary": 1.0}, {f"{mine}:length": 0.0}):
        verdict = make_verifier("strict", functions={f"{mine}:told": 2.0, **others})(PROMPT, RIGHT)
        assert (verdict.reward, verdict.reason, verdict.path) == (0.5 + others.get("binary", 0.0), Reason.CORRECT, "")


@pytest.mark.parametrize(
    "result",
    [
        "nothing", None, math.nan, math.inf, [1.0], Verdict(math.nan, Reason.CORRECT), Verdict("1", Reason.CORRECT), Verdict(1.0, "odd"),
        Verdict(None, Reason.CORRECT), Verdict(1.0, Reason.VERIFIER_ERROR), Verdict(1.0, Reason.CORRECT, got=b"a word"),
    ],
)  # fmt: skip
def test_what_is_no_reward_is_a_failure_that_says_what_came(mine, tmp_path, result):
    verdict = Custom(f"{mine}:given", str(tmp_path))(PROMPT, result)
    assert (verdict.reward, verdict.reason) == (None, Reason.VERIFIER_ERROR)
    assert verdict.expected == "a finite number or a Verdict"
    assert verdict.got.startswith(f"{mine}:given returned {result!r}"[:200])
    summed = verifier("binary", f"{mine}:given")(PROMPT, "text")
    assert (summed.reward, summed.reason, summed.got) == (None, Reason.VERIFIER_ERROR, f"{mine}:given returned 'text'")


def test_an_exception_and_a_failure_of_its_own_leave_no_reward(mine):
    raised = judge(verifier("binary", f"{mine}:fails"), PROMPT, RIGHT)
    assert (raised.reward, raised.reason, raised.got) == (None, Reason.VERIFIER_ERROR, "KeyError: 'mine'")
    silent = verifier("binary", f"{mine}:silent")(PROMPT, RIGHT)
    assert (silent.reward, silent.got, silent.format_right) == (None, "no answer from the judge", True)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("{}:missing", "cannot import '{}:missing': AttributeError: module '{}' has no attribute 'missing'"),
        ("no_such_module_here:f", "cannot import 'no_such_module_here:f': ModuleNotFoundError"),
        ("{}:NUMBER", "'{}:NUMBER' is a int; name a function of (prompt, text)"),
        ("{}:", "got '{}:'; write a function of your own as module:function"),
        ("a b:c", "got 'a b:c'; write a function of your own as module:function"),
    ],
)
def test_a_function_that_is_not_there_is_the_users_to_mend(mine, path, message):
    with pytest.raises(ConfigError) as caught:
        verifier(path.format(mine))
    assert message.format(mine, mine) in str(caught.value)


def test_a_module_that_breaks_when_imported_says_how(mine, tmp_path):
    (tmp_path / "broken_module.py").write_text("import nothing_like_this")
    with pytest.raises(ConfigError, match=r"cannot import 'broken_module:f'.*nothing_like_this.*importable from"):
        verifier("broken_module:f")
    (tmp_path / "script_module.py").write_text("raise SystemExit('usage: …')")
    with pytest.raises(ConfigError, match=r"cannot import 'script_module:f': SystemExit: usage: …; give module:function"):
        verifier("script_module:f")


@pytest.mark.parametrize("path", [":", "a:b:c", "a b:c"])
def test_a_path_that_cannot_be_one_is_one_problem(path):
    with pytest.raises(ConfigError) as caught:
        verifier(path)
    assert caught.value.problems == (f"reward.functions: got {path!r}; write a function of your own as module:function",)


def test_it_travels_by_name_to_a_process_that_stands_elsewhere(mine, tmp_path):
    judged = Observed(make_verifier("strict", functions={f"{mine}:length": 0.5, "binary": 1.0}))
    assert pickle.loads(pickle.dumps(judged)) == judged  # noqa: S301 our own bytes
    (tmp_path / "verifier.pickle").write_bytes(pickle.dumps((judged, PROMPT)))
    code = f"import pickle; v, p = pickle.load(open({str(tmp_path / 'verifier.pickle')!r}, 'rb')); print(v(p, 'four').reward)"
    (tmp_path / "elsewhere").mkdir()
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "elsewhere", capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "2.0"


def test_weights_add_up(mine):
    weighed = make_verifier("paper", functions={"format": 0.25, "match": 0.5, f"{mine}:length": 0.01})
    assert weighed(PROMPT, RIGHT.removeprefix("<think>x</think>")).reward == pytest.approx(0.5 + 0.01 * (len(RIGHT) - 16))
    assert weighed.full is None
    assert replace(weighed, own=()).full == 0.75


def test_the_audit_stops_at_the_first_verdict_that_is_late(mine):
    with pytest.raises(ConfigError, match=r"audit stopped at prompt p: no verdict within 0\.05 s; make the function faster"):
        audit(verifier(f"{mine}:sleeps"), [PROMPT] * 100, deadline_s=0.05)
