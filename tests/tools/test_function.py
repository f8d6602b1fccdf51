from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from openai.types.realtime import RealtimeFunctionTool
from pydantic import BaseModel, Field

from realtime_agent.tools import Tool, tool
from realtime_agent.tools.function import ArgumentsError


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


class Topping(BaseModel):
    name: str
    grams: Annotated[int, Field(gt=0)] = 20


class Address(BaseModel):
    street: str
    title: str = ""


class Shop:
    """No model, nor anything else that pydantic knows."""


@tool
def order_pizza(
    where: Address,
    size: Size,
    crust: Literal["thin", "thick"] = "thin",
    toppings: Annotated[list[Topping], Field(max_length=3, description="in the order of baking")] = [],  # noqa: B006 - pydantic copies it
    *,
    copies: Annotated[int, Field(ge=1)] = 1,
) -> str:
    """Order a pizza.

    It comes within the hour.
    """
    return f"{copies} {size.value} {crust} to {where.street} with {[each.name for each in toppings]}"


def schema(function: Tool[..., Any]) -> dict[str, Any]:
    parameters = function.definition.parameters
    assert parameters is not None
    return parameters


def refusal(function: Tool[..., Any], arguments: str) -> str:
    with pytest.raises(ArgumentsError) as caught:
        function.read(arguments)
    return str(caught.value)


def test_a_tool_is_still_the_function_that_it_was() -> None:
    assert order_pizza(Address(street="Elm 1"), Size.SMALL, copies=2) == "2 small thin to Elm 1 with []"
    assert order_pizza.__doc__ is not None
    assert order_pizza.__doc__.startswith("Order a pizza.")


def test_an_async_tool_is_still_awaited() -> None:
    @tool
    async def double(number: int) -> int:
        return number * 2

    assert asyncio.run(double(4)) == 8


def test_empty_parentheses_mark_a_tool_too() -> None:
    @tool()
    def double(number: int) -> int:
        return number * 2

    assert isinstance(double, Tool)
    assert double(4) == 8


def test_the_model_is_told_name_docstring_and_parameters() -> None:
    definition = order_pizza.definition
    assert order_pizza.name == definition.name == "order_pizza"
    assert definition.description == "Order a pizza.\n\nIt comes within the hour."
    assert RealtimeFunctionTool.model_validate(definition.to_dict()).type == "function"


def test_without_a_docstring_no_description_is_sent() -> None:
    @tool
    def ping() -> None: ...

    assert ping.definition.to_dict() == {
        "type": "function",
        "name": "ping",
        "parameters": {"type": "object", "properties": {}, "additionalProperties": False},
    }


def test_the_schema_says_what_is_required_what_is_default_and_what_is_allowed() -> None:
    parameters = schema(order_pizza)
    assert parameters["additionalProperties"] is False
    assert parameters["required"] == ["where", "size"]
    assert parameters["properties"] == {
        "where": {"$ref": "#/$defs/Address"},
        "size": {"$ref": "#/$defs/Size"},
        "crust": {"type": "string", "enum": ["thin", "thick"], "default": "thin"},
        "toppings": {
            "type": "array",
            "items": {"$ref": "#/$defs/Topping"},
            "maxItems": 3,
            "description": "in the order of baking",
            "default": [],
        },
        "copies": {"type": "integer", "minimum": 1, "default": 1},
    }


def test_nested_models_are_in_the_schema_without_made_up_titles() -> None:
    defs = schema(order_pizza)["$defs"]
    assert defs["Size"]["enum"] == ["small", "large"]
    assert defs["Topping"]["properties"] == {
        "name": {"type": "string"},
        "grams": {"type": "integer", "exclusiveMinimum": 0, "default": 20},
    }
    assert set(defs["Address"]["properties"]) == {"street", "title"}


def test_arguments_arrive_as_the_types_of_the_signature() -> None:
    given = order_pizza.read('{"where": {"street": "Elm 1"}, "size": "large", "toppings": [{"name": "basil"}]}')
    assert given == {
        "where": Address(street="Elm 1"),
        "size": Size.LARGE,
        "crust": "thin",
        "toppings": [Topping(name="basil")],
        "copies": 1,
    }


def test_a_mutable_default_is_not_shared_between_calls() -> None:
    arguments = '{"where": {"street": "Elm 1"}, "size": "large"}'
    order_pizza.read(arguments)["toppings"].append("lost")
    assert order_pizza.read(arguments)["toppings"] == []


def test_no_text_stands_for_no_arguments() -> None:
    @tool
    def ping(times: int = 3) -> None: ...

    assert ping.read("") == ping.read(" \n") == ping.read("{}") == {"times": 3}


@pytest.mark.parametrize("name", ["json", "schema", "copy", "_private", "model_config", "self", "given"])
def test_a_parameter_may_have_any_name(name: str) -> None:
    space: dict[str, Callable[..., int]] = {}
    exec(f"def echo({name}: int) -> int: return {name}", space)
    echo = tool(space["echo"])
    assert list(schema(echo)["properties"]) == [name]
    assert echo.read(f'{{"{name}": 3}}') == {name: 3}


def test_a_bound_method_may_be_a_tool() -> None:
    class Shop:
        def open_at(self, hour: int) -> bool:
            return hour > 8

    assert tool(Shop().open_at).read('{"hour": 9}') == {"hour": 9}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("{", "not JSON"),
        ("where", "not JSON"),
        ('["Elm 1", "large"]', "must be a JSON object"),
        ("null", "must be a JSON object"),
        ("{}", "where: Field required; size: Field required"),
        ('{"where": {}, "size": "large"}', "where.street: Field required"),
        ('{"where": {"street": "x"}, "size": "huge"}', "size: Input should be 'small' or 'large'"),
        ('{"where": {"street": "x"}, "size": "large", "tip": 1}', "tip: There is no such argument"),
        (
            '{"where": {"street": "x"}, "size": "large", "toppings": [{"name": "ham", "grams": 0}]}',
            "toppings.0.grams: Input should be greater than 0",
        ),
        ('{"where": {"street": "x"}, "size": "large", "copies": "many"}', "copies: Input should be a valid integer"),
    ],
)
def test_arguments_that_do_not_fit_are_named_with_the_reason(arguments: str, words: str) -> None:
    assert words in refusal(order_pizza, arguments)


def args(*cities: str) -> None: ...
def kwargs(**cities: str) -> None: ...
def positional_only(city: str, /) -> None: ...
def unannotated(city) -> None: ...  # type: ignore[no-untyped-def] # that is what is refused
def unknown_type(city: City) -> None: ...  # type: ignore[name-defined] # noqa: F821 - that is what is refused
def no_json(call: Callable[[], int]) -> None: ...
def no_schema(city: asyncio.Queue[int]) -> None: ...
def not_for_json(number: int, shop: Shop) -> None: ...
def größe(city: str) -> None: ...


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (args, "tool 'args': parameter 'cities' is variadic positional"),
        (kwargs, "tool 'kwargs': parameter 'cities' is variadic keyword"),
        (positional_only, "tool 'positional_only': parameter 'city' is positional-only"),
        (unannotated, "tool 'unannotated': parameter 'city' has no annotation"),
        (unknown_type, "tool 'unknown_type': name 'City' is not defined"),
        (no_json, "tool 'no_json': parameter 'call' is of a type that JSON can't carry: Cannot generate a JsonSchema"),
        (no_schema, "tool 'no_schema': parameter 'city' is of a type that JSON can't carry: .*asyncio.queues.Queue"),
        (not_for_json, "tool 'not_for_json': parameter 'shop' is of a type that JSON can't carry: .*Shop'>$"),
        (größe, "ASCII"),
        (lambda: None, "ASCII"),
        (functools.partial(positional_only, "x"), "must be a function"),
        (Size, "must be a function"),
        (order_pizza, "must be a function"),
    ],
)
def test_what_a_model_could_not_call_is_refused_when_it_is_marked(function: Callable[..., Any], words: str) -> None:
    with pytest.raises(TypeError, match=words) as caught:
        tool(function)
    assert "\n" not in str(caught.value)


def test_a_name_longer_than_the_model_takes_is_refused() -> None:
    def short() -> None: ...

    short.__name__ = "x" * 65
    with pytest.raises(TypeError, match="up to 64"):
        tool(short)
