"""What is neither sent nor shown."""

from __future__ import annotations

from realtime_agent.config import Settings, load_settings
from realtime_agent.doctor.finding import Section, ok, problem
from realtime_agent.doctor.secrecy import hidden, secrets_of


def test_every_secret_of_the_settings_is_known() -> None:
    settings = load_settings(
        {
            "OPENAI_API_KEY": "sk-openai-secret",
            "REALTIME_API_HEADERS": '{"Authorization": "Token header-secret"}',
            "REALTIME_API_BASE_URI": "wss://me:url-secret@h/v1?key=query-secret&api-version=2026-01-01",
            "LOCAL_LLM_URL": "http://me:chat-secret@h/v1",
            "LOCAL_LLM_API_KEY": "llm-secret",
            "AGORA_APP_ID": "a" * 32,
            "AGORA_APP_CERT": "b" * 32,
        },
        None,
    )
    secrets = secrets_of(settings)
    assert {
        "sk-openai-secret",
        "Token header-secret",
        "header-secret",
        "url-secret",
        "query-secret",
        "chat-secret",
        "llm-secret",
        "b" * 32,
    } <= secrets
    assert "2026-01-01" not in secrets


def test_a_word_is_no_secret() -> None:
    assert secrets_of(load_settings({"LOCAL_LLM_API_KEY": "ollama"}, None)) == frozenset()
    assert secrets_of(Settings()) == frozenset()


def test_a_secret_that_somebody_repeats_is_made_illegible() -> None:
    section = Section("A", (ok("b", "it said s3cret-key"), problem("c", "d", "not s3cret-key")))
    assert hidden(section, frozenset({"s3cret-key"})) == Section(
        "A", (ok("b", "it said ***"), problem("c", "d", "not ***"))
    )
