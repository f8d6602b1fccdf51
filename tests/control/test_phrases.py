"""Phrases that pause and resume: which utterances are one, and which only sound like it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_agent.config import Settings
from realtime_agent.control.phrases import Phrase, Phrases

DEFAULT = Settings()

STOPS = [
    "Hey stop",
    "Hey, stop.",
    "hey stop",
    "HEY STOP!",
    "Hey agent, stop.",
    "Hey Agent stop",
    "Hey, agent, stop!",
    "Hey... stop.",
    "Hey \N{EN DASH} stop",
    "Hey—agent—stop.",
    "«Hey, stop!»",
    "  Hey \n agent   stop  ",
    "Hey there, agent, stop.",
    "Hey, could you please stop?",
    "Hey, will you stop?",
    "Hey Robert O'Neill, stop.",
    "Hey, that's enough. Stop.",
    "Hey, stop, stop, stop!",
    "Hey, hey, hey, hey stop.",
    "Hay, agent, stop.",
    "Hei agent stopp.",
    "Hey agent stops.",
    "Hey 42, stop.",
    "Héy agent, stóp.",
    "Hey 助手 stop",
]

STARTS = [
    "Hey start",
    "Hey, start.",
    "HEY START",
    "Hey agent, start.",
    "Hey, agent. Start!",
    "Hey, you can start.",
    "Hey, could you please start?",
    "Hey there, let's start.",
    "Hey start, start.",
    "Hay agent start",
    "Hey agent, starts.",
    "Hey agent started.",
]

NEITHER = [
    "",
    " ",
    "...",
    "hey",
    "stop",
    "start",
    "Stop.",
    "Start!",
    "Hey.",
    "Hey agent.",
    "hey, don't stop me now",
    "Hey, don't stop.",
    "Hey, don\N{RIGHT SINGLE QUOTATION MARK}t stop!",
    "Hey, please do not stop.",
    "Hey, never stop.",
    "Hey, you can't start.",
    "Hey, no, stop.",
    "he starts",
    "He starts.",
    "He stops.",
    "They stop.",
    "She said hey, stop.",
    "Okay, hey agent, stop.",
    "Hey agent, stop talking.",
    "Hey agent, stop it.",
    "Hey agent, stop please.",
    "Hey, stop the music, please.",
    "Hey, start the engine.",
    "Hey, the bus will never stop.",
    "Hey, when does the concert actually start?",
    "Hey, I wonder whether we could stop.",
    "Hey, one two three four stop.",
    "Heystop",
    "Hey, nonstop.",
    "Hey, restart.",
    "Hey, unstoppable.",
    "Hey, a bus-stop sign.",
    "Obey, stop.",
    "Hello agent, stop.",
    "Stop, hey.",
    "Stop hey agent",
    "Start, agent, hey.",
    "Hey agent, top.",
    "Hey agent, art.",
    "Hey, Star Trek.",
    "What time is it?",
    "Repeat after me: hey agent, stop.",
    "The rain has stopped.",
    "Let us start.",
    "嘿",
]


@pytest.fixture(scope="module")
def phrases() -> Phrases:
    """Those of a server that sets nothing."""
    return Phrases(DEFAULT.stop_phrases, DEFAULT.start_phrases)


@pytest.mark.parametrize("utterance", STOPS)
def test_hey_stop_is_heard(phrases: Phrases, utterance: str) -> None:
    assert phrases.spot(utterance) is Phrase.STOP


@pytest.mark.parametrize("utterance", STARTS)
def test_hey_start_is_heard(phrases: Phrases, utterance: str) -> None:
    assert phrases.spot(utterance) is Phrase.START


@pytest.mark.parametrize("utterance", NEITHER)
def test_anything_else_is_none(phrases: Phrases, utterance: str) -> None:
    assert phrases.spot(utterance) is None


def test_three_words_may_stand_between_and_no_more(phrases: Phrases) -> None:
    between = ["hey " + "so " * count + "stop" for count in range(6)]
    assert [phrases.spot(each) for each in between] == [Phrase.STOP] * 4 + [None] * 2


@pytest.mark.parametrize(
    ("stop", "utterance"),
    [
        ("hé … arrête", "Hé, assistant, arrête !"),
        ("he|hé … arrete|arrêtes", "He toi, arrêtes"),
        ("hallo … anhalten|halt", "Hallo Assistent, halt!"),
        ("oye … para", "Oye, asistente, ¡para!"),
        ("嘿 … 停", "嘿,小助手,停。"),
        ("ねえ … 止まれ", "ねえ、止まれ"),
        ("ok computer … be quiet", "OK computer, please be quiet."),
        ("hey ... stop", "hey agent stop"),
        (" hey … stop ,  hé … arrête ", "hé arrête"),
    ],
)
def test_phrases_of_other_words_and_languages_are_a_setting(stop: str, utterance: str) -> None:
    assert Settings(stop_phrases=stop).stop_phrases == stop
    assert Phrases(stop, "hey … start").spot(utterance) is Phrase.STOP


def test_a_phrase_of_several_words_needs_them_all() -> None:
    phrases = Phrases("ok computer … be quiet", "ok computer … speak up")
    assert phrases.spot("OK, be quiet.") is None
    assert phrases.spot("OK computer, quiet.") is None
    assert phrases.spot("OK computer, speak up.") is Phrase.START


def test_a_phrase_of_a_language_has_that_language_s_negations() -> None:
    assert Phrases("hallo … halten", "hey … start").spot("Hallo, nicht halten!") is None


@pytest.mark.parametrize("wrong", ["hey", "hey stop", "… stop", "hey …", "hey … agent … stop", ",", "hey … stop, hey"])
def test_what_has_not_first_words_and_last_words_is_no_phrase(wrong: str) -> None:
    with pytest.raises(ValueError, match="first words"):
        Settings(stop_phrases=wrong)
    if wrong != ",":
        with pytest.raises(ValueError, match="first words"):
            Phrases(wrong, "hey … start")


@given(st.text())
def test_nothing_that_can_be_said_confuses_it(utterance: str) -> None:
    phrases = Phrases(DEFAULT.stop_phrases, DEFAULT.start_phrases)
    words = utterance.casefold().split()
    if phrases.spot(utterance) is not None:
        assert words


@given(st.lists(st.sampled_from(["agent", "please", "you", "Robert"]), max_size=3), st.sampled_from(["stop", "start"]))
def test_a_name_and_kind_words_do_no_harm(between: list[str], last: str) -> None:
    phrases = Phrases(DEFAULT.stop_phrases, DEFAULT.start_phrases)
    assert phrases.spot(f"Hey, {' '.join(between)}, {last}!") is Phrase(last)
