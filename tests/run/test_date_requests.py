from __future__ import annotations

import pytest

from scanner.run.date_requests import MAX_OF_A_GROUP, DateRequests, group_of


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("www.example.org", "example.org"),
        ("a.b.c.d.example.org", "example.org"),
        ("example.org.", "example.org"),
        ("localhost", "localhost"),
        ("192.0.2.7", "192.0.2"),
        ("2001:db8::7", "2001:db8:"),
        ("", ""),
    ],
)
def test_group_is_the_last_two_labels_or_an_address_without_its_last_part(name: str, group: str) -> None:
    assert group_of(name) == group


def test_a_few_of_each_group_are_asked() -> None:
    requests = DateRequests()
    assert [requests.allow(f"h{number}.example.org") for number in range(10)] == [True] * MAX_OF_A_GROUP + [False] * 2
    assert requests.allow("www.example.net")
    assert requests.allow("192.0.2.1")
