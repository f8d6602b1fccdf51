"""The tools of an agent: found in the module that AGENT_TOOLS names, and called for the model."""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import sys
import traceback
from collections.abc import Container, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from realtime_agent.errors import ConfigError
from realtime_agent.realtime.types import FunctionTool
from realtime_agent.text import one_line
from realtime_agent.tools.function import ArgumentsError, Tool

__all__ = ["Toolbox"]

logger = logging.getLogger(__name__)

_AT_ONCE = 16
_MAX_OUTPUT = 32_000
_GRACE_S = 1.0


class Toolbox:
    """The tools of one agent.

    At most 16 calls run at once; the others wait for them, within their own timeouts. A plain function can't be
    stopped: when its time is up its thread is left alone and no longer counts, nor does it keep the process alive. An
    async one is cancelled; should it ignore that, it counts until it ends.

    Args:
        tools: In the order in which the model gets to know them.
        timeout_s: Seconds that a call may take.

    Attributes:
        definitions: What the model is told of them.

    Raises:
        ConfigError: two tools have one name.
    """

    def __init__(self, tools: Iterable[Tool[..., Any]], *, timeout_s: float = 30) -> None:
        self._tools: dict[str, Tool[..., Any]] = {}
        for each in tools:
            if each.name in self._tools:
                raise ConfigError(f"AGENT_TOOLS: two tools have the name {each.name!r}")
            self._tools[each.name] = each
        self.definitions: list[FunctionTool] = [each.definition for each in self._tools.values()]
        self._timeout_s = timeout_s
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._unending: set[asyncio.Task[str]] = set()

    @classmethod
    def load(cls, module: str, *, timeout_s: float = 30) -> Self:
        """The tools that a module holds, its own and imported ones.

        The current directory is searched first, as `python -m` does.

        Args:
            module: Its name, such as `examples.tools`.
            timeout_s: Seconds that a call may take.

        Raises:
            ConfigError: there is no module of this name, its import fails, it holds no tools, or two of one name.
        """
        found = {id(each): each for each in vars(_import(module)).values() if isinstance(each, Tool)}
        if not found:
            raise ConfigError(f"AGENT_TOOLS: module {module!r} holds no function that is marked with @tool")
        return cls(found.values(), timeout_s=timeout_s)

    @property
    def names(self) -> list[str]:
        """The tools' names."""
        return list(self._tools)

    def select(self, names: Iterable[str]) -> Toolbox:
        """Only the tools of these names, in the order that they have here.

        Raises:
            ValueError: there is no tool of one of the names.
        """
        wanted = set(names)
        if unknown := sorted(wanted - self._tools.keys()):
            raise ValueError(_no_tool(unknown[0], self._tools))
        return Toolbox((each for name, each in self._tools.items() if name in wanted), timeout_s=self._timeout_s)

    async def call(self, name: str, arguments: str, *, among: Container[str] | None = None) -> str:
        """Do what the model asks for; returns what it is told: the result, or {"error": what to do better}.

        Nothing is raised but the caller's own cancellation, which cancels an async tool too.

        Args:
            name: The tool.
            arguments: JSON, or what should be.
            among: The names of those that this model may use; `None` is all of them.
        """
        called = self._tools.get(name) if among is None or name in among else None
        if called is None:
            logger.warning("the model called %.100r, which is no tool of its own", name)
            usable = [each for each in self._tools if among is None or each in among]
            return _error(_no_tool(name, usable))
        logger.debug("the model calls %s with %s", name, arguments)
        task = asyncio.create_task(self._answer(called, arguments), name=f"tool {name}")
        try:
            done, _ = await asyncio.wait({task}, timeout=self._timeout_s)
        finally:
            await self._end(task)
        if not done:
            logger.warning("tool %r took longer than %g s", name, self._timeout_s)
            return _error(f"No result within {self._timeout_s:g} s; the work may be done, or not.")
        if task.cancelled() or task.exception() is not None:
            logger.warning("tool %r ended without a result", name)
            return _error("The tool ended without a result.")
        return task.result()

    async def _answer(self, called: Tool[..., Any], arguments: str) -> str:
        try:
            given = called.read(arguments)
            async with self._slots:
                return _cut(await called.run(given))
        except asyncio.CancelledError:
            raise
        except ArgumentsError as error:
            logger.warning("the model called tool %r with arguments that do not fit", called.name)
            return _error(f"{error} Correct them and call the tool again.")
        except BaseException as error:  # noqa: BLE001 - SystemExit too: a tool must not end the agent's event loop
            _log_failure(called.name, error)
            return _error(_advice(error))

    async def _end(self, task: asyncio.Task[str]) -> None:
        """Cancel what still runs, and give it a moment to clean up; what goes on is kept until it ends."""
        if task.done():
            return
        task.cancel()
        self._unending.add(task)
        task.add_done_callback(self._unending.discard)
        _, pending = await asyncio.wait({task}, timeout=_GRACE_S)
        if pending:
            logger.warning("%s goes on although it was cancelled", task.get_name())


def _no_tool(name: str, usable: Iterable[str]) -> str:
    return f"there is no tool {name!r}; the tools are: {', '.join(usable) or 'none'}"


def _import(name: str) -> ModuleType:
    if "/" in name or name.startswith(".") or name.endswith(".py"):
        likely = name.removesuffix(".py").strip("./").replace("/", ".")
        raise ConfigError(f"AGENT_TOOLS: {name!r} is a path; write the name of the module, such as {likely}")
    try:
        here = str(Path.cwd())
        if here not in sys.path:
            sys.path.insert(0, here)
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            raise ConfigError(
                f"AGENT_TOOLS: there is no module {name!r}, in the current directory or installed;"
                " a module is named as in `import examples.tools`"
            ) from None
        words = one_line(str(error), limit=1000) + _place(error)
        raise ConfigError(f"AGENT_TOOLS: the import of {name!r} failed: {type(error).__name__}: {words}") from error


def _place(error: BaseException) -> str:
    """The line at which an import failed: of the innermost module, rather than of a library that it had called."""
    lines = [each for each in traceback.extract_tb(error.__traceback__) if each.name == "<module>"]
    return f" ({lines[-1].filename}:{lines[-1].lineno})" if lines else ""


def _log_failure(name: str, error: BaseException) -> None:
    """Say where it happened; its words only at DEBUG, since they may quote what the user said."""
    where = "".join(traceback.format_tb(error.__traceback__)).rstrip()
    logger.warning("tool %r failed with %s:\n%s", name, type(error).__name__, where)
    logger.debug("tool %r failed", name, exc_info=error)


def _advice(error: BaseException) -> str:
    """A ValueError speaks to the model; the words of any other error may hold what only its author should read."""
    if isinstance(error, ValueError) and (words := one_line(str(error), _MAX_OUTPUT)):
        return words
    return f"The tool failed ({type(error).__name__}). Do not guess its result."


def _cut(text: str) -> str:
    """No more than a model should read at once, and only what UTF-8 can carry."""
    text = text.encode(errors="replace").decode()
    if len(text) <= _MAX_OUTPUT:
        return text
    return f"{text[:_MAX_OUTPUT]}\n[cut: these are the first {_MAX_OUTPUT:,} of {len(text):,} characters]"


def _error(message: str) -> str:
    return json.dumps({"error": _cut(message)}, ensure_ascii=False)
