"""One participant's connection to Agora, with its audio tracks and its data stream, through the SDK."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from realtime_agent.errors import ChannelError
from realtime_agent.pcm import BYTES_PER_SAMPLE, SAMPLE_RATE
from realtime_agent.rtc.agora.events import NativeEvents
from realtime_agent.rtc.agora.sdk import Sdk

__all__ = ["NativeConnection"]

logger = logging.getLogger(__name__)


class NativeConnection:
    """What the library is asked to do for one participant. Where it answers, a negative number is a refusal.

    agora-realtime-ai-api's `Channel` sets it up, and is not used for more: its observers lose audio that comes early
    and keep quiet about interruptions, so `events` takes their place; its tasks would never end.

    Args:
        sdk: Agora's packages.
        engine: agora-realtime-ai-api's `RtcEngine`, which has begun.
        channel_name: The channel.
        uid: The participant.
        events: Gets what the library tells.

    Raises:
        ChannelError: the library does not give one.
    """

    def __init__(self, sdk: Sdk, engine: Any, channel_name: str, uid: int, events: NativeEvents) -> None:
        self._sdk = sdk
        self._channel_name = channel_name
        self._uid = uid
        self._is_going = False
        before = asyncio.all_tasks()
        try:
            self._native = engine.create_channel(
                sdk.RtcOptions(channel_name=channel_name, uid=uid, sample_rate=SAMPLE_RATE, channels=1)
            )
        except AttributeError:
            raise ChannelError("Agora's library gave no connection") from None
        finally:
            for stray in asyncio.all_tasks() - before:
                stray.cancel()
        self._connection, self._user = self._native.connection, self._native.local_user
        if not self.has_stream:
            logger.warning("Agora's library gave no data stream: there will be no transcripts")
        replaced = self._observers()
        self._connection.register_observer(events)
        self._user.register_local_user_observer(events)
        self._user.register_audio_frame_observer(events, 0, {})
        # The library may be about to call one that the SDK lets go of, so all live as long as this does.
        self._kept = (*replaced, *self._observers())

    def _observers(self) -> tuple[object, ...]:
        return self._connection.con_observer, self._user.user_observer_inner, self._user.audio_frame_observer

    @property
    def has_stream(self) -> bool:
        """Whether messages can be sent."""
        return self._native.stream_id is not None

    def connect(self, token: str) -> int:
        """Begin to connect; the events tell how it goes."""
        return int(self._connection.connect(token, self._channel_name, str(self._uid)))

    def disconnect(self) -> None:
        """Begin to disconnect; the events tell when that is done."""
        self._connection.disconnect()

    def renew_token(self, token: str) -> int:
        """Go on with another token."""
        return int(self._connection.renew_token(token))

    def push(self, pcm: bytes) -> int:
        """Queue audio, in multiples of 10 ms, which is sent at the pace of speech."""
        frame = self._sdk.PcmAudioFrame(
            data=bytearray(pcm),
            samples_per_channel=len(pcm) // BYTES_PER_SAMPLE,
            bytes_per_sample=BYTES_PER_SAMPLE,
            number_of_channels=1,
            sample_rate=SAMPLE_RATE,
        )
        return int(self._native.audio_pcm_data_sender.send_audio_pcm_data(frame))

    def clear(self) -> None:
        """Drop the audio that was not sent yet."""
        self._native.audio_track.clear_sender_buffer()

    def send_part(self, part: str) -> int:
        """Send a part of a message."""
        return int(self._connection.send_stream_message(self._native.stream_id, part))

    def subscribe(self, uid: int) -> int:
        """Ask for a participant's audio."""
        return int(self._user.subscribe_audio(str(uid)))

    def unsubscribe(self, uid: int) -> None:
        """Ask for a participant's audio no more."""
        try:
            self._user.unsubscribe_audio(str(uid))
        except RuntimeError:
            # The SDK has unsubscribed, and then takes the track out of a mapping that it is going through.
            logger.debug("the SDK failed after it had unsubscribed uid %d", uid)

    def release(self) -> None:
        """Free everything, in the order of the SDK's own examples. May block, so call it in a thread."""
        self._is_going = True
        native = self._native
        self._user.unpublish_audio(native.audio_track)
        native.audio_track.set_enabled(0)
        self._unregister()
        self._connection.release()
        native.audio_track.release()
        native.audio_pcm_data_sender.release()
        native.media_node_factory.release()

    def fall_silent(self) -> None:
        """Let the library tell nothing any more, and free nothing."""
        if not self._is_going:
            self._connection.disconnect()
            self._unregister()

    def _unregister(self) -> None:
        self._user.unregister_audio_frame_observer()
        self._user.unregister_local_user_observer()
        self._connection.unregister_observer()
