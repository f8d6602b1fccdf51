"""What commands do to an agent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from realtime_agent.control import commands
from realtime_agent.control.commands import Command, CommandResult
from realtime_agent.control.life import State
from realtime_agent.realtime.session import Session
from realtime_agent.realtime.types import Item, ResponseConfig, SessionConfig
from realtime_agent.tools import Toolbox

__all__ = ["Steered", "Steering", "word_for_word"]


def word_for_word(text: str) -> ResponseConfig:
    """A response that speaks this text. What was said before would only distract the model from it, as tools would."""
    instructions = f'Say exactly this, word for word, and nothing else: "{text}"'
    nothing: list[Item] = []
    return ResponseConfig(instructions=instructions, input=nothing, tool_choice="none")


class Steered(Protocol):
    """What commands need of an agent, beside its session."""

    @property
    def state(self) -> State:
        """Where in its life it is."""
        ...

    def pause(self) -> None:
        """Be silent, by command."""
        ...

    def resume(self) -> None:
        """Converse again, by command."""
        ...

    def interrupt(self) -> bool:
        """Cut what it says; returns whether there was anything."""
        ...

    def user_committed(self, asked: float) -> None:
        """The user's turn has ended, by a command of this time."""
        ...


class Steering:
    """Carries out commands on one agent.

    Args:
        agent: The agent.
        session: Its model.
        tools: All functions that there are.
        clock: Seconds of a monotonic clock.
    """

    def __init__(self, agent: Steered, session: Session, tools: Toolbox, clock: Callable[[], float]) -> None:
        self._agent = agent
        self._session = session
        self._tools = tools
        self._clock = clock

    async def carry_out(self, command: Command) -> CommandResult:
        """Do what a command asks; returns when the model has accepted it. Raises as `Session.update` does."""
        session = self._session
        match command:
            case commands.UpdateInstruction():
                return await self._change(SessionConfig(instructions=command.new_instruction))
            case commands.UpdateTurnDetection():
                return await self._change(command.change())
            case commands.UpdateSession():
                return await self._update(command)
            case commands.SendSystemText():
                return CommandResult(item_id=await session.tell(command.input_text))
            case commands.SendUserText():
                return _response(begun=await session.say(command.input_text))
            case commands.CreateResponse() | commands.Say():
                return _response(begun=await session.create_response(_asked_for(command)))
            case commands.CommitAudioBuffer():
                return await self._commit()
            case commands.ClearAudioBuffer():
                session.clear()
                return CommandResult()
            case _:
                return self._let_agent(command)

    def _let_agent(self, command: commands.Interrupt | commands.Pause | commands.Resume) -> CommandResult:
        match command:
            case commands.Interrupt():
                return CommandResult(interrupted=self._agent.interrupt())
            case commands.Pause():
                self._agent.pause()
            case commands.Resume():
                self._agent.resume()
        return CommandResult(state=self._agent.state)

    async def _change(self, config: SessionConfig) -> CommandResult:
        changed = await self._session.update(config)
        return CommandResult(session=changed.to_dict())

    async def _update(self, command: commands.UpdateSession) -> CommandResult:
        config = command.session()
        if command.functions is not None:
            config.tools = [*self._tools.select(command.functions).definitions, *command.servers]
        return await self._change(config)

    async def _commit(self) -> CommandResult:
        asked = self._clock()
        item_id = await self._session.commit()
        self._agent.user_committed(asked)
        return CommandResult(item_id=item_id)


def _asked_for(command: commands.CreateResponse | commands.Say) -> ResponseConfig:
    if isinstance(command, commands.Say):
        return word_for_word(command.input_text)
    words = command.new_instruction
    return ResponseConfig() if words is None else ResponseConfig(instructions=words)


def _response(*, begun: bool) -> CommandResult:
    return CommandResult(response="begun" if begun else "waiting")
