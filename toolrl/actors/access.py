"""Who may reach the Ray of a run: its owner alone where the run starts it; where it is open to all, a warning.

Ray runs any code that a client sends it, as the user that started it. What keeps others out of a cluster started here: its processes listen
on loopback, so no other machine reaches them; they answer only who knows a token, so no other user of this machine gets an answer; their
sockets, logs and temporary files lie in a folder that no other user can enter. The token is made anew for each cluster and lives in the
environment of its processes alone, in no file. What the user has set of these variables stays as it is.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ray._common.utils import get_default_system_temp_dir
from ray._private import ray_constants
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

LOOPBACK = "127.0.0.1"
MODE = "RAY_AUTH_MODE"
TOKEN = "RAY_AUTH_TOKEN"  # the variable's name
TOKEN_FILE = "RAY_AUTH_TOKEN_PATH"
FOLDER = "RAY_TMPDIR"
_LISTEN = {
    "GLOO_SOCKET_IFNAME": "lo",
    "NCCL_SOCKET_IFNAME": "lo",  # by itself NCCL takes loopback last
    "VLLM_HOST_IP": LOOPBACK,
}
"""Where those listen that Ray knows nothing of: the groups of learners and engines."""
_COMPILED = "TORCHINDUCTOR_CACHE_DIR"
_TOKEN_BYTES = 32
_ASKED_FIRST = "/ray.rpc.NodeInfoGcsService/GetClusterId"
"""What every client of Ray asks first; it has no arguments and changes nothing."""
_PROBE_S = 5.0


@contextmanager
def private() -> Iterator[None]:
    """Let a cluster that is started in the body listen on loopback only, and answer nobody who has not its token."""
    settings = {MODE: "token", **_LISTEN}
    if not os.environ.get(TOKEN) and not os.environ.get(TOKEN_FILE):
        os.environ.pop(TOKEN, None)
        settings[TOKEN] = secrets.token_hex(_TOKEN_BYTES)
    added = {name: value for name, value in settings.items() if name not in os.environ}
    os.environ.update(added)
    # Ray turns a loopback address into one that other machines reach, except on systems on which it starts clusters of one machine only.
    several_machines = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    _read_anew()
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = several_machines
        for name in added:
            os.environ.pop(name, None)
        _read_anew()


def private_folder() -> Path:
    """Make a folder that no other user can enter, for the caller to remove.

    Ray's own way is a folder that every user of the machine may write into, the sockets its processes speak through in it.
    """
    return Path(tempfile.mkdtemp(prefix="ray-", dir=get_default_system_temp_dir()))


@contextmanager
def temporary_in(folder: Path) -> Iterator[None]:
    """Let the processes that are started in the body have their temporary files in `folder`; this one's stay where they were.

    vLLM leaves sockets and a rendezvous file there whenever an engine is killed. What torch compiles is kept, and stays outside.
    """
    outside = tempfile.gettempdir()  # found once, and remembered
    settings = {"TMPDIR": str(folder), _COMPILED: os.environ.get(_COMPILED) or f"{outside}/torchinductor_{os.getuid()}"}
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            os.environ.update({} if value is None else {name: value})


def is_open(gcs_address: str) -> bool:
    """Whether the cluster whose head is at `gcs_address` (host:port) answers a client without a token."""
    return asked(gcs_address) == ""


def asked(gcs_address: str) -> str:
    """Return why who is at `gcs_address` (host:port) does not answer a client without a token, in a word; empty: it does.

    `UNAUTHENTICATED` is the head of a cluster that is its owner's alone; anything else may be nobody.
    """
    import grpc  # type: ignore[import-untyped] # only this needs it

    with grpc.insecure_channel(gcs_address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            channel.unary_unary(_ASKED_FIRST)(b"", timeout=_PROBE_S)
        except grpc.RpcError as error:  # refused, or spoken to in a way that only who belongs there knows
            return str(error.code().name)
    return ""


def warning(gcs_address: str) -> str:
    """Return what a person should know of an open cluster."""
    return (
        f"warning: the Ray cluster at {gcs_address} asks for no token: whoever reaches that port can run code as its user and read this "
        f"run's keys and data; start it with {MODE}=token and {TOKEN} set, here too (docs/security.md)"
    )


def _read_anew() -> None:
    """Let Ray, which keeps what it once read, read mode and token again."""
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()
