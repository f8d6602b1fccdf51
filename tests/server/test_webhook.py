from __future__ import annotations

import asyncio
import base64
import itertools
import json
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import Any

import pytest
import standardwebhooks
from aiohttp import ClientSession, TCPConnector, web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from realtime_agent.config import Settings
from realtime_agent.control.events import Load
from realtime_agent.fleet.fleet import Fleet
from realtime_agent.server.app import create_app
from realtime_agent.server.webhook import Webhook, _retry_after
from tests.fake_launcher import FakeLauncher
from tests.ports import dead_port
from tests.processes import descriptors
from tests.specs import agent_spec

KEY = b"a key of the tests, 32 bytes lon"
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
MIB = 1024 * 1024

Answer = Callable[[web.Request], Any]


class Received:
    """One request that came."""

    def __init__(self, request: web.Request, body: bytes) -> None:
        self.headers = dict(request.headers)
        self.path = request.path
        self.peer = request.transport and request.transport.get_extra_info("peername")
        self.body = body
        self.json: dict[str, Any] = json.loads(body)

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def numbers(self) -> list[int]:
        return [event["n"] for event in self.json["events"]]


class Receiver:
    """Takes webhooks: answers in turn as it was told to, and then 204."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answers: deque[Answer] = deque()
        self.at_once = 0
        self.most_at_once = 0
        self.came = asyncio.Condition()
        self.base = ""

    def answer(self, *statuses: int, **headers: str) -> None:
        self.answers.extend(_status(status, headers) for status in statuses)

    @property
    def url(self) -> str:
        return self.base.replace("//", "//user:hidden-password@") + "/hook?token=hidden-token"

    async def has(self, count: int) -> list[Received]:
        """Wait for so many requests."""
        async with asyncio.timeout(60), self.came:
            await self.came.wait_for(lambda: len(self.received) >= count)
        return self.received

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            received = Received(request, await request.read())
            async with self.came:
                self.received.append(received)
                self.came.notify_all()
            answer = self.answers.popleft() if self.answers else _status(204, {})
            response: web.StreamResponse = await answer(request)
            return response
        finally:
            self.at_once -= 1


def _status(status: int, headers: Mapping[str, str]) -> Answer:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return answer


async def hang_up(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


class Gate:
    """An answer that waits until it is let go."""

    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def __call__(self, _request: web.Request) -> web.Response:
        await self.open.wait()
        return web.Response()


class Sleep:
    """Takes no time, but remembers how long it should have been."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)


@pytest.fixture
def sleep() -> Sleep:
    return Sleep()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application(client_max_size=8 * MIB)
    app.router.add_route("*", "/{path}", receiver.handle)
    async with TestServer(app) as server:
        receiver.base = str(server.make_url("")).rstrip("/")
        yield receiver


@pytest.fixture
def webhook(receiver: Receiver, sleep: Sleep) -> Webhook:
    return Webhook(receiver.url, SECRET, sleep=sleep, jitter=lambda: 1.0, timeout=60)


@asynccontextmanager
async def running(webhook: Webhook, timeout: float = 60) -> AsyncIterator[asyncio.Task[None]]:
    """Run it; at the end all that waits is posted."""
    task = asyncio.create_task(webhook.run())
    try:
        yield task
        webhook.close(timeout)
        async with asyncio.timeout(60):
            await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def offer(webhook: Webhook, *numbers: int) -> None:
    for number in numbers:
        webhook.offer(json.dumps({"n": number}))


def verify(received: Received, secret: str | bytes = SECRET, **changed: str) -> None:
    """Check a signature as a receiver would."""
    standardwebhooks.Webhook(secret).verify(received.body, {**received.headers, **changed})


async def test_events_arrive_in_order_a_hundred_at_most_in_a_request(receiver: Receiver, webhook: Webhook) -> None:
    offer(webhook, *range(250))
    async with running(webhook):
        pass
    assert [len(received.numbers) for received in receiver.received] == [100, 100, 50]
    assert [number for received in receiver.received for number in received.numbers] == list(range(250))
    assert all(received.headers["Content-Type"] == "application/json" for received in receiver.received)
    assert len({received.id for received in receiver.received}) == 3
    assert (webhook.delivered, webhook.dropped) == (250, 0)


async def test_an_event_is_posted_as_soon_as_it_comes(receiver: Receiver, webhook: Webhook) -> None:
    async with running(webhook):
        for number in range(3):
            webhook.offer(json.dumps({"n": number, "text": 'Grüße, "世界"\ud800'}))
            await receiver.has(number + 1)
    assert [received.json for received in receiver.received] == [
        {"events": [{"n": number, "text": 'Grüße, "世界"\ud800'}]} for number in range(3)
    ]


@pytest.mark.parametrize(
    ("secret", "key"),
    [
        (SECRET, SECRET),
        (SECRET.rstrip("="), KEY),
        ("any words, Grüße", "any words, Grüße".encode()),
        (SECRET.removeprefix("whsec_"), SECRET.removeprefix("whsec_").encode()),
    ],
    ids=["base64", "without padding", "text", "base64 without its prefix"],
)
async def test_a_receiver_can_check_the_signature(
    receiver: Receiver, sleep: Sleep, secret: str, key: str | bytes
) -> None:
    webhook = Webhook(receiver.url, secret, sleep=sleep)
    offer(webhook, 1, 2)
    async with running(webhook):
        pass
    verify(receiver.received[0], key)


async def test_a_changed_request_is_not_verified(receiver: Receiver, webhook: Webhook) -> None:
    offer(webhook, 1)
    async with running(webhook):
        pass
    (received,) = receiver.received
    verify(received)
    # Of a signature, without its version, and without its last letters, of which not every bit counts.
    for name, begin, end in (("webhook-id", 0, None), ("webhook-timestamp", 0, None), ("webhook-signature", 3, -2)):
        value = received.headers[name]
        for at in range(len(value))[begin:end]:
            changed = value[:at] + ("1" if value[at] == "0" else "0") + value[at + 1 :]
            with pytest.raises(standardwebhooks.WebhookVerificationError):
                verify(received, **{name: changed})
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        verify(received, b"another key")
    body = received.body
    for at, byte in enumerate(body):
        received.body = body[:at] + bytes([byte ^ 1]) + body[at + 1 :]
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            verify(received)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_not base64!", "whsec_abcde", "whsec_YWJj YWJj", "\udc80"])
def test_a_secret_that_is_none_is_refused_without_telling_it(secret: str) -> None:
    with pytest.raises(ValueError, match=r"^WEBHOOK_SECRET (is empty|is no text|begins with whsec_, but .*)$"):
        Webhook("http://127.0.0.1/", secret)


async def test_a_batch_is_tried_again_under_its_id_and_with_a_new_timestamp(receiver: Receiver, sleep: Sleep) -> None:
    seconds = itertools.count(int(time.time()))
    webhook = Webhook(receiver.url, SECRET, sleep=sleep, clock=lambda: next(seconds))
    receiver.answer(503)
    receiver.answers.append(hang_up)
    receiver.answer(500, 429)
    offer(webhook, 1, 2)
    async with running(webhook):
        await receiver.has(1)
        offer(webhook, 3)
    *tries, last = receiver.received
    assert [received.numbers for received in tries] == [[1, 2]] * 5
    assert last.numbers == [3]
    assert len({received.body for received in tries}) == len({received.id for received in tries}) == 1
    assert last.id != tries[0].id
    assert len({received.headers["webhook-timestamp"] for received in tries}) == 5
    for received in receiver.received:
        verify(received)
    assert (webhook.delivered, webhook.dropped) == (3, 0)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 501, 502, 503, 504, 599])
async def test_what_may_pass_is_tried_again(receiver: Receiver, webhook: Webhook, status: int) -> None:
    receiver.answer(status)
    offer(webhook, 1)
    async with running(webhook):
        pass
    assert [received.numbers for received in receiver.received] == [[1], [1]]
    assert webhook.delivered == 1


@pytest.mark.parametrize("status", [300, 304, 400, 401, 403, 404, 409, 410, 413, 422, 451])
async def test_what_will_not_pass_is_given_up_at_once(
    receiver: Receiver, webhook: Webhook, sleep: Sleep, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    receiver.answer(status)
    offer(webhook, 1, 2)
    async with running(webhook):
        await receiver.has(1)
        offer(webhook, 3)
    assert [received.json for received in receiver.received] == [
        {"events": [{"n": 1}, {"n": 2}]},
        {"dropped": 2, "events": [{"n": 3}]},
    ]
    assert sleep.asked == []
    assert (webhook.delivered, webhook.dropped) == (1, 2)
    (warning,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert warning.getMessage() == f"webhook {receiver.base}/hook: HTTP {status} at attempt 1: events lost: 2"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(receiver: Receiver, webhook: Webhook, status: int) -> None:
    receiver.answer(status, Location="/elsewhere")
    offer(webhook, 1)
    async with running(webhook):
        pass
    assert [received.path for received in receiver.received] == ["/hook"]
    assert webhook.dropped == 1


async def test_a_batch_is_given_up_after_eight_attempts_and_the_next_tells_of_it(
    receiver: Receiver, webhook: Webhook, sleep: Sleep, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answer(*[503] * 8)
    offer(webhook, 1, 2, 3)
    async with running(webhook):
        await receiver.has(8)
        offer(webhook, 4)
        await receiver.has(9)
        offer(webhook, 5)
    assert [received.numbers for received in receiver.received] == [[1, 2, 3]] * 8 + [[4], [5]]
    assert [received.json.get("dropped") for received in receiver.received[-2:]] == [3, None]
    assert sleep.asked == [0.5, 1, 2, 4, 8, 16, 30]
    assert (webhook.delivered, webhook.dropped) == (2, 3)
    (warning,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert warning.getMessage() == f"webhook {receiver.base}/hook: HTTP 503 at attempt 8: events lost: 3"


async def test_what_was_lost_is_told_until_somebody_has_heard_it(receiver: Receiver, webhook: Webhook) -> None:
    receiver.answer(400, 400)
    async with running(webhook):
        for number in range(4):
            offer(webhook, number)
            await receiver.has(number + 1)
    assert [received.json.get("dropped") for received in receiver.received] == [None, 1, 2, None]


async def test_waits_are_spread(receiver: Receiver, sleep: Sleep) -> None:
    webhook = Webhook(receiver.url, SECRET, sleep=sleep, jitter=lambda: 0.0)
    receiver.answer(503, 503)
    offer(webhook, 1)
    async with running(webhook):
        pass
    assert sleep.asked == [0.25, 0.5]


async def test_a_receiver_says_how_long_to_wait(receiver: Receiver, sleep: Sleep) -> None:
    now = time.time()
    webhook = Webhook(receiver.url, SECRET, sleep=sleep, clock=lambda: now, jitter=lambda: 1.0)
    receiver.answer(429, Retry_After="7")
    receiver.answer(429, Retry_After="86400")
    receiver.answer(429, Retry_After="0")
    receiver.answer(503, Retry_After=formatdate(int(now) + 20, usegmt=True))
    receiver.answer(429, Retry_After="soon")
    offer(webhook, 1)
    async with running(webhook):
        pass
    assert sleep.asked == [7, 60, 2, pytest.approx(20, abs=1), 8]
    assert webhook.delivered == 1


@given(st.text() | st.from_regex(r"\A[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} \d+ \d+:\d+:\d+ (GMT|[+-]\d+)\Z"))
def test_no_retry_after_breaks_or_takes_long(value: str) -> None:
    assert 0 <= _retry_after(value, 1_700_000_000) <= 60


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("59", 59),
        ("9" * 5000, 60),
        ("-1", 0),
        ("²", 0),
        ("", 0),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30),
        ("Tue, 14 Nov 2023 22:13:10 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 60),
        ("Tue, 14 Nov 2023 22:13:50 -0000", 30),
        ("Tue, 14 Nov 2023 22:13:50 +0100", 30),
        (f"Tue, 14 Nov {'9' * 30} 22:13:50 GMT", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float) -> None:
    assert _retry_after(value, 1_700_000_000) == seconds


async def test_the_oldest_give_way_when_too_many_wait_and_the_next_batch_tells(
    receiver: Receiver, webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    offer(webhook, *range(2005))
    assert webhook.dropped == 5
    async with running(webhook):
        pass
    assert receiver.received[0].json["dropped"] == 5
    assert all("dropped" not in received.json for received in receiver.received[1:])
    assert [number for received in receiver.received for number in received.numbers] == list(range(5, 2005))
    # Once, not for each of them.
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1


async def test_the_oldest_give_way_when_too_much_waits(receiver: Receiver, webhook: Webhook) -> None:
    frame = len(b'{"n": 0, "text": ""}')
    for number in range(6):
        webhook.offer(json.dumps({"n": number, "text": "x" * (MIB - frame)}))
    webhook.offer(json.dumps({"n": 6, "text": "x" * (4 * MIB)}))
    async with running(webhook):
        pass
    # Four of a MiB fit exactly; the one that is too large by itself pushes out none.
    assert [received.numbers for received in receiver.received] == [[2], [3], [4], [5]]
    assert (receiver.received[0].json["dropped"], webhook.dropped) == (3, 3)
    verify(receiver.received[0])


async def test_a_request_stays_small_unless_one_event_is_not(receiver: Receiver, webhook: Webhook) -> None:
    frame = len(b'{"n": 0, "text": ""}')
    for number in range(4):
        webhook.offer(json.dumps({"n": number, "text": "x" * (256 * 1024 - frame)}))
    webhook.offer(json.dumps({"n": 4}))
    async with running(webhook):
        pass
    assert [received.numbers for received in receiver.received] == [[0, 1], [2, 3], [4]]


async def test_room_is_free_again_once_events_are_on_their_way(receiver: Receiver, webhook: Webhook) -> None:
    async with running(webhook):
        for number in range(3):
            for _ in range(2000):
                webhook.offer(json.dumps({"n": number, "text": "x" * 1500}))
            await receiver.has(20 * (number + 1))
    assert (webhook.delivered, webhook.dropped) == (6000, 0)


async def test_a_slow_receiver_slows_nobody_and_gets_one_request_at_a_time(
    receiver: Receiver, webhook: Webhook
) -> None:
    gate = Gate()
    receiver.answers.append(gate)
    async with running(webhook):
        offer(webhook, 0)
        await receiver.has(1)
        # It has not answered: all of this goes on nevertheless.
        for number in range(1, 2002):
            offer(webhook, number)
            if number % 100 == 0:
                await asyncio.sleep(0)
        assert (len(receiver.received), webhook.delivered, webhook.dropped) == (1, 0, 1)
        gate.open.set()
    assert receiver.most_at_once == 1
    assert receiver.received[1].json["dropped"] == 1
    assert [number for received in receiver.received for number in received.numbers] == [0, *range(2, 2002)]


async def test_a_receiver_that_does_not_answer_in_time_is_tried_again(receiver: Receiver, sleep: Sleep) -> None:
    gate = Gate()
    receiver.answers.append(gate)
    webhook = Webhook(receiver.url, SECRET, sleep=sleep, timeout=1)
    offer(webhook, 1)
    async with running(webhook):
        await receiver.has(2)
        gate.open.set()
    assert receiver.received[0].id == receiver.received[1].id
    assert (webhook.delivered, webhook.dropped) == (1, 0)


async def test_nobody_there_is_tried_again_and_given_up(sleep: Sleep, caplog: pytest.LogCaptureFixture) -> None:
    with dead_port() as port:
        webhook = Webhook(f"http://127.0.0.1:{port}/hook", SECRET, sleep=sleep)
        offer(webhook, 1)
        async with running(webhook):
            pass
    assert len(sleep.asked) == 7
    assert webhook.dropped == 1
    assert "ClientConnectorError at attempt 8: events lost: 1" in caplog.text


async def test_no_error_of_an_attempt_ends_it(
    receiver: Receiver, sleep: Sleep, caplog: pytest.LogCaptureFixture
) -> None:
    webhook = Webhook("http://hooks..example/", SECRET, sleep=sleep)
    offer(webhook, 1)
    async with running(webhook):
        async with asyncio.timeout(60):
            while webhook.dropped < 1:
                await asyncio.sleep(0.001)
        offer(webhook, 2)
    assert (webhook.delivered, webhook.dropped) == (0, 2)
    assert "UnicodeError at attempt 8: events lost: 1" in caplog.text


async def test_one_connection_serves_all_requests(receiver: Receiver, webhook: Webhook) -> None:
    async def wordy(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(50):
            await response.write(b"x" * 1000)
            await asyncio.sleep(0)
        return response

    receiver.answers.extend([wordy, wordy])
    offer(webhook, *range(300))
    async with running(webhook):
        pass
    assert len({received.peer for received in receiver.received}) == 1


async def test_an_answer_without_end_is_not_read_to_its_end(receiver: Receiver, webhook: Webhook) -> None:
    written = 0
    hung_up = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while written < 256 * MIB:
                await response.write(b"x" * MIB)
                written += MIB
        finally:
            hung_up.set()
        return response

    receiver.answers.append(endless)
    offer(webhook, *range(150))
    async with running(webhook):
        async with asyncio.timeout(60):
            await hung_up.wait()
    # What lies in the buffers between them is not read.
    assert written < 64 * MIB
    assert (webhook.delivered, webhook.dropped) == (150, 0)


async def test_close_lets_what_waits_go_out_and_then_ends(receiver: Receiver, webhook: Webhook) -> None:
    gate = Gate()
    receiver.answers.append(gate)
    async with running(webhook) as task:
        offer(webhook, 0)
        await receiver.has(1)
        offer(webhook, *range(1, 150))
        webhook.close(60)
        webhook.close(0)  # what was said first counts
        offer(webhook, 150)
        gate.open.set()
        async with asyncio.timeout(60):
            await task
    assert (webhook.delivered, webhook.dropped) == (151, 0)


async def test_close_ends_in_time_and_counts_what_is_left(
    receiver: Receiver, webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate()
    receiver.answers.append(gate)
    async with running(webhook) as task:
        offer(webhook, 0)
        await receiver.has(1)
        offer(webhook, *range(1, 150))
        webhook.close(0.01)
        async with asyncio.timeout(30):
            await task
        gate.open.set()
    assert (webhook.delivered, webhook.dropped) == (0, 150)
    assert f"webhook {receiver.base}/hook: the server ends: events lost: 150" in caplog.text


async def test_close_ends_a_wait_for_one_more_attempt(receiver: Receiver) -> None:
    waiting = asyncio.Event()

    async def for_ever(_seconds: float) -> None:
        waiting.set()
        await asyncio.Event().wait()

    webhook = Webhook(receiver.url, SECRET, sleep=for_ever)
    receiver.answer(503)
    async with running(webhook):
        offer(webhook, 1)
        async with asyncio.timeout(60):
            await waiting.wait()
    assert [received.numbers for received in receiver.received] == [[1], [1]]
    assert webhook.delivered == 1


@pytest.mark.parametrize("timeout", [0, 60])
async def test_close_without_work_ends_it_at_once_and_may_be_said_again(webhook: Webhook, timeout: float) -> None:
    webhook.close(timeout)
    async with asyncio.timeout(30):
        await webhook.run()
    webhook.close(timeout)
    assert (webhook.delivered, webhook.dropped) == (0, 0)


async def test_close_ends_it_while_nothing_happens(receiver: Receiver, webhook: Webhook) -> None:
    async with running(webhook, timeout=3600):
        offer(webhook, 1)
        async with asyncio.timeout(60):
            while not webhook.delivered:
                await asyncio.sleep(0.01)


async def test_a_close_after_the_end_is_harmless(webhook: Webhook) -> None:
    task = asyncio.create_task(webhook.run())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    webhook.close(1)


async def wait_until_posted(receiver: Receiver, _waiting: asyncio.Event) -> None:
    await receiver.has(1)


async def wait_until_paused(_receiver: Receiver, waiting: asyncio.Event) -> None:
    async with asyncio.timeout(60):
        await waiting.wait()


@pytest.mark.parametrize("until", [wait_until_posted, wait_until_paused], ids=["in a request", "between attempts"])
async def test_cancellation_leaves_nothing_behind(receiver: Receiver, until: Callable[..., Any]) -> None:
    before = descriptors(), len(asyncio.all_tasks())
    waiting = asyncio.Event()
    sessions: list[ClientSession] = []

    async def for_ever(_seconds: float) -> None:
        waiting.set()
        await asyncio.Event().wait()

    def session() -> ClientSession:
        sessions.append(ClientSession(connector=TCPConnector(limit=1)))
        return sessions[-1]

    gate = Gate()
    if until is wait_until_posted:
        receiver.answers.append(gate)
    else:
        receiver.answer(503)
    webhook = Webhook(receiver.url, SECRET, http=session, sleep=for_ever)
    task = asyncio.create_task(webhook.run())
    offer(webhook, 1, 2)
    await until(receiver, waiting)
    offer(webhook, 3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.open.set()
    assert [each.closed for each in sessions] == [True]
    assert webhook.dropped == 3
    async with asyncio.timeout(60):
        while (descriptors(), len(asyncio.all_tasks())) > before:
            await asyncio.sleep(0.01)


async def test_nothing_secret_is_logged(receiver: Receiver, sleep: Sleep, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "hidden secret"
    webhook = Webhook(receiver.url, secret, sleep=sleep)
    receiver.answer(*[503] * 8, 404)
    receiver.answers.append(hang_up)
    for number in range(2001):
        webhook.offer(json.dumps({"n": number, "text": "hidden words"}))
    webhook.offer(json.dumps({"n": 0, "text": "hidden words" * MIB}))
    async with running(webhook):
        pass
    with dead_port() as port:
        dead = Webhook(f"http://user:hidden-password@127.0.0.1:{port}/?model=hidden#hidden", secret, sleep=sleep)
        dead.offer(json.dumps({"text": "hidden words"}))
        async with running(dead):
            pass
    logged = [record.getMessage() for record in caplog.records if record.name == "realtime_agent.server.webhook"]
    for told in ("HTTP 503", "HTTP 404", "ServerDisconnectedError", "ClientConnectorError", "give way", "larger"):
        assert any(told in line for line in logged), told
    # The receiver's own log is not ours.
    assert "hidden" not in str([record.__dict__ for record in caplog.records if record.name != "aiohttp.access"])


async def test_the_service_posts_what_happens_to_its_agents_to_the_last(
    receiver: Receiver, settings: Settings, fleet: Fleet, launcher: FakeLauncher
) -> None:
    wishes = {"webhook_url": receiver.url, "webhook_secret": SecretStr(SECRET)}
    async with TestServer(create_app(settings.model_copy(update=wishes), fleet)):
        await fleet.start(agent_spec(channel_name="room"))
        launcher.worker.report(Load(loop_lag_ms=1, uplink_ms=0, downlink_ms=0))
        await receiver.has(1)
    verify(receiver.received[0])
    events = [event for received in receiver.received for event in received.json["events"]]
    assert [event["id"] for event in events] == ["1-1", "1-2", "1-3"]
    assert [event["type"] for event in events] == ["state", "state", "ended"]
    assert {event["channel_name"] for event in events} == {"room"}
