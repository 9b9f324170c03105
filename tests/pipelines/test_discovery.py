"""The file by which Prometheus finds a run."""

import json

from toolrl.pipelines import discovery
from toolrl.pipelines.discovery import DISCOVERY, Discovery


def test_the_file_names_every_node_and_is_gone_at_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(discovery, "endpoints", lambda: ["127.0.0.1:43211", "10.0.0.2:8080"])
    sink = Discovery(tmp_path)
    assert json.loads((tmp_path / DISCOVERY).read_text())[0]["targets"] == ["127.0.0.1:43211", "10.0.0.2:8080"]
    sink.close()
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_removed_hides_no_failure_of_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(discovery, "endpoints", list)
    (tmp_path / DISCOVERY).mkdir()
    Discovery(tmp_path).close()
