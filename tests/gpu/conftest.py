"""What tests on real GPUs share. `make gpu-smoke` runs them; nobody has yet, so a failure here may be the test's own."""

import pytest


def gpus():
    """GPUs that this machine has."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


@pytest.fixture(scope="session")
def one_gpu():
    """Skip without a GPU."""
    if gpus() < 1:
        pytest.skip("needs a GPU, and this machine has none")


@pytest.fixture(scope="session")
def two_gpus():
    """Skip without two GPUs."""
    if gpus() < 2:
        pytest.skip(f"needs two GPUs, and this machine has {gpus()}")
