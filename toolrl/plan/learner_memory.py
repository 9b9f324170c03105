"""Memory of one rank of the learner: what it holds between two steps, and the most it holds within one.

    states:  weights · persistent · second copy · master · optimizer · gradient sums · bucket · reference
    a step:  states + kept activations + the larger of (a layer recomputed and differentiated | the head and its gradient)
    update:  states + the copy of the gradient that DeepSpeed makes of a group of parameters

Formulas and their sources are in docs/planner.md; a test holds them against what DeepSpeed and torch really allocate. Bytes throughout.
"""

from __future__ import annotations

from dataclasses import dataclass

from toolrl.config.learning import AlgoConfig, LearnerConfig
from toolrl.config.schema import ModelConfig
from toolrl.plan.shapes import Shape
from toolrl.plan.terms import BYTES, FLOAT32, Term, some, total

SMALLEST_BUCKET = 2**21
"""Elements of the gradient bucket at least, as `toolrl.learner.deepspeed_config` has it."""
LIVE_ELEMENTS = 10**9
"""A layer's parameters stay gathered where they are used again within so many elements (DeepSpeed's stage3_max_reuse_distance)."""
SUB_GROUP_ELEMENTS = 10**9
"""Elements that DeepSpeed updates at a time (sub_group_size)."""
SLICE_ELEMENTS = {"cpu": 2**21, "cuda": 2**25}
"""Logits made at a time, as `toolrl.learner.logprobs` has it."""


@dataclass(frozen=True, slots=True)
class LearnerMemory:
    """The memory of a rank under some settings.

    Args:
        shape: The model.
        model: Its compute type, and whether activations are recomputed.
        learner: Ranks and what is kept where.
        algo: Whether there is a reference.
        device: `cpu` or `cuda`.
    """

    shape: Shape
    model: ModelConfig
    learner: LearnerConfig
    algo: AlgoConfig
    device: str = "cuda"

    @property
    def width(self) -> int:
        """Bytes of an element that is computed with."""
        return BYTES[self.model.dtype]

    @property
    def trained(self) -> int:
        """Parameters that are trained."""
        return sum(size * count for size, count in self._adapters) if self.learner.lora_rank else self.shape.parameters

    @property
    def _adapters(self) -> tuple[tuple[int, int], ...]:
        """Elements and number of LoRA's matrices."""
        return self.shape.lora(self.learner.lora_rank, self.learner.lora_targets) if self.learner.lora_rank else ()

    @property
    def parameters(self) -> int:
        """Parameters that lie in the model, LoRA's matrices included."""
        return self.shape.parameters + (self.trained if self.learner.lora_rank else 0)

    @property
    def bucket(self) -> int:
        """Elements of the gradient bucket."""
        return max(self.shape.hidden**2, SMALLEST_BUCKET)

    def shard(self, parameters: float) -> float:
        """Return the elements of a rank; ZeRO-3 pads each parameter to a multiple of the ranks, which is less than a rank a parameter."""
        return parameters / self.learner.num_ranks

    @property
    def weights(self) -> float:
        """Bytes of a rank's shard of the parameters, in the compute type."""
        return self.width * self.shard(self.parameters)

    def optimizer_states(self) -> tuple[Term, ...]:
        """Return master weights and the optimizer's moments: what `learner.offload_optimizer` keeps on the host."""
        fewer = ("learner.offload_optimizer", "learner.num_ranks", "learner.lora_rank")
        moments = 2 * self.trained
        if self.learner.optimizer == "muon":  # hidden matrices have a momentum only
            moments -= self.shape.layers * sum(rows * columns for rows, columns in self.shape.linears.values())
        return (
            Term("master weights", FLOAT32 * self.shard(self.trained), fewer),
            Term("optimizer states", FLOAT32 * self.shard(moments), fewer),
        )

    def gradient_sums(self) -> Term:
        """Return the sums of the gradient: float32 whatever the compute type."""
        return Term("gradient sums", FLOAT32 * self.shard(self.trained), ("learner.offload_optimizer", "learner.num_ranks"))

    def reference(self) -> Term:
        """Return the reference's shard; nothing at KL 0, and with LoRA, where it is the base."""
        held = self.shape.parameters if self.algo.kl_coef and not self.learner.lora_rank else 0
        return Term("reference", self.width * self.shard(held), ("learner.offload_reference", "algo.kl_coef"))

    def persistent(self) -> Term:
        """Return what stays gathered between passes: every parameter of up to `learner.persistent_elements`."""
        return Term("small parameters kept whole", self.width * self._small_elements, ("learner.persistent_elements",))

    @property
    def _small_elements(self) -> int:
        sizes = (*self.shape.sizes, *self._adapters)
        return sum(size * count for size, count in sizes if size <= self.learner.persistent_elements)

    def states(self) -> tuple[Term, ...]:
        """Return what lies on the device between two steps."""
        learner = self.learner
        copy = self.width * self.parameters / learner.hpz_ranks if learner.hpz_ranks > 1 else 0
        on_device = () if learner.offload_optimizer else (*self.optimizer_states(), self.gradient_sums())
        return some(
            (
                Term("weights", 0 if learner.offload_parameters else self.weights, ("learner.offload_parameters", "learner.num_ranks")),
                self.persistent(),
                Term("second copy of the shards", copy, ("learner.hpz_ranks",)),
                *on_device,
                Term("gradient bucket", self.width * self.bucket),
                *(() if learner.offload_reference else (self.reference(),)),
            )
        )

    def on_host(self) -> tuple[Term, ...]:
        """Return what a rank keeps in host memory all the time."""
        learner = self.learner
        moved: tuple[Term, ...] = ()
        if learner.offload_optimizer:  # DeepSpeed keeps the sums, and beside them the gradient that the optimizer is handed
            gradient = self.gradient_sums()
            moved = (*self.optimizer_states(), gradient, Term("gradient of the optimizer", gradient.num_bytes, gradient.settings))
        return some(
            (
                *moved,
                Term("weights", self.weights if learner.offload_parameters else 0, ("learner.offload_parameters",)),
                *((self.reference(),) if learner.offload_reference else ()),
            )
        )

    def parked(self) -> tuple[Term, ...]:
        """Return what a colocated rank moves to the host while the engines sample. Page-locked memory comes in powers of two."""
        held = (term for term in self.states() if term.name != self.persistent().name)  # what is kept whole is gathered anew
        tensors = {"optimizer states": 2}  # two moments, each rounded by itself
        blocks = ((term, tensors.get(term.name, 1)) for term in held)
        return tuple(Term(f"parked {t.name}", n * _power_of_two(t.num_bytes / n), t.settings) for t, n in blocks)

    @property
    def gathered_layers(self) -> float:
        """Bytes of the layers that lie gathered at once, without what always does.

        DeepSpeed releases a layer behind its forward pass unless it is used again within `LIVE_ELEMENTS`: on the way to its backward pass
        lie twice the layers above it and twice the head.
        """
        layer, head = self.shape.layer + sum(size for size, _ in self._adapters), self.shape.embedding
        near = (LIVE_ELEMENTS - 2 * head - layer) / (2 * layer)  # layers above the lowest that is kept
        kept = min(int(near) + 1, self.shape.layers) if near >= 0 else 0
        small = self._small_elements / self.shape.layers  # all but a few of them lie in layers
        return self.width * max(kept, 1) * max(layer - small, 0)

    @property
    def gathered(self) -> float:
        """Bytes of the parameters that lie gathered while the head is computed: the head, and what waits for its backward pass."""
        shape = self.shape
        waits = not shape.tied and 2 * (shape.body + shape.embedding) < LIVE_ELEMENTS  # the input embedding of a small model
        return self.gathered_layers + self.width * shape.embedding * (1 + waits)

    def kept_per_token(self) -> float:
        """Bytes that each token leaves in each layer until its backward pass: only the layer's input where the rest is made again."""
        return self.width * self.shape.hidden if self.model.gradient_checkpointing else self.layer_per_token()

    def layer_per_token(self) -> float:
        """Bytes that autograd keeps of one token in one layer.

        Transformers' own modules: a norm keeps its input (in float32), what it normalised, and its output, which the linear parts read; the
        gated part keeps gate, activated gate, up and their product; attention keeps queries, keys, values, output, and a sum for each head.
        Liger's norm keeps input and output, its gated part makes the activated gate again.
        """
        shape, width = self.shape, self.width
        fused = self.model.liger and self.device == "cuda"
        copied = self.device == "cpu" or self.model.attention == "sdpa"  # segment by segment, then joined
        norm = (2 * width if fused else FLOAT32 + 2 * width) * shape.hidden + FLOAT32
        attention = width * ((3 if copied else 2) * shape.attention + 2 * shape.key_value) + FLOAT32 * shape.heads
        return 2 * norm + attention + width * (3 if fused else 4) * shape.intermediate + self._lora_per_token()

    def _lora_per_token(self) -> float:
        """Bytes of what goes through LoRA's matrices."""
        return self.width * self.learner.lora_rank * len(self.shape.linears)

    def step(self, tokens: int, trained_tokens: int | None = None) -> tuple[Term, ...]:
        """Return what is held at the peak of a forward and backward pass.

        Args:
            tokens: Computed in a micro-batch, on all the ranks that share it.
            trained_tokens: Of them, how many have a loss; None: all.
        """
        here = tokens / self.learner.sequence_parallel
        trained = (tokens if trained_tokens is None else trained_tokens) / self.learner.sequence_parallel
        fewer = ("learner.max_tokens_per_microbatch", "learner.sequence_parallel")
        kept = Term("activations", self.shape.layers * here * self.kept_per_token(), ("model.gradient_checkpointing", *fewer))
        layer, head = self._layer(here, fewer), self._head(here, trained, fewer)
        return some((*self.states(), kept, *(layer if total(layer) > total(head) else head)))

    def _layer(self, tokens: float, fewer: tuple[str, ...]) -> tuple[Term, ...]:
        """Return what the backward pass of a layer adds: gate and up have gradients at once, beside that of the layer's output."""
        shape, width = self.shape, self.width
        again = tokens * self.layer_per_token() if self.model.gradient_checkpointing else 0
        backward = tokens * width * (2 * shape.intermediate + shape.hidden)
        matrix = 0 if self.learner.lora_rank else width * shape.intermediate * shape.hidden
        return (
            Term("gathered parameters", self.gathered_layers),
            Term("a layer recomputed", again, fewer),
            Term("its backward pass", backward, fewer),
            Term("gradient of a matrix", matrix),
        )

    def _head(self, tokens: float, trained: float, fewer: tuple[str, ...]) -> tuple[Term, ...]:
        """Return what the head adds: what the final norm keeps, two slices of logits and half of one in the compute type, gradients."""
        shape, width = self.shape, self.width
        final = tokens * (width * shape.hidden + FLOAT32 * shape.hidden + 2 * width * shape.head_dim) + trained * width * shape.hidden
        elements = min(SLICE_ELEMENTS[self.device], trained * shape.vocabulary)
        slices = elements * (2 * FLOAT32 + (width if width < FLOAT32 else 0))
        hidden = trained * shape.hidden * (FLOAT32 + 2 * width)
        weight = 0 if self.learner.lora_rank else width * shape.embedding
        return (
            Term("gathered parameters", self.gathered),
            Term("final norm and labels", final, fewer),
            Term("slices of logits", slices),
            Term("gradient of hidden states", hidden, fewer),
            Term("gradient of the head", weight),
        )

    def update(self) -> tuple[Term, ...]:
        """Return what is held at the peak of an optimizer step."""
        copy = 0 if self.learner.offload_optimizer else FLOAT32 * min(self.shard(self.trained), SUB_GROUP_ELEMENTS)
        return some((*self.states(), Term("gradient of the optimizer", copy, ("learner.num_ranks", "learner.offload_optimizer"))))


def _power_of_two(num_bytes: float) -> float:
    """Return what torch's allocator of page-locked memory takes for a block."""
    return float(1 << max(int(num_bytes) - 1, 0).bit_length()) if num_bytes else 0.0
