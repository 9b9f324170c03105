"""A Ray cluster that this machine knows of: is it there, and does it ask for a token."""

from __future__ import annotations

import socket
import stat
from collections.abc import Mapping
from pathlib import Path

from ray._common.utils import get_ray_address_file

from toolrl.actors.access import FOLDER, MODE, TOKEN, TOKEN_FILE, asked
from toolrl.errors import ConfigError
from toolrl.pipelines.doctoring.findings import Report
from toolrl.pipelines.doctoring.machine import HEAD

SECURE = f"start it with {MODE}=token and {TOKEN} set (docs/security.md)"


def check_ray(report: Report, environment: Mapping[str, str], *, default: str = f"127.0.0.1:{HEAD}") -> None:
    """Tell of a cluster that is open to all, and of an address that nobody answers at."""
    named = environment.get("RAY_ADDRESS", "")
    noted = _noted(environment)
    known = {"RAY_ADDRESS": named, "ray_current_cluster": noted, "the default port": default}
    told: dict[str, bool] = {}
    for source, address in known.items():
        if not address or "://" in address or address in ("auto", "local") or address in told:
            continue
        told[address] = is_head(answer := asked(address))
        if not answer:
            _tell_open(report, address)
        if told[address]:
            continue
        if source == "RAY_ADDRESS":
            report.error(
                "RAY_ADDRESS",
                f"nobody answers at {address}",
                cause="a cluster that has ended, or a port that is blocked",
                next="unset RAY_ADDRESS; or ray start --head",
            )
        elif source == "ray_current_cluster":
            report.note(
                "Ray",
                f"a cluster at {address} is remembered, and is gone",
                cause="it ended without `ray stop`",
                next="ray stop",
                evidence=["toolrl starts its own all the same; `ray` commands try that address first"],
            )
    report.fact(
        "Ray", "; ".join(f"a cluster at {address}" for address, there in told.items() if there) or "no cluster here: a run starts its own"
    )
    _token(report, environment)


def check_open(report: Report, address: str) -> None:
    """Tell of a cluster that asks nobody for a token."""
    if not asked(address):
        _tell_open(report, address)


def is_head(answer: str) -> bool:
    """Whether what came of `asked` is the answer of a Ray head."""
    return answer in ("", "UNAUTHENTICATED", "PERMISSION_DENIED")


def check_head(report: Report, address: str) -> bool:
    """Whether a Ray head is at `address` (host:port), so that one may join it without waiting for a minute. Raises ConfigError."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ConfigError(f"--cluster: got {address!r}; give the address of its head, as 10.0.0.1:{HEAD}")
    if is_head(answer := asked(address)):
        return True
    try:
        with socket.create_connection((host, int(port)), timeout=2):
            why, cause = f"something else listens there ({answer})", "another port, or one that is blocked on the way"
    except OSError as error:
        why, cause = str(error), "Ray is not running there, the port is blocked, or the address is another machine's"
    report.error(
        "Ray's head",
        f"does not answer at {address}",
        evidence=[why],
        cause=cause,
        next=f"on {host}: ray status; from here: nc -vz {host} {port}",
    )
    return False


def _tell_open(report: Report, address: str) -> None:
    report.error(
        "Ray cluster",
        f"the one at {address} asks for no token",
        evidence=["a client without one was answered"],
        cause="it was started with RAY_AUTH_MODE=disabled, or is an older Ray: whoever reaches that port runs code as its user",
        next=f"ray stop; {SECURE}",
    )


def _noted(environment: Mapping[str, str]) -> str:
    try:
        return Path(get_ray_address_file(environment.get(FOLDER))).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _token(report: Report, environment: Mapping[str, str]) -> None:
    path = Path(environment.get(TOKEN_FILE) or Path.home() / ".ray" / "auth_token")
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return
    if mode & 0o077:
        report.warning(
            "token of Ray",
            f"{path} can be read by others (mode {mode:04o})",
            cause="`ray get-auth-token --generate` writes it so",
            next=f"chmod 600 {path}",
        )
