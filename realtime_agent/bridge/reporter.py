"""What others learn of an agent: its server by events, the channel by messages, the operator by the log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Literal

from realtime_agent.control import events
from realtime_agent.control.events import AgentEvent
from realtime_agent.control.life import State
from realtime_agent.control.usage import TotalUsage
from realtime_agent.realtime import session as model
from realtime_agent.realtime.session import SessionEvent
from realtime_agent.recent import Recent

__all__ = ["Reporter"]

logger = logging.getLogger(__name__)

_MAX_ALIKE = 5
_ALIKE_S = 60.0
"""So many errors of one kind are told in so long; a server may send thousands."""

_MAX_KINDS = 32
"""Kinds of errors that are kept count of."""

_MAX_PLACES = 256
"""Items whose words may still come."""


class Reporter:
    """Tells of one agent.

    Args:
        channel_name: Whose it is, for the log.
        send: Gives the channel a message.
        notify: Gives the server an event.
        clock: Seconds of a monotonic clock.
    """

    def __init__(
        self,
        channel_name: str,
        send: Callable[[Mapping[str, Any]], None],
        notify: Callable[[AgentEvent], None],
        clock: Callable[[], float],
    ) -> None:
        self._channel_name = channel_name
        self._send = send
        self.notify = notify
        self._state: State | None = None
        self._usage = TotalUsage()
        self._places: Recent[str, int] = Recent(_MAX_PLACES)
        self._last_place = 0
        self._clock = clock
        # Since when the errors of each kind are counted, and how many there were.
        self._alike: Recent[str, tuple[float, int]] = Recent(_MAX_KINDS)

    def state(self, state: State, by: Literal["voice", "command"] | None = None) -> None:
        """The agent's state, if that has changed."""
        if state is self._state:
            return
        self._state = state
        logger.info("agent in %r is %s%s", self._channel_name, state, f", by {by}" if by else "")
        self._send({"type": "state", "state": state, "reason": None})
        self.notify(events.StateChanged(state=state, by=by))

    def ended(self, ended: events.Ended) -> None:
        """The agent is gone."""
        because = f" ({ended.cause})" if ended.cause else ""
        logger.info("agent in %r ended: %s%s", self._channel_name, ended.reason, because)
        self.notify(ended)

    def transcript(self, words: model.Transcript) -> None:
        """Words of one side."""
        body: dict[str, Any] = {"type": "transcript", "role": words.role, "item_id": words.item_id}
        body |= {"text": words.text, "final": True} if words.final else {"delta": words.text}
        if words.interrupted:
            body["interrupted"] = True
        if words.typed:
            body["typed"] = True
        self._send(body)
        if words.item_id not in self._places:
            self._last_place += 1
            self._places[words.item_id] = self._last_place
        self.notify(events.AgentTranscript.model_validate(body | {"place": self._places[words.item_id]}))

    def command(self, name: str, error: str | None = None, kind: str = "") -> None:
        """A command was carried out, or this is why not: in words, and what kind of error it is."""
        outcome = f"was not carried out: {kind}" if error is not None else "is done"
        logger.info("agent in %r: %s %s", self._channel_name, name, outcome)
        if error is not None:
            # A model's words may quote what was said.
            logger.debug("agent in %r: %s: %s", self._channel_name, name, error)
        self.notify(events.CommandDone(command=name, error=error))

    def count(self, spent: TotalUsage) -> None:
        """The agent's model has cost this much more."""
        self._usage += spent
        self.notify(events.UsageChanged(usage=self._usage))

    def channel_connection(self, status: Literal["lost", "restored"], cause: str | None = None) -> None:
        """The connection to the channel is interrupted, or there again."""
        name = self._channel_name
        if status == "lost":
            logger.warning("the agent in %r lost its channel: %s", name, cause)
        else:
            logger.info("the agent in %r has its channel again", name)
        self.notify(events.ConnectionChanged(to="channel", status=status, cause=cause))

    def ear_connection(self, event: model.Lost | model.Restored) -> None:
        """Nobody listens for phrases for now, or somebody does again."""
        self._connection("ear", event)

    def between_session_and_model(self, event: SessionEvent) -> None:
        """How it goes between the session and its model."""
        name = self._channel_name
        match event:
            case model.Report(error):
                self._error(error.code or error.type, error.message)
            case model.Lost() | model.Restored():
                self._connection("model", event)
            case model.Rotated():
                logger.info("the agent in %r has another session with its model", name)
                self.notify(events.ConnectionChanged(to="model", status="renewed"))

    def _connection(self, to: Literal["model", "ear"], event: model.Lost | model.Restored) -> None:
        name = self._channel_name
        match event:
            case model.Lost(cause):
                logger.warning("the agent in %r lost its %s: %s", name, to, cause)
                self.notify(events.ConnectionChanged(to=to, status="lost", cause=cause))
            case model.Restored(after_s):
                logger.info("the agent in %r has its %s again after %.1f s", name, to, after_s)
                self.notify(events.ConnectionChanged(to=to, status="restored", after_s=round(after_s, 3)))

    def _error(self, kind: str, message: str) -> None:
        """The model reports an error, of which there may be thousands alike."""
        now = self._clock()
        since, count = self._alike.get(kind, (now, 0))
        if now - since >= _ALIKE_S:
            if count > _MAX_ALIKE:
                message = f"{message} ({count - _MAX_ALIKE} more like it were not told)"
            since, count = now, 0
        self._alike[kind] = since, count + 1
        is_news = count < _MAX_ALIKE
        level = logging.WARNING if is_news else logging.DEBUG
        logger.log(level, "the model of the agent in %r reported %s", self._channel_name, kind)
        # Its words may quote what was said.
        logger.debug("the model of the agent in %r: %s", self._channel_name, message)
        if is_news:
            self.notify(events.ErrorReported(code=kind, message=message))
