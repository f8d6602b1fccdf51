"""A response that the model is to be asked for."""

from __future__ import annotations

from dataclasses import dataclass

from realtime_agent.realtime.types import ResponseConfig

__all__ = ["Request"]


@dataclass(slots=True, eq=False)
class Request:
    """A response to ask for.

    Attributes:
        id: By which the model's response can be told to answer it.
        text: The user's text that it answers, which must not come before its turn; told when it is asked for.
        is_typed: Whether it answers such a text, told or not.
        command: The command that asks for it and waits to hear whether the model accepts it.
        answers: The items of ours that it answers and the model has not taken yet; empty where it answers what is in
            the conversation already, `None` where it is asked for its own sake.
        goes_on: Whether it goes on with a response of which something was heard.
        lapses: Whether it is pointless once the user has spoken and is answered.
        has_collided: Whether the model has refused it once, since it was making another response.
        cuts: How often the connection was lost over it.
        is_stale: Whether it is not wanted any more, though it may be on its way: its user has left or been answered.
    """

    id: str
    config: ResponseConfig | None = None
    text: str | None = None
    is_typed: bool = False
    command: int | None = None
    answers: set[str] | None = None
    goes_on: bool = False
    lapses: bool = False
    has_collided: bool = False
    cuts: int = 0
    is_stale: bool = False

    @property
    def is_instructed(self) -> bool:
        """Whether it says something of its own, rather than answer what stands in the conversation."""
        return self.goes_on or (self.config is not None and self.config.instructions is not None)

    @property
    def outlasts_pause(self) -> bool:
        """Whether it is still wanted when the agent resumes: somebody asked for these words, whatever was said."""
        return not self.goes_on and not self.lapses and (self.is_typed or self.is_instructed)

    def is_moot(self, *, is_instructed: bool) -> bool:
        """Whether it is pointless now that another response has begun, which says something of its own or not."""
        is_answered = self.answers is not None and not self.answers and not is_instructed
        return self.goes_on or is_answered

    def again(self, request_id: str, *, can_go_on: bool) -> Request:
        """The request for the rest of its response, which was cut off; or for all of it, where nothing was heard."""
        goes_on = can_go_on or self.goes_on
        answers = None if self.is_instructed or goes_on else set[str]()
        return Request(
            request_id,
            self.config,
            is_typed=self.is_typed,
            answers=answers,
            goes_on=goes_on,
            lapses=goes_on or self.lapses,
            cuts=self.cuts,
        )
