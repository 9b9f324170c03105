"""Where a replay starts, what it trains again, and every reason why it cannot be made, found from the run folder alone."""

import json
from dataclasses import replace
from fcntl import LOCK_EX, flock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from toolrl.config.learning import AlgoConfig, LearnerConfig
from toolrl.config.load import to_yaml
from toolrl.errors import ConfigError, RunFolderError
from toolrl.monitor.outcomes import LEFT_OUT
from toolrl.pipelines.replaying.plan import plan


def entries(folder):
    return sorted((str(path), path.stat().st_mtime_ns) for path in folder.rglob("*"))


@pytest.mark.parametrize(
    ("checkpoints", "draw", "start", "again"),
    [
        ((1, 2, 3), 0, 0, []),  # the first batch: nothing before it
        ((1, 2, 3), 2, 1, []),  # right behind a checkpoint
        ((1,), 5, 1, [2]),  # the batch that made version 2 lies in between
        ((3,), 5, 0, [1, 2]),  # the only checkpoint is younger than the sample: from the start model
    ],
)
def test_a_replay_starts_from_the_newest_checkpoint_before_the_sample(run, checkpoints, draw, start, again):
    found = plan(run(checkpoints=checkpoints), f"{draw}:1")
    assert (found.start, list(found.again)) == (start, again)
    assert (found.checkpoint.name if found.checkpoint else None) == (f"version-{start:08d}" if start else None)
    assert found.version == draw // 2 + 1


def test_both_ways_to_write_a_sample_are_read(run):
    folder = run()
    assert plan(folder, "3:2").row == plan(folder, "3.2").row
    assert plan(folder, "3:2").row["text"] == "answer 3.2"


def test_the_opening_says_what_is_trained_again_and_how_long_the_run_took_for_it(run):
    said = plan(run(checkpoints=(1,)), "5:0").opening()
    assert "made version 3" in said
    assert "from checkpoint version-00000001: training 1 batch again before its own; the run took 10.0 s for them" in said  # 4 + 6


def test_a_damaged_checkpoint_is_passed_over_and_named(run):
    folder = run(checkpoints=(1, 2))
    (folder / "checkpoints" / "version-00000002" / "weights").write_bytes(b"x")
    found = plan(folder, "4:0")
    assert found.start == 1
    assert "version-00000002: weights was changed or cut" in found.notes[0]


def test_planning_changes_nothing_in_the_folder(run):
    folder = run()
    (folder / "checkpoints" / ".old-version-00000002").mkdir()  # what a crash left is for the run itself to mend
    before = entries(folder)
    plan(folder, "5:0")
    assert entries(folder) == before


@pytest.mark.parametrize(
    ("name", "message"),
    [("9:0", "no 9:0 in .*the draws 0 to 5"), ("0:3", "no 0:3 in .*the samples 0 to 2"), ("p0", "write DRAW:SAMPLE"), ("3", "as in 37:2")],
)
def test_a_sample_that_is_not_there_is_one_message(run, name, message):
    with pytest.raises(ConfigError, match=message):
        plan(run(), name)


@pytest.mark.parametrize("keep", ["share", "no_tokens"])
def test_without_every_token_of_the_batches_there_is_no_replay(run, keep):
    with pytest.raises(RunFolderError, match=r"version-000001\.parquet: kept without all of its tokens .*monitor\.rollouts=all"):
        plan(run(keep=keep), "1:0")


def test_a_replaced_sample_is_refused(run):
    with pytest.raises(ConfigError, match="2:0 was not trained: its group was dull and was replaced"):
        plan(run(dropped=(2,)), "2:0")


def test_a_sample_that_was_not_trained_is_refused_with_the_reason(run, made):
    masked = replace(made.config, algo=AlgoConfig(truncated="mask"))
    folder = run(config=masked, shares=lambda number: (0.5, None, None))
    with pytest.raises(ConfigError, match=r"0:2 was not trained: sampling\.max_tokens cut it short"):
        plan(folder, "0:2")
    with pytest.raises(ConfigError, match="0:1 was not trained: its optimizer step was skipped"):
        plan(folder, "0:1")
    assert plan(folder, "0:0").row["loss_share"] == 0.5


def test_a_run_in_progress_is_refused_by_the_name_of_its_driver(run):
    folder = run()
    with (folder / ".lock").open("w") as file:
        file.write("process 7 on here")
        file.flush()
        flock(file, LOCK_EX)
        with pytest.raises(RunFolderError, match=r"its run is in progress \(process 7 on here\)"):
            plan(folder, "0:0")
    assert plan(folder, "0:0").version == 1  # it has ended


def test_a_sample_of_a_batch_that_failed_is_reached_from_the_newest_checkpoint(run, failed, made):
    folder = run(checkpoints=(1,))
    (folder / "rollouts" / "version-000003.parquet").unlink()
    failed(folder, made.batch(3), "the gradient is not finite")
    found = plan(folder, "5:0", attempt=1)
    assert (found.version, found.failed, found.start, list(found.again)) == (3, True, 1, [2])
    assert found.files[2] == folder / "rollouts" / "version-000002.parquet"
    assert "in the batch that should have made version 3\nthe gradient is not finite\n" in found.opening()
    with pytest.raises(ConfigError, match="sample: no 5:0 in"):
        plan(folder, "5:0")


def test_a_sample_of_what_a_run_went_back_over_is_reached_by_the_batches_of_its_own_attempt(run, failed, made):
    """Attempt 1 made versions 1 and 2 and failed at 3; attempt 2 went on from checkpoint 1, and has a checkpoint 2 of its own."""
    folder = run(checkpoints=(1, 2), attempts=({}, {}), attempt_of=lambda version: min(version, 2))
    failed(folder, made.batch(3), "the gradient is not finite")
    lost = folder / "discarded" / "attempt-1" / "version-000002.parquet"
    rows = pq.read_table(folder / "rollouts" / lost.name)
    pq.write_table(rows.set_column(rows.column_names.index("attempt"), "attempt", pa.array([1] * len(rows), pa.int32())), lost)
    found = plan(folder, "5:0", attempt=1)
    assert (found.start, list(found.again)) == (1, [2])
    assert found.files[2] == lost
    of_version_2 = plan(folder, "3:0", attempt=1)
    assert (of_version_2.failed, of_version_2.start, of_version_2.row["attempt"]) == (False, 1, 1)
    with pytest.raises(RunFolderError, match=r"discarded/attempt-2: no rollouts there; discarded/attempt-1 was discarded"):
        plan(folder, "5:0", attempt=2)


@pytest.mark.parametrize("made_anew", [False, True])
def test_what_led_to_a_discarded_sample_and_was_made_anew_is_noted(run, failed, made, made_anew):
    """Attempt 1 failed at version 3; a later attempt fell back below version 2, and made that again, or did not."""
    folder = run(checkpoints=(1, 2), attempts=({}, {}, {}), attempt_of=lambda version: 3 if made_anew and version > 1 else 1)
    failed(folder, made.batch(3), "the gradient is not finite")
    found = plan(folder, "5:0", attempt=1)
    note = "version 2, below the sample's, was made anew by attempt 3: the replay begins with other weights than attempt 1"
    assert found.notes == ((note,) if made_anew else ())
    assert (f"\nnote: {note}" in found.opening()) == made_anew
    assert plan(folder, "5:0").notes == ()


def test_a_sample_that_was_left_out_says_where_it_can_be_replayed(run, failed, made):
    folder = run()
    file = failed(folder, made.batch(3), f"{LEFT_OUT}the gradient is not finite")
    file.rename(folder / "rollouts" / file.name)
    with pytest.raises(ConfigError, match=r"5:0 was not trained, but left out: the gradient is not finite; .*--attempt K"):
        plan(folder, "5:0")


def test_missing_rollouts_of_a_batch_in_between_are_named(run):
    folder = run(checkpoints=())
    (folder / "rollouts" / "version-000002.parquet").unlink()
    with pytest.raises(RunFolderError, match="no rollouts of version 2"):
        plan(folder, "5:0")
    assert plan(folder, "0:0").version == 1


def test_a_folder_that_is_no_run_or_lacks_a_file_is_one_message(run, tmp_path):
    with pytest.raises(RunFolderError, match="holds no run"):
        plan(tmp_path, "0:0")
    folder = run()
    (folder / "versions.json").unlink()
    with pytest.raises(RunFolderError, match=r"versions\.json: "):
        plan(folder, "0:0")


def test_rollouts_of_a_run_before_loss_shares_were_kept_are_refused(run):
    folder = run()
    for path in (folder / "rollouts").glob("*.parquet"):
        pq.write_table(pq.read_table(path).drop_columns(["loss_share"]), path)
    with pytest.raises(RunFolderError, match="no column loss_share"):
        plan(folder, "0:0")


def test_a_resumed_runs_sample_has_the_settings_of_its_own_attempt(run, made):
    """Attempt 2 doubled the steps, attempt 3 halved the micro-batches: version 3 is of attempt 2."""
    config = replace(
        made.config,
        run=replace(made.config.run, steps=60),
        learner=LearnerConfig(max_tokens_per_microbatch=8192, schedule="linear"),
    )
    attempts = (
        {},
        {"run.steps": {"from": 30, "to": 60}, "eval.every": {"from": 5, "to": 6}},
        {"learner.max_tokens_per_microbatch": {"from": 16384, "to": 8192}},
    )
    folder = run(config=config, attempts=attempts, checkpoints=(), attempt_of=lambda version: 2 if version == 3 else 1)
    found = plan(folder, "5:0")
    assert (found.config.run.steps, found.config.learner.max_tokens_per_microbatch) == (60, 16384)
    assert found.notes == ("versions 1 to 2 were trained by attempt 1 with run.steps=30, and are trained again with 60",)
    assert plan(folder, "0:0").config.run.steps == 30


def test_other_steps_are_no_matter_where_the_learning_rate_is_constant(run):
    attempts = ({}, {"run.steps": {"from": 30, "to": 60}})
    folder = run(attempts=attempts, checkpoints=(), attempt_of=lambda version: 2 if version == 3 else 1)
    assert plan(folder, "5:0").notes == ()


def test_a_kernel_that_a_resume_changed_is_the_one_of_the_samples_attempt(run, made):
    config = replace(made.config, learner=replace(made.config.learner, share_prompts=False))
    change = {"learner.share_prompts": {"from": True, "to": False}, "model.attention": {"from": "sdpa", "to": "auto"}}
    folder = run(config=config, attempts=({}, change), checkpoints=(), attempt_of=lambda version: 2 if version == 3 else 1)
    first, last = plan(folder, "0:0").config, plan(folder, "5:0").config
    assert (first.learner.share_prompts, first.model.attention) == (True, "sdpa")
    assert (last.learner.share_prompts, last.model.attention) == (False, "auto")


def test_only_what_it_runs_on_may_be_given(run):
    folder = run()
    found = plan(folder, "0:0", ("cluster.num_cpus=8", "model.path=/elsewhere"))
    assert (found.config.cluster.num_cpus, found.config.model.path) == (8, "/elsewhere")
    with pytest.raises(ConfigError, match=r"learner\.lr=1: a replay has its run's settings"):
        plan(folder, "0:0", ("learner.lr=1", "cluster.num_cpus=8"))


def test_a_colocated_run_is_replayed_by_its_learner_alone(run, made):
    config = replace(
        made.config,
        cluster=replace(made.config.cluster, colocated=True, device="cuda"),
        weights=replace(made.config.weights, backend="ipc"),
    )
    folder = run(config=config)
    assert json.loads((folder / "versions.json").read_text())["attempts"]
    assert "colocated: true" in to_yaml(config)
    assert plan(folder, "0:0").config.cluster.colocated is False
    assert plan(folder, "0:0", ("cluster.device=cpu",)).config.cluster.device == "cpu"
