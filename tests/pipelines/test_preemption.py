"""SIGTERM, sent to this very process: what the run is told, and how it ends."""

import asyncio
import os
import signal

import pytest

from toolrl.errors import LearnerLostError, PreemptedError
from toolrl.pipelines.preemption import Preemption


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def test_before_there_is_a_loop_the_run_ends_at_once():
    async def run():
        terminate()
        await asyncio.sleep(60)

    with pytest.raises(PreemptedError, match="nothing is lost") as raised:
        asyncio.run(Preemption(60).watch(run()))
    assert raised.value.exit_code == 75


def test_a_loop_is_asked_to_stop_and_ends_by_its_own_error(capsys):
    async def run():
        asked = asyncio.Event()
        preemption.ask(asked.set)
        terminate()
        await asked.wait()
        raise PreemptedError("saved")

    preemption = Preemption(60)
    with pytest.raises(PreemptedError, match=r"^saved$"):
        asyncio.run(preemption.watch(run()))
    assert capsys.readouterr().out == "SIGTERM: saving, for up to 60 s …\n"


def test_a_loop_that_does_not_end_in_time_is_given_up():
    async def run():
        preemption.ask(lambda: None)
        terminate()
        await asyncio.sleep(60)

    preemption = Preemption(0.05)
    with pytest.raises(PreemptedError, match=r"no checkpoint was written within checkpoint\.preempt_timeout_s=0\.05 s"):
        asyncio.run(preemption.watch(run()))


def test_a_run_that_fails_after_the_signal_is_preempted_all_the_same():
    """Schedulers send the signal to every process of a job: an engine may be gone before the driver has saved."""

    async def run():
        asked = asyncio.Event()
        preemption.ask(asked.set)
        terminate()
        await asked.wait()
        assert preemption.signalled
        raise LearnerLostError("rank 1 died\nits last lines")

    preemption = Preemption(60)
    with pytest.raises(PreemptedError, match=r"preempted, and the run failed before it was saved \(rank 1 died\); the same command"):
        asyncio.run(preemption.watch(run()))


def test_a_failure_without_a_signal_stays_what_it_is():
    async def run():
        raise LearnerLostError("rank 1 died")

    with pytest.raises(LearnerLostError):
        asyncio.run(Preemption(60).watch(run()))


def test_a_cancellation_from_elsewhere_stays_one_and_the_former_handler_comes_back():
    async def run():
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(Preemption(60).watch(run()))
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
