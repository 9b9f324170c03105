"""`toolrl audit RUN`: a page or JSON, and 0, 1 or 2."""

import json
import shutil
import sys

import pytest

from toolrl.cli.main import main


def test_the_page_of_a_clean_run(run, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    assert main(["audit", str(run)]) == 0
    out = capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before
    first, outcomes, attempts, discarded, last = out.split("\n\n")
    assert first.endswith("\nended: 8 versions, 39 draws, 156 completions")
    assert [line.split() for line in outcomes.splitlines()[1:]] == [
        ["trained", "24", "96"], ["dull", "9", "36"], ["quarantined", "3", "12"], ["discarded", "3", "12"],
        ["discarded:", "3", "for", "loss", "not", "finite"],
    ]  # fmt: skip
    assert [line[36:] for line in attempts.splitlines()[1:4]] == [
        "<= 1       versions 1 to 4     19",
        "<= 1       versions 5 to 6     12",
        "<= 1       versions 7 to 8      8",
    ]
    assert attempts.splitlines()[4:] == ["  attempt 2 came after: the gradient is not finite"]
    assert discarded.splitlines()[1:] == ["  discarded/attempt-1  version 5  draws 19 to 22  16 completions  0 lines"]
    assert last == "clean: every draw of the surviving lineage has ended once, and metrics, checkpoints and discarded\nfiles agree\n"


def test_the_page_of_a_run_with_problems(run, tools, capsys):
    tools.file(run, 3).unlink()
    (run / "summary.json").unlink()
    shutil.rmtree(run / "checkpoints" / "version-00000008")
    assert main(["audit", str(run)]) == 1
    out = capsys.readouterr().out
    assert out.splitlines()[1] == "not ended: 8 versions, 39 draws, 132 completions"
    assert "unfinished, which is no problem:\n  versions 7 to 8 are beyond the newest checkpoint, version 6" in out
    assert out.endswith("1 problem:\n  version 3: no file in rollouts/\n")
    assert "clean" not in out


def test_many_problems_are_counted(run, tools, capsys):
    lines = [json.loads(text) for text in (run / "metrics.jsonl").read_text().splitlines()]
    tools.write_lines(run, [*lines, *([lines[3]] * 250)])
    assert main(["audit", str(run)]) == 1
    out = capsys.readouterr().out
    assert "250 problems:\n  version 3: has a second line in metrics.jsonl, line 10\n" in out
    assert out.endswith("  … and 210 more; of each kind: doubled line 250\n")
    assert main(["audit", str(run), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (len(told["problems"]), told["problem_counts"]) == (100, {"doubled line": 250})


def test_the_report_for_a_program(run, tools, capsys):
    tools.rewrite(tools.file(run, 6), lambda rows: [row | {"seed": 1} if i == 0 else row for i, row in enumerate(rows)])
    assert main(["audit", str(run), "--json", "--deep"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["clean"], told["standing"], told["versions"], told["draws"], told["best"]) == (False, "ended", 8, 39, 8)
    assert told["outcomes"]["discarded"] == {"draws": 3, "completions": 12}
    assert told["checkpoints"] == [2, 3, 4, 6, 8]
    assert [attempt["survives"] for attempt in told["attempts"]] == [
        {"first": 1, "last": 4, "draws": 19}, {"first": 5, "last": 6, "draws": 12}, {"first": 7, "last": 8, "draws": 8},
    ]  # fmt: skip
    assert [(p["kind"], p["version"], p["draw"]) for p in told["problems"]] == [("seed", 6, 27)]


@pytest.mark.parametrize("option", ["--rows=3", "--part=heldout", "--mode=paper", "--no-call=list", "--functions=binary=1"])
def test_a_run_takes_no_option_of_data(run, capsys, option):
    assert main(["audit", str(run), option]) == 2
    assert f"{option.partition('=')[0]}: {run} is a run" in capsys.readouterr().err


def test_data_takes_no_option_of_a_run(capsys):
    assert main(["audit", "demo://heldout", "--deep"]) == 2
    assert "--deep: demo://heldout is no run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.yaml", None, "holds no run of `toolrl rl` (no config.yaml)"),
        ("config.yaml", "run: [", "config.yaml"),
        ("versions.json", None, "holds no run of `toolrl rl` (no versions.json)"),
        ("versions.json", '{"attempts": [{"attempt": 1}]}', "versions.json: not readable"),
        ("left_out.json", "[]", "left_out.json: expected an object"),
        ("left_out.json", '{"first": "not finite"}', "left_out.json: not draws by number"),
        ("summary.json", "[]", "summary.json: expected an object"),
        ("demonstrations.digest", "", "a run of `toolrl sft`, which draws nothing"),
    ],
)
def test_what_cannot_be_audited_at_all_is_a_mistake(run, capsys, name, content, message):
    (run / name).unlink() if content is None else (run / name).write_text(content)
    assert main(["audit", str(run)]) == 2
    err = capsys.readouterr().err
    assert err.count("toolrl: ") == 1
    assert message in err


def test_an_audit_needs_no_torch(run):
    import subprocess

    code = f"import sys; from toolrl.cli.main import main; main(['audit', {str(run)!r}]); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
