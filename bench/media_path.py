"""What it costs to bring a browser's audio to the worker of its channel, three ways.

    python bench/media_path.py [--seconds 10] [--users 20]

relay        the server ends the websocket and passes each message on over a Unix socket
splice       the server ends nothing: it copies the websocket's bytes between the TCP and a Unix socket
hand over    the server does the opening handshake and passes the connection itself to the worker

Each user sends and hears a 20 ms frame of PCM every 20 ms. Printed are CPU microseconds a frame, of the server and of
the worker, and how long a frame takes there and back; the three take turns, several rounds of each.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import resource
import socket
import statistics
import struct
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection

from aiohttp import ClientSession, WSMsgType, web
from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.server import ServerProtocol

from realtime_agent.rtc.websocket import WebSocket

__all__ = ["main"]

FRAME = 960
FRAME_S = 0.02
PATHS = ("relay", "splice", "hand over")


class Echo:
    """The worker's end of one user: what comes is sent back."""

    def message_received(self, websocket: WebSocket, message: str | bytes) -> None:
        """Send it back."""
        websocket.send(message)

    def closed(self, websocket: WebSocket) -> None:
        """Nothing to free."""


def worker(path: str, unix_path: str, pipe: socket.socket, result: Connection) -> None:
    """Answer users until told to stop; report the CPU seconds that it took."""
    asyncio.run(_work(path, unix_path, pipe, result))


async def _work(path: str, unix_path: str, pipe: socket.socket, result: Connection) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    async def relayed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while header := await reader.read(4):
            message = await reader.readexactly(struct.unpack("<I", header)[0])
            writer.write(header + message)

    def adopt() -> None:
        data, descriptors, _, _ = socket.recv_fds(pipe, 16, 1)
        if not data:
            loop.remove_reader(pipe)
            return
        connection = socket.socket(fileno=descriptors[0])
        connection.setblocking(False)
        adopting.append(loop.create_task(loop.connect_accepted_socket(lambda: WebSocket(Echo()), connection)))

    adopting: list[asyncio.Task[object]] = []
    pipe.setblocking(False)
    loop.add_reader(pipe, adopt)
    loop.add_reader(result.fileno(), stopped.set)
    if path == "relay":
        server: asyncio.Server = await asyncio.start_unix_server(relayed, unix_path)
    else:
        server = await loop.create_unix_server(lambda: WebSocket(Echo()), unix_path)
    result.send("ready")
    before = resource.getrusage(resource.RUSAGE_SELF)
    await stopped.wait()
    after = resource.getrusage(resource.RUSAGE_SELF)
    result.send(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    server.close()


def server(path: str, unix_path: str, pipe: socket.socket, result: Connection) -> None:
    """Take users in until told to stop; report the CPU seconds that it took."""
    asyncio.run(_serve(path, unix_path, pipe, result))


async def _serve(path: str, unix_path: str, pipe: socket.socket, result: Connection) -> None:
    async def relay(request: web.Request) -> web.StreamResponse:
        websocket = web.WebSocketResponse(compress=False)
        await websocket.prepare(request)
        reader, writer = await asyncio.open_unix_connection(unix_path)

        async def down() -> None:
            while header := await reader.read(4):
                await websocket.send_bytes(await reader.readexactly(struct.unpack("<I", header)[0]))

        task = asyncio.create_task(down())
        async for message in websocket:
            writer.write(struct.pack("<I", len(message.data)) + message.data)
        task.cancel()
        writer.close()
        return websocket

    async def splice(request: web.Request) -> web.StreamResponse:
        client = _take(request)
        reader, writer = await asyncio.open_connection(sock=client)
        up_reader, up_writer = await asyncio.open_unix_connection(unix_path)

        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                sink.write(data)
            sink.close()

        await asyncio.gather(copy(reader, up_writer), copy(up_reader, writer))
        return web.Response()

    async def hand_over(request: web.Request) -> web.StreamResponse:
        with _take(request) as client:
            socket.send_fds(pipe, [b"1"], [client.fileno()])
        return web.Response()

    handlers: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = dict(
        zip(PATHS, (relay, splice, hand_over), strict=True)
    )
    app = web.Application()
    app.router.add_get("/", handlers[path])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    result.send(runner.addresses[0][1])
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_reader(result.fileno(), stopped.set)
    await asyncio.sleep(0)
    before = resource.getrusage(resource.RUSAGE_SELF)
    await stopped.wait()
    after = resource.getrusage(resource.RUSAGE_SELF)
    result.send(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def _take(request: web.Request) -> socket.socket:
    """Do the opening handshake, and take the connection out of the HTTP server."""
    response = ServerProtocol().accept(Request(request.path_qs, Headers(request.headers.items())))
    transport = request.transport
    assert transport is not None
    transport.pause_reading()
    transport.write(response.serialize())
    connection = socket.socket(fileno=socket.dup(transport.get_extra_info("socket").fileno()))
    connection.setblocking(False)
    transport.abort()
    return connection


async def talk(url: str, seconds: float) -> list[float]:
    """One user: a frame every 20 ms; gives the milliseconds that each took there and back."""
    times: list[float] = []
    loop = asyncio.get_running_loop()
    async with ClientSession() as http, http.ws_connect(url) as websocket:

        async def hear() -> None:
            async for message in websocket:
                if message.type is WSMsgType.BINARY:
                    (sent,) = struct.unpack_from("<d", message.data)
                    times.append((time.perf_counter() - sent) * 1000)

        task = asyncio.create_task(hear())
        began = loop.time()
        for n in range(int(seconds / FRAME_S)):
            await asyncio.sleep(max(0, began + n * FRAME_S - loop.time()))
            await websocket.send_bytes(struct.pack("<d", time.perf_counter()) + bytes(FRAME - 8))
        await asyncio.sleep(0.2)
        task.cancel()
    return times


def measure(path: str, users: int, seconds: float, unix_path: str) -> dict[str, float]:
    """One round of one path."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    worker_result, worker_end = context.Pipe()
    server_result, server_end = context.Pipe()
    processes = [
        context.Process(target=worker, args=(path, unix_path, theirs, worker_end)),
        context.Process(target=server, args=(path, unix_path, ours, server_end)),
    ]
    processes[0].start()
    worker_result.recv()
    processes[1].start()
    port = server_result.recv()

    async def everyone() -> list[list[float]]:
        return await asyncio.gather(*(talk(f"ws://127.0.0.1:{port}/", seconds) for _ in range(users)))

    times = [ms for user in asyncio.run(everyone()) for ms in user]
    frames = len(times)
    cpu = []
    for result in (server_result, worker_result):
        result.send("stop")
        cpu.append(float(result.recv()))
    for process in processes:
        process.join(10)
    times.sort()
    return {
        "server_us": cpu[0] / frames * 1e6,
        "worker_us": cpu[1] / frames * 1e6,
        "p50_ms": times[frames // 2],
        "p99_ms": times[frames * 99 // 100],
    }


def main() -> None:
    """Measure, and print a table and JSON."""
    import tempfile

    parser = argparse.ArgumentParser(description="What a frame costs on each path from a browser to its worker.")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rounds: dict[str, list[dict[str, float]]] = {path: [] for path in PATHS}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.rounds):
            for path in PATHS:
                unix_path = f"{folder}/{number}{PATHS.index(path)}"
                rounds[path].append(measure(path, options.users, options.seconds, unix_path))
    medians = {
        path: {name: statistics.median(one[name] for one in measured) for name in measured[0]}
        for path, measured in rounds.items()
    }
    print(f"{'':10} {'server µs/frame':>16} {'worker µs/frame':>16} {'p50 ms':>8} {'p99 ms':>8}")
    for path, row in medians.items():
        print(f"{path:10} {row['server_us']:16.1f} {row['worker_us']:16.1f} {row['p50_ms']:8.2f} {row['p99_ms']:8.2f}")
    print(json.dumps(medians))


if __name__ == "__main__":
    main()
