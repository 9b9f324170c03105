"""A phase names who failed or is silent, and lets a party that has the same deadline say it better."""

import asyncio

import pytest

from toolrl.errors import DeadlineError, RolloutError, WeightSyncError
from toolrl.weights.phase import phase


def run(timeout_s, **parties):
    async def go():
        return await phase("push, pause", {name: party() for name, party in parties.items()}, timeout_s)

    return asyncio.run(go())


async def well():
    return 1


async def silent():
    await asyncio.sleep(60)


async def explains():
    await asyncio.sleep(0.5)
    raise RolloutError("engine-1 has died: killed; its last lines: …")


async def breaks():
    raise KeyError("odd")


def test_a_party_with_the_same_deadline_tells_more_than_its_name():
    with pytest.raises(RolloutError, match="its last lines"):
        run(0.5, a=well, b=explains)


def test_who_is_silent_or_failed_is_named():
    assert run(5.0, a=well, b=well) == {"a": 1, "b": 1}
    with pytest.raises(DeadlineError, match=r"push, pause: no answer from a, b within 0\.1 s"):
        run(0.1, b=silent, a=silent)
    with pytest.raises(WeightSyncError, match=r"push, pause: b failed: KeyError\('odd'\)"):
        run(5.0, a=silent, b=breaks)
