"""The websocket around the sessions."""

from __future__ import annotations

import asyncio
import sys
import urllib.error
import urllib.request
from contextlib import AsyncExitStack

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from realtime_agent.config import Settings
from realtime_agent.local_model.parts import Parts
from realtime_agent.local_model.server import LocalModel, serve
from tests.local_model.fakes import Voices, session
from tests.local_model.oracle import validate


async def test_the_beta_header_is_answered_with_an_error_and_a_close() -> None:
    async with (
        serve(Settings(), parts=Voices().parts()) as model,
        connect(f"{model.url}/realtime?model=x", additional_headers={"OpenAI-Beta": "realtime=v1"}) as connection,
    ):
        error = validate(await connection.recv())["error"]
        assert error["code"] == "beta_api_shape_disabled"
        with pytest.raises(ConnectionClosed) as closed:
            await connection.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4000


async def test_health_is_ok_and_other_paths_are_not_found() -> None:
    async with serve(Settings(), parts=Voices().parts()) as model:
        http = f"http://{model.host}:{model.port}"
        with await asyncio.to_thread(urllib.request.urlopen, f"{http}/health", timeout=20) as response:
            assert response.status == 200
        with pytest.raises(urllib.error.HTTPError, match="404") as caught:
            await asyncio.to_thread(urllib.request.urlopen, f"{http}/v1", timeout=20)
        caught.value.close()


async def test_a_web_page_may_not_use_the_model() -> None:
    async with serve(Settings(), parts=Voices().parts()) as model:
        with pytest.raises(InvalidStatus, match="403"):
            await connect(f"{model.url}/realtime", origin="http://example.com")  # type: ignore[arg-type]  # a NewType


async def test_sessions_are_bounded() -> None:
    async with serve(Settings(), parts=Voices().parts(), max_connections=1) as model:
        url = f"{model.url}/realtime"
        async with connect(url) as first:
            await first.recv()
            with pytest.raises(InvalidStatus, match="503"):
                await connect(url)
        async with asyncio.timeout(20):
            while not await _accepts(url):
                await asyncio.sleep(0.01)


async def test_there_are_sessions_for_as_many_agents_as_a_server_may_have() -> None:
    async with serve(Settings(max_agents=100), parts=Voices().ears()) as model, AsyncExitStack() as clients:
        for _ in range(300):
            url = f"{model.url}/realtime?intent=transcription"
            await clients.enter_async_context(connect(url, compression=None, open_timeout=60))


async def _accepts(url: str) -> bool:
    try:
        async with connect(url) as connection:
            return bool(validate(await connection.recv())["type"] == "session.created")
    except InvalidStatus:
        return False


async def test_a_session_ends_after_its_hour() -> None:
    async with session(max_session_s=2) as client:
        with pytest.raises(ConnectionClosed) as closed:
            await client.connection.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001
    assert "maximum duration" in closed.value.rcvd.reason


async def test_a_client_that_vanishes_disturbs_nobody() -> None:
    voices = Voices()
    voices.synthesizer.sentences = 0
    async with serve(Settings(), parts=voices.parts()) as model:
        url = f"{model.url}/realtime"
        async with connect(url) as other:
            async with connect(url) as lost:
                await lost.send('{"type": "response.create"}')
                await lost.recv()
                lost.transport.abort()
            voices.synthesizer.allowed.set()
            await other.send('{"type": "response.create"}')
            while validate(await other.recv())["type"] != "response.done":
                pass


async def test_closing_the_server_closes_its_sessions() -> None:
    voices = Voices()
    voices.synthesizer.sentences = 0
    async with serve(Settings(), parts=voices.parts()) as model:
        connection = await connect(f"{model.url}/realtime")
        await connection.recv()
        await connection.send('{"type": "response.create"}')
        await connection.recv()
    with pytest.raises(ConnectionClosed):
        await connection.recv()
    await connection.close()


async def test_an_append_may_hold_15_mib() -> None:
    async with session() as client:
        await client.append(bytes(15 * 2**20 // 4 * 3 // 2 * 2))
        assert "input_audio_buffer.speech_started" not in await client.settle()


async def test_what_the_settings_load_is_served_until_cancelled_and_then_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    voices, settings = Voices(), Settings()
    loaded_for: list[Settings] = []

    def load(given: Settings) -> Parts:
        loaded_for.append(given)
        return voices.parts()

    monkeypatch.setattr("realtime_agent.local_model.server.load_parts", load)
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def program() -> None:
        async with serve(settings) as model:
            ready.set_result(model.url)
            await asyncio.Event().wait()

    task = asyncio.create_task(program())
    url = await asyncio.wait_for(ready, 20)
    assert await _accepts(f"{url}/realtime")
    assert not voices.transcriber.closed
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(OSError, match="Connect"):
        await connect(f"{url}/realtime")
    assert loaded_for == [settings]
    assert (voices.transcriber.closed, voices.synthesizer.closed) == (True, True)


async def test_the_url_of_an_ipv6_address_has_brackets() -> None:
    assert LocalModel("::1", 9000).url == "ws://[::1]:9000/v1"


VOICES = {"numpy", "onnxruntime", "faster_whisper", "hibari", "soxr", "aiohttp"}


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("local_model.server", VOICES),
        ("local_model.brain", VOICES | {"websockets"}),
        ("local_model.health", VOICES | {"websockets", "pydantic"}),
        ("fleet.model_process", VOICES | {"websockets"}),
    ],
)
async def test_importing_a_module_loads_no_voices_and_no_server_that_it_does_not_need(
    module: str, unwanted: set[str]
) -> None:
    code = f"import sys, realtime_agent.{module}; sys.exit(bool({unwanted} & set(sys.modules)))"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await asyncio.wait_for(process.wait(), 60) == 0
