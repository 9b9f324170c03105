"""The fuzzer, shortened; `make fuzz` is the whole of it. And the fuzzer itself: what is planted is found and can be replayed."""

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from fuzzer import engine
from fuzzer.generators import GENERATORS
from fuzzer.strategies import each_text

HERE = Path(__file__).parent


def test_no_text_raises_or_is_over_its_deadline():
    tally = engine.Tally()
    engine.fuzz(engine.made_inputs(6000, seed=1), tally)
    each_text(200, 1, lambda text: engine.fuzz([engine.Input("hypothesis", text)], tally))
    assert not tally.findings, tally.findings[:3]
    assert tally.inputs.keys() == {*GENERATORS, "hypothesis"}


def test_the_fuzzer_reaches_every_kind_of_verdict():
    """Inputs that all break at the first tag would prove nothing about what lies behind it."""
    tally = engine.Tally()
    engine.fuzz(engine.made_inputs(1500, seed=2), tally)
    assert tally.outcomes["correct"] > 20
    assert len(tally.outcomes) > 20


def test_an_input_is_made_again_from_its_seed():
    assert list(engine.made_inputs(50, seed=3)) == list(engine.made_inputs(50, seed=3))


def test_an_exception_and_a_slow_answer_are_findings(tmp_path, monkeypatch):
    def broken(text):
        raise ValueError(f"planted \ud800 {text}")

    tally = engine.Tally()
    each = engine.Input("planted", "half a pair \ud800")
    engine.try_one(each, "broken", broken, tally)
    monkeypatch.setattr(engine, "DEADLINE_S", -1.0)
    engine.try_one(each, "slow", lambda text: "calls", tally)
    assert [(found.kind, found.target) for found in tally.findings] == [("exception", "broken"), ("too slow", "slow")]
    engine.write_findings(tmp_path / "found.jsonl", tally.findings)
    assert list(engine.read_findings(tmp_path / "found.jsonl")) == tally.findings


def test_the_command_replays_findings(tmp_path):
    file = tmp_path / "found.jsonl"
    engine.write_findings(file, [engine.Finding("exception", "parse", "planted", "", "half a pair \ud800")])
    command = [sys.executable, "-m", "fuzzer", "--replay", str(file)]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=HERE.parents[1], env={"PYTHONPATH": f"{HERE}:{HERE.parents[1]}"}, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "exceptions   0" in done.stdout
