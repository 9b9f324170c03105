"""The picture is a PNG whatever was measured."""

import json

import matplotlib.pyplot as plt
import pytest

from toolrl.monitor.plot import plot_curves, plot_supervised

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


SUPERVISED = [
    {"version": 0, "heldout/loss": 7.4, "heldout/loss_stderr": 0.1, "heldout/greedy": 0.0, "heldout/greedy_stderr": 0.0},
    *({"version": v, "learner/loss": 7.0 / v, "learner/grad_norm": 1.0, "learner/lr": 1e-3, "loop/tokens_per_s": 50.0} for v in (1, 2)),
    {"version": 3, "learner/loss": None, "heldout/loss": 2.0, "heldout/greedy": 1.2, "heldout/greedy_format_right": 0.5},
]


@pytest.mark.parametrize("lines", [[], SUPERVISED, SUPERVISED[1:3]])
def test_a_supervised_run_is_drawn_whatever_was_measured(tmp_path, monkeypatch, lines):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    monkeypatch.setattr(plt, "close", lambda figure: None)
    plot_supervised(path, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    loss, greedy = plt.gcf().axes[:2]
    assert list(loss.lines[0].get_ydata()) == [line["learner/loss"] for line in lines if line.get("learner/loss") is not None]
    assert greedy.get_ylim() == pytest.approx((-0.02, 1.2 if len(lines) == 4 else 1.02))
    monkeypatch.undo()
    plt.close()


@pytest.mark.parametrize(("rewards", "shown"), [((0.0, 1.0), (-0.02, 1.02)), ((-0.2, 1.2), (-0.2, 1.2)), ((0.5, 30.0), (-0.02, 30.0))])
def test_rewards_beyond_0_and_1_are_in_the_picture(tmp_path, monkeypatch, rewards, shown):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps({"version": v, "reward/mean": reward}) + "\n" for v, reward in enumerate(rewards, start=1)))
    monkeypatch.setattr(plt, "close", lambda figure: None)
    plot_curves(path, tmp_path / "curves.png")
    assert plt.gcf().axes[0].get_ylim() == pytest.approx(shown)
    monkeypatch.undo()
    plt.close()
