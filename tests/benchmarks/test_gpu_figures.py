"""MFU by hand."""

import importlib.util
import sys
from argparse import Namespace
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "benchmarks" / "gpu" / "learner.py"


@pytest.fixture(scope="module")
def gpu():
    spec = importlib.util.spec_from_file_location("gpu_learner_benchmark", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def line(gpu, *, trained, device="NVIDIA H200"):
    """Two sequences of 8 tokens, 4 of them trained, in 2 s."""
    half = gpu.Lengths(4, 0.0, 4)
    batch, _ = gpu.Shape(2, 1, half, half, 0, 0, 0, 0, 100).make_batch()
    metrics = {"learner/step_s": 2.0, "learner/forward_s": 0.5, "learner/backward_s": 1.0, "learner/optimizer_s": 0.25}
    sizes = {"parameters": 1000, "trained": trained, "head": 100, "body": 800}
    return gpu.summary([[(metrics, sizes, 2**31, device)]], batch, gpu.BASE, Namespace(shape="tiny"))


def test_useful_work_is_six_operations_for_a_parameter_and_token_and_half_a_square_of_attention(gpu):
    found = line(gpu, trained=1000)
    attention = 12 * 2 * 64 * (8**2 + 8**2) / 2
    assert found["tokens"] == 16
    assert found["mfu"] == pytest.approx((6 * 1000 * 16 + attention) / 2.0 / 989e12)
    assert found["computed_mfu"] == pytest.approx((6 * (800 * 16 + 100 * 8) + attention) / 2.0 / 989e12)
    assert found["peak_gib"] == 2.0


def test_frozen_weights_have_no_gradient_to_compute(gpu):
    assert line(gpu, trained=10)["computed_mfu"] < line(gpu, trained=1000)["computed_mfu"]


@pytest.mark.parametrize(
    ("name", "peak"), [("NVIDIA H100 80GB HBM3", 989e12), ("NVIDIA H100 PCIe", 756e12), ("NVIDIA A100-SXM4-80GB", 312e12)]
)
def test_a_gpu_is_known_by_its_name(gpu, name, peak):
    ratio = line(gpu, trained=1000)["mfu"] / line(gpu, trained=1000, device=name)["mfu"]
    assert ratio == pytest.approx(peak / 989e12)
