"""What may lie ahead of what: a run that was killed at any moment, or goes on now, has no problem, and has none when it has ended."""

import fcntl
import itertools
import json
import shutil
import time

import pytest

from toolrl.errors import DivergedError
from toolrl.pipelines import audit_run
from toolrl.pipelines.auditing import files
from toolrl.pipelines.auditing.findings import Findings

MOMENTS = [
    *itertools.product(("step", "publish", "commit", "log", "logged", "metrics", "told"), (1, 2, 5)),
    *itertools.product(("evaluate",), (3, 6)), *itertools.product(("save", "save best", "saved"), (2, 3, 4)),
    ("sample", 0), ("score", 9), ("publish", 0), ("evaluate", 0), ("metrics", 0), ("told", 0),
]  # fmt: skip
"""Parts of the loop that are about to do something, and with which version or draw."""


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: " ".join(map(str, moment)))
def test_a_run_killed_at_any_moment_is_clean_then_and_in_the_end(tmp_path, tools, moment):
    run = tmp_path / "run"
    assert not tools.start(run, failures={moment: tools.killed("killed")})
    killed = tools.audited(run, deep=True)
    assert killed.findings.problems == []
    assert killed.standing == "not ended"
    assert tools.start(run, seed=3)
    ended = tools.audited(run, deep=True)
    assert ended.findings.problems == []
    assert ended.findings.unfinished == []
    assert ended.ledger.draws["trained"] == 24


@pytest.mark.parametrize("seed", range(2))
def test_a_run_killed_again_and_again_is_clean(tmp_path, tools, seed):
    """Under a staleness that changes from start to start."""
    run, random = tmp_path / "run", tools.random(seed)
    for life in (random.randrange(1, 120) for _ in range(8)):
        tools.start(run, tools.with_staleness(random.randrange(3)), seed=life, life=life)
        assert tools.audited(run, deep=True).findings.problems == [], life
    tools.start(run, seed=99)
    report = tools.audited(run, deep=True)
    assert report.findings.problems == []
    assert report.standing == "ended"
    assert len(report.rules.attempts) == 9


def test_a_run_that_stopped_over_a_batch_that_diverged_is_clean(tmp_path, tools):
    run = tmp_path / "run"
    assert not tools.start(run, failures={("step", 4): DivergedError("nan")}, then={("publish", 4): tools.killed("killed")})
    report = tools.audited(run)
    assert report.findings.problems == []
    assert [(each.attempt, [piece.version for piece in each.pieces]) for each in report.discarded] == [(1, [5])]


@pytest.fixture
def cut(run):
    """The run as it was before its summary and its last checkpoint were written."""
    (run / "summary.json").unlink()
    shutil.rmtree(run / "checkpoints" / "version-00000008")
    shutil.rmtree(run / "checkpoints" / "best")
    shutil.copytree(run / "checkpoints" / "version-00000006", run / "checkpoints" / "best")
    return run


def told(report):
    return [text for text in report.findings.unfinished if "beyond the newest checkpoint" not in text]


def lines_of(run):
    return [json.loads(text) for text in (run / "metrics.jsonl").read_text().splitlines()]


def test_what_is_beyond_the_newest_checkpoint_is_unfinished(cut, tools):
    report = tools.audited(cut)
    assert report.findings.problems == []
    assert report.findings.unfinished == [
        "versions 7 to 8 are beyond the newest checkpoint, version 6: a resume moves that to discarded/attempt-3 and makes it again"
    ]


def test_rollouts_may_be_one_version_ahead_and_no_more(cut, tools):
    lines = lines_of(cut)
    tools.write_lines(cut, lines[:-1])
    report = tools.audited(cut)
    assert report.findings.problems == []
    assert told(report) == ["the rollouts of version 8 are there, and the version was still being measured"]
    tools.write_lines(cut, lines[:-2])
    assert [p.message for p in tools.audited(cut).findings.problems] == [
        "version 7: no line in metrics.jsonl", "version 8: no line in metrics.jsonl",
    ]  # fmt: skip


def test_a_line_may_be_one_version_ahead_and_no_more(cut, tools):
    tools.file(cut, 8).rename(cut / "rollouts" / ".version-000008.parquet.tmp")
    report = tools.audited(cut)
    assert report.findings.problems == []
    assert told(report) == [
        "rollouts/.version-000008.parquet.tmp is not complete, and is not read",
        "version 8 is in metrics.jsonl, and its rollouts were still being written",
    ]
    tools.file(cut, 7).unlink()
    assert [p.message for p in tools.audited(cut).findings.problems] == [
        "version 7: no file in rollouts/", "version 8: no file in rollouts/",
    ]  # fmt: skip


def test_nothing_may_be_missing_below_the_newest_checkpoint(cut, tools):
    for version in (6, 7, 8):
        tools.file(cut, version).unlink()
    tools.write_lines(cut, lines_of(cut)[:7])
    report = tools.audited(cut)  # the line of version 6 is one ahead, but a checkpoint comes after its rollouts
    assert [p.message for p in report.findings.problems] == ["version 6: no file in rollouts/"]


def test_a_torn_line_is_not_read(cut, tools):
    text = (cut / "metrics.jsonl").read_text()
    (cut / "metrics.jsonl").write_text(text[:-20])
    report = tools.audited(cut)
    assert report.findings.problems == []
    assert "the last line of metrics.jsonl is torn, and is not read" in told(report)


def test_a_checkpoint_without_its_mark_is_not_read(cut, tools):
    (cut / "checkpoints" / "version-00000008").mkdir()
    report = tools.audited(cut)
    assert report.findings.problems == []
    assert told(report) == ["checkpoints/version-00000008 has no mark: it is not complete, and is not read"]


def test_a_rewind_that_was_cut_short_is_ended_by_the_next(cut, tools):
    versions = json.loads((cut / "versions.json").read_text())
    fourth = versions["attempts"][-1] | {"attempt": 4}
    (cut / "versions.json").write_text(json.dumps({"attempts": [*versions["attempts"], fourth]}))
    moved = cut / "discarded" / "attempt-3"
    moved.mkdir()
    tools.file(cut, 7).rename(moved / "version-000007.parquet")
    report = tools.audited(cut)
    assert report.findings.problems == []
    assert told(report) == ["attempt 4 was rewinding the run to version 6: the next start ends that"]
    tools.file(cut, 8).rename(moved / "version-000008.parquet")
    assert tools.audited(cut).findings.problems == []
    assert tools.start(cut, seed=3)
    report = tools.audited(cut, deep=True)
    assert report.findings.problems == []
    assert [(each.attempt, [piece.version for piece in each.pieces], each.lines) for each in report.discarded] == [
        (1, [5], ()), (3, [7, 8], ()), (4, [], (7, 8)),
    ]  # fmt: skip
    (moved / "version-000007.parquet").unlink()
    assert [p.message for p in tools.audited(cut).findings.problems] == [
        "discarded/attempt-3: begins with version 8, and version 7 is nowhere"
    ]


def test_a_run_in_progress_is_seen_as_it_would_be_had_it_been_killed(cut, tools):
    with (cut / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("process 7 on host")
        lock.flush()
        tools.write_lines(cut, lines_of(cut)[:-2])  # what was written after the line of version 6 was looked at is not counted
        report = tools.audited(cut)
    assert report.findings.problems == []
    assert report.standing == "in progress"
    assert told(report) == [
        "in progress (process 7 on host): this is a moment of it",
        "the rollouts of version 7 are there, and the version was still being measured",
    ]


@pytest.fixture
def in_progress(run):
    """A driver has the run, which has just ended but for its summary; nothing says so yet."""
    (run / "summary.json").unlink()
    with (run / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield run


@pytest.fixture
def meanwhile(monkeypatch):
    """Do something just before a part of the audit begins."""

    def before(part, act):
        original = getattr(audit_run, part, None) or getattr(files, part)
        module = audit_run if hasattr(audit_run, part) else files

        def first(*args, **options):
            act()
            return original(*args, **options)

        monkeypatch.setattr(module, part, first)

    return before


@pytest.mark.parametrize("gone", [lambda path: shutil.rmtree(path), lambda path: (path / "COMPLETE").unlink()])
def test_a_checkpoint_that_a_driver_prunes_meanwhile_is_not_damaged(in_progress, tools, meanwhile, gone):
    meanwhile("check_checkpoints", lambda: gone(in_progress / "checkpoints" / "version-00000002"))
    assert tools.audited(in_progress, deep=True).findings.problems == []


def test_best_weights_that_a_driver_replaces_meanwhile_are_not_damaged(in_progress, tools, monkeypatch):
    """The new ones are there when the files of the old ones have been read."""
    best, read = in_progress / "checkpoints" / "best", files.Saved.damage
    state = json.loads((best / "state.json").read_text())

    def replaced_while_read(saved):
        damage = read(saved)
        if saved.path == best:
            (best / "state.json").write_text(json.dumps(state | {"version": 9}))
            return damage or "weights was changed or cut"
        return damage

    monkeypatch.setattr(files.Saved, "damage", replaced_while_read)
    assert tools.audited(in_progress, deep=True).findings.problems == []


def test_one_that_is_damaged_under_a_driver_is_told(in_progress, tools):
    (in_progress / "checkpoints" / "version-00000002" / "weights").write_bytes(b"v" * 100)
    assert [(p.kind, p.version) for p in tools.audited(in_progress, deep=True).findings.problems] == [("damaged checkpoint", 2)]


def test_a_run_that_ends_while_it_is_looked_at_has_not_ended(in_progress, tools, meanwhile):
    """The checkpoint of version 8 and the summary are written when the checkpoints have been looked at."""
    last, aside = in_progress / "checkpoints" / "version-00000008", in_progress / "aside"
    last.rename(aside)

    def end():
        if aside.exists():
            aside.rename(last)
            (in_progress / "summary.json").write_text('{"steps": 8}')

    meanwhile("MetricLines", end)
    report = tools.audited(in_progress)
    assert (report.findings.problems, report.standing) == ([], "in progress")


def test_a_run_of_many_versions_is_looked_at_in_no_time(tmp_path):
    """The newest line is known, and not looked for again with every version: 10,000 of them took seconds."""
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(f'{{"version": {version}}}\n' for version in range(10_000)))
    with files.MetricLines(path, Findings()) as lines:
        start = time.process_time()
        assert {lines.newest for _ in range(10_000)} == {9_999}
        assert time.process_time() - start < 0.5


def test_a_run_that_has_just_begun_is_clean(cut, tools):
    for name in ("rollouts", "discarded", "checkpoints"):
        shutil.rmtree(cut / name)
    (cut / "metrics.jsonl").unlink()
    (cut / "left_out.json").unlink()
    report = tools.audited(cut)
    assert (report.findings.problems, report.findings.unfinished, report.extent.last, report.ledger.taken) == ([], [], 0, 0)
