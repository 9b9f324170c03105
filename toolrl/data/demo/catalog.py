"""The tools of the demo, read from `catalog.txt`: 36 capabilities in 13 domains, their names, arguments and ways to ask.

    # domain
    name or other_name: {slot} argument or other_argument, {slot} argument or other_argument
        a way to ask, with {slot}[ and a part with {slot} that may be left out]

A slot is a kind of value of `vocabulary.KINDS`.
"""

from __future__ import annotations

from importlib import resources

from toolrl.data.demo.vocabulary import KINDS, Argument, Capability


def _read(text: str) -> tuple[Capability, ...]:
    capabilities: list[Capability] = []
    for block in text.split("# ")[1:]:
        domain, *lines = [line for line in block.splitlines() if line]
        heads = [i for i, line in enumerate(lines) if not line.startswith(" ")]
        for start, end in zip(heads, [*heads[1:], len(lines)], strict=True):
            capabilities.append(_capability(domain, lines[start], lines[start + 1 : end]))
    return tuple(capabilities)


def _capability(domain: str, head: str, requests: list[str]) -> Capability:
    names, arguments = head.split(": ")
    slots = {}
    for argument in arguments.split(", "):
        slot, aliases = argument.removeprefix("{").split("} ")
        slots[slot] = Argument(tuple(aliases.split(" or ")), KINDS[slot])
    return Capability(domain, tuple(names.split(" or ")), slots, tuple(request.strip() for request in requests))


CATALOG = _read(resources.files("toolrl.data.demo").joinpath("catalog.txt").read_text(encoding="utf-8"))
"""Every capability. A request for one is worded by its own templates only, so that what is asked is never in doubt."""
