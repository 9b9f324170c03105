"""What a person is told before a run starts."""

from types import SimpleNamespace

import pytest

from toolrl.pipelines.closing import facts
from toolrl.reward.audit import audit
from toolrl.reward.verifier import make_verifier


class Stream(list):
    left_out = 0


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        ("strict", ["verifier: audited on 1 rows, 6 completions scored as they must"]),
        (
            "paper",
            [
                "verifier: audited on 1 rows, 5 completions scored as they must",
                "  reference inside think: rewarded on 1; the paper's rules take the last block, wherever it stands",
            ],
        ),
    ],
)
def test_what_a_mode_rewards_by_its_own_rules_is_said_before_the_start(weather, mode, told):
    # reference, empty text, the prompt's own text, reference inside think, every tool called, shuffled arguments
    report = audit(make_verifier(mode), [weather.prompt])
    inputs = SimpleNamespace(model_path="m", train=Stream([weather.prompt]), heldout=(), audit=report, contamination="")
    assert facts(inputs)[2:] == told
