"""The picture is a PNG whatever was measured."""

import json

import pytest

from toolrl.monitor.plot import plot_curves

FULL = [
    {"version": 0, "heldout/reward": 0.3, "heldout/stderr": 0.03, "heldout/greedy": 0.7, "loop/eval_s": 7.0},
    *(
        {
            "version": v,
            "reward/mean": 0.4,
            "reward/format_right": 0.5,
            "loop/wait_generation_s": 1.0,
            "loop/staleness_max": 1.0,
            "weights/parity_max_abs_dlogp": 1e-6,
        }
        for v in range(1, 5)
    ),
]


@pytest.mark.parametrize("lines", [[], FULL, [{"version": 1, "reward/mean": None}]])
def test_whatever_was_measured_is_drawn(tmp_path, lines):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    plot_curves(path, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
