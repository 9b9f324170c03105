"""A real Prometheus scrapes a real run: what the Grafana dashboard names is there. And the trace of a version, from real actors."""

import json
import shutil
import subprocess
import sys
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
sys.path += [str(ROOT / "tests" / "pipelines"), str(ROOT / "tests" / "monitor")]

from driver import Driver, wait_until  # noqa: E402
from test_grafana import PANELS, names_in, queries  # noqa: E402

from toolrl.pipelines.serve import free_port  # noqa: E402

RUN_S = 600
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(2 * RUN_S + 60),
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="no Prometheus: apt-get install prometheus"),
]

ONLY_ON_GPU = {"ray_toolrl_learner_mfu_ratio", "ray_toolrl_actor_gpu_memory_bytes"}
SETTINGS = (
    "conf/demo.yaml", "run.steps=24", "eval.every=12", "eval.prompts=32", "checkpoint.every=2", "algo.kl_coef=0.01", "monitor.trace=2,4-5",
)  # fmt: skip


class Prometheus:
    """Our configuration, reading the run in `run`, on loopback."""

    def __init__(self, folder, run):
        config = yaml.safe_load((ROOT / "cluster" / "prometheus.yml").read_text())
        (job,) = config["scrape_configs"]
        (found,) = job["file_sd_configs"]
        assert any(name.startswith("../runs/") for name in found["files"])
        found["files"] = [str(run / "prom_metrics_service_discovery.json")]
        config["global"]["scrape_interval"] = "2s"
        config["global"]["scrape_timeout"] = "2s"
        folder.mkdir()
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        self._address = f"127.0.0.1:{free_port('127.0.0.1', 0)}"
        command = [
            "prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={self._address}",
        ]  # fmt: skip
        self.log = folder / "log"
        self._process = subprocess.Popen(command, stdout=self.log.open("w"), stderr=subprocess.STDOUT)

    def query(self, expression):
        url = f"http://{self._address}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            told = json.load(answer)
        assert told["status"] == "success"
        return told["data"]["result"]

    def close(self):
        self._process.terminate()
        self._process.wait(20)


@pytest.fixture(scope="module")
def scraped(tmp_path_factory):
    """A run that has ended, and the Prometheus that watched it."""
    folder = tmp_path_factory.mktemp("scraped")
    run = folder / "run"
    prometheus = Prometheus(folder / "prometheus", run)
    try:
        driver = Driver("rl", *SETTINGS, f"run.dir={run}", log=folder / "driver.log")
        try:
            found = run / "prom_metrics_service_discovery.json"
            assert wait_until(lambda: found.exists() or not driver.running(), RUN_S), driver.log.read_text()
            assert driver.running(), driver.log.read_text()
            ((target,),) = [each["targets"] for each in json.loads(found.read_text())]
            assert driver.wait(RUN_S) == 0, driver.log.read_text()
        finally:
            driver.kill()
        yield run, prometheus, target, driver.log.read_text()
    finally:
        prometheus.close()


def test_the_endpoint_is_on_loopback_told_and_gone_at_the_end(scraped):
    run, _, target, told = scraped
    assert target.startswith("127.0.0.1:")
    assert f"metrics: http://{target}/metrics" in told
    assert not (run / "prom_metrics_service_discovery.json").exists()


def test_every_metric_that_a_panel_names_was_there(scraped):
    _, prometheus, _, _ = scraped
    named = {name for query in queries() for name in names_in(query)}
    missing = {name for name in named if not prometheus.query(f'last_over_time({name}{{run="run"}}[30m])')}
    assert missing == ONLY_ON_GPU


def test_every_query_of_a_panel_is_understood(scraped):
    _, prometheus, _, _ = scraped
    for panel in PANELS:
        for target in panel["targets"]:
            expression = target["expr"].replace("$__rate_interval", "1m").replace("$run", ".*").replace("$engine", ".*")
            prometheus.query(expression)


def test_engines_and_ranks_were_live_between_versions_and_agree_with_the_lines(scraped):
    run, prometheus, _, _ = scraped
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    ((tokens),) = prometheus.query("max_over_time(ray_toolrl_engine_sampled_tokens_total[30m])")
    sampled = sum(line["engine/generated_tokens"] for line in lines)
    assert 0 < float(tokens["value"][1]) <= sampled
    assert tokens["metric"]["engine"] == "engine-0"
    ranks = prometheus.query("max_over_time(ray_toolrl_learner_computed_tokens_total[30m])")
    assert {each["metric"]["rank"] for each in ranks} == {"0", "1"}
    actors = prometheus.query("max_over_time(ray_toolrl_actor_memory_bytes[30m])")
    assert {each["metric"]["actor"] for each in actors} == {"engine-0", "reward-0", "reward-1", "learner-0", "learner-1", "driver"}
    assert all(float(each["value"][1]) > 50e6 for each in actors)


def test_a_chosen_version_has_a_trace_of_everybody(scraped):
    run, _, _, _ = scraped
    assert sorted(path.name for path in (run / "traces").iterdir()) == [f"version-{version:06d}.json" for version in (2, 4, 5)]
    trace = json.loads((run / "traces" / "version-000004.json").read_text())
    assert trace["otherData"]["missing"] == ""
    actors = {event["pid"]: event["args"]["name"] for event in trace["traceEvents"] if event["name"] == "process_name"}
    did = {
        name: {event["name"] for event in trace["traceEvents"] if event["ph"] == "X" and actors[event["pid"]] == name}
        for name in actors.values()
    }
    assert set(did) == {"driver", "engine-0", "reward-0", "reward-1", "learner-0", "learner-1"}
    assert did["driver"] >= {"generation", "learner step", "push", "push: send", "push: probe"}
    assert did["engine-0"] >= {"pause", "update_weights", "commit", "resume", "probe"}
    for rank in ("learner-0", "learner-1"):
        assert did[rank] >= {"step", "fetch groups", "forward", "backward", "optimizer", "reference", "send"}
    draws = set(range(3 * 16, 4 * 16))  # 16 a version
    for actor, word in (("engine-0", "sample"), ("reward", "judge")):
        of = [name for name in did if name.startswith(actor)]
        seen = {event["args"]["draw"] for event in trace["traceEvents"] if event["name"].startswith(word) and actors[event["pid"]] in of}
        assert seen >= draws
