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
    "Hey 42, stop.",
    "Héy agent, stóp.",
    "Hey 助手 stop",
    "Hey, agent \N{HEAVY BLACK HEART}\N{VARIATION SELECTOR-16}, stop!",
    "\N{FULLWIDTH LATIN SMALL LETTER H}ey agent\N{FULLWIDTH COMMA}stop",
    "Hey agent, stop! Hey agent, stop!",
    "Hey agent, stop. Hey, stop. Hey!! Agent, please stop.",
    "Hey agent, I want stop.",
    "Hey, where's the bus stop?",
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
    "Hey agent, start. Hey agent, start.",
    "Hey, stop. Hey, start.",
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
    "Hey, it doesn't stop.",
    "Hey, he didnt stop.",
    "Hey, you shouldn't stop.",
    "Hey, why doesn't it start?",
    "Hey, my car wouldn\N{RIGHT SINGLE QUOTATION MARK}t start.",
    "Hey, it isn't gonna stop.",
    "Hey, ain't gonna stop.",
    "Hey, we couldnt start.",
    "Hey, she hasn't started.",
    "Hey, nobody stops.",
    "Hey, nothing stops.",
    "Hey, neither stops.",
    "Hey, they hardly stop.",
    "Hey, don\N{LEFT SINGLE QUOTATION MARK}t stop.",
    "Hey, don\N{MODIFIER LETTER APOSTROPHE}t stop.",
    "Hey, don\N{ACUTE ACCENT}t stop.",
    "Hey, don\N{PRIME}t stop.",
    "Hey, don\N{FULLWIDTH APOSTROPHE}t stop.",
    "Hey, don`t stop.",
    "Hey agent, don't stop! Hey agent, stop!",
    "Hey agent, stop! Hey agent!",
    "Hey, the rain stops.",
    "Hey agent, starts.",
    "Hey, the movie started.",
    "Hey, it just started.",
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
        ("嘿……停", "嘿,小爱同学,停"),
        ("嘿 … 停", "嘿小爱同学停"),
        ("ねえ … 止まれ", "ねえ、止まれ"),
        ("ねえ … 止まれ", "ねえエージェント、止まれ"),
        ("ねえ … 止まれ", "ねえ、アシスタントさん、止まれ!ねえ、止まれ!"),
        ("सुनो … रुको", "सुनो एजेंट, रुको।"),
        ("हे … रुको", "हे कृपया अब रुको"),
        ("เฮ้ … หยุด", "เฮ้ เอเจนต์ หยุด"),
        ("เฮ้ … หยุด", "เฮ้ช่วยหยุด"),
        ("יא … עצור", "יָא, סוכן, עצור!"),
        ("يا … توقف", "يَا مساعد، توقّف"),
        ("هی … بس", "هی می\N{ZERO WIDTH NON-JOINER}شود لطفا بس"),
        ("эй … стоп", "Эй, агент, стоп"),
        ("έλα … σταμάτα", "ελα βοηθέ, σταματα"),
        ("헤이 … 멈춰", "헤이, 에이전트, 멈춰"),
        ("ok computer … be quiet", "OK computer, please be quiet."),
        ("hey ... stop", "hey agent stop"),
        (" hey … stop ,  hé … arrête ", "hé arrête"),
        ("hey … stop,", "hey stop"),
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


@pytest.mark.parametrize(
    ("stop", "utterance"),
    [
        ("hallo … halten", "Hallo, nicht halten!"),
        ("hallo … halt", "Hallo, keine Halt"),
        ("oye … para", "Oye, nadie para"),
        ("hej … stopp", "Hej, inte stopp"),
        ("hey … dur", "Hey, sak\N{LATIN SMALL LETTER DOTLESS I}n dur"),
        ("эй … стоп", "Эй, не стоп"),
        ("सुनो … रुको", "सुनो, मत रुको"),
        ("יא … עצור", "יא, אל עצור"),
        ("嘿 … 停", "嘿,请别停"),
        ("เฮ้ … หยุด", "เฮ้ อย่าหยุด"),
    ],
)
def test_a_phrase_of_a_language_has_that_language_s_negations(stop: str, utterance: str) -> None:
    assert Phrases(stop, "hey … start").spot(utterance) is None


@pytest.mark.parametrize(
    ("stop", "utterance"),
    [
        ("सुनो … रुको", "सुनो, अब रोको"),
        ("はい … かれ", "はい、がれ"),
        ("เฮ้ … หยุด", "เฮ้ หยด"),
    ],
)
def test_a_mark_that_is_as_much_as_a_letter_counts(stop: str, utterance: str) -> None:
    assert Phrases(stop, "hey … start").spot(utterance) is None


def test_without_spaces_four_signs_are_taken_for_a_word() -> None:
    phrases = Phrases("嘿 … 停", "嘿 … 走")
    assert [phrases.spot(f"嘿,{'我' * count},停") for count in (4, 12, 13)] == [Phrase.STOP, Phrase.STOP, None]
    assert phrases.spot("嘿 agent 小助手 please 停") is Phrase.STOP
    assert phrases.spot("嘿 agent 我的小助手 please 停") is None


def test_a_phrase_that_is_said_again_and_again_is_found_at_once() -> None:
    phrases = Phrases(DEFAULT.stop_phrases, DEFAULT.start_phrases)
    assert phrases.spot("Hey stop. " * 1000) is Phrase.STOP
    assert phrases.spot("Hey stop. " * 1000 + "Hey.") is None


@pytest.mark.parametrize("wrong", ["hey", "hey stop", "… stop", "hey …", "hey … agent … stop", ",", "hey … stop, hey"])
def test_what_has_not_first_words_and_last_words_is_no_phrase(wrong: str) -> None:
    with pytest.raises(ValueError, match="first words"):
        Settings(stop_phrases=wrong)
    with pytest.raises(ValueError, match="first words"):
        Phrases(wrong, "hey … start")


@pytest.mark.parametrize("start", ["hey … stop", "hé … oui, HEY|hay … go|Stop!"])
def test_a_phrase_can_t_both_pause_and_resume(start: str) -> None:
    with pytest.raises(ValueError, match="START_PHRASES has a phrase that STOP_PHRASES has too"):
        Settings(start_phrases=start)
    assert Settings(start_phrases="hey stop … start, hey … stop it").start_phrases


@pytest.mark.parametrize("word", ["|", "?!", "\N{ARABIC FATHA ISOLATED FORM}", "\N{MODIFIER LETTER APOSTROPHE}"])
def test_what_has_no_letter_and_no_digit_is_no_word(word: str) -> None:
    for make in (lambda stop: Settings(stop_phrases=stop), lambda stop: Phrases(stop, "hey … start")):
        with pytest.raises(ValueError, match="is no word"):
            make(f"hey … {word}")


WORDS = st.sampled_from(["hey", "agent", "please", "don't", "stop", "start", "now"])


@given(st.lists(WORDS, max_size=8))
def test_no_phrase_is_found_that_does_not_begin_with_hey_and_end_with_its_last_word(words: list[str]) -> None:
    found = Phrases(DEFAULT.stop_phrases, DEFAULT.start_phrases).spot(" ".join(words))
    if not words or words[0] != "hey" or words[-1] not in ("stop", "start") or "don't" in words:
        assert found is None
    elif len(words) <= 5:
        assert found == words[-1]


@given(st.text())
def test_nothing_that_can_be_said_confuses_it(utterance: str) -> None:
    phrases = Phrases(DEFAULT.stop_phrases, DEFAULT.start_phrases)
    assert phrases.spot(f"{utterance} x") is None
    assert phrases.spot(f"hey {utterance} stop") is not Phrase.START


@given(st.lists(st.sampled_from(["agent", "please", "you", "Robert"]), max_size=3), st.sampled_from(["stop", "start"]))
def test_a_name_and_kind_words_do_no_harm(between: list[str], last: str) -> None:
    phrases = Phrases(DEFAULT.stop_phrases, DEFAULT.start_phrases)
    assert phrases.spot(f"Hey, {' '.join(between)}, {last}!") is Phrase(last)
