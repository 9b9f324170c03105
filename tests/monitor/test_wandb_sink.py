"""Weights & Biases without an account or a network."""

import pytest

from toolrl.monitor.wandb_sink import WandbSink

pytest.importorskip("wandb")


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
