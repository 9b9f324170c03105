"""`toolrl replay` from the command line on a real run: the loss share of a sample comes out as the run logged it."""

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from driver import Driver
from real_run import GROUP, PROMPTS, STEPS

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]
LAST = (STEPS - 1) * PROMPTS + 2
"""A draw of the last batch: its third optimizer step."""
TOLERANCE = 1e-5


def row(run, draw, sample):
    (path,) = (run / "rollouts").glob(f"version-{draw // PROMPTS + 1:06d}.parquet")
    return next(row for row in pq.read_table(path).to_pylist() if (row["draw"], row["sample"]) == (draw, sample))


def moving(run, draw):
    """A sample of the draw with a loss of its own, the heaviest."""
    return max(range(GROUP), key=lambda sample: abs(row(run, draw, sample)["loss_share"]))


@pytest.fixture(scope="module")
def replays(real_run, tmp_path_factory):
    """Two replays at once: (draw, sample) -> what it printed. The first starts from the start model, the other from a checkpoint."""
    folder = tmp_path_factory.mktemp("replays")
    before = sorted((str(path), path.stat().st_mtime_ns) for path in real_run.rglob("*"))
    samples = [(draw, moving(real_run, draw)) for draw in (1, LAST)]
    drivers = [Driver("replay", str(real_run), f"{d}:{s}", "--json", "cluster.num_cpus=2", log=folder / f"{d}.log") for d, s in samples]
    for driver in drivers:
        assert driver.wait() == 0, driver.log.read_text()
    assert sorted((str(path), path.stat().st_mtime_ns) for path in real_run.rglob("*")) == before
    return dict(zip(samples, (driver.log.read_text().splitlines() for driver in drivers), strict=True))


def test_a_replayed_loss_share_is_the_logged_one_and_every_batch_on_the_way_too(real_run, replays):
    for (draw, sample), said in replays.items():
        told = json.loads(said[-1])
        logged = row(real_run, draw, sample)["loss_share"]
        assert told["loss_share"]["logged"] == logged != 0
        assert told["loss_share"]["replayed"] == pytest.approx(logged, abs=TOLERANCE)
        assert told["advantage"]["replayed"] == pytest.approx(row(real_run, draw, sample)["advantage"], abs=TOLERANCE)
        assert all(check["max_difference"] <= TOLERANCE for check in told["replay"]["trained_again"])


def test_it_starts_from_the_newest_checkpoint_before_the_sample_and_takes_the_optimizer_steps_before_its_own(replays):
    first, last = (json.loads(said[-1]) for said in replays.values())
    assert (first["replay"]["checkpoint"], first["step"]["optimizer_step"]) == (None, 1)
    assert last["replay"]["checkpoint"] == f"version-{STEPS - 2:08d}"
    assert [check["version"] for check in last["replay"]["trained_again"]] == [STEPS - 1]
    assert (last["step"]["optimizer_step"], last["step"]["optimizer_steps"]) == (2, 4)
    assert last["tokens"]["logp"] != last["tokens"]["old_logp"]  # two optimizer steps of its batch came before


def test_every_token_is_told_as_it_was_sampled(real_run, replays):
    for (draw, sample), said in replays.items():
        told, stored = json.loads(said[-1]), row(real_run, draw, sample)
        assert told["tokens"]["id"] == stored["tokens"]
        assert told["tokens"]["engine_logp"] == stored["logprobs"]
        assert "".join(told["tokens"]["text"][: len(stored["tokens"]) - (stored["finish_reason"] == "stop")]) == stored["text"]
        assert sum(told["tokens"]["loss"]) == pytest.approx(told["loss_share"]["replayed"], abs=1e-6)
        assert max(abs(a - b) for a, b in zip(told["tokens"]["engine_logp"], told["tokens"]["old_logp"], strict=True)) < 1e-3
        assert 0 < told["gradient"]["norm"] <= 10 * told["gradient"]["step_norm"]


def test_progress_says_what_is_trained_again(replays):
    first, last = ("\n".join(said[:-1]) for said in replays.values())
    assert "from the start model: no batch to train before its own" in first
    assert f"from checkpoint version-{STEPS - 2:08d}: training 1 batch again before its own" in last
    assert f"version {STEPS - 1} trained again" in last
