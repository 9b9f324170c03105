"""The script for GPUs, on CPU at a tiny shape: that it runs, and that what it prints is worked out right."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.stack
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu" / "learner.py"
TINY = ["--shape", "tiny", "--device", "cpu", "--dtype", "float32", "--rows", "2", "--row-tokens", "64", "--sequence", "32", "--steps", "1"]


def test_every_case_prints_its_line_and_a_row_of_the_table():
    command = [sys.executable, str(SCRIPT), *TINY, "--cases", "flash_attention_2,base,lora"]
    printed = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True, capture_output=True, text=True, timeout=240)
    lines = [json.loads(line) for line in printed.stdout.splitlines() if line.startswith("{")]
    assert [line["case"] for line in lines] == ["flash_attention_2", "base", "lora"]
    missing, base, lora = lines
    assert "needs the package flash-attn" in missing["error"]  # and the cases behind it are measured all the same
    assert base["tokens"] == 2 * 64
    assert base["tokens_per_s"] == pytest.approx(128 / base["step_s"])
    assert base["mfu"] is None  # nobody knows the peak of a CPU
    attention = 64 * 64 + 64 + 2 * (64 * 32 + 32) + 64 * 64  # queries, keys and values with biases, output
    assert base["parameters"] == 2 * 1000 * 64 + 2 * (attention + 3 * 64 * 128 + 2 * 64) + 64
    assert lora["parameters"] > base["parameters"]
    table = [line for line in printed.stdout.splitlines() if line.startswith("|")]
    assert [row.split("|")[1].strip() for row in table] == ["case", "---", "flash_attention_2", "base", "lora"]
