"""The OpenAPI document, made from the table of routes and the models that check requests."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from realtime_agent import __version__
from realtime_agent.server.guard import PROBES
from realtime_agent.server.route import EventStream, Route
from realtime_agent.server.schemas import Error

__all__ = ["openapi"]

_REF = "#/components/schemas/{model}"


def openapi(routes: Iterable[Route]) -> dict[str, Any]:
    """Describe the routes as OpenAPI 3.1."""
    routes = list(routes)
    schemas: dict[str, Any] = {}
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "realtime-agent", "version": __version__},
        "paths": paths,
        "components": {"schemas": dict(sorted(schemas.items()))},
    }


def _operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    good = {"description": "Done."} | _content(route.response, "serialization", schemas)
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": route.path.strip("/").replace("/", "_").translate(str.maketrans("", "", "{}")),
        "responses": {str(route.status): good},
    }
    if route.alias is not None:
        operation["description"] = f"Also at {route.alias}."
    for status, description in route.empty.items():
        operation["responses"][str(status)] = {"description": description}
    for status, description in _errors(route).items():
        error = {"description": description} | _content(Error, "serialization", schemas)
        operation["responses"][str(status)] = error
    if route.request is not None:
        operation["requestBody"] = {"required": True} | _content(route.request, "validation", schemas)
    if parameters := _parameters(route):
        operation["parameters"] = parameters
    return operation


def _errors(route: Route) -> dict[int, str]:
    """Those of the route, and what the guard refuses."""
    guarded = {} if route.path in PROBES else {403: "A page of another site asks, or the Host is not the service's."}
    return dict(sorted({**route.errors, **guarded}.items()))


def _parameters(route: Route) -> list[dict[str, Any]]:
    text = {"schema": {"type": "string"}}
    in_path = [{"name": name, "in": "path", "required": True} | text for name in re.findall(r"{(\w+)}", route.path)]
    return in_path + [
        {"name": each.name, "in": each.place, "required": each.required, "description": each.description} | text
        for each in route.parameters
    ]


def _content(model: Any, mode: JsonSchemaMode, schemas: dict[str, Any]) -> dict[str, Any]:
    if model is None:
        return {}
    if model is EventStream:
        return {"content": {"text/event-stream": {"schema": {"type": "string"}}}}
    schema = TypeAdapter(model).json_schema(mode=mode, ref_template=_REF)
    schemas.update(schema.pop("$defs", {}))
    name = getattr(model, "__name__", None)
    if name is not None and "properties" in schema:
        schemas[name] = schema
        schema = {"$ref": _REF.format(model=name)}
    return {"content": {"text/plain" if model is str else "application/json": {"schema": schema}}}
