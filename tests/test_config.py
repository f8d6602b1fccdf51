"""The environment and .env, as Settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from realtime_agent.config import Settings, load_settings, unknown_names, usable_settings
from realtime_agent.errors import ConfigError


@pytest.fixture
def dotenv(tmp_path: Path) -> Path:
    return tmp_path / ".env"


def load(**environ: str) -> Settings:
    return load_settings(environ, dotenv=None)


def test_nothing_set_gives_the_defaults() -> None:
    assert load() == Settings()


def test_a_variable_is_a_setting_in_upper_case() -> None:
    settings = load(SERVER_PORT="9000", MAX_AGENTS="3", LOG_LEVEL="DEBUG", IDLE_TIMEOUT_S="0.5", PLAYOUT_LEAD_MS="80")
    assert settings.server_port == 9000
    assert settings.max_agents == 3
    assert settings.log_level == "DEBUG"
    assert settings.idle_timeout_s == 0.5
    assert settings.playout_lead_ms == 80


def test_other_variables_are_not_ours() -> None:
    assert load(HOME="/", server_port="9000", SERVER_PORTS="1") == Settings()


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(dotenv: Path) -> None:
    dotenv.write_text("SERVER_PORT=9001\nMAX_AGENTS=7 # a few\nSYSTEM_INSTRUCTION='Sing, don''t talk.'\nUNKNOWN=1\n")
    settings = load_settings({"SERVER_PORT": "9002"}, dotenv)
    assert settings.server_port == 9002
    assert settings.max_agents == 7
    assert settings.server_host == Settings().server_host


def test_a_file_need_not_be_there(dotenv: Path) -> None:
    assert load_settings({}, dotenv) == Settings()


def test_the_process_s_own_environment_is_read_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVER_PORT", "9003")
    assert load_settings(dotenv=None).server_port == 9003


@pytest.mark.parametrize("blank", ["", " ", "\t\n"])
def test_an_empty_variable_is_the_default(dotenv: Path, blank: str) -> None:
    assert load(SERVER_PORT=blank, OPENAI_API_KEY=blank, VOICES=blank) == Settings()
    dotenv.write_text("SERVER_PORT=9001\nMAX_AGENTS=\nMAX_DURATION_S\n")
    assert load_settings({"SERVER_PORT": blank}, dotenv) == Settings()


def test_space_around_a_value_is_not_part_of_it() -> None:
    settings = load(OPENAI_API_KEY="sk-1\r\n", OPENAI_MODEL=" m ", SERVER_PORT=" 9000 ")
    assert settings.openai_api_key.get_secret_value() == "sk-1"
    assert settings.openai_model == "m"
    assert settings.server_port == 9000


def test_voices_are_separated_by_commas() -> None:
    assert load(VOICES=" marin , ash,,", DEFAULT_VOICE="ash").voices == ("marin", "ash")


def test_allowed_hosts_are_separated_by_commas_and_have_no_case() -> None:
    assert load(ALLOWED_HOSTS=" Voice.example , 192.0.2.1,fe80::1,").allowed_hosts == (
        "voice.example",
        "192.0.2.1",
        "fe80::1",
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALLOWED_HOSTS", "voice.example:8080"),
        ("ALLOWED_HOSTS", "https://voice.example"),
        ("ALLOWED_HOSTS", "*"),
        ("SERVER_PORT", "http"),
        ("SERVER_PORT", "-1"),
        ("SERVER_PORT", "65536"),
        ("SERVER_PORT", "80.5"),
        ("MAX_AGENTS", "0"),
        ("LOG_LEVEL", "LOUD"),
        ("DEFAULT_VOICE", "nobody"),
        ("VOICES", "alloy,ash"),
        ("VOICES", ","),
        ("REALTIME_API_BASE_URI", "http://127.0.0.1/v1"),
        ("REALTIME_API_BASE_URI", "127.0.0.1:9000"),
        ("REALTIME_API_BASE_URI", "wss://"),
        ("REALTIME_API_BASE_URI", "wss://:443/v1"),
        ("REALTIME_API_BASE_URI", "wss://model.example:99999/v1"),
        ("REALTIME_API_BASE_URI", "wss://[broken/v1"),
        ("REALTIME_API_BASE_URI", "wss://model.example/v 1"),
        ("REALTIME_API_BASE_URI", "wss://model.example/v1#part"),
        ("REALTIME_API_AUTH", "basic"),
        ("REALTIME_API_HEADERS", "X-A: b"),
        ("REALTIME_API_HEADERS", '["X-A"]'),
        ("REALTIME_API_HEADERS", '{"X-A": 1}'),
        ("REALTIME_API_HEADERS", "[" * 100_000),
        ("REALTIME_API_HEADERS", '{"": "b"}'),
        ("REALTIME_API_HEADERS", '{"X A": "b"}'),
        ("REALTIME_API_HEADERS", '{"X-A\\r\\nX-B": "b"}'),
        ("REALTIME_API_HEADERS", '{"X-A": "b\\r\\nX-B: c"}'),
        ("REALTIME_API_HEADERS", '{"X-A": "\\u00e9"}'),
        ("REALTIME_API_HEADERS", '{"X-A": " b"}'),
        ("REALTIME_API_HEADERS", '{"X-A": ""}'),
        ("REALTIME_API_HEADERS", '{"Host": "elsewhere.example"}'),
        ("REALTIME_API_HEADERS", '{"connection": "close"}'),
        ("REALTIME_API_HEADERS", '{"Upgrade": "h2c"}'),
        ("REALTIME_API_HEADERS", '{"Sec-WebSocket-Key": "b"}'),
        ("REALTIME_API_HEADERS", '{"Content-Length": "1"}'),
        ("OPENAI_API_KEY", "sk-1\nX-B: c"),
        ("OPENAI_API_KEY", "sk-\u00e9"),
        ("SESSION_ROTATE_S", "-1"),
        ("RECONNECT_TIMEOUT_S", "0"),
        ("REPLAY_TOKENS", "-1"),
        ("TOOL_TIMEOUT_S", "0"),
        ("LOCAL_LLM_URL", "127.0.0.1:11434/v1"),
        ("LOCAL_LLM_URL", "ws://127.0.0.1/v1"),
        ("TOKEN_TTL_S", "59"),
        ("IDLE_TIMEOUT_S", "-1"),
        ("IDLE_TIMEOUT_S", "soon"),
        ("IDLE_TIMEOUT_S", "nan"),
        ("MAX_DURATION_S", "inf"),
        ("MAX_DURATION_S", "604801"),
        ("START_TIMEOUT_S", "0"),
        ("MODEL_TIMEOUT_S", "3601"),
        ("PLAYOUT_LEAD_MS", "1.5"),
        ("PLAYOUT_LEAD_MS", "2001"),
        ("FAR_END_DELAY_MS", "-1"),
    ],
)
def test_a_wrong_value_is_told_by_the_name_of_its_variable(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name) as caught:
        load(**{name: value})
    assert "\n" not in str(caught.value)


def test_every_wrong_value_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        load(SERVER_PORT="x", MAX_AGENTS="0", REALTIME_API_BASE_URI="x", LOCAL_LLM_URL="x")
    names = [problem.split(":")[0] for problem in str(caught.value).split("; ")]
    assert sorted(names) == ["LOCAL_LLM_URL", "MAX_AGENTS", "REALTIME_API_BASE_URI", "SERVER_PORT"]


def test_what_is_not_wrong_can_be_used_all_the_same() -> None:
    settings, faults = usable_settings({"SERVER_PORT": "x", "MAX_AGENTS": "7", "OPENAI_API_KEY": "sk-\u00e9"}, None)
    assert settings == Settings(max_agents=7)
    assert list(faults) == ["SERVER_PORT", "OPENAI_API_KEY"]
    assert "\u00e9" not in str(faults)
    assert usable_settings({"MAX_AGENTS": "7"}, None) == (settings, {})


def test_values_that_do_not_go_together_are_all_told_and_left_out() -> None:
    wrong = {"DEFAULT_VOICE": "x", "REALTIME_API_AUTH": "api-key", "AGORA_APP_CERT": "a" * 32, "MAX_AGENTS": "0"}
    settings, faults = usable_settings(wrong, None)
    assert settings == Settings()
    assert faults.keys() == wrong.keys()
    assert faults["REALTIME_API_AUTH"] == "REALTIME_API_AUTH is api-key, but OPENAI_API_KEY is empty"


def test_a_value_is_not_wrong_because_the_one_that_it_goes_with_is() -> None:
    settings, faults = usable_settings({"AGORA_APP_ID": "x", "AGORA_APP_CERT": "a" * 32}, None)
    assert (settings, list(faults)) == (Settings(), ["AGORA_APP_ID"])


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("wss://model.example/v1/realtime", "/realtime"),
        ("wss://model.example/v1/realtime/?model=m", "/realtime"),
        ("wss://RESOURCE.openai.azure.com/openai/v1", "RESOURCE stands for"),
    ],
)
def test_an_address_that_is_not_yet_or_more_than_the_base_is_told_what_to_do(address: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load(REALTIME_API_BASE_URI=address)


@pytest.mark.parametrize("address", ["wss://resource.openai.azure.com/v1", "wss://realtime/v1", "wss://h/realtime/v1"])
def test_an_address_that_only_looks_so_is_taken(address: str) -> None:
    assert load(REALTIME_API_BASE_URI=address).realtime_api_base_uri == address


def test_a_way_to_send_a_key_needs_one() -> None:
    with pytest.raises(ConfigError, match="REALTIME_API_AUTH is api-key, but OPENAI_API_KEY is empty"):
        load(REALTIME_API_AUTH="api-key", REALTIME_API_HEADERS='{"X-A": "b"}')
    load(REALTIME_API_AUTH="api-key", OPENAI_API_KEY="sk-1")
    load(REALTIME_API_AUTH="api-key", REALTIME_API_HEADERS='{"API-Key": "b"}')


def test_what_the_file_has_beside_settings_is_told_with_the_nearest_setting(dotenv: Path) -> None:
    assert unknown_names(dotenv) == {}
    dotenv.write_text(
        "OPENAI_KEY=sk-1\nMAX_AGENTS=7\nserver_port=1\nSSL_CERT_FILE=a.pem\nDATABASE_URL=x\nexport VOICE=a\n"
    )
    assert unknown_names(dotenv) == {
        "OPENAI_KEY": "OPENAI_API_KEY",
        "server_port": "SERVER_PORT",
        "SSL_CERT_FILE": None,
        "DATABASE_URL": None,
        "VOICE": "VOICES",
    }


def test_a_line_of_the_file_that_names_nothing_is_not_repeated_as_it_may_be_a_key(dotenv: Path) -> None:
    dotenv.write_text("sk_secret\nOPENAI_API_KEY=a\nsk-secret=\nc2VjcmV0S2V5UGFydFR3bw==\n")
    assert unknown_names(dotenv) == {}


def test_a_file_that_is_no_text_is_told(dotenv: Path) -> None:
    dotenv.write_bytes(b"SERVER_PORT=\xff\n")
    with pytest.raises(ConfigError, match="can't be read"):
        load_settings({}, dotenv)


def test_an_address_may_end_in_a_slash() -> None:
    settings = load(REALTIME_API_BASE_URI="wss://model.example/v1/", LOCAL_LLM_URL="http://127.0.0.1:11434/v1/")
    assert settings.realtime_api_base_uri == "wss://model.example/v1"
    assert settings.local_llm_url == "http://127.0.0.1:11434/v1"


def test_the_query_of_an_address_is_kept() -> None:
    settings = load(REALTIME_API_BASE_URI="wss://model.example/v1/?api-version=2/")
    assert settings.realtime_api_base_uri == "wss://model.example/v1?api-version=2/"


def test_headers_are_a_json_object() -> None:
    assert load().extra_headers == {}
    headers = {"OpenAI-Project": "proj_1", "x-trace": 'a b, c="d"'}
    assert load(REALTIME_API_HEADERS=json.dumps(headers)).extra_headers == headers


@pytest.mark.parametrize("headers", ['{"X-A": "s3cret\\n"}', '{"X-A": ["s3cret"]}', "s3cret", '{"Host": "s3cret"}'])
def test_a_wrong_header_s_value_is_not_shown(headers: str) -> None:
    with pytest.raises(ConfigError, match="REALTIME_API_HEADERS") as caught:
        load(REALTIME_API_HEADERS=headers)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("host", ["a..example", ".example", f"{'a' * 64}.example"])
@pytest.mark.parametrize("name", ["WEBHOOK_URL", "LOCAL_LLM_URL"])
def test_an_address_whose_host_no_name_can_be_is_refused(name: str, host: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name}: names a host that can't be"):
        load(**{name: f"https://{host}/hook", "WEBHOOK_SECRET": "s"})


def test_a_secret_that_is_no_base64_is_refused_without_telling_it() -> None:
    with pytest.raises(
        ConfigError, match="WEBHOOK_SECRET begins with whsec_, but what follows is not base64"
    ) as caught:
        load(WEBHOOK_URL="https://hooks.example/", WEBHOOK_SECRET="whsec_s3cret!")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("host", ["hooks.example.", "a_b.example", "[::1]:80", "10.0.0.1", "a" * 63])
def test_an_address_s_host_may_be_any_other(host: str) -> None:
    assert load(LOCAL_LLM_URL=f"https://{host}/hook").local_llm_url == f"https://{host}/hook"


def test_a_wrong_address_s_password_is_not_shown() -> None:
    with pytest.raises(ConfigError, match="is no address") as caught:
        load(REALTIME_API_BASE_URI="wss://user:s3cret")
    assert "s3cret" not in str(caught.value)


def test_secrets_are_not_shown() -> None:
    settings = load(
        OPENAI_API_KEY="sk-hidden",
        LOCAL_LLM_API_KEY="llm-hidden",
        AGORA_APP_ID="a" * 32,
        AGORA_APP_CERT="5ec2e7" + "0" * 26,
        WEBHOOK_URL="http://127.0.0.1:1/",
        WEBHOOK_SECRET="webhook-hidden",
        REALTIME_API_HEADERS='{"X-A": "header-hidden"}',
    )
    assert settings.openai_api_key.get_secret_value() == "sk-hidden"
    shown = f"{settings!r} {settings} {settings.model_dump_json()}"
    assert "hidden" not in shown
    assert "5ec2e7" not in shown


def test_an_error_does_not_show_secrets() -> None:
    with pytest.raises(ConfigError) as caught:
        load(OPENAI_API_KEY="sk-secret", SERVER_PORT="x")
    assert "sk-secret" not in str(caught.value)
    # Nor does a traceback, by way of the error it came from.
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("environ", "local"),
    [
        ({}, True),
        ({"OPENAI_API_KEY": "sk-1"}, False),
        ({"REALTIME_API_BASE_URI": "ws://127.0.0.1:9000/v1"}, False),
    ],
)
def test_the_embedded_model_is_used_where_no_other_is_named(environ: dict[str, str], local: bool) -> None:
    assert load(**environ).uses_local_model is local


@pytest.mark.parametrize("wrong", ["my-app", "a" * 31, "a" * 33, "g" * 32, "a" * 30 + "  a"])
def test_agora_s_keys_are_32_hex_digits(wrong: str) -> None:
    with pytest.raises(ConfigError, match="AGORA_APP_ID: must be 32 hex digits"):
        load(AGORA_APP_ID=wrong)
    with pytest.raises(ConfigError, match="AGORA_APP_CERT: must be 32 hex digits") as caught:
        load(AGORA_APP_ID="a" * 32, AGORA_APP_CERT=wrong)
    assert wrong not in str(caught.value)


def test_a_certificate_without_an_app_id_is_refused() -> None:
    with pytest.raises(ConfigError, match="AGORA_APP_CERT: is set, but AGORA_APP_ID is empty"):
        load(AGORA_APP_CERT="b" * 32)


def test_an_app_id_is_no_certificate() -> None:
    with pytest.raises(ConfigError, match="AGORA_APP_CERT: is the same as AGORA_APP_ID") as caught:
        load(AGORA_APP_ID="b" * 32, AGORA_APP_CERT="b" * 32)
    assert "bbb" not in str(caught.value)


@pytest.mark.parametrize("name", ["AGORA_LOG_DIR", "AGORA_WEB_SDK", "LOCAL_STT_MODEL"])
def test_a_path_may_begin_with_the_home_folder(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert getattr(load(**{name: "~/x"}), name.lower()) == "/home/somebody/x"
    assert getattr(load(**{name: "a~/x"}), name.lower()) == "a~/x"


def test_agora_is_used_where_it_is_named() -> None:
    assert not load().uses_agora
    assert load(AGORA_APP_ID="a" * 32).uses_agora


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        load().server_port = 1  # type: ignore[misc] # it is frozen, which is what is tested
