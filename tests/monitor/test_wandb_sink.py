"""Weights & Biases without an account or a network."""

import json
import os
import subprocess
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from toolrl.monitor.rollouts import SCHEMA
from toolrl.monitor.tables import CHECKSUMS
from toolrl.monitor.wandb_sink import WandbSink

wandb = pytest.importorskip("wandb")


def rollout(folder):
    """A file of two groups of two completions."""
    folder.mkdir()
    row = dict.fromkeys(SCHEMA.names) | {
        "version": 2,
        "attempt": 1,
        "trained": True,
        "engine": "engine-0",
        "path": "",
        "expected": "",
        "got": "",
    }
    row |= {"format_right": True, "content_right": True, "num_tokens": 3, "finish_reason": "stop", "oldest_version": 1, "reason": "correct"}
    rows = [
        row | {"draw": draw, "sample": sample, "prompt_id": f"p{draw}", "text": f"said {draw}.{sample}", "reward": 1.0}
        for draw in (7, 8)
        for sample in (0, 1)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), folder / "version-000002.parquet", **CHECKSUMS)


class Dead:
    """Stands in for wandb whose service died after the start, for the module and its run."""

    Settings = staticmethod(dict)
    errors = wandb.errors
    id = "0123"

    def __init__(self):
        self.asked = []

    def init(self, **settings):
        return self

    def define_metric(self, *names, **settings):
        pass

    def __getattr__(self, name):
        def refuse(*arguments, **options):
            self.asked.append(name)
            raise BrokenPipeError("the service is gone")

        return refuse


def test_a_service_that_dies_ends_no_run_and_is_told_once(tmp_path, monkeypatch, caplog):
    dead = Dead()
    monkeypatch.setitem(sys.modules, "wandb", dead)
    (tmp_path / "final").mkdir()
    sink = WandbSink(tmp_path, project="toolrl", mode="offline", config={})
    for version in (1, 2):
        sink.write(version, {"reward/mean": 0.5})
    sink.close()
    assert dead.asked == ["log", "log", "Artifact", "finish", "teardown"]
    assert caplog.text.count("wandb was not told") == 1


@pytest.mark.stack  # starts wandb's own service process
def test_samples_configuration_and_artefacts_are_logged(tmp_path, monkeypatch):
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    run = tmp_path / "run"
    run.mkdir()
    sink = WandbSink(run, project="toolrl", mode="offline", config={"run": {"steps": 2}, "monitor": {"wandb": "offline"}})
    sink.write(1, {"reward/mean": 0.5})
    rollout(run / "rollouts")
    sink.write(2, {"reward/mean": 0.5, "heldout/reward": 0.75})
    for name in ("checkpoints/version-00000001", "checkpoints/version-00000002", "final"):
        (run / name).mkdir(parents=True)
        (run / name / "weights.safetensors").write_text("weights")
    sink.close()
    (table,) = run.glob("wandb/offline-run-*/files/media/table/samples_*.table.json")
    told = json.loads(table.read_text())
    assert [dict(zip(told["columns"], row, strict=True))["text"] for row in told["data"]] == ["said 7.0", "said 8.0"]
    (path,) = run.glob("wandb/offline-run-*/*.wandb")
    run_id = (run / "wandb" / "run-id").read_text()
    wanted = [f"checkpoint-{run_id}".encode(), (run / "checkpoints/version-00000002/weights.safetensors").as_uri().encode()]
    wanted += [f"model-{run_id}".encode(), (run / "final/weights.safetensors").as_uri().encode()]
    wanted.append(json.dumps({"steps": 2}, separators=(",", ":")).encode())
    end = time.monotonic() + 20  # wandb's service writes on for a moment after it has said that it has finished
    while (missing := [each for each in wanted if each not in path.read_bytes()]) and time.monotonic() < end:
        time.sleep(0.1)
    assert not missing
    assert b"version-00000001" not in path.read_bytes()


@pytest.mark.stack  # starts wandb's own service process
def test_offline_needs_no_account_and_a_resumed_run_is_the_same(tmp_path, monkeypatch):
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    keys = ["hub-key-of-the-tests", "endpoint-key-of-the-tests", "ray-key-of-the-tests"]
    for name, key in zip(("HF_TOKEN", "OPENAI_API_KEY", "RAY_AUTH_TOKEN"), keys, strict=True):
        monkeypatch.setenv(name, key)
    ids = set()
    for _ in range(2):
        sink = WandbSink(tmp_path, project="toolrl", mode="offline", config={"run": {"steps": 2}})
        sink.write(1, {"reward/mean": 0.5})
        sink.close()
        ids.add((tmp_path / "wandb" / "run-id").read_text())
    assert len(ids) == 1
    # wandb names a folder offline-run-DATE_TIME-ID, and puts -1, -2, … after it within the same second
    folders = sorted((tmp_path / "wandb").glob("offline-run-*"))
    assert len(folders) == 2
    assert {folder.name.split("-")[3] for folder in folders} == ids
    assert all(list(folder.glob("*.wandb")) for folder in folders)
    files = [path for path in (tmp_path / "wandb").rglob("*") if path.is_file()]
    assert not [path for path in files for key in keys if key.encode() in path.read_bytes()]


@pytest.mark.stack  # starts wandb's own service process
def test_the_end_of_the_cluster_leaves_no_traceback_of_wandb(tmp_path):
    code = (
        "import sys, pathlib; from toolrl.actors.reaper import reaped; from toolrl.monitor.wandb_sink import WandbSink\n"
        "with reaped():\n"
        "    sink = WandbSink(pathlib.Path(sys.argv[1]), project='toolrl', mode='offline', config={})\n"
        "    sink.write(1, {'reward/mean': 0.5})\n"
        "    sink.close()\n"
    )
    environment = {**os.environ, "HOME": str(tmp_path)}
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, env=environment)
    assert (ended.returncode, ended.stderr) == (0, "")
