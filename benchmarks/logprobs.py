"""Peak memory and time of log-probabilities with their backward pass: slices of the vocabulary beside the full logits.

    python benchmarks/logprobs.py [--vocabulary 151936] [--tokens 4096] [--width 896] [--device cuda] [--dtype bfloat16] [--json]

Every way runs in a process of its own. Its memory is what the process holds at the most beyond hidden states, the head and the head's
gradient (resident pages on CPU, allocated bytes on a GPU); the measure is the full logits in float32. On CPU the slice of a GPU is measured
too. The two ways must agree on log-probabilities and gradients, else the benchmark fails.
"""

import argparse
import json
import multiprocessing
import os
import resource
import sys
import time

import torch

from toolrl.learner import logprobs
from toolrl.learner.logprobs import TokenLogprobs

TOLERANCE = {"float32": 1e-4, "bfloat16": 3e-2}
"""Of the relative error of sums over all tokens; both ways round."""


class FullLogits(torch.nn.Module):
    """What one writes on a page: every logit at once, in float32."""

    def __init__(self, weight):
        super().__init__()
        self.weight = weight

    def forward(self, hidden, labels, temperature):
        """As `TokenLogprobs`, without the entropy."""
        log_all = torch.log_softmax((hidden @ self.weight.T).float() / temperature, dim=1)
        return log_all.gather(1, labels[:, None])[:, 0], None


def measure(way: str, slice_elements: int, options: argparse.Namespace, reply) -> None:
    """Run one way, and reply with its peak memory in bytes, its seconds and a digest of its results."""
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    logprobs.SLICE_ELEMENTS[options.device] = slice_elements
    like = {"dtype": getattr(torch, options.dtype), "device": options.device}
    hidden = torch.randn(options.tokens, options.width, **like).requires_grad_()
    weight = torch.nn.Parameter(torch.randn(options.vocabulary, options.width, **like) * 0.05)
    labels = torch.randint(options.vocabulary, (options.tokens,), device=options.device)
    head = (TokenLogprobs if way == "slices" else FullLogits)(weight)
    run(head, hidden[:1], labels[:1])  # threads, libraries, and the head's gradient, which stays
    before = allocated(options.device)
    start = time.perf_counter()
    logp = run(head, hidden, labels)
    if options.device == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - start
    peak = torch.cuda.max_memory_allocated() if options.device == "cuda" else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    digest = [float(logp.double().mean()), float(hidden.grad.double().norm()), float(weight.grad.double().norm())]
    reply.send((max(peak - before - weight.numel() * weight.element_size(), 0), seconds, digest))


def run(head, hidden, labels) -> torch.Tensor:
    """Forward and backward; the head's gradient adds to what is there, as in a step of several micro-batches."""
    logp, _ = head(hidden, labels, 0.9)
    (-logp.mean()).backward()
    return logp.detach()


def allocated(device: str) -> int:
    """Bytes this process holds now."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    with open("/proc/self/statm") as pages:
        return int(pages.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def in_child(way: str, slice_elements: int, options: argparse.Namespace):
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    child = context.Process(target=measure, args=(way, slice_elements, options, send))
    child.start()
    send.close()
    try:
        return receive.recv()
    finally:
        child.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocabulary", type=int, default=151936)
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--width", type=int, default=896)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dtype", choices=tuple(TOLERANCE), default="float32")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    devices = ("cpu", "cuda") if options.device == "cpu" else ("cuda",)
    ways = {"full logits": ("full", 0)} | {f"slices of a {d}": ("slices", logprobs.SLICE_ELEMENTS[d]) for d in devices}
    full = options.tokens * options.vocabulary * 4
    print(f"{options.tokens} tokens, vocabulary {options.vocabulary}, width {options.width}, {options.dtype} on {options.device}")
    print(f"full logits in float32: {full / 1e9:.2f} GB\n{'':18}{'peak GB':>9}{'of full logits':>16}{'seconds':>10}")
    shares, digests = {}, []
    for name, (way, slice_elements) in ways.items():
        peak, seconds, digest = in_child(way, slice_elements, options)
        shares[name] = peak / full
        digests.append(torch.tensor(digest))
        print(f"{name:18}{peak / 1e9:9.3f}{peak / full:16.3f}{seconds:10.1f}", flush=True)
    worst = max(float(((digest - digests[0]) / digests[0]).abs().max()) for digest in digests)
    if options.json:
        print(json.dumps({"full_logits_bytes": full, "share_of_full_logits": shares, "largest_relative_difference": worst}))
    if worst > TOLERANCE[options.dtype]:
        sys.exit(f"the ways differ by {worst:.1e}, relatively")


if __name__ == "__main__":
    main()
