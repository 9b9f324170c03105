"""Train or held out: decided by dialogue, by a hash, so that it stays as it is when rows are added or reordered."""

from __future__ import annotations

from hashlib import blake2b

PARTS = ("train", "heldout")


def side(dialogue: str, *, heldout_share: float, seed: int) -> str:
    """Return the part a dialogue belongs to. A larger share only moves dialogues from train to heldout."""
    digest = blake2b(f"{seed} {dialogue}".encode(), digest_size=8).digest()
    return "heldout" if int.from_bytes(digest, "big") < heldout_share * 2**64 else "train"
