"""What is sent has a number, and an error finds whom it is for."""

from __future__ import annotations

import pytest

from realtime_agent.realtime import events as ev
from realtime_agent.realtime.conversation.actions import Action, Answer, Send
from realtime_agent.realtime.conversation.outgoing import OnError, Outgoing
from realtime_agent.realtime.types import ErrorDetail

REFUSAL = ErrorDetail(type="invalid_request_error", message="no")


@pytest.fixture
def outgoing() -> Outgoing:
    return Outgoing()


def answering(command: int) -> OnError:
    def answer(error: ErrorDetail) -> list[Action]:
        return [Answer(command, error)]

    return answer


def id_of(send: Send) -> str:
    assert send.event.event_id is not None
    return send.event.event_id


def test_no_id_is_given_twice(outgoing: Outgoing) -> None:
    ids = [outgoing.new_id(kind) for kind in ("text", "output", "text")]
    ids += [id_of(outgoing.send(ev.ResponseCancel())) for _ in range(3)]
    assert len(set(ids)) == len(ids)


def test_an_id_says_what_it_is_for(outgoing: Outgoing) -> None:
    assert outgoing.new_id("text").startswith("text_")


def test_every_event_has_an_id_that_an_error_can_name(outgoing: Outgoing) -> None:
    send = outgoing.send(ev.InputAudioBufferCommit())
    assert send.event.to_dict() == {"type": "input_audio_buffer.commit", "event_id": id_of(send)}


def test_an_error_is_told_to_whoever_sent_the_event(outgoing: Outgoing) -> None:
    first = outgoing.send(ev.InputAudioBufferCommit(), answering(1))
    second = outgoing.send(ev.InputAudioBufferCommit(), answering(2))
    for send, command in ((second, 2), (first, 1)):
        on_error = outgoing.on_error(id_of(send))
        assert on_error is not None
        assert on_error(REFUSAL) == [Answer(command, REFUSAL)]


def test_an_error_is_told_once(outgoing: Outgoing) -> None:
    send = outgoing.send(ev.InputAudioBufferCommit(), answering(1))
    assert outgoing.on_error(id_of(send)) is not None
    assert outgoing.on_error(id_of(send)) is None


def test_nobody_wants_to_know_of_an_error_about_what_was_sent_without_care_or_never(outgoing: Outgoing) -> None:
    send = outgoing.send(ev.ResponseCancel())
    assert outgoing.on_error(id_of(send)) is None
    assert outgoing.on_error("event_of_somebody_else") is None


def test_after_a_lost_connection_no_error_is_expected_and_no_id_is_given_again(outgoing: Outgoing) -> None:
    send = outgoing.send(ev.InputAudioBufferCommit(), answering(1))
    outgoing.disconnected()
    assert outgoing.on_error(id_of(send)) is None
    assert id_of(outgoing.send(ev.ResponseCancel())) != id_of(send)


def test_an_hour_of_events_is_not_remembered_but_the_newest_are(outgoing: Outgoing) -> None:
    ids = [id_of(outgoing.send(ev.InputAudioBufferCommit(), answering(number))) for number in range(5000)]
    remembered = [event_id for event_id in ids if outgoing.on_error(event_id) is not None]
    assert remembered == ids[-256:]
