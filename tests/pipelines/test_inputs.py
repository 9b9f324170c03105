"""What a run starts from: the part of its rows that it is to learn from."""

from toolrl.config.load import load
from toolrl.config.schema import RlConfig
from toolrl.data.demonstrations import load_demonstrations
from toolrl.data.subset import subset_of
from toolrl.pipelines.inputs import load_inputs


def trained(subset):
    inputs = load_inputs(load(RlConfig, ["conf/demo.yaml", "data.train=demo://train?rows=40", "data.heldout=", f"data.subset={subset}"]))
    return {inputs.train.draw(i).prompt.id for i in range(len(inputs.train))}


def test_halves_of_the_prompts_share_none_and_demonstrations_are_cut_in_the_same_place():
    first, second = trained("0-50"), trained("50-100")
    assert len(first) == len(second) == 20
    assert not first & second
    demonstrated = subset_of(load_demonstrations("demo://sft?rows=40"), "0-50", prompt_of=lambda row: row[0])
    assert {prompt.id for prompt, _ in demonstrated} == first
