import socket

import pytest

from toolrl.errors import DeadlineError, LearnerLostError
from toolrl.learner.rendezvous import interface_towards, join

LIMITS = {"device": "cpu", "start_timeout_s": 1.0, "step_timeout_s": 1.0}


def test_a_rank_that_does_not_come_is_named_at_the_deadline(unused_port):
    with pytest.raises(DeadlineError, match="ranks 1, 2 of 3 did not join within 1 s"):
        join(0, 3, "127.0.0.1", unused_port, **LIMITS)


def test_a_rank_zero_that_does_not_listen_is_named_at_the_deadline(unused_port):
    with pytest.raises(DeadlineError, match=f"no rank 0 at 127.0.0.1:{unused_port} within 1 s"):
        join(1, 2, "127.0.0.1", unused_port, **LIMITS)


def test_a_port_that_another_has_taken_is_named_and_is_a_reason_to_try_again(unused_port):
    with (
        socket.create_server(("127.0.0.1", unused_port)),
        pytest.raises(LearnerLostError, match=f"cannot listen at 127.0.0.1:{unused_port}"),
    ):
        join(0, 1, "127.0.0.1", unused_port, **LIMITS)


def test_gloo_is_told_the_interface_that_leads_to_rank_zero_whatever_the_hostname_resolves_to():
    loopback = interface_towards("127.0.0.1")
    assert loopback in [name for _, name in socket.if_nameindex()]
    assert interface_towards("localhost") == loopback
    assert interface_towards("::1") is None
