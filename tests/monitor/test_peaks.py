"""Devices are found in the table of peaks by whole words of their names."""

import pytest

from toolrl.monitor.peaks import peak_of
from toolrl.plan.hardware import ACCELERATORS


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA A100 80GB PCIe", 312e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H100 NVL", 835e12),
        ("NVIDIA H200", 989e12),
        ("NVIDIA H200 NVL", 835e12),
        ("NVIDIA GH200 480GB", 989e12),
        ("NVIDIA L40S", 362e12),
        ("NVIDIA L40", 181e12),
        ("NVIDIA L4", 121e12),
        ("NVIDIA A10G", 70e12),
        ("NVIDIA A10", 125e12),
        ("NVIDIA B200", 2250e12),
        ("NVIDIA RTX A4000", None),  # no A40
        ("NVIDIA RTX A1000 Laptop GPU", None),  # no A100, and no A10
        ("NVIDIA H20", None),
        ("Quadro", None),
    ],
)
def test_a_device_is_known_by_a_whole_word_of_its_name(name, known):
    assert peak_of(name) == known


@pytest.mark.parametrize("kind", ACCELERATORS.values(), ids=ACCELERATORS)
def test_a_plan_counts_with_the_peak_that_a_run_is_measured_by(kind):
    assert kind.tflops == peak_of(kind.name) / 1e12
