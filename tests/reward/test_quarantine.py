"""A prompt is shut out once it has cost as many workers as the setting says, and a person is told once."""

import logging

from toolrl.reward.quarantine import Quarantine
from toolrl.types import Reason


def test_the_third_group_that_costs_a_worker_shuts_its_prompt_out_and_no_other(caplog):
    quarantine = Quarantine(3)
    for why in ("no verdict within 10 s", "died"):
        quarantine.note("bad", why)
        quarantine.note("other", why)
        assert (quarantine.verdict("bad"), quarantine.prompts, caplog.records) == (None, 0, [])
    quarantine.note("bad", "no verdict within 10 s")
    verdict = quarantine.verdict("bad")
    assert (verdict.reward, verdict.reason) == (None, Reason.QUARANTINED)
    assert verdict.reason.is_failure
    assert verdict.got == "3 groups of this prompt cost a reward worker; the last: no verdict within 10 s"
    assert (quarantine.verdict("other"), quarantine.verdict("new"), quarantine.prompts) == (None, None, 1)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert (
        caplog.text.count("prompt bad is in quarantine: 3 groups of this prompt cost a reward worker; the last: no verdict within 10 s")
        == 1
    )


def test_a_group_that_was_under_way_when_its_prompt_was_shut_out_is_not_told_again(caplog):
    quarantine = Quarantine(1)
    quarantine.note("bad", "first")
    quarantine.note("bad", "second")
    assert len(caplog.records) == quarantine.prompts == 1
    assert "first" in quarantine.verdict("bad").got


def test_zero_shuts_nothing_out(caplog):
    quarantine = Quarantine(0)
    for _ in range(5):
        quarantine.note("bad", "died")
    assert (quarantine.verdict("bad"), quarantine.prompts, caplog.records) == (None, 0, [])
