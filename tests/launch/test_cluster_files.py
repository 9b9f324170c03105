"""The files of cluster/, held against Ray's own schema, KubeRay's fields, and the lists of pinned packages."""

import json
import re
import sys
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))
from kuberay import refused

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "cluster"
RAY_YAML = pytest.mark.parametrize("name", ["onprem.yaml", "aws.yaml"])


def read(name):
    return yaml.safe_load((CLUSTER / name).read_text())


def commands(name):
    config = read(name)
    return {role: config[f"{role}_start_ray_commands"][-1] for role in ("head", "worker")}


@RAY_YAML
def test_ray_takes_the_cluster(name):
    schema = json.loads((resources.files("ray") / "autoscaler" / "ray-schema.json").read_text())
    jsonschema.validate(read(name), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(read(name) | {"min_wokers": 3}, schema)


@RAY_YAML
def test_every_node_asks_for_the_token_and_has_it_from_a_file(name):
    for command in commands(name).values():
        assert "RAY_AUTH_MODE=token" in command
        assert "chmod 600 ~/.ray/auth_token" in command
    assert read(name)["file_mounts"] == {"~/.ray/auth_token": "~/.ray/auth_token"}
    assert "--dashboard-host=127.0.0.1" in commands(name)["head"]


@RAY_YAML
def test_options_of_ray_start_exist(name):
    source = (resources.files("ray") / "scripts" / "scripts.py").read_text()
    known = set(re.findall(r'^ +"(--[a-z-]+)",', source, flags=re.MULTILINE)) | {"--address", "--num-cpus", "--head"}
    for command in commands(name).values():
        assert set(re.findall(r"--[a-z-]+", command.partition("ray start")[2])) <= known


@RAY_YAML
def test_the_network_of_a_node_is_a_preset(name):
    for command in commands(name).values():
        (preset,) = re.findall(r"cluster/nccl/(\w+\.env)", command)
        assert (CLUSTER / "nccl" / preset).exists()


def test_the_cluster_on_kubernetes_is_what_kuberay_knows_and_like_that_of_a_job():
    cluster = read("kuberay.yaml")
    assert refused(cluster) == []
    job = yaml.safe_load((ROOT / "launch" / "kuberay.yaml").read_text())["spec"]["rayClusterSpec"]
    assert cluster["spec"]["headGroupSpec"]["template"] == job["headGroupSpec"]["template"]
    assert cluster["spec"]["authOptions"] == {"mode": "token"}


def pinned(package):
    (version,) = re.findall(rf"^{re.escape(package)}==(.+)$", (ROOT / "requirements" / "gpu.txt").read_text(), flags=re.MULTILINE)
    return version


def test_manifests_name_the_ray_that_is_pinned():
    for path in (CLUSTER / "kuberay.yaml", ROOT / "launch" / "kuberay.yaml"):
        assert re.findall(r"rayVersion: (\S+)", path.read_text()) == [pinned("ray")]


def test_the_image_has_the_pinned_packages_and_their_python_and_no_root():
    lines = [line for line in (CLUSTER / "Dockerfile").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "FROM python:3.11.14-slim-bookworm"
    assert "GPU_RESOLVE := --python-version 3.11 " in (ROOT / "Makefile").read_text()
    assert "RUN pip install --no-cache-dir --no-deps -r /opt/toolrl/requirements/gpu.txt" in lines
    assert "USER toolrl" in lines
    (programs,) = [line.split() for line in lines if "apt-get install" in line]
    assert {"procps", "wget"} <= set(programs)  # what the pods' preStop and KubeRay's probes run
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY")]
    assert all((ROOT / source).exists() for sources in copied for source in sources)
    links = [link.readlink() for link in (ROOT / "toolrl").iterdir() if link.is_symlink()]
    assert {link.parts[1] for link in links} <= {source for sources in copied for source in sources}, (
        "a link of the package leads out of the image"
    )


def test_everything_here_is_told():
    told = (CLUSTER / "README.md").read_text()
    assert not [path.name for path in CLUSTER.iterdir() if path.name != "README.md" and path.name not in told]
