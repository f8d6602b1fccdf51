from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import math
import subprocess
import sys
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from realtime_agent.errors import ConfigError
from realtime_agent.tools import Tool, Toolbox, tool
from realtime_agent.tools import toolbox as module_under_test

AT_ONCE = module_under_test._AT_ONCE
MAX_OUTPUT = module_under_test._MAX_OUTPUT

LONG_S = 60.0
SHORT_S = 0.01


@tool
def add(a: int, b: int = 1) -> int:
    """Add."""
    return a + b


@tool
async def greet(name: str) -> str:
    return f"Hello, {name}!"


def box(*tools: Callable[..., Any], timeout_s: float = LONG_S) -> Toolbox:
    return Toolbox((each if isinstance(each, Tool) else tool(each) for each in tools), timeout_s=timeout_s)


async def result_of(function: Callable[..., Any]) -> str:
    return await box(function).call(function.__name__, "")


def error_in(output: str) -> str:
    found = json.loads(output)
    assert list(found) == ["error"]
    message = found["error"]
    assert isinstance(message, str)
    assert "Traceback" not in message
    return message


# What a call gives back


async def test_a_plain_and_an_async_function_are_called() -> None:
    tools = box(add, greet)
    assert await tools.call("add", '{"a": 2, "b": 3}') == "5"
    assert await tools.call("add", '{"a": 2}') == "3"
    assert await tools.call("greet", '{"name": "Ada"}') == "Hello, Ada!"


class Fish(BaseModel):
    name: str


@dataclass
class Bird:
    name: str


class Colour(StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("result", "output"),
    [
        ("as it is", "as it is"),
        ("", ""),
        (Colour.RED, "red"),
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        (math.nan, "null"),
        ({"über": [1, None]}, '{"über":[1,null]}'),
        ([Fish(name="carp"), Bird(name="wren")], '[{"name":"carp"},{"name":"wren"}]'),
        (date(2026, 1, 31), '"2026-01-31"'),
        ("half a \ud83d pair", "half a ? pair"),
    ],
)
async def test_a_string_is_given_back_as_it_is_and_all_else_as_json(result: object, output: str) -> None:
    def give() -> object:
        return result

    async def give_async() -> object:
        return result

    assert await result_of(give) == output
    assert await result_of(give_async) == output


@pytest.mark.parametrize("result", [object(), threading.Lock(), b"\xff"])
async def test_a_result_that_is_no_json_is_an_error_that_says_so(result: object) -> None:
    def give() -> object:
        return result

    assert "can't be written as JSON" in error_in(await result_of(give))


async def test_a_result_that_contains_itself_is_an_error_too() -> None:
    def give() -> list[object]:
        result: list[object] = []
        result.append(result)
        return result

    assert "can't be written as JSON" in error_in(await result_of(give))


async def test_a_long_result_is_cut_with_a_note() -> None:
    def give(length: int) -> str:
        return "x" * length

    tools = box(give)
    assert await tools.call("give", json.dumps({"length": MAX_OUTPUT})) == "x" * MAX_OUTPUT
    cut = await tools.call("give", json.dumps({"length": MAX_OUTPUT + 1}))
    assert cut == "x" * MAX_OUTPUT + "\n[cut: these are the first 32,000 of 32,001 characters]"


# What is wrong with a call


async def test_a_name_that_is_no_tool_is_answered_with_those_that_are() -> None:
    message = error_in(await box(add, greet).call("subtract", "{}"))
    assert message == "there is no tool 'subtract'; the tools are: add, greet"


async def test_a_tool_that_this_model_may_not_use_is_none_to_it() -> None:
    message = error_in(await box(add, greet).call("add", "{}", among={"greet"}))
    assert message == "there is no tool 'add'; the tools are: greet"


async def test_arguments_that_do_not_fit_are_answered_with_what_to_correct() -> None:
    message = error_in(await box(add).call("add", '{"b": "two", "c": 1}'))
    assert "a: Field required" in message
    assert "b: Input should be a valid integer" in message
    assert "c: There is no such argument" in message
    assert message.endswith("Correct them and call the tool again.")
    assert "not JSON" in error_in(await box(add).call("add", '{"a":'))


async def test_the_words_of_a_value_error_are_for_the_model() -> None:
    async def book() -> None:
        raise ValueError("That day is full:\n  ask for another.")

    assert error_in(await result_of(book)) == "That day is full: ask for another."


async def test_the_words_of_another_error_are_not() -> None:
    def book() -> None:
        raise ConnectionError("postgres://admin:hunter2@db")

    assert error_in(await result_of(book)) == "The tool failed (ConnectionError). Do not guess its result."


async def test_a_long_error_is_cut_and_still_json() -> None:
    def book() -> None:
        raise ValueError("x" * 100_000 + "\udcff")

    assert len(error_in(await result_of(book))) < MAX_OUTPUT + 100


class Odd(BaseModel):
    name: str

    @field_validator("name")
    @classmethod
    def _fails(cls, _name: str) -> str:
        raise KeyError("a validator of the author's own")


async def test_an_error_in_the_validation_of_an_argument_is_answered_too() -> None:
    def keep(odd: Odd) -> None: ...

    assert "KeyError" in error_in(await box(keep).call("keep", '{"odd": {"name": "x"}}'))


class Mute(ValueError):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    "error", [SystemExit(1), KeyboardInterrupt(), StopIteration(), asyncio.CancelledError(), Mute(), ValueError()]
)
async def test_whatever_a_tool_raises_the_agent_lives(error: BaseException) -> None:
    def end() -> None:
        raise error

    async def end_async() -> None:
        raise error

    assert error_in(await result_of(end))
    assert error_in(await result_of(end_async))


async def test_an_async_tool_that_cancels_its_own_task_is_answered() -> None:
    async def cancel() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    assert error_in(await result_of(cancel)) == "The tool ended without a result."


# What is logged


async def test_a_failure_is_logged_with_its_place_and_without_what_the_user_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def remember(secret: str) -> None:
        raise ValueError(f"can't remember {secret}")

    with caplog.at_level(logging.DEBUG):
        await box(remember).call("remember", '{"secret": "xyzzy"}')
        await box(remember).call("remember", '{"xyzzy": "xyzzy"}')
    warnings = [each for each in caplog.records if each.levelno >= logging.INFO]
    assert len(warnings) == 2
    assert "tool 'remember' failed with ValueError" in warnings[0].getMessage()
    assert "test_toolbox.py" in warnings[0].getMessage()
    assert [each for each in warnings if "xyzzy" in each.getMessage() or each.exc_info] == []
    assert '{"secret": "xyzzy"}' in caplog.text
    assert "can't remember xyzzy" in caplog.text


# Time


class Hanging:
    """A function that hangs until it is released, and the thread that it hangs in."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self._release = threading.Event()
        self._thread = threading.current_thread()

    def hang(self) -> None:
        self._thread = threading.current_thread()
        self.started.set()
        self._release.wait(LONG_S)

    def end(self) -> None:
        assert self.started.wait(LONG_S)
        self._release.set()
        self._thread.join(LONG_S)


async def test_a_function_that_hangs_is_left_alone_when_its_time_is_up(caplog: pytest.LogCaptureFixture) -> None:
    hanging = Hanging()
    output = await box(hanging.hang, timeout_s=SHORT_S).call("hang", "")
    assert "No result within 0.01 s" in error_in(output)
    hanging.end()
    await asyncio.sleep(0)
    assert [each.name for each in caplog.records] == [module_under_test.__name__]


def test_a_function_may_end_after_the_event_loop() -> None:
    hanging = Hanging()
    output = asyncio.run(box(hanging.hang, timeout_s=SHORT_S).call("hang", ""))
    assert "No result" in error_in(output)
    hanging.end()  # what its thread raised would be a warning, and that an error


async def test_functions_that_hang_use_up_no_place() -> None:
    release = threading.Event()

    def hang() -> None:
        release.wait(LONG_S)

    tools = box(hang, timeout_s=SHORT_S)
    try:
        await asyncio.gather(*(tools.call("hang", "") for _ in range(AT_ONCE + 1)))
        assert not tools._slots.locked()
    finally:
        release.set()


def test_a_function_that_hangs_does_not_hold_up_the_end_of_the_process() -> None:
    program = """
import asyncio, threading
from realtime_agent.tools import Toolbox, tool

@tool
def hang() -> None:
    threading.Event().wait()

print(asyncio.run(Toolbox([hang], timeout_s=0.01).call("hang", "")))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert "No result" in error_in(ended.stdout)


async def test_an_async_tool_is_cancelled_when_its_time_is_up() -> None:
    cancelled = asyncio.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    tools = box(hang, timeout_s=SHORT_S)
    assert "No result within 0.01 s" in error_in(await tools.call("hang", ""))
    assert cancelled.is_set()


async def test_an_async_tool_that_ignores_its_cancellation_does_not_hold_up_the_answer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module_under_test, "_GRACE_S", SHORT_S)
    release = asyncio.Event()

    async def ignore() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    tools = box(ignore, timeout_s=SHORT_S)
    try:
        assert "No result" in error_in(await tools.call("ignore", ""))
        assert "tool ignore goes on although it was cancelled" in caplog.text
        assert len(tools._unending) == 1
    finally:
        release.set()
    await asyncio.wait(tools._unending, timeout=LONG_S)
    assert tools._unending == set()


async def test_a_caller_that_is_cancelled_cancels_an_async_tool_and_waits_for_its_end() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.set()

    call = asyncio.create_task(box(hang).call("hang", ""))
    await started.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert ended.is_set()


async def test_a_caller_that_is_cancelled_leaves_a_thread_alone() -> None:
    hanging = Hanging()
    call = asyncio.create_task(box(hanging.hang).call("hang", ""))
    assert await asyncio.to_thread(hanging.started.wait, LONG_S)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    hanging.end()


@pytest.fixture
async def busy() -> AsyncIterator[tuple[Toolbox, list[int], asyncio.Event]]:
    """A toolbox in which as many calls run as may, the numbers of those that began, and what lets them end."""
    begun: list[int] = []
    release, full = asyncio.Event(), asyncio.Event()

    async def work(number: int) -> int:
        begun.append(number)
        if len(begun) == AT_ONCE:
            full.set()
        await release.wait()
        return number

    tools = box(work)
    async with asyncio.TaskGroup() as group:
        for number in range(AT_ONCE):
            group.create_task(tools.call("work", json.dumps({"number": number})))
        await full.wait()
        yield tools, begun, release
        release.set()


async def test_calls_run_side_by_side_up_to_a_bound(busy: tuple[Toolbox, list[int], asyncio.Event]) -> None:
    tools, begun, release = busy
    late = asyncio.create_task(tools.call("work", '{"number": 99}'))
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(begun) == AT_ONCE
    release.set()
    assert await late == "99"


async def test_waiting_for_a_place_counts_against_the_timeout(
    busy: tuple[Toolbox, list[int], asyncio.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    tools, begun, _ = busy
    monkeypatch.setattr(tools, "_timeout_s", SHORT_S)
    assert "No result" in error_in(await tools.call("work", '{"number": 99}'))
    assert 99 not in begun


async def test_a_plain_function_does_not_hold_up_the_event_loop() -> None:
    go = threading.Event()

    def wait() -> bool:
        return go.wait(LONG_S)

    async def free() -> None:
        go.set()

    tools = box(wait, free)
    assert [*await asyncio.gather(tools.call("wait", ""), tools.call("free", ""))] == ["true", "null"]


CALLER = contextvars.ContextVar("CALLER", default="nobody")


async def test_context_variables_are_known_in_the_function() -> None:
    def caller() -> str:
        return f"{CALLER.get()} in {threading.current_thread().name}"

    async def caller_async() -> str:
        return CALLER.get()

    CALLER.set("Ada")
    assert await result_of(caller) == "Ada in tool caller"
    assert await result_of(caller_async) == "Ada"


# Which tools there are


def test_the_definitions_are_in_order() -> None:
    assert [each.name for each in box(greet, add).definitions] == ["greet", "add"]


async def test_a_selection_has_only_its_tools_in_the_same_order() -> None:
    some = box(greet, add, test_the_definitions_are_in_order).select(["add", "greet", "add"])
    assert [each.name for each in some.definitions] == ["greet", "add"]
    assert await some.call("add", '{"a": 1}') == "2"
    assert "there is no tool 'test_the" in error_in(await some.call("test_the_definitions_are_in_order", ""))
    assert box(add).select([]).definitions == []


async def test_a_selection_keeps_the_timeout() -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    assert "0.01 s" in error_in(await box(hang, timeout_s=SHORT_S).select(["hang"]).call("hang", ""))


def test_a_selection_of_what_is_not_there_names_what_is() -> None:
    with pytest.raises(ValueError, match=r"^there is no tool 'sing'; the tools are: add, greet$"):
        box(add, greet).select(["greet", "sing"])


def test_two_tools_of_one_name_are_refused() -> None:
    def add() -> None: ...

    with pytest.raises(ConfigError, match="two tools have the name 'add'"):
        box(add, globals()["add"])


# Modules

Writer = Callable[[str], str]

HEAD = "from realtime_agent.tools import tool\n"
FIRST = HEAD + "@tool\ndef first(number: int) -> int:\n    return number + 1\n"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Writer]:
    """Writes a module into the current directory, which is not on sys.path, and says its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)

    def write(source: str) -> str:
        name = f"tools_{uuid.uuid4().hex}"
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
        return name

    yield write
    for name in set(sys.modules) - before:
        if name.startswith("tools_"):
            del sys.modules[name]


async def test_a_module_of_the_current_directory_is_loaded(write: Writer) -> None:
    tools = Toolbox.load(write(FIRST), timeout_s=7)
    assert [each.name for each in tools.definitions] == ["first"]
    assert tools._timeout_s == 7
    assert await tools.call("first", '{"number": 1}') == "2"


def test_a_module_within_a_folder_is_loaded(write: Writer, tmp_path: Path) -> None:
    folder = tmp_path / write("")
    folder.mkdir()
    (folder / "mine.py").write_text(FIRST, encoding="utf-8")
    folder.with_suffix(".py").unlink()
    assert [each.name for each in Toolbox.load(f"{folder.name}.mine").definitions] == ["first"]


def test_the_current_directory_goes_before_what_is_installed_and_only_once(write: Writer, tmp_path: Path) -> None:
    for _ in range(2):
        Toolbox.load(write(FIRST))
    assert sys.path[0] == str(tmp_path)
    assert sys.path.count(str(tmp_path)) == 1


def test_imported_tools_count_and_another_name_for_one_does_not(write: Writer) -> None:
    source = f"from {write(FIRST)} import first\n{HEAD}@tool\ndef second() -> None: ...\nalias = first\n"
    assert [each.name for each in Toolbox.load(write(source)).definitions] == ["first", "second"]


def refusal(module: str) -> str:
    with pytest.raises(ConfigError) as caught:
        Toolbox.load(module)
    message = str(caught.value)
    assert message.startswith("AGENT_TOOLS: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", ["tools_nowhere", "tools_nowhere.mine", "json.tools_nowhere"])
def test_a_module_that_is_not_there_is_refused(write: Writer, name: str) -> None:
    assert f"there is no module {name!r}" in refusal(name)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("./shop", "shop"),
        ("shop.py", "shop"),
        (".shop", "shop"),
        ("./shop.py", "shop"),
        ("../shop.py", "shop"),
        ("examples/tools.py", "examples.tools"),
        ("examples/tools/", "examples.tools"),
    ],
)
def test_a_path_in_place_of_a_module_s_name_is_refused_with_the_name(write: Writer, path: str, name: str) -> None:
    assert refusal(path) == f"AGENT_TOOLS: {path!r} is a path; write the name of the module, such as {name}"


def test_no_name_at_all_is_refused(write: Writer) -> None:
    assert "the import of '' failed" in refusal("")


def test_a_failing_import_is_told_with_the_line_that_failed(write: Writer, tmp_path: Path) -> None:
    failing = write("import json\n\njson.loads('{')\n")
    place = f"{tmp_path / failing}.py:3"
    assert refusal(failing).endswith(f"(char 1) ({place})")
    # Of a module that it imports, that one's line.
    assert refusal(write(f"import {failing}")).endswith(f"(char 1) ({place})")
    bad = write(HEAD + "\n@tool\ndef bad(x) -> None: ...\n")
    assert refusal(bad).endswith(f"has no annotation, so that the model can't know its type ({tmp_path / bad}.py:3)")
    unparsable = write("\ndef")
    assert refusal(unparsable).endswith(f"({unparsable}.py, line 2)")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import tools_missing", "ModuleNotFoundError: No module named 'tools_missing'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def", "SyntaxError: invalid syntax"),
        ("import sys\nsys.exit('usage:\\n  ...')", "SystemExit: usage: ..."),
        (HEAD + "@tool\ndef bad(x) -> None: ...", "TypeError: tool 'bad': parameter 'x' has no annotation"),
    ],
)
def test_a_module_whose_import_fails_is_refused_with_the_cause(write: Writer, source: str, words: str) -> None:
    name = write(source)
    message = refusal(name)
    assert f"the import of {name!r} failed" in message
    assert words in message


def test_a_module_without_tools_is_refused(write: Writer) -> None:
    assert "holds no function that is marked with @tool" in refusal(write(HEAD))


def test_a_module_with_two_tools_of_one_name_is_refused(write: Writer) -> None:
    source = f"from {write(FIRST)} import first as other\n{FIRST}"
    assert "two tools have the name 'first'" in refusal(write(source))
