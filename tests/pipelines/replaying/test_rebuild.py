"""A rebuilt batch is the batch: groups, order, advantages, what was replaced; anything else is damage, by name."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from toolrl.config.learning import AlgoConfig
from toolrl.errors import RunFolderError
from toolrl.monitor.outcomes import LEFT_OUT
from toolrl.monitor.rollouts import SCHEMA, files
from toolrl.pipelines.replaying.rebuild import rebuild
from toolrl.pipelines.review.stored import open_run
from toolrl.types import Batch


def same(ours, theirs):
    """Equality of groups, arrays by their values and types."""
    assert (ours.draw.number, ours.draw.prompt, ours.draw.seed) == (theirs.draw.number, theirs.draw.prompt, theirs.draw.seed)
    assert ours.draw.token_ids.dtype == theirs.draw.token_ids.dtype
    np.testing.assert_array_equal(ours.draw.token_ids, theirs.draw.token_ids)
    for a, b in zip(ours.completions, theirs.completions, strict=True):
        assert (a.text, a.finish_reason, a.seed, a.spans) == (b.text, b.finish_reason, b.seed, b.spans)
        for name in ("token_ids", "logprobs", "loss_mask"):
            assert getattr(a, name).dtype == getattr(b, name).dtype
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def file_of(opened, version):
    return files(opened.rollouts)[version]


def described(scored):
    return replace(scored, group=replace(scored.group, handle=None))


@pytest.mark.parametrize("version", [1, 3])
def test_a_rebuilt_batch_is_the_one_that_was_trained(run, made, version):
    groups = {}
    opened = open_run(run())
    batch, stored = rebuild(opened, made.config, file_of(opened, version), lambda group: groups.setdefault(group.draw.number, group))
    expected = made.batch(version)
    assert batch.version == version - 1
    assert [t.advantages for t in batch.trajectories] == [t.advantages for t in expected.trajectories]
    assert [described(t.scored) for t in batch.trajectories] == [described(t.scored) for t in expected.trajectories]
    for trajectory in batch.trajectories:
        same(trajectory.scored.group.handle, made.group(trajectory.scored.group.draw))
    assert {draw: group.loss_shares for draw, group in stored.items()} == {draw: made.loss_shares(draw) for draw in stored}


def test_a_replaced_group_is_no_part_of_what_is_trained(run, made):
    config = replace(made.config, loop=replace(made.config.loop, prompts_per_batch=1))
    opened = open_run(run(config=config, dropped=(0, 2, 4)))
    batch, stored = rebuild(opened, config, file_of(opened, 1), lambda group: group)
    assert [t.scored.group.draw for t in batch.trajectories] == [1] == list(stored)
    assert [scored.group.draw for scored in batch.dropped] == [0]


def test_a_batch_that_failed_is_rebuilt_without_what_it_replaced_or_left_out_before(run, failed, made):
    config = replace(made.config, loop=replace(made.config.loop, prompts_per_batch=1))
    batch = Batch(2, made.batch(3, dropped=(4,)).trajectories, (), ((made.scored(4), f"{LEFT_OUT}not finite"),))
    file = failed(run(config=config, dropped=(0, 2, 4)), batch, "not finite")
    rebuilt, stored = rebuild(open_run(file.parents[2], 1), config, file, lambda group: group)
    assert (rebuilt.version, [t.scored.group.draw for t in rebuilt.trajectories]) == (2, [5])
    assert rebuilt.trajectories[0].advantages == batch.trajectories[0].advantages
    assert stored[5].loss_shares == (None, None, None)


def rewritten(folder, version, change):
    path = folder / "rollouts" / f"version-{version:06d}.parquet"
    rows = pq.read_table(path).to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), path)
    return open_run(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.pop(1), r"draw 0 has 2 rows, expected the samples 0 to 2"),
        (lambda rows: rows.__delitem__(slice(3, 6)), r"got 1 groups of the batch, expected 2"),
        (lambda rows: rows[4].update(tokens=[1]), r"1\.1 has 1 tokens and 2 log-probabilities, expected 2 of each"),
        (lambda rows: rows[0].update(advantage=0.25), r"0\.0 has the advantage 0\.25, and its group's rewards make 0\.99"),
        (lambda rows: rows[0].update(reward=0.0), r"0\.0 has the advantage .* the file was changed"),
        (lambda rows: [row.update(prompt_id="p99") for row in rows[:3]], r"prompts\.parquet: no tokens of the prompt 'p99'"),
    ],
)
def test_damage_is_named(run, made, change, message):
    opened = rewritten(run(), 1, change)
    with pytest.raises(RunFolderError, match=message):
        rebuild(opened, made.config, file_of(opened, 1), lambda group: group)


def test_with_the_kl_penalty_in_the_reward_stored_advantages_are_left_to_the_learner(run, made):
    config = replace(made.config, algo=AlgoConfig(kl_coef=0.1, kl_in="reward"))
    opened = rewritten(run(config=config), 1, lambda rows: rows[0].update(advantage=0.25))
    batch, stored = rebuild(opened, config, file_of(opened, 1), lambda group: group)
    assert batch.trajectories[0].advantages[0] != 0.25 == stored[0].advantages[0]
