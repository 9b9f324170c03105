"""Whether a run fits, the largest micro-batch that does, hours of a run, what would help, and how sizes compare."""

import json
from dataclasses import replace

import pytest

from toolrl.plan.advice import advice, changed, remedy, written
from toolrl.plan.compare import compared, scaled, table
from toolrl.plan.hardware import read_cluster
from toolrl.plan.page import page, values
from toolrl.plan.shapes import shape_of


def at(plan, key, value):
    return replace(plan, load=replace(plan.load, config=changed(plan.load.config, {key: value})))


@pytest.mark.parametrize("size", ["7b", "14b"])
def test_the_papers_runs_fit_the_papers_machine_and_one_node_of_it(plan, size):
    assert plan(size, cluster="4x8_h100.yaml").fits
    assert plan(f"{size}_node", cluster="1x8xH100").fits


@pytest.mark.parametrize("settings", [(), ("model.gradient_checkpointing=false",), ("learner.sequence_parallel=2",)])
def test_the_largest_micro_batch_fits_and_one_token_more_does_not(plan, settings):
    found = plan("7b", *settings)
    most = found.largest_micro_batch
    step = "learner.max_tokens_per_microbatch"
    assert at(found, step, most).fits
    assert [phase.name for phase in at(found, step, most + 1).tight] == ["forward and backward"]


def test_the_run_is_its_steps_and_its_evaluations(plan):
    found = plan("7b")
    assert found.evaluations == 2 + 21  # of 427 steps, every 20, and at both ends
    assert found.run_s == pytest.approx(427 * found.step_s + 23 * found.evaluation_s)
    assert found.gpu_hours == pytest.approx(found.run_s * 32 / 3600)
    assert found.checkpoint_bytes == pytest.approx(12 * 7_615_616_512)  # 91 GB, as conf/tool_n1_7b.yaml says
    assert plan("7b", "data.heldout=").evaluations == 0


def test_what_does_not_fit_names_the_term_and_what_helps_does(plan):
    found = plan("14b_node", cluster="1x8xA100-40")
    (tight,) = found.tight
    assert (tight.where, tight.name, tight.largest.name) == ("GPU", "forward and backward", "activations")
    helps = {str(each): each for each in advice(found, tight)}
    assert "learner.offload_optimizer=true" in helps
    for each in helps.values():
        other = replace(found, load=replace(found.load, config=changed(found.load.config, each.settings)))
        assert each.fits
        assert next(phase.used for phase in other.phases if phase.name == tight.name) == each.used <= tight.capacity


def test_settings_that_only_together_suffice_are_found_step_by_step(plan):
    found = plan("7b_node", "model.path=Qwen/Qwen2.5-72B", cluster="1x8xH100")
    assert len(found.tight) > 1
    together = remedy(found)
    assert len(together) > 1
    assert replace(found, load=replace(found.load, config=changed(found.load.config, together))).fits
    assert f"the memory of all fits with: {written(together)}" in page(found, title="a run", assumed=False)


def test_where_nothing_suffices_nothing_is_promised(plan, tmp_path):
    file = tmp_path / "small.yaml"
    file.write_text("gpu: A100-40\nhost_memory_gib: 60\n")  # less than its processes take
    found = plan("7b_node", "model.path=Qwen/Qwen2.5-72B", cluster=str(file))
    assert remedy(found) is None
    assert "fits with" not in page(found, title="a run", assumed=False)
    assert "not planned, since the run does not fit" in page(found, title="a run", assumed=False)


def test_a_tight_node_is_relieved_by_leaving_the_reference_on_the_gpus(plan, apart, tmp_path):
    file = tmp_path / "small.yaml"
    file.write_text("gpu: H100\nnodes: 1\ngpus_per_node: 16\nhost_memory_gib: 80\n")
    found = plan("14b_node", *apart, cluster=str(file))
    (tight,) = found.tight
    assert tight.where == "node"
    assert [str(each) for each in advice(found, tight) if each.fits] == ["learner.offload_reference=false"]


def test_no_advice_contradicts_other_settings(plan):
    found = plan("7b_node", "learner.max_tokens_per_microbatch=200000", cluster="1x8xA100-40")
    for phase in found.tight:
        for each in advice(found, phase):
            assert each.settings.get("learner.max_tokens_per_microbatch", 12_288) >= 12_288  # the longest sequence


def test_an_engine_too_small_for_its_weights_is_told_a_wider_one(plan):
    found = plan("7b_node", "model.path=Qwen/Qwen2.5-72B", cluster="1x8xH100")
    tight = next(phase for phase in found.tight if phase.name == "engine starts")
    assert tight.largest.name == "weights"
    assert any("engine.tensor_parallel=4" in str(each) for each in advice(found, tight))


def test_a_page_and_its_values_say_the_same(plan):
    found = plan("14b_node", cluster="1x8xA100-40")
    text, plain = page(found, title="a run", assumed=True), json.loads(json.dumps(values(found)))
    assert "does not fit: GPU, forward and backward takes" in text
    assert not plain["fits"]
    assert [phase["phase"] for phase in plain["phases"]] == [phase.name for phase in found.phases]
    for phase in plain["phases"]:
        assert sum(phase["terms"].values()) == pytest.approx(phase["bytes"])
        assert bool(phase["would_help"]) is not phase["fits"]
    assert "it fits" in page(plan("7b"), title="a run", assumed=False)


def test_sizes_compare_with_engines_and_ranks_on_every_gpu(plan):
    found = plan("7b")
    plans = list(compared(found, [shape_of("Qwen2.5-7B"), shape_of("Qwen2.5-14B")]))
    assert [(each.load.shape.name, each.load.gpus) for each in plans] == [
        (f"Qwen2.5-{size}", gpus) for size in ("7B", "14B") for gpus in (8, 16, 32, 64)
    ]
    (paper,) = (each for each in plans if (each.load.shape.name, each.load.gpus) == ("Qwen2.5-7B", 32))
    assert paper.step_s == found.step_s
    hours = [each.run_s for each in plans[:4]]
    assert hours == sorted(hours, reverse=True)
    lines = table(plans).splitlines()
    assert len(lines) == 9
    assert "no: " not in table(plans)


def test_roles_apart_keep_their_ratio(load, apart):
    config = load("7b", *apart).config
    assert scaled(config, read_cluster("2x8xH100")).learner.num_ranks == 8
    assert scaled(config, read_cluster("2x8xH100")).engine.num == 4
    assert scaled(config, read_cluster("1x1xH100")) is None


@pytest.mark.parametrize("model", ["0.5B", "1.5B", "3B", "7B", "14B", "32B", "72B"])
@pytest.mark.parametrize("gpu", ["A100-40", "A100-80", "H100", "H200", "L40S"])
def test_every_size_on_every_gpu_has_a_plan(plan, model, gpu):
    found = plan("7b", f"model.path=Qwen/Qwen2.5-{model}", cluster=f"4x8x{gpu}")
    assert found.step_s > 0
    assert page(found, title="x", assumed=False)
    if found.fits:
        assert found.largest_micro_batch >= 30_720
