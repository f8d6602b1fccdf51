"""The page at /docs, on the server's own description and on shapes that it may yet take."""

from __future__ import annotations

import asyncio
import json
import shlex
from typing import Any

import pytest
from playwright.async_api import Page, expect

from realtime_agent.server.openapi import openapi
from realtime_agent.server.routes import ROUTES
from realtime_agent.server.start_agent import StartAgent
from tests.browser.stub import StubServer

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def show(page: Page, stub: StubServer, document: dict[str, Any]) -> None:
    stub.openapi = document
    await page.goto(f"{stub.origin}/docs")
    await expect(page.locator(".operation")).to_have_count(sum(len(item) for item in document["paths"].values()))


async def test_every_operation_of_the_server_is_shown(page: Page, stub: StubServer) -> None:
    document = openapi(ROUTES)
    await show(page, stub, document)
    for path, item in document["paths"].items():
        for method, operation in item.items():
            section = page.locator(f"[id='{operation['operationId']}']")
            await expect(section.get_by_role("heading", level=2)).to_have_text(method.upper() + path)
            await expect(section.locator(".summary")).to_have_text(operation["summary"])
            shown = await section.locator(".responses .status").all_inner_texts()
            assert shown == sorted(operation["responses"])  # as JavaScript orders such keys


async def test_a_field_is_shown_with_its_type_and_limits(page: Page, stub: StubServer) -> None:
    await show(page, stub, openapi(ROUTES))
    section = page.locator("#start_agent")
    names = await section.locator("> table > tbody > tr > th code").all_inner_texts()
    assert names == list(StartAgent.model_fields)
    uid = section.locator("> table > tbody > tr", has=page.get_by_text("uid", exact=True)).first
    assert {"required", "integer", "0 to 4294967295"} <= set(
        (await uid.inner_text()).replace("\t", "\n").split("\n")
    ) | {text.strip() for text in await uid.locator("span").all_inner_texts()}
    command = page.locator("#control_agent > details > summary")
    assert await command.all_inner_texts() == [
        "update_instruction",
        "update_turn_detection",
        "update_session",
        "send_system_text",
        "send_user_text",
        "create_response",
        "say",
        "interrupt",
        "commit_audio_buffer",
        "clear_audio_buffer",
        "pause",
        "resume",
    ]


async def test_the_curl_example_is_one_that_the_server_takes(page: Page, stub: StubServer) -> None:
    await show(page, stub, openapi(ROUTES))
    command = await page.locator("#start_agent .snippet code").inner_text()
    words = shlex.split(command.replace("\\\n", " "))
    assert words[:2] == ["curl", f"{stub.origin}/start_agent"]
    StartAgent.model_validate_json(words[words.index("-d") + 1])
    fetched = await page.locator("#agents_channel .snippet code").inner_text()
    assert shlex.split(fetched) == ["curl", f"{stub.origin}/agents/test"]
    await expect(page.locator("#rtc_channel .snippet")).to_have_count(0)


async def test_a_curl_example_survives_the_shell(page: Page, stub: StubServer) -> None:
    body = {"text": 'it\'s "quoted" $HOME `date` \\n'}
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "example": body}
    content = {"application/json": {"schema": schema}}
    operation = {"operationId": "say", "requestBody": {"content": content}, "responses": {"200": {"description": ""}}}
    await show(page, stub, {"openapi": "3.1.0", "info": {}, "paths": {"/say": {"put": operation}}})
    command = await page.locator("#say .snippet code").inner_text()
    shell = await asyncio.create_subprocess_exec(
        "sh",
        "-c",
        f'curl() {{ for word; do printf "%s\\0" "$word"; done; }}; {command}',
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(20):
        out, _ = await shell.communicate()
    words = out.decode().split("\0")
    assert words[:3] == ["-X", "PUT", f"{stub.origin}/say"]
    assert json.loads(words[words.index("-d") + 1]) == body


async def test_a_schema_that_holds_itself_ends(page: Page, stub: StubServer) -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Node"}}, "required": ["next"]}
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Node"}}}
    operation = {"operationId": "walk", "requestBody": {"content": content}, "responses": {}}
    document = {
        "openapi": "3.1.0",
        "info": {},
        "paths": {"/walk": {"post": operation}},
        "components": {"schemas": {"Node": node}},
    }
    await show(page, stub, document)
    await expect(page.locator("#walk > table th code").first).to_have_text("next")


async def test_a_description_that_cannot_be_had_is_told(page: Page, stub: StubServer) -> None:
    await page.route("**/openapi.json", lambda route: route.fulfill(status=500))
    await page.goto(f"{stub.origin}/docs")
    await expect(page.get_by_role("status")).to_contain_text("could not be loaded: the server answered 500")


async def test_copying_gives_the_command(page: Page, stub: StubServer) -> None:
    await show(page, stub, openapi(ROUTES))
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=stub.origin)
    await page.locator("#start_agent .copy").click()
    await expect(page.locator("#start_agent .copy")).to_have_text("Copied")
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert copied == await page.locator("#start_agent .snippet code").inner_text()
