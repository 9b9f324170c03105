"""A run folder belongs to one configuration and one driver, and holds only the surviving lineage."""

import asyncio
import fcntl
import json
import subprocess
import sys
from dataclasses import replace

import pytest

from toolrl.algo.advantage import trajectories
from toolrl.config.learning import AlgoConfig
from toolrl.config.load import load
from toolrl.config.schema import RlConfig
from toolrl.config.sft import SftConfig
from toolrl.errors import ConfigError, LearnerError, PlacementError, RunFolderError
from toolrl.monitor import rollouts, rundir
from toolrl.monitor.lines import JsonlSink, read_lines
from toolrl.monitor.rollouts import RolloutWriter
from toolrl.monitor.rundir import MAY_CHANGE, RunFolder, check
from toolrl.testing.fakes import as_trained
from toolrl.types import Batch, GroupRef, Reason, ScoredGroup, Verdict

ALGO = AlgoConfig(advantage_eps=0.0)
CONFIG = load(RlConfig, ["model.path=demo://start", "data.train=demo://train"])


def changed(section, **values):
    return replace(CONFIG, **{section: replace(getattr(CONFIG, section), **values)})


async def none_kept(handles):
    raise AssertionError(handles)


def fill(folder, versions):
    """Write a line and a rollout file for each version, as a run does."""
    sink = JsonlSink(folder.metrics)
    log = RolloutWriter(folder.rollouts, keep="share", fetch=none_kept, attempt=folder.attempt)
    for version in versions:
        sink.write(version, {"reward/mean": folder.attempt})
        if version:
            group = ScoredGroup(GroupRef(1, "p", 1, (1,), (0,), (False,), "e", 0.1, None), (Verdict(1.0, Reason.CORRECT),))
            batch = Batch(version - 1, trajectories(ALGO, [group], 0))
            asyncio.run(log.write(batch, as_trained(batch)))
    sink.close()


def versions(folder):
    return [line["version"] for line in read_lines(folder.metrics)], list(rollouts.files(folder.rollouts))


def test_a_new_folder_holds_its_configuration_and_the_versions_of_everything(tmp_path):
    with RunFolder(tmp_path / "runs" / "a", CONFIG) as folder:
        assert load(RlConfig, [str(folder.path / "config.yaml")]) == CONFIG
        (attempt,) = json.loads((folder.path / "versions.json").read_text())["attempts"]
        assert attempt["python"] == sys.version.split()[0]
        assert "numpy" in attempt["packages"]
        assert folder.attempt == 1


def test_a_resumed_folder_counts_its_attempts_and_what_was_changed(tmp_path):
    RunFolder(tmp_path, CONFIG).close()
    with RunFolder(tmp_path, changed("run", steps=7)) as folder:
        assert folder.attempt == 2
    attempts = json.loads((tmp_path / "versions.json").read_text())["attempts"]
    assert [a["changed"] for a in attempts] == [{}, {"run.steps": {"from": 100, "to": 7}}]
    assert check(tmp_path, changed("run", steps=7)) == {}


def test_a_resumed_run_has_the_same_reward(tmp_path):
    weighed = changed("reward", functions={"format": 0.2, "my.rewards:score": 1.0})
    RunFolder(tmp_path, weighed).close()
    assert check(tmp_path, weighed) == {}
    with pytest.raises(RunFolderError, match=r"reward.functions: the run has \{'format': 0.2, 'my.rewards:score': 1.0\}, got \{\}"):
        check(tmp_path, CONFIG)


def test_a_folder_of_another_configuration_is_refused_with_every_difference(tmp_path):
    RunFolder(tmp_path, CONFIG).close()
    before = sorted(path.name for path in tmp_path.iterdir())
    other = replace(changed("learner", lr=3e-4, minibatches=2), run=replace(CONFIG.run, seed=5, steps=3))
    for attempt in (check, RunFolder):
        with pytest.raises(RunFolderError) as caught:
            attempt(tmp_path, other)
        assert str(caught.value).splitlines()[1:] == [
            "  run.seed: the run has 0, got 5",
            "  learner.minibatches: the run has 1, got 2",
            "  learner.lr: the run has 1e-06, got 0.0003",
            "set them back as in its config.yaml to resume it; or name another run.dir",
        ]
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("run", {"dir": "elsewhere"}),
        ("monitor", {"wandb": "offline"}),
        ("eval", {"every": 3}),
        ("checkpoint", {"keep": 9}),
        ("cluster", {"num_cpus": 8}),
        ("engine", {"num": 4}),
        ("engine", {"sample_timeout_s": 5.0}),
        ("learner", {"step_timeout_s": 5.0}),
        ("learner", {"threads": 2}),
        ("learner", {"num_ranks": 4, "sequence_parallel": 2, "hpz_ranks": 2}),
        ("learner", {"persistent_elements": 0, "prefetch_elements": 5, "share_prompts": False}),
        ("model", {"attention": "sdpa", "liger": False}),
        ("loop", {"max_staleness": 2}),
        ("reward", {"workers": 5}),
        ("weights", {"timeout_s": 5.0}),
    ],
)
def test_how_fast_where_and_how_long_may_change(tmp_path, section, values):
    RunFolder(tmp_path, CONFIG).close()
    assert set(check(tmp_path, changed(section, **values))) == {f"{section}.{name}" for name in values}


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("data", {"train": "x"}),
        ("model", {"dtype": "float32"}),
        ("sampling", {"n": 4}),
        ("reward", {"mode": "paper"}),
        ("algo", {"kl_coef": 0.1}),
        ("learner", {"lora_rank": 8}),
        ("loop", {"refill": True}),
        ("loop", {"prompts_per_batch": 64}),
    ],
)
def test_what_is_learned_and_from_what_stays(tmp_path, section, values):
    RunFolder(tmp_path, CONFIG).close()
    with pytest.raises(RunFolderError, match=f"{section}.{next(iter(values))}"):
        check(tmp_path, changed(section, **values))


def test_every_pattern_of_settings_that_may_change_means_something():
    from fnmatch import fnmatch

    from toolrl.config.load import settings

    known = {**settings(RlConfig), **settings(SftConfig)}
    assert [pattern for pattern in MAY_CHANGE if not any(fnmatch(key, pattern) for key in known)] == []


def test_a_supervised_run_has_a_folder_of_its_own_kind(tmp_path):
    supervised = load(SftConfig, ["model.path=demo://blank", "data.train=demo://sft"])
    RunFolder(tmp_path / "sft", supervised).close()
    assert load(SftConfig, [str(tmp_path / "sft" / "config.yaml")]) == supervised
    longer = replace(supervised, loop=replace(supervised.loop, epochs=3.0), eval=replace(supervised.eval, every=7))
    assert set(check(tmp_path / "sft", longer)) == {"loop.epochs", "eval.every"}
    other = replace(supervised, data=replace(supervised.data, reasoning=False), eval=replace(supervised.eval, heldout="h"))
    with pytest.raises(RunFolderError, match=r"data\.reasoning: the run has True, got False(.|\n)*eval\.heldout: the run has '', got 'h'"):
        check(tmp_path / "sft", other)


def test_the_folder_of_another_command_is_told_by_its_name(tmp_path):
    supervised = load(SftConfig, ["model.path=demo://blank", "data.train=demo://sft"])
    RunFolder(tmp_path / "sft", supervised).close()
    RunFolder(tmp_path / "rl", CONFIG).close()
    with pytest.raises(RunFolderError, match=r"holds a run of `toolrl sft`: its config\.yaml has data\.copy_warmup_rows, "):
        check(tmp_path / "sft", CONFIG)
    with pytest.raises(RunFolderError, match=r"holds a run of `toolrl rl`: its config\.yaml has algo\.advantage, "):
        check(tmp_path / "rl", supervised)
    (tmp_path / "rl" / "config.yaml").write_text("run: {steps: 5, colour: red}\n")
    with pytest.raises(
        RunFolderError, match=r"holds a run of another version of toolrl: its config\.yaml has run\.colour; name another run\.dir"
    ):
        check(tmp_path / "rl", CONFIG)


def test_a_folder_of_something_else_is_refused_and_untouched(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(RunFolderError, match=r"holds no run, but thesis\.tex; name another folder"):
        RunFolder(tmp_path, CONFIG)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(RunFolderError, match="is a file"):
        RunFolder(tmp_path / "thesis.tex", CONFIG)


def test_an_unreadable_configuration_is_named(tmp_path):
    RunFolder(tmp_path, CONFIG).close()
    (tmp_path / "config.yaml").write_text("{ not yaml")
    with pytest.raises(RunFolderError, match=r"config\.yaml: not readable"):
        check(tmp_path, CONFIG)


def test_checking_writes_nothing(tmp_path):
    assert check(tmp_path / "new", CONFIG) == {}
    assert list(tmp_path.iterdir()) == []


def test_two_drivers_cannot_use_one_folder(tmp_path):
    code = (
        "import sys; from pathlib import Path; from toolrl.config.load import load; from toolrl.config.schema import RlConfig\n"
        "from toolrl.monitor.rundir import RunFolder\n"
        "folder = RunFolder(Path(sys.argv[1]), load(RlConfig, ['model.path=demo://start', 'data.train=demo://train']))\n"
        "print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "open\n"
        with pytest.raises(RunFolderError, match=rf"is in use by process {other.pid} on \S+; wait for it to end, or name another run\.dir"):
            RunFolder(tmp_path, CONFIG)
        other.kill()
    with RunFolder(tmp_path, CONFIG) as folder:  # the lock died with its process
        assert folder.attempt == 2


def test_closing_lets_the_next_driver_in(tmp_path):
    RunFolder(tmp_path, CONFIG).close()
    with (tmp_path / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_users_mistake_before_the_start_leaves_nothing_behind(tmp_path):
    for error in (PlacementError("two CPUs short"), ConfigError("no")):
        with pytest.raises(type(error)), RunFolder(tmp_path / "runs" / "a", CONFIG):
            raise error
        assert list(tmp_path.iterdir()) == []


def test_folders_that_were_there_stay(tmp_path):
    (tmp_path / "runs").mkdir()
    with pytest.raises(PlacementError), RunFolder(tmp_path / "runs" / "a", CONFIG):
        raise PlacementError("short")
    assert [path.name for path in tmp_path.rglob("*")] == ["runs"]


@pytest.mark.parametrize("error", [LearnerError("died"), PlacementError("short")])
def test_a_run_that_had_begun_is_kept_whatever_ends_it(tmp_path, error):
    def begin_and_fail():
        with RunFolder(tmp_path / "a", CONFIG) as folder:
            fill(folder, [0, 1])
            raise error

    with pytest.raises(type(error)):
        begin_and_fail()
    assert versions(RunFolder(tmp_path / "a", CONFIG)) == ([0, 1], [1])


def test_a_resumed_run_is_kept_when_its_user_errs(tmp_path):
    RunFolder(tmp_path / "a", CONFIG).close()
    with pytest.raises(PlacementError), RunFolder(tmp_path / "a", CONFIG):
        raise PlacementError("short")
    assert (tmp_path / "a" / "config.yaml").exists()


def test_what_lies_beyond_the_checkpoint_moves_to_discarded(tmp_path):
    with RunFolder(tmp_path, CONFIG) as folder:
        fill(folder, range(6))
    with RunFolder(tmp_path, CONFIG) as folder:
        assert folder.rewind(3) == tmp_path / "discarded" / "attempt-1"
        assert versions(folder) == ([0, 1, 2, 3], [1, 2, 3])
        fill(folder, [4, 5])
    with RunFolder(tmp_path, CONFIG) as folder:
        folder.rewind(4)
        assert versions(folder) == ([0, 1, 2, 3, 4], [1, 2, 3, 4])
    for attempt, gone in ((1, [4, 5]), (2, [5])):
        discarded = tmp_path / "discarded" / f"attempt-{attempt}"
        assert [line["version"] for line in read_lines(discarded / "metrics.jsonl")] == gone
        assert {line["reward/mean"] for line in read_lines(discarded / "metrics.jsonl")} == {attempt}
        assert list(rollouts.files(discarded)) == gone


def test_without_a_checkpoint_the_run_starts_anew_its_first_evaluation_included(tmp_path):
    with RunFolder(tmp_path, CONFIG) as folder:
        fill(folder, range(3))
    with RunFolder(tmp_path, CONFIG) as folder:
        folder.rewind(0)
        assert versions(folder) == ([], [])


def test_with_nothing_beyond_the_checkpoint_nothing_is_discarded(tmp_path):
    with RunFolder(tmp_path, CONFIG) as folder:
        assert folder.rewind(0) is None
        fill(folder, range(3))
        assert folder.rewind(2) is None
    assert not (tmp_path / "discarded").exists()


def test_a_crash_between_rollouts_and_metrics_leaves_nothing_beyond_the_checkpoint(tmp_path):
    with RunFolder(tmp_path, CONFIG) as folder:
        fill(folder, range(4))
        lines = folder.metrics.read_text().splitlines(keepends=True)
        folder.metrics.write_text("".join(lines[:3]) + lines[3][:9])  # version 3: file there, line torn
    with RunFolder(tmp_path, CONFIG) as folder:
        folder.rewind(2)
        fill(folder, [3])
        assert versions(folder) == ([0, 1, 2, 3], [1, 2, 3])


def test_files_that_a_crash_left_unfinished_are_cleared_away(tmp_path):
    with RunFolder(tmp_path, CONFIG) as folder:
        fill(folder, range(2))
        (folder.rollouts / ".version-000002.parquet.tmp").write_bytes(b"half")
    with RunFolder(tmp_path, CONFIG) as folder:
        folder.rewind(1)
        assert [path.name for path in folder.rollouts.iterdir()] == ["version-000001.parquet"]


def test_the_summary_is_written_whole(tmp_path):
    with RunFolder(tmp_path, CONFIG) as folder:
        folder.write_summary({"steps": 3})
        assert json.loads(folder.summary.read_text()) == {"steps": 3}


def test_a_resumed_run_cannot_show_the_model_another_prompt(tmp_path):
    with RunFolder(tmp_path, CONFIG) as folder:
        folder.keep("prompt.template", "one {tools}")
    with RunFolder(tmp_path, CONFIG) as folder:
        folder.keep("prompt.template", "one {tools}")
        with pytest.raises(RunFolderError, match=r"prompt\.template differs from what was given now"):
            folder.keep("prompt.template", "two {tools}")
        assert (tmp_path / "prompt.template").read_text() == "one {tools}"


def test_an_attempt_after_a_failure_counts_and_says_why_and_what_lay_beyond_its_checkpoint_is_moved(tmp_path):
    with RunFolder(tmp_path / "run", CONFIG) as folder:
        fill(folder, range(5))
        folder.begin_attempt("learner-1 died")
        assert folder.rewind(2) == folder.path / "discarded" / "attempt-1"
        fill(folder, (3, 4))
        assert versions(folder) == ([0, 1, 2, 3, 4], [1, 2, 3, 4])
        assert [line["reward/mean"] for line in read_lines(folder.metrics)] == [1, 1, 1, 2, 2]
        attempts = json.loads((folder.path / "versions.json").read_text())["attempts"]
        assert [(each["attempt"], each.get("after")) for each in attempts] == [(1, None), (2, "learner-1 died")]


def test_draws_that_are_left_out_are_remembered_over_attempts(tmp_path):
    with RunFolder(tmp_path / "run", CONFIG) as folder:
        assert folder.left_out() == {}
        folder.leave_out([6, 7], "not finite")
    with RunFolder(tmp_path / "run", CONFIG) as folder:
        folder.leave_out([12], "exploded")
        assert folder.left_out() == {6: "not finite", 7: "not finite", 12: "exploded"}
        (folder.path / "left_out.json").write_text("[1")
        with pytest.raises(RunFolderError, match=r"left_out\.json: not readable"):
            folder.left_out()


def test_a_batch_that_failed_is_kept_under_the_version_it_would_have_made_with_the_reason(tmp_path):
    with RunFolder(tmp_path / "run", CONFIG) as folder:
        log = RolloutWriter(folder.rollouts, keep="share", fetch=none_kept, attempt=folder.attempt)
        group = ScoredGroup(GroupRef(1, "p", 1, (1,), (0,), (False,), "e", 0.1, None), (Verdict(1.0, Reason.CORRECT),))
        asyncio.run(log.keep_failed(Batch(4, trajectories(ALGO, [group], 0)), "not finite"))
        kept = rollouts.read(folder.path / "discarded" / "attempt-1", ["version", "draw", "trained", "outcome", "outcome_reason"])
        assert kept.to_pylist() == [{"version": 5, "draw": 1, "trained": False, "outcome": "discarded", "outcome_reason": "not finite"}]
        assert not rollouts.files(folder.rollouts)


def test_a_resume_that_is_refused_over_a_kept_file_leaves_the_folder_as_it_was(tmp_path):
    RunFolder(tmp_path, CONFIG, {"prompt.template": "a"}).close()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    with pytest.raises(RunFolderError, match=r"prompt\.template differs from what was given now"):
        RunFolder(tmp_path, changed("run", steps=7), {"prompt.template": "b"})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_a_first_start_that_was_killed_at_once_keeps_nobody_out(tmp_path):
    for name in (".lock", ".config.yaml.tmp"):
        (tmp_path / name).write_text("half")
    with RunFolder(tmp_path, CONFIG) as folder:
        assert folder.attempt == 1


def test_what_a_resume_changes_is_recorded_before_it_is_in_force(tmp_path, monkeypatch):
    RunFolder(tmp_path, CONFIG).close()
    whole = rundir.replace_text

    def killed(path, text):
        if path.name == "config.yaml":
            raise KeyboardInterrupt
        whole(path, text)

    monkeypatch.setattr(rundir, "replace_text", killed)
    with pytest.raises(KeyboardInterrupt):
        RunFolder(tmp_path, changed("run", steps=7))
    attempts = json.loads((tmp_path / "versions.json").read_text())["attempts"]
    assert attempts[1]["changed"]["run.steps"]["to"] == 7


@pytest.mark.parametrize("content", ["[]", '{"attempts": 3}', "", "[" * 20_000])
def test_a_resume_over_damaged_attempts_writes_nothing(tmp_path, content):
    RunFolder(tmp_path, CONFIG).close()
    (tmp_path / "versions.json").write_text(content)
    before = (tmp_path / "config.yaml").read_text()
    with pytest.raises(RunFolderError, match=r"versions\.json: .*; put back the file"):
        RunFolder(tmp_path, changed("run", steps=7))
    assert ((tmp_path / "config.yaml").read_text(), (tmp_path / "versions.json").read_text()) == (before, content)


def test_a_summary_that_cannot_be_read_is_one_message(tmp_path):
    with RunFolder(tmp_path, CONFIG) as folder:
        folder.write_summary({"steps": 3})
        assert folder.read_summary() == {"steps": 3}
        folder.summary.write_text('{"steps": 3')
        with pytest.raises(RunFolderError, match=r"summary\.json: not readable as JSON .*; put back the file"):
            folder.read_summary()


def test_what_is_not_ready_ends_before_anything_is_written_and_leaves_the_folder_to_others(tmp_path):
    RunFolder(tmp_path, CONFIG).close()
    before = (tmp_path / "versions.json").read_bytes()

    def ready():
        raise RunFolderError("no whole checkpoint")

    with pytest.raises(RunFolderError, match="no whole checkpoint"):
        RunFolder(tmp_path, CONFIG, ready=ready)
    assert (tmp_path / "versions.json").read_bytes() == before
    RunFolder(tmp_path, CONFIG).close()
