"""The Hugging Face hub: is it there? Its client would try again for half a minute on a machine without a network."""

from __future__ import annotations

from urllib.error import HTTPError
from urllib.request import Request, urlopen

HUB_TIMEOUT_S = 5.0
"""Longest wait for the hub to answer at all."""


def hub_is_off() -> bool:
    """Whether the user has switched the hub off (HF_HUB_OFFLINE=1), so that only its local cache counts."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def hub_answers() -> bool:
    """Ask once, with a deadline, whether there is a hub."""
    from huggingface_hub import constants

    if hub_is_off():
        return False
    try:
        urlopen(Request(constants.ENDPOINT, method="HEAD"), timeout=HUB_TIMEOUT_S).close()
    except HTTPError:  # it answers, if not with a page
        return True
    except OSError:
        return False
    return True
