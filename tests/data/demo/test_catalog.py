import re
from collections import Counter

from toolrl.data.demo.catalog import CATALOG
from toolrl.data.demo.vocabulary import KINDS


def test_there_are_36_capabilities_in_13_domains_and_no_two_share_a_name():
    names = [name for capability in CATALOG for name in capability.names]
    assert len(CATALOG) == 36
    assert len({capability.domain for capability in CATALOG}) == 13
    assert len(names) == len(set(names)) == 72


def test_every_capability_goes_by_several_names_and_so_does_each_argument():
    for capability in CATALOG:
        assert len(capability.names) >= 2
        assert all(len(argument.aliases) >= 2 for argument in capability.arguments.values())


def test_no_two_arguments_of_a_capability_can_take_the_same_name():
    for capability in CATALOG:
        counts = Counter(alias for argument in capability.arguments.values() for alias in argument.aliases)
        assert max(counts.values()) == 1, capability.names


def test_requests_state_only_arguments_of_their_capability_and_each_argument_is_stated_by_all_requests_once():
    for capability in CATALOG:
        for request in capability.requests:
            assert sorted(re.findall(r"\{(\w+)\}", request)) == sorted(capability.arguments), request


def test_no_two_capabilities_are_asked_for_in_the_same_words():
    requests = [request for capability in CATALOG for request in capability.requests]
    assert len(set(requests)) == len(requests)


def test_an_argument_is_optional_exactly_where_a_request_brackets_it():
    optional = {capability.names[0]: capability.optional for capability in CATALOG}
    assert optional["get_weather"] == {"unit"}
    assert optional["get_forecast"] == set()
    assert optional["play_artist"] == {"percent"}


def test_every_kind_of_value_is_used():
    assert {slot for capability in CATALOG for slot in capability.arguments} == set(KINDS)
