"""What the rules answer, and which brain a deployment has."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_agent.config import Settings
from realtime_agent.local_model.arithmetic import spoken_result
from realtime_agent.local_model.brain import Message, Prompt
from realtime_agent.local_model.chat import ChatBrain
from realtime_agent.local_model.parts import new_brain
from realtime_agent.local_model.rules import RulesBrain
from tests.speech import in_words

HINT = "I only follow simple rules; with an API key, a real model answers."
NOW = datetime(2026, 11, 22, 21, 5, tzinfo=UTC)
BRAIN = RulesBrain(lambda: NOW)


def ask(*texts: str) -> str:
    """The answer to the last of a user's messages."""
    return BRAIN.answer(Prompt(tuple(Message("user", text) for text in texts)))


@pytest.mark.parametrize(
    ("heard", "answer"),
    [
        ("Hello.", "Hello! How can I help?"),
        ("Hey there!", "Hello! How can I help?"),
        ("Good morning.", "Hello! How can I help?"),
        ("What time is it?", "It is 9:05 PM."),
        ("Tell me the time, please.", "It is 9:05 PM."),
        ("What's the date today?", "Today is Sunday, November 22, 2026."),
        ("What day is it?", "Today is Sunday, November 22, 2026."),
        ("Repeat after me: the sky is blue.", "the sky is blue."),
        ("Please repeat after me, one two three.", "one two three."),
        ("Repeat after me.", "You said: Repeat after me. "),
        ("I had the time of my life.", "You said: I had the time of my life. "),
        ("What is twelve plus thirty five?", "12 plus 35 is 47."),
        ("", "I did not hear anything. Are you still there?"),
    ],
)
def test_the_rules(heard: str, answer: str) -> None:
    assert ask(heard).removesuffix(HINT) == answer


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("12 + 35", "12 plus 35 is 47."),
        ("What is 12 plus 35?", "12 plus 35 is 47."),
        ("what's thirty-five minus twelve", "35 minus 12 is 23."),
        ("seven times eight", "7 times 8 is 56."),
        ("3 x 4", "3 times 4 is 12."),
        ("what is 6 multiplied by 7", "6 times 7 is 42."),
        ("ten divided by four", "10 divided by 4 is 2.5."),
        ("10 over 3", "10 divided by 3 is about 3.333."),
        ("two plus three times four", "2 plus 3 times 4 is 14."),
        ("one hundred and five minus a hundred", "105 minus 100 is 5."),
        ("two thousand three hundred plus one", "2300 plus 1 is 2301."),
        ("1,200 + 0.5", "1200 plus 0.5 is 1200.5."),
        ("five minus eight", "5 minus 8 is minus 3."),
        ("minus five plus ten", "minus 5 plus 10 is 5."),
        ("one divided by three thousand", "1 divided by 3000 is about 0."),
        ("What is 7 divided by zero?", "I can't divide by zero."),
        ("Twelve \N{MULTIPLICATION SIGN} 2", "12 times 2 is 24."),
    ],
)
def test_sums_are_right(question: str, answer: str) -> None:
    assert spoken_result(question) == answer


@pytest.mark.parametrize(
    "text",
    [
        "",
        "go forward ten meters",
        "five five",
        "three times",
        "ten percent",
        "12 plus 35 percent",
        "plus",
        "a hundred",
        "\N{SUPERSCRIPT TWO} + 1",
    ],
)
def test_what_is_not_a_sum_has_no_result(text: str) -> None:
    assert spoken_result(text) is None


@given(st.integers(0, 999_999), st.integers(0, 999_999))
def test_numbers_are_understood_in_words_as_in_digits(a: int, b: int) -> None:
    assert spoken_result(f"What is {in_words(a)} plus {in_words(b)}?") == f"{a} plus {b} is {a + b}."
    assert spoken_result(f"{a:,} times {b}.") == f"{a} times {b} is {a * b}."


@given(st.text(alphabet="0123456789., +-/x", max_size=400) | st.text(max_size=400))
def test_no_text_breaks_the_rules(text: str) -> None:
    assert ask(text)


def test_anything_else_is_said_back_with_a_hint_the_first_time_only() -> None:
    first = ask("Go forward ten meters.")
    assert first.startswith("You said: Go forward ten meters. I only follow simple rules")
    assert "API key" in first
    history = (Message("user", "Go."), Message("assistant", first), Message("user", "Stop"))
    assert BRAIN.answer(Prompt(history)) == "You said: Stop."


def test_what_did_i_say_recalls_the_message_before() -> None:
    assert ask("Go forward.", "What did I say?") == "You said: Go forward."
    assert ask("What did I just say?") == "You have not said anything before that."


def test_an_exact_request_is_spoken_word_for_word() -> None:
    request = 'Say exactly this, word for word, and nothing else: "Hi, I am "Ann".\nHow are you?"'
    assert BRAIN.answer(Prompt(request=request)) == 'Hi, I am "Ann".\nHow are you?'


def test_a_free_request_is_refused_honestly_and_quoted_briefly() -> None:
    answer = BRAIN.answer(
        Prompt(request="Tell the user a long story about a dragon, a princess and a very old castle.")
    )
    assert answer.startswith("I only follow simple rules, so I can't do this: \"Tell the user a long story")
    assert answer.endswith('…"')


def test_a_system_message_is_a_request_until_it_is_answered() -> None:
    system = Message("system", 'Say: "Welcome."')
    assert BRAIN.answer(Prompt((system,))) == "Welcome."
    assert BRAIN.answer(Prompt((system, Message("user", "2 + 2")))) == "2 plus 2 is 4."


def test_without_a_question_it_offers_help() -> None:
    assert BRAIN.answer(Prompt()) == "Hello! How can I help?"


def test_the_url_of_a_language_model_chooses_the_brain() -> None:
    assert isinstance(new_brain(Settings()), RulesBrain)
    assert isinstance(new_brain(Settings(local_llm_url="http://127.0.0.1:1/v1")), ChatBrain)
