from __future__ import annotations

import pytest

from realtime_agent.addresses import base_url, is_loopback, public_address


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost", "127.0.0.1", "127.0.0.5", "127.255.255.254", "::1", "0:0:0:0:0:0:0:1"]
)
def test_these_lead_to_this_machine_whatever_the_network(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["", "0.0.0.0", "::", "::2", "10.0.0.1", "128.0.0.1", "voice.example", "localhost.evil.example",
     "127.0.0.1.evil.example", "127.1", "localhost:8080", "[::1]"],
)  # fmt: skip
def test_these_may_lead_elsewhere(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("localhost", "http://localhost:8080"),
        ("voice.example", "http://voice.example:8080"),
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("192.0.2.1", "http://192.0.2.1:8080"),
        ("::1", "http://[::1]:8080"),
        ("2001:db8::7", "http://[2001:db8::7]:8080"),
        ("fe80::1%eth0", "http://[fe80::1%eth0]:8080"),
    ],
)
def test_a_server_is_reached_where_it_listens(host: str, url: str) -> None:
    assert base_url("http", host, 8080) == url


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "ws://127.0.0.1:9"),
        ("", "ws://127.0.0.1:9"),
        ("::", "ws://[::1]:9"),
        ("0:0:0:0:0:0:0:0", "ws://[::1]:9"),
    ],
)
def test_a_server_on_all_addresses_is_reached_at_the_loopback_one(host: str, url: str) -> None:
    assert base_url("ws", host, 9) == url


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("wss://voice.test/v1", "wss://voice.test/v1"),
        ("wss://user:pass@voice.test:1/v1", "wss://voice.test:1/v1"),
        ("wss://us@er:pa@ss@voice.test/v1", "wss://voice.test/v1"),
        ("ws://[::1]:9/v1?api-key=secret&api-version=2&token=secret", "ws://[::1]:9/v1?api-version=2"),
        ("ws://h/v1?model=a%20b&deployment=c", "ws://h/v1?model=a+b&deployment=c"),
        ("ws://h/v1?secret", "ws://h/v1"),
    ],
)
def test_an_address_is_shown_without_its_secrets(address: str, public: str) -> None:
    assert public_address(address) == public
