"""The RayJob, filled in, and held against the fields that KubeRay and Kubernetes have."""

import re
import sys
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[2] / "launch"))
from kuberay import refused

from toolrl.errors import ConfigError
from toolrl.pipelines.launching import kubernetes
from toolrl.pipelines.launching.job import Order, checked


def documents(*settings, **options):
    text = kubernetes.manifest(checked(Order(settings, **options), everywhere=kubernetes.sees))
    found = list(yaml.safe_load_all(text))
    assert [problem for document in found for problem in refused(document)] == []
    return found


def pods(job):
    cluster = job["spec"]["rayClusterSpec"]
    return cluster["headGroupSpec"]["template"]["spec"], cluster["workerGroupSpecs"][0]


def test_head_and_workers_have_the_placements_size():
    (job,) = documents("conf/tool_n1_7b.yaml", nodes=4, image="here/toolrl:1", network="roce", time="2-00")
    head, workers = pods(job)
    (container,) = head["containers"]
    assert container["resources"] == {"requests": {"cpu": 19}, "limits": {"cpu": 19, "nvidia.com/gpu": 8}}
    assert container["image"] == "here/toolrl:1"
    assert {"name": "NCCL_IB_TC", "value": "106"} in container["env"]
    assert (workers["replicas"], workers["minReplicas"], workers["maxReplicas"]) == (3, 3, 3)
    assert workers["template"]["spec"] == head
    assert re.fullmatch(r"tool-n1-7b-\d{8}-\d{6}", job["metadata"]["name"])
    assert job["spec"]["entrypoint"] == "toolrl rl conf/tool_n1_7b.yaml cluster.address=auto"
    assert job["spec"]["activeDeadlineSeconds"] == 172800


def test_pods_and_ray_give_the_driver_its_time_to_save():
    (job,) = documents("conf/demo.yaml", "checkpoint.preempt_timeout_s=100")
    head, workers = pods(job)
    assert head["terminationGracePeriodSeconds"] == 160
    assert yaml.safe_load(job["spec"]["runtimeEnvYAML"]) == {"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": "160"}}
    assert workers["replicas"] == 0
    assert "nvidia.com/gpu" not in head["containers"][0]["resources"]["limits"]


def test_settings_of_ones_own_travel_along(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text('# mine\nrun: { dir: runs/mine, steps: 7 }\nprompt:\n  template: ""\n')
    settings, job = documents("conf/demo.yaml", str(mine))
    assert job["spec"]["entrypoint"] == "toolrl rl conf/demo.yaml /etc/toolrl/mine.yaml cluster.address=auto"
    assert settings["data"] == {"mine.yaml": mine.read_text()}
    head, _ = pods(job)
    assert head["volumes"][0] == {"name": "settings", "configMap": {"name": settings["metadata"]["name"]}}
    assert head["containers"][0]["volumeMounts"][0]["mountPath"] == "/etc/toolrl"


@pytest.mark.parametrize("text", ["  # indented\nrun: { dir: runs/mine }\n", "  run:\n    dir: runs/mine\n"])
def test_settings_travel_as_they_are_written(tmp_path, text):
    mine = tmp_path / "mine.yaml"
    mine.write_text(text)
    settings, _ = documents("conf/demo.yaml", str(mine))
    assert settings["data"] == {"mine.yaml": text}


def test_a_second_start_of_a_run_is_another_job_with_settings_of_its_own(tmp_path, monkeypatch):
    mine = tmp_path / "mine.yaml"
    mine.write_text(f"run: {{ dir: runs/{'a' * 80} }}\n")
    times = iter(("-20260101-000000", "-20260102-000000"))
    monkeypatch.setattr(kubernetes.time, "strftime", lambda _: next(times))
    made = [documents("conf/demo.yaml", str(mine)) for _ in range(2)]
    names = {document["metadata"]["name"] for documents in made for document in documents}
    assert len(names) == 4
    assert max(len(job["metadata"]["name"]) for _, job in made) <= 47  # KubeRay takes no longer name


@pytest.mark.parametrize("image", ["here: there", "a\n  b: c", "toolrl # x", ""])
def test_what_is_no_name_of_an_image_is_refused(image):
    with pytest.raises(ConfigError, match="--image: got"):
        documents("conf/demo.yaml", image=image)


def test_a_folder_that_no_pod_has_is_refused():
    with pytest.raises(ConfigError, match=r"run\.dir: got /home/me/run, which no pod has; name a folder below /work"):
        documents("conf/demo.yaml", "run.dir=/home/me/run")
    documents("conf/demo.yaml", "run.dir=/work/runs/a")


def test_a_word_that_a_shell_reads_otherwise_is_refused():
    with pytest.raises(ConfigError, match=r"\$\(reboot\).*write it into a file of settings"):
        documents("conf/demo.yaml", "monitor.wandb_project=$(reboot)")
