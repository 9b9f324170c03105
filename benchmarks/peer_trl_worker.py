"""The TRL side of `peer_trl.py`: a GRPOTrainer that takes as many steps as it is told, and otherwise sleeps.

    stdin: a number of steps ─> GRPOTrainer ─> stdout: the steps as one JSON line      end of stdin: stop

Settings are those of a toolrl run, translated; the prompts are the run's draws in their order, token for token, and the reward is the
run's verifier. A step is all between two ends of steps: data, generation, reward, loss, optimizer.
"""

import json
import os
import sys
import time
from tempfile import TemporaryDirectory

REPLIES = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # libraries print too: what is not a reply goes to the log

import torch  # noqa: E402
from datasets import Dataset  # noqa: E402
from transformers import AutoTokenizer, TrainerCallback  # noqa: E402
from trl import GRPOConfig, GRPOTrainer  # noqa: E402

from toolrl.config.load import load  # noqa: E402
from toolrl.config.schema import RlConfig  # noqa: E402
from toolrl.pipelines.inputs import Inputs, load_inputs  # noqa: E402

MODES = {
    "transformers": {},
    "continuous_batching": {
        "use_transformers_continuous_batching": True,
        # By default it takes half of the memory, and prompts in one batch that is quadratic in all their tokens without a CUDA kernel.
        "transformers_continuous_batching_config": {"num_blocks": 192, "max_batch_tokens": 1024},
    },
    "vllm": {"use_vllm": True, "vllm_mode": "colocate", "vllm_gpu_memory_utilization": 0.3},
}
"""Ways of TRL to generate in the trainer's process."""


class Stopwatch:
    """Seconds and tokens of the present step."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin a step."""
        self._start = time.perf_counter()
        self.generation_s = self.reward_s = 0.0
        self.tokens = self.completions = self.right = 0

    def step(self) -> dict[str, float]:
        """End a step."""
        step_s = time.perf_counter() - self._start
        parts = {"generation": self.generation_s, "reward": self.reward_s, "learner and other": step_s - self.generation_s - self.reward_s}
        return {"s": step_s, "completions": self.completions, "tokens": self.tokens, "right": self.right, "parts": parts}


class TimedTrainer(GRPOTrainer):
    """A GRPOTrainer that says where its seconds go."""

    watch: Stopwatch

    def _generate(self, prompts):
        start = time.perf_counter()
        generated = super()._generate(prompts)
        self.watch.generation_s += time.perf_counter() - start
        return generated

    def _calculate_rewards(self, *arguments, **options):
        start = time.perf_counter()
        rewards = super()._calculate_rewards(*arguments, **options)
        self.watch.reward_s += time.perf_counter() - start
        return rewards


class Blocks(TrainerCallback):
    """Holds the trainer between blocks of steps."""

    def __init__(self, watch: Stopwatch) -> None:
        self._watch = watch
        self._left = 0
        self._done: list[dict[str, float]] = []

    def on_train_begin(self, args, state, control, **_):
        """Wait for the first block."""
        return self._await_block(control)

    def on_step_end(self, args, state, control, **_):
        """Note the step; at the end of a block reply, and wait for the next."""
        self._done.append(self._watch.step())
        self._left -= 1
        if self._left == 0:
            print(json.dumps(self._done), file=REPLIES, flush=True)
            self._done = []
            return self._await_block(control)
        self._watch.reset()
        return control

    def _await_block(self, control):
        self._left = int(sys.stdin.readline() or 0)
        control.should_training_stop = self._left == 0
        self._watch.reset()
        return control


def settings(config: RlConfig, mode: str, folder: str) -> GRPOConfig:
    """Translate a run's settings."""
    learner, sampling = config.learner, config.sampling
    return GRPOConfig(
        output_dir=folder,
        model_init_kwargs={"dtype": config.model.dtype, "attn_implementation": config.model.attention},
        bf16=config.model.dtype == "bfloat16",
        use_cpu=True,
        dataloader_pin_memory=False,
        gradient_checkpointing=config.model.gradient_checkpointing,
        max_steps=config.run.steps,
        per_device_train_batch_size=config.loop.prompts_per_batch * sampling.n,
        num_generations=sampling.n,
        shuffle_dataset=False,
        max_completion_length=sampling.max_tokens,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        generation_kwargs={"use_cache": True},  # whatever the checkpoint says
        beta=config.algo.kl_coef,
        epsilon=config.algo.clip_low,
        epsilon_high=config.algo.clip_high,
        num_iterations=learner.minibatches,
        loss_type="dapo",  # the mean over all tokens of the batch
        scale_rewards="group",
        optim="adamw_torch_fused",
        learning_rate=learner.lr,
        lr_scheduler_type=learner.schedule,
        adam_beta1=learner.beta1,
        adam_beta2=learner.beta2,
        weight_decay=learner.weight_decay,
        max_grad_norm=learner.clip_grad_norm,
        seed=config.run.seed,
        logging_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **MODES[mode],
    )


def prompts(config: RlConfig, inputs: Inputs) -> Dataset:
    """Return the texts of the run's draws in order. Tokenizing them gives the draws' tokens back, or this raises ValueError."""
    tokenizer = AutoTokenizer.from_pretrained(inputs.model_path)
    rows = []
    for number in range(config.run.steps * config.loop.prompts_per_batch):
        token_ids = inputs.train.draw(number).token_ids.tolist()
        text = tokenizer.decode(token_ids, skip_special_tokens=False)
        if tokenizer(text=text)["input_ids"] != token_ids:
            raise ValueError(f"the text of draw {number} does not tokenize to the draw's tokens")
        rows.append({"prompt": text, "draw": number})
    return Dataset.from_list(rows)


def main() -> None:
    mode, threads, *arguments = sys.argv[1:]
    torch.set_num_threads(int(threads))
    config = load(RlConfig, arguments)
    inputs = load_inputs(config)
    watch = Stopwatch()

    def reward(prompts, completions, completion_ids, draw, **_):
        watch.completions += len(completions)
        watch.tokens += sum(map(len, completion_ids))
        rewards = [inputs.verifier(inputs.train.draw(n).prompt, text).reward for n, text in zip(draw, completions, strict=True)]
        watch.right += sum(rewards)
        return rewards

    with TemporaryDirectory(prefix="peer-trl-") as folder:
        trainer = TimedTrainer(
            model=inputs.model_path,
            reward_funcs=reward,
            args=settings(config, mode, folder),
            train_dataset=prompts(config, inputs),
            processing_class=AutoTokenizer.from_pretrained(inputs.model_path),
            callbacks=[Blocks(watch)],
        )
        trainer.watch = watch
        trainer.train()


if __name__ == "__main__":
    main()
