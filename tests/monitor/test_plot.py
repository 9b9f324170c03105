"""The picture is a PNG whatever was measured."""

import json

import matplotlib.pyplot as plt
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


@pytest.mark.parametrize(("rewards", "shown"), [((0.0, 1.0), (-0.02, 1.02)), ((-0.2, 1.2), (-0.2, 1.2)), ((0.5, 30.0), (-0.02, 30.0))])
def test_rewards_beyond_0_and_1_are_in_the_picture(tmp_path, monkeypatch, rewards, shown):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps({"version": v, "reward/mean": reward}) + "\n" for v, reward in enumerate(rewards, start=1)))
    monkeypatch.setattr(plt, "close", lambda figure: None)
    plot_curves(path, tmp_path / "curves.png")
    assert plt.gcf().axes[0].get_ylim() == pytest.approx(shown)
    monkeypatch.undo()
    plt.close()
