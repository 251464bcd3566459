"""Host names of this machine, and of others."""

from __future__ import annotations

import pytest

from sift_rag.hosts import is_loopback


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "api.localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"])
def test_the_names_of_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "localhost.example.org", "0.0.0.0", "::", "10.0.0.1", "example.org", "127.1"])
def test_the_names_of_others(host: str) -> None:
    assert not is_loopback(host)
