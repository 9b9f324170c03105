"""What accelerators can do: operations a second in bfloat16, once for the utilisation of a run and for the planner.

name of a device, as CUDA tells it: "NVIDIA H100 80GB HBM3" ─> FLOP/s, or None where it is not in the table
"""

from __future__ import annotations

import re

PEAKS = {
    "A100": 312e12, "A800": 312e12, "H100 PCIE": 756e12, "H100 NVL": 835e12, "H100": 989e12, "H800": 989e12, "H200 NVL": 835e12,
    "H200": 989e12, "GH200": 989e12, "L40S": 362e12, "L40": 181e12, "A40": 150e12, "A10G": 70e12, "A10": 125e12, "L4": 121e12,
    "B200": 2250e12,
}  # fmt: skip
"""FLOP/s in bfloat16 without sparsity, from NVIDIA's data sheets; of the names that are in a device's as whole words, the first."""


def peak_of(device: str) -> float | None:
    """Return what a device can do, by its name.

    >>> peak_of("NVIDIA A100-SXM4-80GB"), peak_of("NVIDIA RTX A4000")
    (312000000000000.0, None)
    """
    return next((flops for name, flops in PEAKS.items() if re.search(rf"\b{name}\b", device.upper())), None)
