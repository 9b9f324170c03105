"""The hand-off of a small batch through a real object store."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.stack
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "handoff.py"


def test_each_rank_reads_the_groups_of_its_shard_and_no_other():
    """The script itself fails where a group is read by another rank than the plan's, or not once."""
    command = [sys.executable, str(SCRIPT), "--prompts", "24", "--n", "4", "--tokens", "64", "--ranks", "2", "--producers", "1", "--json"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=240)
    read = json.loads(printed.stdout.splitlines()[-1])["bytes_by_rank"]
    # A group is a prompt of 512 tokens of 4 bytes, and 4 completions of 60 to 64 tokens of 4 + 4 + 1 bytes.
    assert 24 * (512 * 4 + 4 * 60 * 9) <= sum(read) <= 24 * (512 * 4 + 4 * 64 * 9)
    assert max(read) < 0.6 * sum(read)
