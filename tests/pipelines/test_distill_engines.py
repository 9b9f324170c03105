"""`toolrl distill` from a checkpoint of our own, with a real engine."""

import json
import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from driver import Driver

from toolrl.cli.main import main
from toolrl.data.demonstrations import load_demonstrations
from toolrl.data.source import load_prompts
from toolrl.reward.verifier import make_verifier
from toolrl.types import Reason

DATA = "demo://train?rows=40"
SETTINGS = (
    "distill", "model.path=demo://start", "model.dtype=float32", f"data.train={DATA}", "data.keep=first", "sampling.n=3",
    "sampling.temperature=1", "sampling.max_tokens=96", "engine.max_model_len=1024", "engine.kv_cache_gib=0.125", "engine.threads=1",
)  # fmt: skip


@pytest.mark.stack
def test_a_checkpoint_of_ours_teaches_what_the_verifier_calls_right(tmp_path, capsys):
    folder = tmp_path / "d"
    driver = Driver(*SETTINGS, f"run.dir={folder}", log=tmp_path / "log")
    assert driver.wait() == 0, driver.log.read_text()
    _, *lines = map(json.loads, (folder / "replies.jsonl").read_text().splitlines())
    asked = Counter((row["id"], row["sample"]) for row in lines)
    prompts = {prompt.id: prompt for prompt in load_prompts(DATA)}
    assert set(asked.values()) == {1}
    assert {key for key in asked if key[1] == 0} == {(name, 0) for name in prompts}
    verifier = make_verifier("strict")
    right = {(row["id"], row["sample"]) for row in lines if verifier(prompts[row["id"]], row["text"]).reason is Reason.CORRECT}
    assert len({name for name, _ in right}) == len(right) > 20, "after a right one none is asked"
    kept = load_demonstrations(str(folder / "demonstrations.jsonl"))
    assert [prompt for prompt, _ in kept] == [prompt for prompt in prompts.values() if any(key[0] == prompt.id for key in right)]
    assert all(verifier(prompt, text).reward == 1 for prompt, text in kept)
    assert main([*SETTINGS, f"run.dir={folder}", "--json"]) == 0, "one that has ended starts no engine"
    assert json.loads(capsys.readouterr().out)["samples"] == len(lines)
