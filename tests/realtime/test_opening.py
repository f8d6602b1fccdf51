from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from realtime_agent.config import Settings
from realtime_agent.fleet.worker import prepare
from realtime_agent.realtime import opening


def test_whom_to_trust_is_read_once_and_again_where_the_environment_names_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    usual = opening.tls_context()
    assert opening.tls_context() is usual
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    ours = opening.tls_context()
    assert ours is not usual
    assert len(ours.get_ca_certs()) == 1


@pytest.mark.parametrize(("uri", "times"), [("ws://127.0.0.1:9/v1", 0), ("wss://voice.example/v1", 1), ("", 1)])
def test_it_is_read_before_workers_are_forked_if_they_will_need_it(
    uri: str, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[None] = []
    monkeypatch.setattr("realtime_agent.fleet.worker.tls_context", lambda: read.append(None))
    prepare(Settings(realtime_api_base_uri=uri))
    assert len(read) == times


def test_certificates_that_can_not_be_read_are_for_whoever_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")

    def fail() -> None:
        raise FileNotFoundError("no certificates")

    monkeypatch.setattr("realtime_agent.fleet.worker.tls_context", fail)
    prepare(Settings(realtime_api_base_uri="wss://voice.example/v1"))
