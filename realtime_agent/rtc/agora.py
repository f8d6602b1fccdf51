"""Channels of Agora SD-RTN, through agora-realtime-ai-api 1.1.0 and agora-python-server-sdk 2.1.7.

This is the only module that imports those packages, and it does so only when a channel or a token is wanted: to import
them loads, and where that is missing even downloads, Agora's native library. docs/design.md lists what of them has to
be guarded against, and how; tests/agora has a test for each.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import ssl
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from realtime_agent.errors import ChannelError, ConfigError
from realtime_agent.pcm import BYTES_PER_SAMPLE, SAMPLE_RATE
from realtime_agent.rtc.agora_events import (
    Connection,
    ConnectionState,
    NativeError,
    NativeEvent,
    NativeEvents,
    Received,
    TokenExpires,
    in_words,
)
from realtime_agent.rtc.channel import (
    AudioFrame,
    ChannelEvent,
    ChannelLost,
    Message,
    Reconnected,
    Reconnecting,
    UserJoined,
    UserLeft,
)
from realtime_agent.rtc.data_stream import Assembler
from realtime_agent.rtc.inbox import Inbox
from realtime_agent.rtc.mailbox import Mailbox
from realtime_agent.rtc.message_sender import MessageSender
from realtime_agent.rtc.native_thread import in_thread
from realtime_agent.rtc.transcript_events import from_event, to_event

__all__ = ["AgoraChannel", "AgoraEngine", "build_token", "check_installed"]

logger = logging.getLogger(__name__)

_WORKS_WITH = {"agora-realtime-ai-api": "1.1.0", "agora-python-server-sdk": "2.1.7"}
_LIBRARIES = {"linux": "libagora_rtc_sdk.so", "darwin": "libAgoraRtcKit.dylib"}
_INSTALL = "install Agora's packages with pip install -r requirements-agora.txt (or pip install '.[agora]')"
_OWN_HANDLERS = ("agora_realtime_ai_api.rtc", "agora_realtime_ai_api.token_builder.realtimekit_token_builder")
_MAX_LOGS = 20

_FRAME_MS = 20
"""The library takes any multiple of 10 ms."""
_MAX_WAITING = 100
"""Frames of 10 ms, or messages, that may wait for the loop."""
_DRAIN_S = 0.5
"""How long the last messages, the reason of the end among them, may take before we leave."""
_GOODBYE_S = 1.0
_RENEW_AGAIN_S = 5.0


def check_installed() -> None:
    """See whether Agora's packages and native library are there, without importing them.

    Raises:
        ConfigError: they are not, or not in the versions that work together; the message says how to mend it.
    """
    for package, wanted in _WORKS_WITH.items():
        try:
            found = version(package)
        except PackageNotFoundError:
            raise ConfigError(f"AGORA_APP_ID is set, but {package} is not installed: {_INSTALL}") from None
        if found != wanted:
            raise ConfigError(f"{package} is {found}, but only {wanted} works here: {_INSTALL}")
    library = _LIBRARIES.get(sys.platform)
    if library is None:
        raise ConfigError(f"Agora has no library for {sys.platform}, only for Linux on x86-64 and macOS")
    spec = find_spec("agora.rtc")
    if spec is None or spec.origin is None:
        raise ConfigError(f"the module agora.rtc is missing: {_INSTALL}")
    path = Path(spec.origin).parent / "agora_sdk" / library
    if not path.is_file():
        raise ConfigError(
            f"Agora's native library is not at {path}; python -c 'import agora.rtc' downloads it from Agora, "
            "for Linux on x86-64 and macOS, without checking the server's certificate"
        )


def build_token(app_id: str, certificate: str, channel_name: str, uid: int, ttl_s: float) -> str:
    """A token, of Agora's format 007, that lets `uid` join, speak and send messages; empty without a certificate.

    Raises:
        ChannelError: none could be made, which `check_installed` and the checks of the settings rule out.
    """
    if not certificate:
        return ""
    # Not its RealtimekitTokenBuilder, which writes each token to the log.
    from agora_realtime_ai_api.token_builder.RtcTokenBuilder2 import RtcTokenBuilder

    seconds = int(ttl_s)
    token = RtcTokenBuilder.build_token_with_uid_and_privilege(
        app_id, certificate, channel_name, uid, seconds, seconds, seconds, seconds, seconds
    )
    if not token:
        raise ChannelError("Agora's package made no token: are AGORA_APP_ID and AGORA_APP_CERT 32 hex digits each?")
    return str(token)


class _Sdk(NamedTuple):
    """What is used of Agora's packages."""

    AgoraService: Any
    AgoraServiceConfig: Any
    PcmAudioFrame: Any
    RtcEngine: Any
    RtcOptions: Any


def _load() -> _Sdk:
    """Import Agora's packages, and undo what that does to the rest of the process.

    Raises:
        ConfigError: they can't be had.
    """
    check_installed()
    checks_certificates = ssl._create_default_https_context  # noqa: SLF001 - Agora's package replaces it
    try:
        import agora.rtc.audio_pcm_data_sender as sending
        from agora.rtc.agora_service import AgoraService, AgoraServiceConfig
        from agora_realtime_ai_api.rtc import RtcEngine, RtcOptions
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it downloads, loads, and exits where that fails
        raise ConfigError(
            f"Agora's native library can't be loaded ({error or type(error).__name__}): {_INSTALL}"
        ) from None
    finally:
        ssl._create_default_https_context = checks_certificates  # noqa: SLF001
    # The SDK throws away whether a frame was taken.
    sending.agora_audio_pcm_data_sender_send.restype = ctypes.c_int
    # It logs tokens, at DEBUG itself and at INFO in the other package, through handlers of its own.
    logging.getLogger("agora").setLevel(logging.WARNING)
    for name in _OWN_HANDLERS:
        talkative = logging.getLogger(name)
        talkative.handlers.clear()
        talkative.propagate = True
        talkative.setLevel(logging.WARNING)
    return _Sdk(AgoraService, AgoraServiceConfig, sending.PcmAudioFrame, RtcEngine, RtcOptions)


class AgoraEngine:
    """Agora's service, of which a process may have one; channels share it.

    Args:
        app_id: The project.
        log_dir: Where the library writes its log; `None` is a folder in the system's temporary one.
        timeout_s: How long it may take to begin, and to end.
    """

    def __init__(self, app_id: str, log_dir: Path | None = None, *, timeout_s: float = 10) -> None:
        self._app_id = app_id
        self._log_dir = log_dir or Path(tempfile.gettempdir()) / "realtime-agent-agora"
        self._timeout_s = timeout_s
        self._shares = 0
        self._changing = asyncio.Lock()
        self._sdk: Any = None
        self._engine: Any = None

    async def open(self) -> None:
        """Begin, unless it has begun. Each `open` wants its `close`.

        Raises:
            ConfigError: Agora's packages can't be used.
            ChannelError: the service does not begin.
        """
        async with self._changing:
            if self._engine is None:
                self._sdk = _load()
                beginning = asyncio.ensure_future(in_thread(self._begin, self._timeout_s, "begin Agora's service"))
                try:
                    self._engine = await asyncio.shield(beginning)
                except asyncio.CancelledError:
                    # Nobody would end it, and there may be only one.
                    (await beginning).destroy()
                    raise
            self._shares += 1

    async def close(self) -> None:
        """End, if nobody else needs it; harmless when it has not begun."""
        async with self._changing:
            self._shares = max(0, self._shares - 1)
            if not self._shares and self._engine is not None:
                engine, self._engine = self._engine, None
                await in_thread(engine.destroy, self._timeout_s, "end Agora's service")

    def create_line(self, channel_name: str, uid: int, events: NativeEvents) -> Any:
        """One participant's connection, tracks and data stream, not connected yet: agora-realtime-ai-api's `Channel`.

        Of that, only what it has set up is used. Its observers lose audio that comes early and keep quiet about
        interruptions, so `events` takes their place; its tasks would never end.

        Raises:
            ChannelError: the library does not give one.
        """
        before = asyncio.all_tasks()
        try:
            line = self._engine.create_channel(
                self._sdk.RtcOptions(channel_name=channel_name, uid=uid, sample_rate=SAMPLE_RATE, channels=1)
            )
        except AttributeError:
            raise ChannelError("Agora's library gave no connection") from None
        finally:
            for stray in asyncio.all_tasks() - before:
                stray.cancel()
        if line.stream_id is None:
            logger.warning("Agora's library gave no data stream: there will be no transcripts")
        user = line.local_user
        # The library may be about to call those that go, so they live as long as the line.
        line.replaced = (line.connection.con_observer, user.user_observer_inner, user.audio_frame_observer)
        line.connection.register_observer(events)
        user.register_local_user_observer(events)
        user.register_audio_frame_observer(events, 0, {})
        return line

    def create_frame(self, pcm: bytes) -> Any:
        """PCM as the library takes it."""
        return self._sdk.PcmAudioFrame(
            data=bytearray(pcm),
            samples_per_channel=len(pcm) // BYTES_PER_SAMPLE,
            bytes_per_sample=BYTES_PER_SAMPLE,
            number_of_channels=1,
            sample_rate=SAMPLE_RATE,
        )

    def _begin(self) -> Any:
        service = self._sdk.AgoraService()
        config = self._sdk.AgoraServiceConfig(appid=self._app_id, log_path=str(_new_log(self._log_dir)))
        result = service.initialize(config)
        if result != 0:
            raise ChannelError(f"Agora's service does not begin: its library answers {result}")
        # Its own way to begin ignores that answer, and writes its log among the installed packages. It gets no
        # certificate, so that it makes no tokens, which it would log.
        engine = self._sdk.RtcEngine.__new__(self._sdk.RtcEngine)
        engine.appid, engine.appcert, engine.agora_service = self._app_id, "", service
        return engine


class AgoraChannel:
    """One participant's presence in a channel of Agora.

    Args:
        engine: Agora's service in this process.
        channel_name: The channel.
        uid: Our number in it, which is not 0.
        token: Gives a new token; called to join, and whenever one is about to expire.
        timeout_s: How long joining may take.
        reconnect_timeout_s: How long an interrupted connection is waited for.
    """

    frame_ms = _FRAME_MS

    def __init__(
        self,
        engine: AgoraEngine,
        channel_name: str,
        uid: int,
        token: Callable[[], Awaitable[str]],
        *,
        timeout_s: float = 10,
        reconnect_timeout_s: float = 30,
    ) -> None:
        self._engine = engine
        self._channel_name = channel_name
        self._uid = uid
        self._token = token
        self._timeout_s = timeout_s
        self._reconnect_timeout_s = reconnect_timeout_s
        self._loop = asyncio.get_running_loop()
        self._mailbox: Mailbox[NativeEvent] = Mailbox(
            self._take, droppable=(AudioFrame, Received), max_waiting=_MAX_WAITING
        )
        self._inbox = Inbox()
        self._messages = MessageSender(self._send_part)
        self._assembler = Assembler()
        self._line: Any = None
        self._has_engine = False
        self._answered = asyncio.Event()
        self._refusal: str | None = None
        self._disconnected = asyncio.Event()
        self._is_open = False
        self._left = False
        self._is_away = False
        self._users: dict[int, None] = {}
        self._subscribed: set[int] = set()
        self._heard: int | None = None
        self._state: Mapping[str, Any] | None = None
        self._refused_frames = 0
        self._giving_up: asyncio.TimerHandle | None = None
        self._renewing: asyncio.Task[None] | None = None

    def hear(self, uid: int | None) -> None:
        """Bring the audio of this participant only."""
        self._heard = uid
        self._subscribe()

    async def join(self) -> None:
        """Enter the channel.

        Raises:
            ConfigError: Agora's packages can't be used.
            ChannelError: Agora refused, or did not answer in time.
        """
        await self._engine.open()
        self._has_engine = True
        token = await self._token()
        self._line = self._engine.create_line(
            self._channel_name, self._uid, NativeEvents(self._mailbox.put, SAMPLE_RATE)
        )
        result = self._line.connection.connect(token, self._channel_name, str(self._uid))
        if result < 0:
            raise ChannelError(f"Agora's library does not take channel {self._channel_name!r}: it answers {result}")
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._answered.wait()
        except TimeoutError:
            raise ChannelError(f"Agora did not let us join within {self._timeout_s:g} s") from None
        if self._refusal is not None:
            raise ChannelError(f"Agora refused channel {self._channel_name!r}: {self._refusal}")
        self._is_open = True
        self._subscribe()
        if self._line.stream_id is not None:
            self._messages.open()

    async def leave(self) -> None:
        """Send what waits, say goodbye, free everything."""
        if self._left:
            return
        self._left = True
        await self._messages.drain(_DRAIN_S)
        was_open, self._is_open = self._is_open, False
        self._messages.close()
        if self._giving_up is not None:
            self._giving_up.cancel()
        if self._renewing is not None:
            self._renewing.cancel()
        line, self._line = self._line, None
        if line is not None:
            line.connection.disconnect()
            if was_open:
                await self._wait_for_goodbye()
        self._mailbox.close()
        self._inbox.close()
        self._tell_losses()
        try:
            if line is not None:
                await in_thread(lambda: _release(line), self._timeout_s, "free a connection of Agora's")
        finally:
            if self._has_engine:
                self._has_engine = False
                await self._engine.close()

    def events(self) -> AsyncIterator[ChannelEvent]:
        """What happens in the channel."""
        return self._inbox.events()

    def push(self, frame: bytes) -> None:
        """Hand over a frame; the library keeps what is early, so that only a paced one is heard at once."""
        if not self._is_open:
            return
        result = self._line.audio_pcm_data_sender.send_audio_pcm_data(self._engine.create_frame(frame))
        if result < 0:
            if not self._refused_frames:
                logger.warning("Agora's library takes no audio in %r: it answers %d", self._channel_name, result)
            self._refused_frames += 1

    def flush(self, position: int) -> None:
        """Drop what the library has not sent yet. What is under way, some 100 ms, is heard."""
        if self._is_open:
            self._line.audio_track.clear_sender_buffer()

    def send(self, body: Mapping[str, Any]) -> None:
        """Send a message to everyone, at the pace that Agora allows."""
        if body.get("type") == "state":
            self._state = body
        if not self._left:
            self._messages.add(to_event(body))

    def _take(self, event: NativeEvent) -> None:
        """Something that the library told."""
        match event:
            case AudioFrame(uid):
                if self._heard in (None, uid):
                    self._inbox.put(event)
            case Received(uid, part):
                body = self._assembler.add(uid, part)
                if body is not None:
                    self._inbox.put(Message(uid, from_event(body)))
            case UserJoined(uid):
                self._user_joined(uid)
            case UserLeft(uid):
                self._user_left(uid)
            case Connection(state, reason):
                self._connection_changed(state, reason)
            case TokenExpires():
                if self._renewing is None or self._renewing.done():
                    self._renewing = self._loop.create_task(self._renew_token(), name="renew Agora's token")
            case NativeError(code, message):
                logger.warning("Agora's library reports error %d in %r: %s", code, self._channel_name, message)

    def _user_joined(self, uid: int) -> None:
        if uid in self._users:
            return
        self._users[uid] = None
        self._inbox.put(UserJoined(uid))
        self._subscribe()
        if self._state is not None:
            self.send(self._state)

    def _user_left(self, uid: int) -> None:
        if uid not in self._users:
            return
        del self._users[uid]
        self._subscribed.discard(uid)
        self._assembler.forget(uid)
        self._inbox.put(UserLeft(uid))

    def _connection_changed(self, state: int, reason: int) -> None:
        if state == ConnectionState.CONNECTED:
            self._answered.set()
            if self._is_away:
                self._come_back()
        elif state == ConnectionState.RECONNECTING:
            if self._is_open and not self._is_away:
                self._go_away(in_words(reason))
        elif state in (ConnectionState.DISCONNECTED, ConnectionState.FAILED):
            if self._is_open:
                self._lose(in_words(reason))
            else:
                self._refusal = in_words(reason)
                self._answered.set()
                self._disconnected.set()

    def _go_away(self, cause: str) -> None:
        self._is_away = True
        self._inbox.put(Reconnecting(cause))
        self._giving_up = self._loop.call_later(
            self._reconnect_timeout_s, self._lose, f"Agora was gone for {self._reconnect_timeout_s:g} s: {cause}"
        )

    def _come_back(self) -> None:
        self._is_away = False
        if self._giving_up is not None:
            self._giving_up.cancel()
        self._inbox.put(Reconnected())
        self._subscribed.clear()
        self._subscribe()

    def _lose(self, cause: str) -> None:
        self._inbox.put(ChannelLost(cause))
        self._inbox.close()

    def _subscribe(self) -> None:
        """Ask for the voices of those who are there and to be heard, and for no others any more."""
        if not self._is_open:
            return
        user = self._line.local_user
        wanted = {uid for uid in self._users if self._heard in (None, uid)}
        for uid in self._subscribed - wanted:
            try:
                user.unsubscribe_audio(str(uid))
            except RuntimeError:
                # The SDK has unsubscribed, and then takes the track out of a mapping that it is going through.
                logger.debug("the SDK failed after it had unsubscribed uid %d", uid)
        self._subscribed &= wanted
        for uid in wanted - self._subscribed:
            if (result := user.subscribe_audio(str(uid))) < 0:
                logger.warning("uid %d can't be heard in %r: Agora answers %d", uid, self._channel_name, result)
            else:
                self._subscribed.add(uid)

    def _send_part(self, part: str) -> None:
        result = self._line.connection.send_stream_message(self._line.stream_id, part)
        if result < 0:
            logger.debug("a part of a message was not sent: Agora answers %d", result)

    async def _renew_token(self) -> None:
        """Give the connection a new token, and try again until it has one or is lost."""
        while True:
            try:
                token = await self._token()
                result = self._line.connection.renew_token(token)
            except ChannelError as error:
                logger.warning("there is no new token for %r: %s", self._channel_name, error)
            else:
                if result >= 0:
                    logger.info("the token for %r was renewed", self._channel_name)
                    return
                logger.warning("Agora did not take a new token for %r: it answers %d", self._channel_name, result)
            await asyncio.sleep(_RENEW_AGAIN_S)

    async def _wait_for_goodbye(self) -> None:
        try:
            async with asyncio.timeout(_GOODBYE_S):
                await self._disconnected.wait()
        except TimeoutError:
            logger.warning("Agora's library did not say within %g s that it left %r", _GOODBYE_S, self._channel_name)

    def _tell_losses(self) -> None:
        for count, what in (
            (self._mailbox.dropped, "frames and messages from Agora were dropped, because this process was behind"),
            (self._messages.stream.dropped, "messages to users were dropped, because Agora takes 6 KB a second"),
            (self._refused_frames, "frames were refused by Agora's library"),
        ):
            if count:
                logger.warning("%r: %d %s", self._channel_name, count, what)


def _release(line: Any) -> None:
    """Free what `create_line` has set up, in the order of the SDK's own examples."""
    user = line.local_user
    user.unpublish_audio(line.audio_track)
    line.audio_track.set_enabled(0)
    user.unregister_audio_frame_observer()
    user.unregister_local_user_observer()
    line.connection.unregister_observer()
    line.connection.release()
    line.audio_track.release()
    line.audio_pcm_data_sender.release()
    line.media_node_factory.release()


def _new_log(folder: Path) -> Path:
    """A log of this process's own; the oldest of many are removed. What it holds is nobody else's business."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    logs = sorted(folder.glob("agora-*.log"), key=lambda log: log.stat().st_mtime)
    for old in logs[: max(0, len(logs) - _MAX_LOGS + 1)]:
        old.unlink(missing_ok=True)
    return folder / f"agora-{os.getpid()}.log"
