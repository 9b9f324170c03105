"""`toolrl plan` from the command line: pages, JSON and tables, exit codes, what is wrong, and that it needs no torch and little time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from toolrl.cli.main import main
from toolrl.config.load import load
from toolrl.config.schema import RlConfig
from toolrl.pipelines.plan import dry_run_lines

CONF = Path(__file__).parents[2] / "conf"
SEVEN = str(CONF / "tool_n1_7b.yaml")
NODE = str(CONF / "tool_n1_14b_node.yaml")


def planned(capsys, *arguments):
    code = main(["plan", *arguments])
    return code, capsys.readouterr().out


def test_a_run_that_fits_ends_with_0_and_says_what_is_assumed(capsys):
    code, out = planned(capsys, SEVEN)
    assert code == 0
    assert "on 4 nodes of 8 × H100 (assumed; --cluster says better)" in out
    assert "850 tokens of prompt, 100 of completion (assumed; --prompt-tokens" in out
    assert "it fits" in out


def test_nothing_is_assumed_where_all_is_said(capsys):
    code, out = planned(capsys, SEVEN, "--cluster", "4x8_h100.yaml", "--prompt-tokens", "700", "--completion-tokens", "120")
    assert code == 0
    assert "assumed" not in out
    assert "700 tokens of prompt, 120 of completion" in out


def test_a_run_that_does_not_fit_ends_with_2_and_says_what_would_help(capsys):
    code, out = planned(capsys, NODE, "--cluster", "1x8xA100-40")
    assert code == 2
    assert "does not fit: GPU, forward and backward takes" in out
    assert "  learner.offload_optimizer=true: " in out


def test_gpus_that_are_missing_are_named(capsys):
    code, out = planned(capsys, SEVEN, "--cluster", "1x8xH100")
    assert code == 2
    assert "32 GPUs asked, 8 there (8 × H100); no room for engine-4, learner-8, learner-9 and 11 more; lower learner.num_ranks" in out


def test_json_is_the_plan_as_plain_values(capsys):
    code, out = planned(capsys, NODE, "--cluster", "1x8xA100-40", "--json")
    found = json.loads(out)
    assert (code, found["fits"]) == (2, False)
    assert found["model"]["parameters"] == 14_770_033_664
    assert found["gpu_hours"] == pytest.approx(found["run_s"] * 8 / 3600)


def test_a_table_compares_nodes_and_models(capsys):
    code, out = planned(capsys, SEVEN, "--compare", "--models", "Qwen2.5-7B, Qwen2.5-32B")
    lines = out.splitlines()
    assert code == 0
    assert len(lines) == 1 + 2 * 4
    assert lines[1].startswith("Qwen2.5-7B   8     H100  yes")
    code, out = planned(capsys, SEVEN, "--compare", "--json")
    assert [(row["model"]["name"], row["gpus"]) for row in json.loads(out)][:2] == [("Qwen2.5-7B", 8), ("Qwen2.5-7B", 16)]


def test_a_run_on_a_cpu_is_held_against_this_machine(capsys):
    code, out = planned(capsys, str(CONF / "demo.yaml"))
    assert code == 0
    assert "GiB of this machine at most; it fits" in out
    code, out = planned(capsys, str(CONF / "demo.yaml"), "engine.kv_cache_gib=9999", "--json")
    assert (code, json.loads(out)["fits"]) == (2, False)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([SEVEN, "--cluster", "nowhere.yaml"], "--cluster: no file nowhere.yaml"),
        ([SEVEN, "model.path=nobody/nothing"], "nobody/nothing: no folder of a model"),
        ([SEVEN, "--prompt-tokens", "9999"], "--prompt-tokens: got 9999; a mean lies above 0 and is at most 4096"),
        ([SEVEN, "--completion-tokens", "0"], "--completion-tokens: got 0; a mean lies above 0"),
        ([SEVEN, "learner.num_rank=8"], "did you mean 'learner.num_ranks'?"),
        ([SEVEN, "--compare", "--models", "Qwen2.5-8B"], "Qwen2.5-8B: no folder of a model"),
        ([str(CONF / "demo.yaml"), "--cluster", "1x8xH100"], "cluster.device: got cpu"),
        ([SEVEN, "--models", "Qwen2.5-7B"], "--models: names what --compare compares"),
        ([str(CONF / "demo.yaml"), "--compare"], "cluster.device: got cpu"),
    ],
)
def test_a_mistake_ends_with_2_and_says_what_to_do(capsys, arguments, told):
    assert main(["plan", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert told in err


def test_a_dry_run_shows_the_figures():
    lines = dry_run_lines(load(RlConfig, [SEVEN]), "Qwen/Qwen2.5-7B-Instruct")
    assert lines[0].startswith("plan, on 4 nodes of 8 × H100 (assumed; `toolrl plan")
    assert any("GPU-hours" in line for line in lines)
    assert dry_run_lines(load(RlConfig, [SEVEN]), "nobody/nothing")[0].startswith("plan: none (nobody/nothing: no folder")


def test_no_heavy_library_is_loaded():
    heavy = ("torch", "ray", "vllm", "deepspeed", "transformers", "pandas")
    code = f"import sys; from toolrl.cli.main import main; main(['plan', {SEVEN!r}]); print([m for m in {heavy!r} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]"
