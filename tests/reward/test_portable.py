"""A verifier that cannot be sent to another process is told before anything starts, by the name of the part that cannot."""

import threading
from dataclasses import dataclass, field
from typing import Any

import pytest

from toolrl.errors import ConfigError
from toolrl.reward.observed import Observed
from toolrl.reward.portable import require_portable
from toolrl.reward.verifier import MODES, RewardVerifier, make_verifier
from toolrl.types import Reason, Verdict


@dataclass
class Holding:
    held: Any
    harmless: list[int] = field(default_factory=lambda: [1])

    def __call__(self, prompt, text):
        return Verdict(1.0, Reason.CORRECT)


class Refusing:
    def __reduce__(self):
        raise ValueError("I stay here")

    def __call__(self, prompt, text):
        return 1.0


def nested(prompt, text):
    return 1.0


@pytest.mark.parametrize("mode", MODES)
def test_what_toolrl_makes_itself_can_travel(mode, tmp_path, monkeypatch):
    (tmp_path / "a_reward_to_send.py").write_text("import threading\nlock = threading.Lock()\ndef mine(prompt, text): return 1.0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    require_portable(Observed(make_verifier(mode)))
    require_portable(Observed(make_verifier(mode, functions={"a_reward_to_send:mine": 1.0, "format": 0.5})))
    require_portable(Holding(nested))


@pytest.mark.parametrize(
    ("verifier", "blamed"),
    [
        (Holding(threading.Lock()), r"_thread:lock, in \S*test_portable:Holding, .*: TypeError: cannot pickle '_thread\.lock' object;"),
        (Holding({"a": [1, (Refusing(),)]}), r"test_portable:Refusing, in \S*test_portable:Holding, .*: ValueError: I stay here;"),
        (Holding(lambda prompt, text: 1.0), r"test_portable:<lambda>, in \S*test_portable:Holding, cannot be sent to the reward workers: "),
        (Observed(RewardVerifier(make_verifier("strict").mode, own=((1.0, Refusing()),))), r"test_portable:Refusing, in .*:Observed, "),
        (lambda prompt, text: 1.0, r"functions: \S*test_portable:<lambda> cannot be sent"),
    ],
)
def test_the_innermost_part_that_cannot_travel_is_named_with_what_to_do(verifier, blamed):
    with pytest.raises(ConfigError, match=blamed) as raised:
        require_portable(verifier)
    assert raised.value.exit_code == 2
    assert "define it at the top of a module" in str(raised.value)
