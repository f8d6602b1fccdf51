"""What the README says to paste works, in its order."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.e2e.program import post
from tests.e2e.watch import watching

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("embedded")]

README = Path(__file__).parents[2] / "README.md"


async def test_the_curl_examples_are_done(server: str) -> None:
    blocks = re.findall(r"```bash\n(curl .*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    done = []
    for block in blocks:
        if block.startswith("curl -N "):
            # It goes on as long as the agent does.
            async with watching(server, urlsplit(block.split()[-1]).path.split("/")[2]) as watcher:
                await watcher.until(lambda event: event["type"] == "command")
            continue
        _, url, _, header, _, body = shlex.split(block.replace("\\\n", " "))
        assert header == "Content-Type: application/json"
        status, answer = await post(server, urlsplit(url).path, **json.loads(body))
        assert status == 200, answer
        done.append(answer["status"])
    assert done == ["Agent started!", "Command send_user_text sent to agent.", "Agent stopped!"]
