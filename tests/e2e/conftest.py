"""The whole product, with both embedded defaults."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.program import running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The address of a server with the embedded model."""
    async with running(tmp_path_factory.mktemp("server"), "server") as (_, address):
        yield address
