"""One function that the model may call: what the model is told of it, and one call of it."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar, overload

from pydantic import TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import ErrorDetails, from_json, to_json

from realtime_agent.realtime.types import FunctionTool
from realtime_agent.text import one_line
from realtime_agent.threads import in_thread
from realtime_agent.validation import field_path, in_words

__all__ = ["ArgumentsError", "Tool", "tool"]

P = ParamSpec("P")
R = TypeVar("R")

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
"""What OpenAI takes as a function's name."""


@overload
def tool(function: Callable[P, R]) -> Tool[P, R]: ...


@overload
def tool() -> Callable[[Callable[P, R]], Tool[P, R]]: ...


def tool(function: Callable[P, R] | None = None) -> Tool[P, R] | Callable[[Callable[P, R]], Tool[P, R]]:
    """Let the model call a function, sync or async; `@tool` and `@tool()` are the same.

    The schema of its arguments comes from its signature, and its description from its docstring. What it returns is
    the model's to read: a string as it is, anything else as JSON, None as `null`. A ValueError that it raises is for
    the model too: say in it what to do better.

    Raises:
        TypeError: the model could not call it: a parameter has no annotation, or one that JSON can't express, or
            there are `*args`, `**kwargs` or positional-only parameters; or it is no function, or of no fit name.
    """
    return Tool if function is None else Tool(function)


class Tool(Generic[P, R]):
    """A function that the model may call, and that Python calls as ever.

    Attributes:
        name: The function's name.
        definition: What the model is told of it.
    """

    def __init__(self, function: Callable[P, R]) -> None:
        if not inspect.isroutine(function) or not _NAME.fullmatch(function.__name__):
            raise TypeError(f"{function!r} can't be a tool: it must be a function, its name up to 64 ASCII letters")
        functools.update_wrapper(self, function)
        self.name = function.__name__
        self._function: Callable[P, R] = function
        try:
            self._arguments = _arguments_of(function)
            parameters = self._arguments.json_schema(schema_generator=_WithoutTitles)
        except Exception as error:
            # Whatever the author's annotations may do, the message says whose they are.
            raise TypeError(f"tool {self.name!r}: {one_line(str(error), limit=1000)}") from error
        self.definition = FunctionTool(name=self.name, parameters=parameters)
        if description := inspect.getdoc(function):
            self.definition.description = description

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._function(*args, **kwargs)

    def read(self, arguments: str) -> dict[str, Any]:
        """The function's keyword arguments from the model's JSON; no text at all stands for no arguments.

        Raises:
            ArgumentsError: they do not fit; the message says which, and why.
        """
        arguments = arguments.strip() or "{}"
        try:
            raw = from_json(arguments)
        except ValueError as error:
            raise ArgumentsError(f"The arguments are not JSON: {error}.") from None
        if not isinstance(raw, dict):
            raise ArgumentsError("The arguments must be a JSON object.")
        try:
            return self._arguments.validate_json(arguments)
        except ValidationError as error:
            faults = "; ".join(_fault(raw, detail) for detail in error.errors(include_url=False))
            raise ArgumentsError(f"The arguments do not fit: {faults}.") from None

    async def run(self, given: dict[str, Any]) -> str:
        """Call it, a plain function in a thread of its own, and write its result as text."""
        function: Callable[..., Any] = self._function
        if inspect.iscoroutinefunction(function):
            return _text(await function(**given))
        return await in_thread(lambda: _text(function(**given)), f"tool {self.name}")


class ArgumentsError(Exception):
    """The model's arguments do not fit; the message is for the model."""


class _WithoutTitles(GenerateJsonSchema):
    """The titles that pydantic makes up for parameters only repeat their names."""

    def field_title_should_be_set(self, schema: object) -> bool:
        return False


def _arguments_of(function: Callable[..., object]) -> TypeAdapter[dict[str, Any]]:
    """Reads a JSON object as keyword arguments of a function."""
    signature = inspect.signature(function, eval_str=True)
    parameters = list(signature.parameters.values())
    for each in parameters:
        if each.kind not in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY):
            raise TypeError(f"parameter {each.name!r} is {each.kind.description}; the model names every argument")
        if each.annotation is each.empty:
            raise TypeError(f"parameter {each.name!r} has no annotation, so that the model can't know its type")
        _check_type(each)

    def collect(**given: Any) -> dict[str, Any]:
        return given

    # A schema from this signature rather than from a model, which would not take every name that a parameter may have.
    reader: Any = collect
    by_name = [each.replace(kind=each.KEYWORD_ONLY) for each in parameters]
    reader.__signature__ = signature.replace(parameters=by_name)
    reader.__annotations__ = {each.name: each.annotation for each in parameters}
    return TypeAdapter(reader)


def _check_type(parameter: inspect.Parameter) -> None:
    try:
        TypeAdapter(parameter.annotation).json_schema()
    except Exception as error:
        # What pydantic advises after its first sentence would not help here.
        words = str(getattr(error, "message", error)).partition(". ")[0]
        raise TypeError(f"parameter {parameter.name!r} is of a type that JSON can't carry: {words}") from error


def _fault(raw: dict[str, Any], detail: ErrorDetails) -> str:
    match detail["type"]:
        case "missing_keyword_only_argument":
            return f"{detail['loc'][0]}: Field required"
        case "unexpected_keyword_argument":
            return f"{detail['loc'][0]}: There is no such argument"
        case _:
            return f"{field_path(raw, detail)}: {in_words(detail)}"


def _text(result: object) -> str:
    if isinstance(result, str):
        return result
    try:
        return to_json(result, inf_nan_mode="null").decode()
    except Exception as error:
        raise ValueError(f"The tool has a result that can't be written as JSON: {one_line(str(error))}") from error
