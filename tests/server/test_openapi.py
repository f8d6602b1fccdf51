from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from realtime_agent.server.openapi import openapi
from realtime_agent.server.routes import ROUTES
from tests.server.conftest import Client


@pytest.fixture
def document() -> dict[str, Any]:
    return openapi(ROUTES)


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


async def test_it_is_served(client: Client, document: dict[str, Any]) -> None:
    async with client.get("/openapi.json") as response:
        assert response.status == 200
        assert await response.json() == json.loads(json.dumps(document))


def test_every_route_is_in_it_once(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    found = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert found == {(route.method, route.path) for route in ROUTES}
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    assert all(operation["summary"] and operation["responses"] for operation in operations)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = set(references(document))
    assert found
    for reference in found:
        node: Any = document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]
        assert node


def test_every_schema_is_used(document: dict[str, Any]) -> None:
    used = {reference.rpartition("/")[2] for reference in references(document)}
    assert used == set(document["components"]["schemas"])


def test_path_parameters_are_declared(document: dict[str, Any]) -> None:
    for path, item in document["paths"].items():
        for operation in item.values():
            declared = {parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "path"}
            assert declared == {part[1:-1] for part in path.split("/") if part.startswith("{")}


def test_what_a_request_needs_is_in_it(document: dict[str, Any]) -> None:
    start = document["components"]["schemas"]["StartAgent"]
    assert start["required"] == ["channel_name", "uid"]
    assert start["additionalProperties"] is False
    assert start["properties"]["channel_name"]["maxLength"] == 64
    assert start["properties"]["channel_name"]["not"] == {"enum": [".", ".."]}
    steer = document["paths"]["/control_agent"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert len(steer["anyOf"]) == 12
    answers = set(document["paths"]["/start_agent"]["post"]["responses"])
    assert answers == {"200", "400", "403", "408", "409", "413", "502", "503", "504"}


def test_whom_the_service_refuses_is_told_everywhere_but_for_probes(document: dict[str, Any]) -> None:
    told = {path for path, item in document["paths"].items() for each in item.values() if "403" in each["responses"]}
    assert told == document["paths"].keys() - {"/health", "/ready"}


def test_a_reader_of_events_learns_how_to_come_back_and_when_not(document: dict[str, Any]) -> None:
    watch = document["paths"]["/agents/{channel}/events"]["get"]
    assert watch["responses"].keys() == {"200", "204", "400", "403", "404"}
    assert "content" not in watch["responses"]["204"]
    said = {(each["name"], each["in"], each["required"]) for each in watch["parameters"]}
    assert said == {("channel", "path", True), ("Last-Event-ID", "header", False), ("last_event_id", "query", False)}


def test_a_user_s_websocket_needs_a_token(document: dict[str, Any]) -> None:
    parameters = document["paths"]["/rtc/{channel}"]["get"]["parameters"]
    assert [(each["name"], each["required"]) for each in parameters] == [("channel", True), ("token", True)]


def test_what_is_text_is_told_as_text(document: dict[str, Any]) -> None:
    answer = document["paths"]["/metrics"]["get"]["responses"]["200"]
    assert answer["content"] == {"text/plain": {"schema": {"type": "string"}}}


def test_an_alias_is_told_where_it_leads_and_works(document: dict[str, Any]) -> None:
    assert document["paths"]["/start_agent"]["post"]["description"] == "Also at /start."
    assert "/start" not in document["paths"]
