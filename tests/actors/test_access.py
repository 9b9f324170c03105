"""Who may reach a cluster: a stranger is refused by the one we start, and an open one is told."""

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from toolrl.actors import access, cluster
from toolrl.config.schema import ClusterConfig

OPEN_THEN_OURS = """
import json, os, sys
import psutil, ray
from toolrl.actors.access import MODE, TOKEN, is_open
from toolrl.actors.cluster import connected, live_nodes
from toolrl.config.schema import ClusterConfig

@ray.remote
def where():
    return ray.util.get_node_ip_address()

def listening():
    of = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return sorted({c.laddr.ip for p in of for c in p.net_connections("inet") if c.status == "LISTEN"})

def files_with(token):
    folder = os.path.realpath(ray._private.worker._global_node.get_session_dir_path())
    paths = [os.path.join(at, name) for at, _, names in os.walk(folder) for name in names]
    return [path for path in paths if os.path.isfile(path) and token.encode() in open(path, "rb").read()]

found = {}
os.environ[MODE] = "disabled"
with connected(ClusterConfig(num_cpus=2)):
    found["open"] = is_open(ray.get_runtime_context().gcs_address)
del os.environ[MODE]
with connected(ClusterConfig(num_cpus=2)):
    node = ray.get(where.remote())
    token = os.environ[TOKEN]
    at = ray._private.worker._global_node.get_session_dir_path()
    mine = os.path.dirname(os.path.dirname(at))
    found |= {"folder": mine, "mode": os.stat(mine).st_mode & 0o777, "sockets": os.listdir(at + "/sockets")}
    found |= {"ours": is_open(ray.get_runtime_context().gcs_address), "node": node, "listening": listening(), "files": files_with(token)}
found["left"] = [name for name in (MODE, TOKEN) if name in os.environ]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def clusters(tmp_path_factory):
    """What a driver saw of two clusters it started one after the other, and what it said: the first with tokens switched off."""
    home = tmp_path_factory.mktemp("home")
    env = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | {"HOME": str(home)}
    done = subprocess.run([sys.executable, "-c", OPEN_THEN_OURS], env=env, capture_output=True, text=True, timeout=120, check=True)
    return json.loads(done.stdout.splitlines()[-1]), done.stderr, home


@pytest.mark.stack
def test_a_cluster_that_we_start_refuses_who_has_no_token(clusters):
    found, _, _ = clusters
    assert found["ours"] is False


@pytest.mark.stack
def test_nothing_of_a_cluster_that_we_start_listens_where_another_machine_could_call(clusters):
    found, _, _ = clusters
    assert found["node"] == "127.0.0.1"
    assert found["listening"]
    assert set(found["listening"]) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


@pytest.mark.stack
def test_the_token_is_in_no_file_and_is_gone_with_its_cluster(clusters):
    found, _, home = clusters
    assert found["files"] == []
    assert found["left"] == []
    assert not (home / ".ray").exists()


@pytest.mark.stack
def test_no_other_user_reaches_the_sockets_and_no_file_is_left(clusters):
    found, _, _ = clusters
    assert "raylet" in found["sockets"]
    assert found["mode"] == 0o700
    assert not os.path.exists(found["folder"])


@pytest.mark.stack
def test_an_open_cluster_is_told_in_one_line_and_ours_is_not(clusters):
    found, said, _ = clusters
    assert found["open"] is True
    (line,) = [line for line in said.splitlines() if "asks for no token" in line]
    assert "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN set" in line


class Head(grpc.GenericRpcHandler):
    """The head of a cluster, of which only the first question is known."""

    def __init__(self, token):
        self._token = token

    def service(self, call):
        def answer(_, context):
            if self._token and ("authorization", f"Bearer {self._token}") not in call.invocation_metadata:
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "InvalidAuthToken")
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.mark.parametrize(("token", "is_open"), [("", True), ("secret", False)])
def test_a_head_is_open_that_answers_without_a_token(token, is_open):
    server = grpc.server(ThreadPoolExecutor(1), handlers=[Head(token)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    assert access.is_open(f"127.0.0.1:{port}") is is_open
    server.stop(None).wait()


def test_nobody_at_all_is_not_an_open_cluster(free_tcp_port, monkeypatch):
    monkeypatch.setattr(access, "_PROBE_S", 0.3)
    assert access.is_open(f"127.0.0.1:{free_tcp_port}") is False


@pytest.fixture
def bare(monkeypatch):
    """An environment that says nothing of Ray."""
    for name in [name for name in os.environ if name.startswith(("RAY_", "GLOO_", "NCCL_", "VLLM_"))]:
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize("mine", [True, False])
def test_ray_has_its_files_where_the_user_says_and_all_others_in_a_folder_that_goes(bare, tmp_path, mine):
    bare.setenv("RAY_TMPDIR" if mine else "TMPDIR", str(tmp_path))
    with cluster._own(ClusterConfig()) as where:
        (folder,) = tmp_path.iterdir()
        assert where == ({} if mine else {"_temp_dir": str(folder / "ray")})
        assert os.environ["TMPDIR"] == str(folder)
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("before", ["/var/tmp", None])
def test_only_processes_of_the_cluster_have_their_temporary_files_there(bare, tmp_path, before):
    for name in ("TMPDIR", "TORCHINDUCTOR_CACHE_DIR"):
        bare.delenv(name, raising=False)
    if before:
        bare.setenv("TMPDIR", before)
    outside, whole = tempfile.gettempdir(), dict(os.environ)
    with access.temporary_in(tmp_path):
        assert tempfile.gettempdir() == outside
        child = "import tempfile; print(tempfile.gettempdir())"
        assert subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, check=True).stdout.strip() == str(tmp_path)
        assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == f"{outside}/torchinductor_{os.getuid()}"
    assert dict(os.environ) == whole


def test_each_cluster_has_a_token_of_its_own_and_what_was_set_is_unset_after_it(bare):
    before, tokens = dict(os.environ), set()
    for _ in range(2):
        with access.private():
            assert os.environ["RAY_AUTH_MODE"] == "token"
            assert os.environ["NCCL_SOCKET_IFNAME"] == os.environ["GLOO_SOCKET_IFNAME"] == "lo"
            assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
            tokens.add(os.environ["RAY_AUTH_TOKEN"])
        assert dict(os.environ) == before
    assert len(tokens) == 2


@pytest.mark.parametrize(
    "mine", [{"RAY_AUTH_TOKEN": "a" * 64}, {"RAY_AUTH_TOKEN_PATH": "/x"}, {"RAY_AUTH_MODE": "disabled", "NCCL_SOCKET_IFNAME": "eth0"}]
)
def test_what_the_user_has_set_stays(bare, mine):
    for name, value in mine.items():
        bare.setenv(name, value)
    with access.private():
        assert {name: os.environ[name] for name in mine} == mine
        assert ("RAY_AUTH_TOKEN" in os.environ) == ("RAY_AUTH_TOKEN_PATH" not in mine)
    assert {name: os.environ[name] for name in mine} == mine
