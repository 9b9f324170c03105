"""Clusters are read from files, shipped names and short words, and what they cannot be is told all at once."""

from pathlib import Path

import pytest

from toolrl.errors import ConfigError
from toolrl.plan.hardware import ACCELERATORS, Cluster, read_cluster

SHIPPED = sorted((Path(__file__).parents[2] / "cluster" / "plan").glob("*.yaml"))


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_every_shipped_file_loads_by_its_name_and_is_what_that_says(file):
    cluster = read_cluster(file.name)
    sizes, _, kind = file.stem.partition("_")
    assert f"{cluster.nodes}x{cluster.gpus_per_node}" == sizes
    assert cluster.gpu.lower().replace("-", "_") == kind


def test_there_is_a_shipped_file_for_the_papers_machine():
    cluster = read_cluster("4x8_h100.yaml")
    assert (cluster.gpus, cluster.gpu, cluster.node_gb_s) == (32, "H100", 400)


@pytest.mark.parametrize("kind", ACCELERATORS)
def test_every_kind_has_a_short_word(kind):
    assert read_cluster(f"2x4x{kind}") == Cluster(gpu=kind, nodes=2, gpus_per_node=4)


def test_a_ring_is_as_fast_as_its_slowest_link():
    cluster = Cluster(gpu="H100", nodes=2, node_gb_s=100)
    assert cluster.ring_gb_s(8) == 450
    assert cluster.ring_gb_s(9) == 100
    assert Cluster(gpu="L40S", nodes=2, node_gb_s=100).ring_gb_s(16) == 32


def test_links_of_a_file_replace_those_of_the_data_sheet(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("gpu: A100-80\ngpu_gb_s: 32\n")
    cluster = read_cluster(str(file))
    assert (cluster.accelerator.gpu_gb_s, cluster.accelerator.host_gb_s) == (32, 32)
    assert ACCELERATORS["A100-80"].gpu_gb_s == 300


def test_all_that_is_wrong_in_a_file_is_told_at_once(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("gpu: H300\nnode: 2\nnodes: 2.5\nhost_memory_gib: -1\nnode_gb_s: fast\n")
    with pytest.raises(ConfigError) as told:
        read_cluster(str(file))
    assert told.value.problems == (
        f"{file}: gpu: got 'H300'; choose one of A100-40, A100-80, H100, H200, L40S",
        f"{file}: unknown key 'node'; did you mean 'nodes'?",
        f"{file}: nodes: got 2.5; expected a whole number",
        f"{file}: host_memory_gib: got -1; set it above 0",
        f"{file}: node_gb_s: got 'fast'; expected a number",
    )


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nowhere.yaml", r"no file nowhere.yaml; write one, name a shipped one \(1x8_a100_40.yaml"),
        ("4x8xH300", "choose one of A100-40"),
        ("0x8xH100", "set it above 0"),
    ],
)
def test_a_cluster_that_is_none_is_refused(name, told):
    with pytest.raises(ConfigError, match=told):
        read_cluster(name)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no file of a cluster, which has gpu, nodes, .*; got dict"),
        ("- a\n", "got list"),
        ("a: b: c\n", "not readable as YAML"),
        ("run: {}\nmodel: {}\ndata: {}\nloop: {}\neval: {}\n", "got run, model, data, loop$"),
    ],
)
def test_a_file_that_holds_no_cluster_is_refused_in_a_line(tmp_path, text, told):
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=told) as refused:
        read_cluster(str(file))
    assert len(refused.value.problems) == 1
