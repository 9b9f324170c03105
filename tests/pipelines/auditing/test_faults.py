"""Every fault that is planted in the folder of a run is found, named once, and takes no other version down with it."""

import json
import re
import shutil

import pyarrow.parquet as pq
import pytest

from toolrl.checkpoint.store import CheckpointStore
from toolrl.types import RunState


def kinds(report):
    return {problem.kind for problem in report.findings.problems}


def trained_draw(run, tools, version):
    """A draw in the middle of the batch of a version."""
    rows = pq.read_table(tools.file(run, version)).to_pylist()
    trained = sorted({row["draw"] for row in rows if row["trained"]})
    return trained[1]


def rows_of(change, *, outcome="trained", sample=None):
    """Change the rows of the first draw that ended so."""

    def edit(rows):
        draw = next(row["draw"] for row in rows if row["outcome"] == outcome)
        for row in rows:
            if row["draw"] == draw and sample in (None, row["sample"]):
                row.update(change(row) if callable(change) else change)

    return edit


def test_a_run_that_was_rewound_and_resumed_is_clean(run, tools):
    """Draws: 24 trained; 10 of 39 are 1 mod 4, one of them in the batch that diverged; the prompt in quarantine was drawn 4 times."""
    report = tools.audited(run, deep=True)
    assert report.findings.problems == []
    assert report.findings.unfinished == []
    ledger = report.ledger
    assert ledger.draws == {"trained": 24, "dull": 9, "quarantined": 3, "discarded": 3}
    assert ledger.taken == 39 == sum(ledger.draws.values())
    assert ledger.rows == {outcome: 4 * count for outcome, count in ledger.draws.items()}
    assert ledger.discarded == {"loss not finite": 3}
    assert {number: (s.first, s.last) for number, s in ledger.attempts.items()} == {1: (1, 4), 2: (5, 6), 3: (7, 8)}
    assert [(each.attempt, [piece.version for piece in each.pieces]) for each in report.discarded] == [(1, [5])]
    assert report.standing == "ended"


def test_a_missing_draw(run, tools):
    draw = trained_draw(run, tools, 3)
    tools.rewrite(tools.file(run, 3), lambda rows: [row for row in rows if row["draw"] != draw])
    report = tools.audited(run)
    problem = next(problem for problem in report.findings.problems if problem.kind == "missing draw")
    assert (problem.version, problem.draw) == (3, draw)
    assert re.match(rf"version 3: draw {draw} missing, \d+ to \d+ were due", problem.message)
    assert kinds(report) == {"missing draw", "size", "metrics", "summary"}
    assert report.findings.counts["missing draw"] == 1


def test_a_draw_that_ends_twice(run, tools):
    again = [row | {"version": 5, "attempt": 2} for row in pq.read_table(tools.file(run, 2)).to_pylist() if row["trained"]][:4]
    tools.rewrite(tools.file(run, 5), lambda rows: again + rows)
    report = tools.audited(run)
    draw = again[0]["draw"]
    assert [(p.version, p.draw, p.message) for p in report.findings.problems if p.kind == "doubled draw"] == [
        (5, draw, f"version 5: draw {draw} again, version 2 has ended draw {draw} already")
    ]
    assert kinds(report) == {"doubled draw", "size", "metrics", "summary", "staleness"}


def test_two_versions_that_swapped_their_draws(run, tools):
    first, second = (tools.file(run, version) for version in (2, 3))
    rows = {path: pq.read_table(path).to_pylist() for path in (first, second)}
    tools.rewrite(first, lambda _: [row | {"version": 2} for row in rows[second]])
    tools.rewrite(second, lambda _: [row | {"version": 3} for row in rows[first]])
    assert {"missing draw", "doubled draw"} <= kinds(tools.audited(run))


def test_a_missing_version(run, tools):
    tools.file(run, 3).unlink()
    report = tools.audited(run)
    assert [(p.kind, p.version) for p in report.findings.problems] == [("missing version", 3), ("summary", None)]


def test_a_file_that_is_none(run, tools):
    tools.file(run, 3).write_bytes(b"PAR1 and no more")
    report = tools.audited(run)
    assert [(p.kind, p.version) for p in report.findings.problems] == [("broken file", 3), ("summary", None)]


def test_lines_missing_doubled_out_of_order_and_broken(run, tools):
    lines = [json.loads(text) for text in (run / "metrics.jsonl").read_text().splitlines()]
    for order, expected in (
        ([0, 1, 2, 4, 5, 6, 7, 8], ["version 3: no line in metrics.jsonl"]),
        ([1, 2, 3, 4, 5, 6, 7, 8], ["version 0: no line in metrics.jsonl"]),
        ([0, 1, 2, 3, 4, 3, 5, 6, 7, 8], ["version 3: has a second line in metrics.jsonl, line 6"]),
        ([0, 1, 3, 2, 4, 5, 6, 7, 8], ["version 2: its line in metrics.jsonl, line 4, stands after that of version 3"]),
    ):
        tools.write_lines(run, [lines[version] for version in order])
        report = tools.audited(run)
        messages = [p.message for p in report.findings.problems if p.kind not in {"summary", "checkpoint"}]
        assert messages == expected, order
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines[:4]) + "[]\n" + "")
    assert "metrics.jsonl, line 5: not the line of a version" in {p.message for p in tools.audited(run).findings.problems}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("loop/draws", 4.0), ("loop/completions", 11.0), ("loop/tokens", 1.0), ("loop/masked_completions", 9.0), ("reward/mean", 0.51),
        ("reward/std", None), ("reward/failed_share", 0.5), ("reward/reason/correct", 0.4), ("reward/reason/wrong_name", 0.1),
        ("loop/staleness_mean", 0.99), ("loop/staleness_max", 2.0), ("reward/format_right", 0.5), ("rollout/truncated_share", 0.9),
    ],
)  # fmt: skip
def test_a_line_that_says_other_than_its_rows(run, tools, name, value):
    tools.rewrite_line(run, 3, lambda line: line.update({name: value}))
    found = [p for p in tools.audited(run).findings.problems if p.kind != "summary"]
    assert [(p.kind, p.version) for p in found] == [("metrics", 3)]
    assert f"{name} {'none' if value is None else f'{value:.10g}'} where its rows have" in found[0].message


@pytest.mark.parametrize(
    ("version", "edit", "kind", "message"),
    [
        (6, rows_of({"oldest_version": 3}, sample=1), "staleness", "sample 1 was 2 versions old when it was trained, over loop.max_stal"),
        (6, rows_of({"oldest_version": 6}, sample=1), "staleness", "sample 1 was sampled by version 6, before there was one"),
        (6, rows_of({"seed": 7}, sample=2), "seed", "sample 2 has the seed 7, expected"),
        (6, rows_of({"prompt_id": "p77"}), "prompt", "asked the prompt 'p77', expected 'p"),
        (6, rows_of({"sample": 0}, sample=1), "sample", r"sample 1 of 4 is missing \(and 1 more of this version\)"),
        (6, rows_of({"sample": 9}, sample=1), "sample", r"sample 1 of 4 is missing \(and 1 more of this version\)"),
        (6, rows_of({"version": 5}), "version", "its rows say version 5"),
        (6, rows_of({"attempt": 1}, sample=1), "attempt", "rows of attempt 2 in a file of attempt 2"),
        (6, rows_of({"outcome": "dull"}, sample=1), "outcome", "2 ends: dull, in the batch, trained, in the batch"),
        (6, rows_of({"outcome": "lost"}), "outcome", "the outcome 'lost' is none"),
        (6, rows_of({"outcome": "dull"}), "outcome", "dull, and in the batch"),
        (6, rows_of({"outcome_reason": "tired"}), "outcome", "trained for the reason 'tired'"),
        (7, rows_of({"outcome": "trained"}, outcome="dull"), "outcome", "trained, and not in the batch"),
        (5, rows_of({"outcome_reason": None}, outcome="discarded"), "outcome", "discarded for the reason None"),
        (5, rows_of({"outcome_reason": "tired"}, outcome="discarded"), "left out", "discarded, and left_out.json does not say so"),
        (6, rows_of({"reason": "quarantined"}), "quarantine", "trained, and its verdicts say quarantined"),
        (6, rows_of({"reward": 1.0}), "dull", "trained, and its rewards agree, which loop.refill=true replaces"),
        (7, rows_of(lambda row: {"reward": row["sample"] / 4}, outcome="dull"), "dull", "dull, and its rewards differ"),
        (6, rows_of({"advantage": None}, sample=1), "advantage", "sample 1 has no advantage, and is trained"),
        (7, rows_of({"advantage": 0.5}, outcome="dull", sample=0), "advantage", "sample 0 has an advantage, and is dull"),
        (7, rows_of({"loss_share": 0.5}, outcome="dull", sample=0), "advantage", "sample 0 has a share of the loss, and is dull"),
        (6, rows_of({"reason": "bored"}, sample=1), "reason", "the reason 'bored' is none"),
    ],
)
def test_rows_that_cannot_be(run, tools, version, edit, kind, message):
    tools.rewrite(tools.file(run, version), edit)
    found = {p.kind: p for p in tools.audited(run).findings.problems}
    assert kind in found, found
    assert found[kind].version == version
    assert re.match(rf"version {version}, draw {found[kind].draw}: {message}", found[kind].message), found[kind].message


def test_a_file_of_an_attempt_that_there_was_not_or_that_was_over(run, tools):
    for attempt, message in (
        (9, "written by attempt 9, which versions.json"),
        (1, "version 6: written by attempt 1, after a version of att"),
    ):
        tools.rewrite(tools.file(run, 6), lambda rows, attempt=attempt: [row | {"attempt": attempt} for row in rows])
        assert any(message in p.message for p in tools.audited(run).findings.problems if p.kind == "attempt")


def test_a_draw_that_was_left_out_and_trained_all_the_same(run, tools):
    draw = trained_draw(run, tools, 6)
    known = json.loads((run / "left_out.json").read_text())
    (run / "left_out.json").write_text(json.dumps(known | {str(draw): "loss not finite"}))
    found = tools.audited(run).findings.problems
    assert [(p.kind, p.version, p.draw) for p in found] == [("left out", 6, draw)]


def test_dull_groups_of_a_run_that_replaces_none(run, tools):
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("refill: true", "refill: false"))
    report = tools.audited(run)
    assert kinds(report) == {"dull"}
    assert "loop.refill=false replaces none" in report.findings.problems[0].message


def test_the_bound_on_staleness_is_that_of_the_attempt(run, tools):
    """Attempt 1 ran under 1, and from attempt 2 on it was 0, which versions 5 to 8 do not keep; without the record none of them does."""
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("max_staleness: 1", "max_staleness: 0"))
    old = {p.version for p in tools.audited(run).findings.problems}
    versions = json.loads((run / "versions.json").read_text())
    versions["attempts"][1]["changed"] = {"loop.max_staleness": {"from": 1, "to": 0}}
    (run / "versions.json").write_text(json.dumps(versions))
    new = tools.audited(run).findings.problems
    assert {p.kind for p in new} == {"staleness"}
    assert {p.version for p in new} == {version for version in old if version > 4}
    assert {version for version in old if version <= 4}
    assert "over loop.max_staleness=0 of attempt 2" in new[0].message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"draws_taken": 30}, "checkpoints/version-00000006: draws_taken 30, the versions up to it have 31"),
        ({"optimizer_steps": 12}, "checkpoints/version-00000006: optimizer_steps 12, the versions up to it have 11"),
        ({"best_version": 3}, "checkpoints/version-00000006: best_version 3, the versions up to it have 6"),
        ({"best_heldout": 0.5}, "checkpoints/version-00000006: best_heldout 0.5, the versions up to it have 0.06"),
    ],
)
def test_a_checkpoint_that_says_otherwise(run, tools, changes, message):
    state = {"version": 6, "draws_taken": 31, "optimizer_steps": 11, "best_heldout": 0.06, "best_version": 6}
    later = {folder.name: folder.rename(run / folder.name) for folder in (run / "checkpoints").glob("version-0000000[78]")}
    CheckpointStore(run / "checkpoints", 99).write(RunState(**state | changes), tools.fill)
    for name, aside in later.items():
        aside.rename(run / "checkpoints" / name)
    found = tools.audited(run).findings
    assert [(p.kind, p.version, p.message) for p in found.problems] == [("checkpoint", 6, message)]


def test_a_checkpoint_beyond_the_run(run, tools):
    CheckpointStore(run / "checkpoints", 99).write(RunState(version=10, draws_taken=47), tools.fill)
    found = {p.message for p in tools.audited(run).findings.problems}
    assert "checkpoints/version-00000010: beyond version 8, the last one that anything tells of" in found


def test_a_damaged_checkpoint_is_told_where_it_matters(run, tools):
    weights = run / "checkpoints" / "version-00000008" / "weights"
    weights.write_bytes(b"v" * 100)
    assert tools.audited(run).clean  # nothing was read of it but its state
    found = tools.audited(run, deep=True).findings.problems
    assert [(p.kind, p.version) for p in found] == [("damaged checkpoint", 8)]
    assert "version-00000008: weights was changed or cut" in found[0].message


def test_a_damaged_checkpoint_of_a_lineage_that_was_left_is_no_problem(run, tools):
    state = run / "checkpoints" / "version-00000006" / "state.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"draws_taken": 30}))
    found = tools.audited(run).findings
    assert found.problems == []
    assert found.unfinished == [
        "checkpoints/version-00000006 is of a lineage that was left, since it is damaged; the next checkpoint removes it"
    ]


def test_the_best_weights_of_another_lineage(run, tools):
    CheckpointStore(run / "checkpoints", 99).write_best(RunState(version=7, draws_taken=35, best_heldout=0.9, best_version=7), tools.fill)
    assert [p.kind for p in tools.audited(run).findings.problems] == ["checkpoint"]


def test_what_survives_is_not_in_discarded_too(run, tools):
    shutil.copy(tools.file(run, 4), run / "discarded" / "attempt-1")
    messages = [p.message for p in tools.audited(run).findings.problems if p.kind == "twice"]
    assert messages == ["discarded/attempt-1: has version 4, and attempt 1 wrote version 4 of the run that survives"]


def test_discarded_draws_lie_right_beyond_the_checkpoint(run, tools):
    folder = run / "discarded" / "attempt-1"
    tools.rewrite(folder / "version-000005.parquet", lambda rows: [row | {"draw": row["draw"] + 1} for row in rows])
    assert [p.message for p in tools.audited(run).findings.problems] == [
        "discarded/attempt-1: version 5 begins with draw 20, and the run below it ends before draw 19"
    ]
    (folder / "version-000005.parquet").rename(folder / "version-000006.parquet")
    assert {p.message for p in tools.audited(run).findings.problems} == {
        "discarded/attempt-1: rows of version 5 in the file of version 6",
        "discarded/attempt-1: begins with version 6, and version 5 is nowhere",
    }


def test_discarded_lines_lie_beyond_the_checkpoint(run, tools):
    (run / "discarded" / "attempt-1" / "metrics.jsonl").write_text(json.dumps({"version": 4}) + "\n")
    found = tools.audited(run).findings.problems
    assert [p.message for p in found] == [
        "discarded/attempt-1: has the line of version 4, and the run has kept what was made up to version 4"
    ]


def test_a_folder_of_an_attempt_that_there_was_not(run, tools):
    (run / "discarded" / "attempt-9").mkdir()
    (run / "discarded" / "old").mkdir()
    assert [p.message for p in tools.audited(run).findings.problems] == [
        "discarded/old: the run had the attempts 1 to 3", "discarded/attempt-9: the run had the attempts 1 to 3",
    ]  # fmt: skip


def test_an_end_that_is_none(run, tools):
    shutil.rmtree(run / "checkpoints" / "version-00000008")
    found = tools.audited(run).findings.problems
    assert [p.message for p in found] == [
        "the run has ended, at different versions: summary.json 8, metrics.jsonl 8, rollouts/ 8, checkpoints/ 6"
    ]


def test_a_summary_that_counts_otherwise(run, tools):
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps(summary | {"completions": 95}))
    assert [p.kind for p in tools.audited(run).findings.problems] == ["summary"]


def test_numbers_gone_wrong_end_the_audit_of_nothing(run, tools):
    """A version or a draw of fifteen digits costs neither time nor memory."""
    lines = [json.loads(text) for text in (run / "metrics.jsonl").read_text().splitlines()]
    tools.write_lines(run, [*lines, {"version": 10**15}])
    shutil.copy(tools.file(run, 8), run / "rollouts" / "version-999999999.parquet")
    tools.rewrite(tools.file(run, 3), rows_of({"draw": 10**15}))
    report = tools.audited(run)
    assert {"version", "missing draw", "early draw", "seed"} <= kinds(report)
    assert {p.version for p in report.findings.problems if p.kind != "version"} == {3}


def test_prompts_that_cannot_be_read_are_one_problem(run, tools):
    (run / "prompts.parquet").unlink()
    found = tools.audited(run).findings.problems
    assert [p.kind for p in found] == ["prompts"]
