"""Addresses and options of servers."""

from __future__ import annotations

import pytest

from sift_rag.errors import ConfigurationError
from sift_rag.stores.qdrant.address import ServerAddress, parse_address
from sift_rag.stores.qdrant.options import ServerOptions


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost", ("http", "localhost", 6333, 6334, "")),
        ("http://localhost:7000", ("http", "localhost", 7000, 7001, "")),
        ("https://qdrant.example.org:443?grpc_port=6334", ("https", "qdrant.example.org", 443, 6334, "")),
        ("https://example.org/qdrant/", ("https", "example.org", 6333, None, "/qdrant")),
        ("grpc://[::1]", ("grpc", "::1", 6334, 6334, "")),
        ("grpcs://10.0.0.1:7000", ("grpcs", "10.0.0.1", 7000, 7000, "")),
    ],
)
def test_a_url_names_a_server(url: str, expected: tuple[object, ...]) -> None:
    address = parse_address(url)
    assert (address.scheme, address.host, address.port, address.grpc_port, address.path) == expected


def test_what_is_shown_of_an_address_names_it_again() -> None:
    for url in ("http://localhost:6333", "https://example.org:6333/qdrant", "grpc://[::1]:6334"):
        assert parse_address(url).url == url


def test_a_request_may_be_given_more_time_and_no_key() -> None:
    address = parse_address("http://localhost?timeout=600&key=none", api_key="secret")
    assert (address.timeout, address.api_key) == (600, None)
    assert parse_address("http://localhost", api_key="secret").api_key == "secret"


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("ftp://localhost", "is not a server"),
        ("http://", "is not a server"),
        ("http://localhost:port", "not a valid URL"),
        ("http://localhost:99999", "not a valid URL"),
        ("http://user:word@localhost", "does not belong there"),
        ("http://localhost?grpc_port=0", "1 to 65535"),
        ("http://localhost?grpc_port=six", "1 to 65535"),
        ("http://localhost?timeout=-1", "1 to 65535"),
        ("http://localhost?api_key=word", "parameters other than"),
        ("http://localhost?key=word", "parameters other than"),
        ("http://localhost#fragment", "parameters other than"),
        ("http://localhost?nothing", "not a valid URL"),
        ("grpc://localhost?grpc_port=1", "a host and a port"),
        ("grpc://localhost/path", "a host and a port"),
    ],
)
def test_what_names_no_server_is_refused(url: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint) as error:
        parse_address(url)
    assert "user:word" not in str(error.value)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("db.localhost", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("localhost.example.org", False),
    ],
)
def test_loopback_is_this_machine(host: str, loopback: bool) -> None:
    assert ServerAddress("http", host, 6333, None).loopback == loopback


@pytest.mark.parametrize("name", ["shard_number", "replication_factor", "write_consistency_factor"])
def test_options_count_from_1(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 1"):
        ServerOptions(**{name: 0})


def test_more_replicas_cannot_confirm_than_there_are() -> None:
    with pytest.raises(ValueError, match="no write could be acknowledged"):
        ServerOptions(replication_factor=2, write_consistency_factor=3)
    with pytest.raises(ValueError, match="no write could be acknowledged"):
        ServerOptions(write_consistency_factor=2)


@pytest.mark.parametrize("key", ["secret\r", "sécret", "sec\nret"])
def test_a_key_that_no_header_can_hold_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ConfigurationError, match="must be printable ASCII") as raised:
        parse_address("http://localhost:6333", api_key=key)
    assert key not in str(raised.value)
