"""The OpenAPI document, made from the table of routes and the models that check requests."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from realtime_agent import __version__
from realtime_agent.server.routes import EventStream, Route
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
    for status, description in route.errors.items():
        error = {"description": description} | _content(Error, "serialization", schemas)
        operation["responses"][str(status)] = error
    if route.request is not None:
        operation["requestBody"] = {"required": True} | _content(route.request, "validation", schemas)
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", route.path)
    ]
    if parameters:
        operation["parameters"] = parameters
    return operation


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
