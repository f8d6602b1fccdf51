from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_agent.errors import TokenInvalid
from realtime_agent.server.tokens import TokenSigner


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def signer(clock: Clock) -> TokenSigner:
    return TokenSigner(60, clock=clock)


def test_a_token_lets_its_user_into_its_channel_until_it_expires(signer: TokenSigner, clock: Clock) -> None:
    token, expires_at = signer.sign("a room?", 2**32 - 1)
    assert expires_at == 1060
    clock.now = 1060
    assert signer.check(token, "a room?") == 2**32 - 1
    clock.now = 1060.1
    with pytest.raises(TokenInvalid, match="expired"):
        signer.check(token, "a room?")


def test_a_token_is_for_one_channel(signer: TokenSigner) -> None:
    with pytest.raises(TokenInvalid, match="another channel"):
        signer.check(signer.sign("a", 1)[0], "b")


def test_a_token_of_another_server_is_refused(signer: TokenSigner, clock: Clock) -> None:
    with pytest.raises(TokenInvalid, match="not made by this server"):
        signer.check(TokenSigner(60, clock=clock).sign("a", 1)[0], "a")


def test_a_token_cannot_be_rewritten(signer: TokenSigner) -> None:
    payload, mac = signer.sign("a", 1)[0].split(".")
    forged = base64.urlsafe_b64encode(json.dumps(["a", 2, 10**9]).encode()).rstrip(b"=").decode()
    for token in (f"{forged}.{mac}", f"{payload}.", f".{mac}", f"{payload}.{mac}.{mac}", payload, mac, "."):
        with pytest.raises(TokenInvalid):
            signer.check(token, "a")


@given(st.text())
def test_any_text_is_refused_as_a_token(text: str) -> None:
    with pytest.raises(TokenInvalid):
        TokenSigner(60).check(text, "a")


def test_a_token_needs_no_quoting_in_a_url(signer: TokenSigner) -> None:
    assert all(letter.isascii() and (letter.isalnum() or letter in "-_.") for letter in signer.sign("~|{}", 1)[0])
