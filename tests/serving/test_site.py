"""The site is read by who has its address, from this machine, and by nobody else."""

import socket

import pytest
from starlette.testclient import TestClient

from toolrl.errors import ConfigError, RunError, UserError
from toolrl.serving import site as sites
from toolrl.serving.site import Site, application, serve_site

SECRET = "s3cret"


def failing(error):
    def answer(_):
        raise error

    return answer


@pytest.fixture
def client():
    answers = {
        "echo": lambda query: f'"{query["word"]}"',
        "wrong": failing(ConfigError("no such row")),
        "broken": failing(RunError("disk")),
    }
    made = Site(lambda: "<p>page</p>", "default-src 'none'", answers)
    return TestClient(application(made, SECRET), base_url="http://127.0.0.1:8010")


def test_the_page_and_its_answers_lie_behind_the_secret(client):
    assert client.get(f"/{SECRET}/").text == "<p>page</p>"
    assert client.get(f"/{SECRET}/echo?word=hello").json() == "hello"
    assert [client.get(path).status_code for path in ("/", "/echo?word=x", "/other/", "/other/echo")] == [404] * 4


def test_only_a_name_of_loopback_is_answered(client):
    assert client.get(f"/{SECRET}/", headers={"Host": "localhost:8010"}).status_code == 200
    assert client.get(f"/{SECRET}/", headers={"Host": "attacker.example"}).status_code == 400


def test_nothing_can_be_sent(client):
    assert client.post(f"/{SECRET}/echo", json={}).status_code == 405


def test_every_answer_has_the_policy_and_is_kept_by_nobody(client):
    page = client.get(f"/{SECRET}/")
    assert page.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    for answer in (page, client.get(f"/{SECRET}/echo?word=x"), client.get(f"/{SECRET}/wrong")):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in answer.headers


def test_what_goes_wrong_is_told(client):
    wrong, broken = (client.get(f"/{SECRET}/{name}") for name in ("wrong", "broken"))
    assert (wrong.status_code, wrong.json()) == (404, {"error": "no such row"})
    assert (broken.status_code, broken.json()) == (500, {"error": "disk"})


@pytest.fixture
def served(monkeypatch):
    """Addresses that a server was started with, each served for no time at all."""
    told = []
    monkeypatch.setattr(sites.uvicorn.Server, "run", lambda _, sockets: told.append(sockets[0].getsockname()))
    return told


def test_it_listens_on_loopback_alone_and_the_secret_is_new_each_time(served):
    made, addresses = Site(str, "", {}), []
    for _ in range(2):
        serve_site(made, port=0, ready=addresses.append)
    assert {host for host, _ in served} == {"127.0.0.1"}
    assert [address.rpartition(":")[2].partition("/")[0] for address in addresses] == [str(port) for _, port in served]
    secrets = {address.rstrip("/").rpartition("/")[2] for address in addresses}
    assert len(secrets) == 2
    assert all(len(secret) >= 22 for secret in secrets)  # 16 random bytes


def test_a_port_that_is_taken_or_none_is_one_message(served):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UserError, match="give another --port"):
        serve_site(Site(str, "", {}), port=taken.getsockname()[1], ready=print)
    with pytest.raises(UserError, match="--port: got 70000"):
        serve_site(Site(str, "", {}), port=70000, ready=print)
    assert served == []
