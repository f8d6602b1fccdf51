"""The conversation's rules: events in, actions out, no sockets."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from realtime_agent.realtime import actions as act
from realtime_agent.realtime import events as ev
from realtime_agent.realtime.conversation import Conversation
from realtime_agent.realtime.types import ErrorDetail, Response, ResponseConfig, SemanticVad, ServerVad, TurnDetection

COLLISION = "conversation_already_has_active_response"
PCM = b"\1\0" * 240


@pytest.fixture
def conversation() -> Conversation:
    return Conversation(ServerVad())


def created(response_id: str | None) -> ev.ResponseCreated:
    return ev.ResponseCreated(response=Response(id=response_id))


def done(response_id: str | None, **fields: Any) -> ev.ResponseDone:
    return ev.ResponseDone(response=Response.model_validate({"id": response_id, "status": "completed", **fields}))


def delta(response_id: str, item_id: str = "i1", pcm: bytes = PCM) -> ev.OutputAudioDelta:
    audio = base64.b64encode(pcm).decode()
    return ev.OutputAudioDelta(response_id=response_id, item_id=item_id, delta=audio)


def audio_done(response_id: str, item_id: str = "i1") -> ev.OutputAudioDone:
    return ev.OutputAudioDone(response_id=response_id, item_id=item_id)


def words(item_id: str, text: str) -> ev.OutputTranscriptDelta:
    return ev.OutputTranscriptDelta(response_id="r1", item_id=item_id, delta=text)


def all_words(item_id: str, text: str) -> ev.OutputTranscriptDone:
    return ev.OutputTranscriptDone(response_id="r1", item_id=item_id, transcript=text)


def error(code: str | None, event_id: str | None = None) -> ev.ErrorEvent:
    return ev.ErrorEvent(error=ErrorDetail(type="invalid_request_error", message="no", code=code, event_id=event_id))


def speech_started() -> ev.SpeechStarted:
    return ev.SpeechStarted(audio_start_ms=0, item_id="u1")


def ask(conversation: Conversation, instructions: str) -> list[act.Action]:
    return conversation.create_response(ResponseConfig(instructions=instructions))


def asked(actions: list[act.Action]) -> list[str | None]:
    """The instructions of the responses that are asked for."""
    requests = [action.event for action in actions if isinstance(action, act.Send)]
    creates = [request for request in requests if isinstance(request, ev.ResponseCreate)]
    return [create.response.instructions if create.response else None for create in creates]


def request_id(actions: list[act.Action]) -> str | None:
    send = actions[-1]
    assert isinstance(send, act.Send)
    return send.event.event_id


# One response at a time.


def test_a_response_is_asked_for_at_once_when_none_is_made(conversation: Conversation) -> None:
    assert asked(ask(conversation, "greet")) == ["greet"]


def test_a_response_without_settings_sends_none(conversation: Conversation) -> None:
    (action,) = conversation.create_response()
    assert isinstance(action, act.Send)
    assert set(action.event.to_dict()) == {"type", "event_id"}


def test_requests_wait_their_turn_and_are_sent_in_order(conversation: Conversation) -> None:
    assert asked(ask(conversation, "one")) == ["one"]
    assert ask(conversation, "two") == []
    conversation.handle(created("r1"))
    assert ask(conversation, "three") == []
    assert asked(conversation.handle(done("r1"))) == ["two"]
    conversation.handle(created("r2"))
    assert asked(conversation.handle(done("r2"))) == ["three"]
    conversation.handle(created("r3"))
    assert conversation.handle(done("r3")) == []


def test_a_request_waits_for_a_response_that_the_server_began(conversation: Conversation) -> None:
    conversation.handle(created("r1"))
    assert conversation.is_responding
    assert ask(conversation, "greet") == []
    assert asked(conversation.handle(done("r1"))) == ["greet"]
    conversation.handle(created("r2"))
    conversation.handle(done("r2"))
    assert not conversation.is_responding


def test_the_end_of_another_response_releases_nothing(conversation: Conversation) -> None:
    conversation.handle(created("r2"))
    assert ask(conversation, "greet") == []
    assert conversation.handle(done("r1")) == []
    assert conversation.is_responding


def test_responses_without_an_id_are_still_one_at_a_time(conversation: Conversation) -> None:
    conversation.handle(created(None))
    assert ask(conversation, "greet") == []
    assert asked(conversation.handle(done(None))) == ["greet"]


def test_a_server_that_never_says_created_is_not_waited_for_for_ever(conversation: Conversation) -> None:
    ask(conversation, "one")
    assert ask(conversation, "two") == []
    assert asked(conversation.handle(done("r1"))) == ["two"]


def test_when_too_many_wait_the_oldest_gives_way(conversation: Conversation) -> None:
    conversation.handle(created("r0"))
    for number in range(40):
        assert ask(conversation, str(number)) == []
    sent: list[str | None] = []
    for number in range(100):
        sent += asked(conversation.handle(done(f"r{number}")))
        conversation.handle(created(f"r{number + 1}"))
    assert sent == [str(number) for number in range(8, 40)]


# The collision of two responses, and other errors.


def test_a_request_that_collides_is_sent_again_after_the_other_is_done(conversation: Conversation) -> None:
    event_id = request_id(ask(conversation, "greet"))
    ask(conversation, "then")
    conversation.handle(created("r1"))
    assert conversation.handle(error(COLLISION, event_id)) == []
    assert asked(conversation.handle(done("r1"))) == ["greet"]
    conversation.handle(created("r2"))
    assert asked(conversation.handle(done("r2"))) == ["then"]


@pytest.mark.parametrize("named", [True, False], ids=["with event_id", "without event_id"])
def test_a_collision_never_makes_a_tight_loop(conversation: Conversation, named: bool) -> None:
    event_id = request_id(ask(conversation, "greet"))
    collision = error(COLLISION, event_id if named else None)
    # The server holds on to a response that we have not heard of, or that was done already.
    for response in ("r1", "r2", "r3"):
        assert conversation.handle(collision) == []
        assert asked(conversation.handle(collision)) == []
        assert asked(conversation.handle(done(response))) == ["greet"]


def test_a_turn_of_the_user_that_the_server_could_not_answer_is_answered_in_its_turn(
    conversation: Conversation,
) -> None:
    ask(conversation, "greet")
    conversation.handle(created("r1"))
    assert conversation.handle(error(COLLISION)) == []
    assert asked(conversation.handle(done("r1"))) == [None]
    conversation.handle(created("r2"))
    assert conversation.handle(done("r2")) == []


def test_nothing_is_asked_for_while_the_user_speaks(conversation: Conversation) -> None:
    conversation.handle(created("r1"))
    conversation.handle(speech_started())
    assert ask(conversation, "then") == []
    assert asked(conversation.handle(done("r1", status="cancelled"))) == []
    # The server answers the turn by itself; what waits comes after that.
    assert asked(conversation.handle(ev.SpeechStopped(audio_end_ms=1, item_id="u1"))) == []
    conversation.handle(created("r2"))
    assert asked(conversation.handle(done("r2"))) == ["then"]


def test_a_response_that_begins_while_the_user_speaks_is_asked_for_again_when_they_have_finished(
    conversation: Conversation,
) -> None:
    ask(conversation, "greet")
    conversation.handle(speech_started())
    (cancel,) = conversation.handle(created("r1"))
    assert isinstance(cancel, act.Send)
    assert isinstance(cancel.event, ev.ResponseCancel)
    # Nobody hears or reads it, and the model forgets that it has said it.
    assert conversation.handle(delta("r1")) == []
    assert conversation.handle(words("i1", "Hello")) == conversation.handle(all_words("i1", "Hello.")) == []
    (forget,) = conversation.handle(done("r1", status="cancelled", output=[{"type": "message", "id": "i1"}]))
    assert forget == act.Send(ev.ItemDelete(item_id="i1"))
    # The server answers the user's turn by itself; what waits comes after that.
    conversation.handle(ev.SpeechStopped(audio_end_ms=0, item_id="u1"))
    conversation.handle(created("r2"))
    assert asked(conversation.handle(done("r2"))) == ["greet"]


def test_a_response_that_is_asked_for_again_pushes_no_other_out_of_the_queue(conversation: Conversation) -> None:
    ask(conversation, "greet")
    for number in range(32):
        ask(conversation, str(number))
    conversation.handle(speech_started())
    conversation.handle(created("r1"))
    conversation.handle(ev.SpeechStopped(audio_end_ms=0, item_id="u1"))
    answered = []
    for number in range(2, 40):
        answered += asked(conversation.handle(done(f"r{number - 1}")))
        conversation.handle(created(f"r{number}"))
    assert answered == [str(number) for number in range(32)]


def test_where_speech_does_not_interrupt_a_response_may_begin_in_the_middle_of_it() -> None:
    conversation = Conversation(ServerVad(interrupt_response=False))
    ask(conversation, "greet")
    conversation.handle(speech_started())
    assert conversation.handle(created("r1")) == []
    assert conversation.handle(delta("r1")) != []


def test_where_the_server_does_not_answer_turns_the_end_of_speech_releases_what_waits() -> None:
    conversation = Conversation(ServerVad(create_response=False))
    conversation.handle(speech_started())
    assert ask(conversation, "then") == []
    assert asked(conversation.handle(ev.SpeechStopped(audio_end_ms=1, item_id="u1"))) == ["then"]


def test_speech_whose_audio_was_cleared_holds_nothing_back(conversation: Conversation) -> None:
    conversation.handle(speech_started())
    assert ask(conversation, "then") == []
    silence, *rest = conversation.handle(ev.InputAudioBufferCleared())
    assert silence == act.UserSpeech(False)
    assert asked(rest) == ["then"]


def test_a_commit_by_hand_in_the_middle_of_a_turn_releases_what_waits(conversation: Conversation) -> None:
    conversation.handle(speech_started())
    assert ask(conversation, "then") == []
    assert conversation.commit() == [act.Send(ev.InputAudioBufferCommit())]
    conversation.handle(ev.SpeechStopped(audio_end_ms=1, item_id="u1"))
    assert asked(conversation.handle(ev.InputAudioBufferCommitted(item_id="u1"))) == ["then"]


def test_an_answer_that_the_server_could_not_begin_releases_what_waits(conversation: Conversation) -> None:
    conversation.handle(speech_started())
    assert ask(conversation, "then") == []
    conversation.handle(ev.SpeechStopped(audio_end_ms=1, item_id="u1"))
    report, *rest = conversation.handle(error("too_many_responses"))
    assert isinstance(report, act.Report)
    assert asked(rest) == ["then"]


def test_a_response_that_was_asked_for_one_user_is_not_spoken_to_the_next(conversation: Conversation) -> None:
    ask(conversation, "greet")
    ask(conversation, "then")
    conversation.user_left()
    assert conversation.user_joined() == []
    assert ask(conversation, "greet again") == []
    assert conversation.handle(created("r1")) == [act.Send(ev.ResponseCancel())]
    assert conversation.handle(delta("r1")) == []
    assert asked(conversation.handle(done("r1", status="cancelled"))) == ["greet again"]
    assert conversation.handle(created("r2")) == []
    assert conversation.handle(delta("r2")) == [act.Play("i1", 0, PCM)]


def test_nothing_is_asked_for_until_somebody_is_there() -> None:
    conversation = Conversation(ServerVad(), user_present=False)
    assert ask(conversation, "greet") == []
    assert asked(conversation.user_joined()) == ["greet"]


def test_a_response_is_cancelled_and_not_heard_when_the_user_leaves(conversation: Conversation) -> None:
    conversation.handle(created("r1"))
    assert [type(action) for action in conversation.user_left()] == [act.Send]
    assert conversation.handle(delta("r1")) == []
    assert conversation.handle(audio_done("r1")) == []


def test_a_response_that_begins_after_the_user_left_is_cancelled_too(conversation: Conversation) -> None:
    ask(conversation, "greet")
    assert conversation.user_left() == []
    assert conversation.handle(created("r1")) == [act.Send(ev.ResponseCancel())]
    assert conversation.handle(delta("r1")) == []
    conversation.handle(done("r1", status="cancelled"))
    conversation.user_joined()
    conversation.handle(created("r2"))
    assert conversation.handle(delta("r2")) == [act.Play("i1", 0, PCM)]


def test_a_collision_told_twice_does_not_repeat_the_reply(conversation: Conversation) -> None:
    event_id = request_id(ask(conversation, "greet"))
    conversation.handle(created("r1"))
    assert conversation.handle(error(COLLISION, event_id)) == []
    assert conversation.handle(error(COLLISION, event_id)) == []
    assert asked(conversation.handle(done("r1"))) == ["greet"]
    conversation.handle(created("r2"))
    assert conversation.handle(done("r2")) == []


def test_collisions_do_not_let_the_queue_outgrow_its_bound(conversation: Conversation) -> None:
    conversation.create_response()
    for number in range(100):
        ask(conversation, str(number))
    conversation.handle(error(COLLISION))
    conversation.handle(created("r"))
    sent = []
    while requests := asked(conversation.handle(done("r"))):
        sent += requests
    assert len(sent) == 32
    assert sent[-1] == "99"


def test_cancelling_nothing_is_harmless(conversation: Conversation) -> None:
    assert conversation.handle(error("response_cancel_not_active")) == []
    ask(conversation, "one")
    assert ask(conversation, "two") == []
    assert conversation.handle(error("response_cancel_not_active")) == []
    conversation.handle(created("r1"))
    assert asked(conversation.handle(done("r1"))) == ["two"]


def test_a_request_that_the_server_refuses_is_reported_and_the_next_is_sent(conversation: Conversation) -> None:
    event_id = request_id(ask(conversation, "wrong"))
    ask(conversation, "right")
    report, *rest = conversation.handle(error("invalid_value", event_id))
    assert report == act.Report(error("invalid_value", event_id).error)
    assert asked(rest) == ["right"]


def test_an_error_that_names_nothing_is_taken_to_mean_the_unanswered_request(conversation: Conversation) -> None:
    ask(conversation, "wrong")
    ask(conversation, "right")
    assert asked(conversation.handle(error("server_error"))) == ["right"]


def test_an_error_about_something_else_leaves_the_request_alone(conversation: Conversation) -> None:
    ask(conversation, "one")
    ask(conversation, "two")
    assert asked(conversation.handle(error("invalid_value", "some_other_event"))) == []
    conversation.handle(created("r1"))
    assert asked(conversation.handle(error("input_audio_buffer_commit_empty"))) == []
    assert asked(conversation.handle(done("r1"))) == ["two"]


def test_a_failed_response_is_reported(conversation: Conversation) -> None:
    conversation.handle(created("r1"))
    details = {"type": "failed", "error": {"type": "server_error", "message": "out of cards"}}
    (report,) = conversation.handle(done("r1", status="failed", status_details=details))
    assert isinstance(report, act.Report)
    assert report.error.message == "out of cards"
    assert [type(action) for action in conversation.handle(done("r2", status="failed"))] == [act.Report]


def test_what_a_response_cost_is_told(conversation: Conversation) -> None:
    conversation.handle(created("r1"))
    (spent,) = conversation.handle(done("r1", usage={"total_tokens": 9, "input_tokens": 4, "output_tokens": 5}))
    assert isinstance(spent, act.Spent)
    assert spent.usage.total_tokens == 9


# Audio and barge-in.


def test_audio_is_played_and_its_end_told(conversation: Conversation) -> None:
    conversation.handle(created("r1"))
    assert conversation.handle(delta("r1")) == [act.Play("i1", 0, PCM)]
    assert conversation.handle(audio_done("r1")) == [act.EndPart("i1", 0)]


@pytest.mark.parametrize("audio", ["AAA", "not base64!", "ä"])
def test_audio_that_is_not_base64_is_reported_and_the_rest_is_played(conversation: Conversation, audio: str) -> None:
    conversation.handle(created("r1"))
    (report,) = conversation.handle(ev.OutputAudioDelta(response_id="r1", item_id="i1", delta=audio))
    assert isinstance(report, act.Report)
    assert conversation.handle(delta("r1")) == [act.Play("i1", 0, PCM)]


def test_speaking_over_a_reply_drops_what_is_left_of_it_and_never_the_next(conversation: Conversation) -> None:
    conversation.handle(created("r1"))
    conversation.handle(delta("r1"))
    assert conversation.handle(speech_started()) == [act.UserSpeech(True), act.Interrupt()]
    assert conversation.handle(delta("r1")) == []
    assert conversation.handle(audio_done("r1")) == []
    conversation.handle(done("r1", status="cancelled"))
    assert conversation.handle(delta("r1")) == []
    conversation.handle(created("r2"))
    assert conversation.handle(delta("r2", "i2")) == [act.Play("i2", 0, PCM)]
    assert conversation.handle(audio_done("r2", "i2")) == [act.EndPart("i2", 0)]


def test_speaking_after_a_reply_was_made_and_before_it_was_heard_interrupts_and_drops_nothing_else(
    conversation: Conversation,
) -> None:
    conversation.handle(created("r1"))
    conversation.handle(done("r1"))
    assert conversation.handle(speech_started()) == [act.UserSpeech(True), act.Interrupt()]
    conversation.handle(created("r2"))
    assert conversation.handle(delta("r2")) == [act.Play("i1", 0, PCM)]


def test_a_user_who_begins_before_the_next_response_does_not_silence_it(conversation: Conversation) -> None:
    conversation.handle(created("r1"))
    conversation.handle(speech_started())
    conversation.handle(created("r2"))
    assert conversation.handle(delta("r1")) == []
    assert conversation.handle(delta("r2")) == [act.Play("i1", 0, PCM)]


@pytest.mark.parametrize(
    ("turn_detection", "interrupts"),
    [
        (ServerVad(interrupt_response=False), False),
        (SemanticVad(interrupt_response=False), False),
        (ServerVad(), True),
        (SemanticVad(), True),
    ],
)
def test_speech_interrupts_only_where_turn_detection_says_so(turn_detection: TurnDetection, interrupts: bool) -> None:
    conversation = Conversation(turn_detection)
    conversation.handle(created("r1"))
    expected = [act.UserSpeech(True), act.Interrupt()] if interrupts else [act.UserSpeech(True)]
    assert conversation.handle(speech_started()) == expected
    assert bool(conversation.handle(delta("r1"))) is not interrupts


def test_without_turn_detection_speech_that_was_on_the_wire_interrupts_nothing(conversation: Conversation) -> None:
    conversation.set_turn_detection(None)
    assert conversation.handle(speech_started()) == [act.UserSpeech(False)]
    assert asked(ask(conversation, "then")) == ["then"]


def test_turning_turn_detection_off_ends_the_turn_that_was_being_spoken(conversation: Conversation) -> None:
    conversation.handle(speech_started())
    assert ask(conversation, "then") == []
    silence, *rest = conversation.set_turn_detection(None)
    assert silence == act.UserSpeech(False)
    assert asked(rest) == ["then"]


def test_the_end_of_speech_is_told(conversation: Conversation) -> None:
    assert conversation.handle(ev.SpeechStopped(audio_end_ms=9, item_id="u1")) == [act.UserSpeech(False)]


def test_the_user_s_words_are_told_as_they_come(conversation: Conversation) -> None:
    kind = ev.TranscriptionDelta(item_id="u1", delta="hel")
    assert conversation.handle(kind) == [act.Transcript("user", "u1", "hel")]
    assert conversation.handle(ev.TranscriptionDelta(item_id="u1")) == []
    whole = ev.TranscriptionCompleted(item_id="u1", transcript=" hello. \n")
    assert conversation.handle(whole) == [act.Transcript("user", "u1", "hello.", final=True)]


def test_the_agent_s_words_are_told_as_they_come(conversation: Conversation) -> None:
    assert conversation.handle(words("i1", "good ")) == [act.Transcript("assistant", "i1", "good ")]
    whole = act.Transcript("assistant", "i1", "good day", final=True)
    assert conversation.handle(all_words("i1", "good day")) == [whole]
    assert conversation.handle(all_words("i1", "good day")) == []
    assert conversation.handle(words("i1", "late")) == []


def test_a_reply_in_text_is_told_like_one_in_speech(conversation: Conversation) -> None:
    text = ev.OutputTextDelta(response_id="r1", item_id="i1", delta="good ")
    whole = ev.OutputTextDone(response_id="r1", item_id="i1", text="good day")
    assert conversation.handle(text) == [act.Transcript("assistant", "i1", "good ")]
    assert conversation.handle(whole) == [act.Transcript("assistant", "i1", "good day", final=True)]


def test_what_was_cut_is_told_to_the_model_and_to_whoever_shows_the_words(conversation: Conversation) -> None:
    conversation.handle(words("i1", "good "))
    conversation.handle(words("i1", "day to"))
    truncate, transcript = conversation.interrupted([("i1", 0, 740)])
    assert truncate == act.Send(ev.ItemTruncate(item_id="i1", content_index=0, audio_end_ms=740))
    assert transcript == act.Transcript("assistant", "i1", "good day to", final=True, interrupted=True)
    assert conversation.handle(words("i1", " you")) == []
    assert conversation.handle(all_words("i1", "good day to you")) == []


def test_every_item_that_was_cut_is_told(conversation: Conversation) -> None:
    conversation.handle(all_words("i1", "one"))
    conversation.handle(words("i2", "tw"))
    actions = conversation.interrupted([("i1", 0, 100), ("i2", 0, 0)])
    cut = [action.event.to_dict() for action in actions if isinstance(action, act.Send)]
    assert [(event["item_id"], event["audio_end_ms"]) for event in cut] == [("i1", 100), ("i2", 0)]
    told = [action for action in actions if isinstance(action, act.Transcript)]
    assert [(words.text, words.interrupted) for words in told] == [("one", True), ("tw", True)]
    assert conversation.interrupted([]) == []


def test_the_system_s_text_becomes_an_item_at_once(conversation: Conversation) -> None:
    conversation.handle(created("r1"))
    (send,) = conversation.tell("it rains")
    assert isinstance(send, act.Send)
    assert send.event.to_dict()["item"] == {
        "type": "message", "role": "system", "content": [{"type": "input_text", "text": "it rains"}],
    }  # fmt: skip


def test_the_user_s_text_comes_with_its_answer_in_their_turn(conversation: Conversation) -> None:
    conversation.handle(created("r1"))
    assert conversation.say("hello") == []
    item, shown, response = conversation.handle(done("r1"))
    assert isinstance(item, act.Send)
    assert item.event.to_dict()["item"] == {
        "type": "message", "id": "text_1", "role": "user", "content": [{"type": "input_text", "text": "hello"}],
    }  # fmt: skip
    assert shown == act.Transcript("user", "text_1", "hello", final=True)
    assert asked([response]) == [None]


def test_the_user_s_text_is_not_repeated_when_its_answer_collides(conversation: Conversation) -> None:
    *_, response = conversation.say("hello")
    conversation.handle(created("r1"))
    conversation.handle(error(COLLISION, request_id([response])))
    assert [type(action) for action in conversation.handle(done("r1"))] == [act.Send]


# What is of no use.


def test_unknown_events_harm_nothing(conversation: Conversation) -> None:
    for _ in range(3):
        assert conversation.handle(ev.UnknownEvent(type="response.hologram.delta", raw={})) == []


def test_words_that_could_not_be_understood_are_told_as_none(conversation: Conversation) -> None:
    actions = conversation.handle(ev.TranscriptionFailed(item_id="u1", error={}))
    assert actions == [act.Transcript("user", "u1", "", final=True)]


def test_a_turn_of_the_user_has_its_place_before_its_words_are_known(conversation: Conversation) -> None:
    actions = conversation.handle(ev.InputAudioBufferCommitted(item_id="u1"))
    assert actions == [act.Transcript("user", "u1", "")]


@pytest.mark.parametrize(
    "event",
    [
        ev.SessionCreated(session={}),
        ev.SessionUpdated(session={}),
        ev.RateLimitsUpdated(rate_limits=[]),
        ev.ItemTruncated(item_id="i1", content_index=0, audio_end_ms=1),
        ev.ItemDeleted(item_id="i1"),
    ],
    ids=lambda event: event.type,
)
def test_events_without_a_consequence_have_none(conversation: Conversation, event: ev.ServerEvent) -> None:
    assert conversation.handle(event) == []


def test_an_hour_of_talk_is_not_remembered(conversation: Conversation) -> None:
    for number in range(1000):
        response, item = f"r{number}", f"i{number}"
        conversation.create_response()
        conversation.handle(created(response))
        conversation.handle(words(item, "word " * 10))
        conversation.handle(speech_started())
        conversation.interrupted([(item, 0, 10)])
        conversation.handle(done(response, status="cancelled"))
    kept = [value for value in vars(conversation).values() if hasattr(value, "__len__")]
    assert len(kept) >= 3
    assert max(len(value) for value in kept) <= 64
    # What is remembered is the newest.
    assert conversation.handle(delta("r999")) == []
    assert conversation.handle(words("i999", "late")) == []
