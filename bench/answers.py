"""How soon the embedded model answers a short question: from the end of its last word to the first audio.

    python -m bench.answers [--callers 1 4] [--quick] [--json FILE]

The model runs in a process of its own, started as the server starts it. Callers with open microphones, whose frames
come in real time, ask questions in several synthetic voices and with recorded ones; the turn settings are the
product's defaults. Several callers ask at the same moment, again and again, which is harder than as many
conversations. The stages are told by when the model's events arrive:

    hang    the last word → `speech_stopped`: what turn detection waits for
    words   → the transcript: what writing the question down takes beyond that
    answer  → the first audio: thinking, and speaking the first sentence

What each part takes by itself, with the machine to itself, is measured behind that.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.caller import Answer, Caller, calling, end_of_speech
from bench.phrases import Speaker, Voice
from realtime_agent.config import Settings
from realtime_agent.fleet.model_process import embedded_model
from realtime_agent.local_model.brain import Message, Prompt
from realtime_agent.local_model.parts import load_parts
from realtime_agent.local_model.sentences import split_sentences
from realtime_agent.realtime.types import ServerVad
from tests.speech import clip, word_error_rate

__all__ = ["main", "measure", "report"]

_EMBEDDED = Settings(openai_api_key="", realtime_api_base_uri="")
_BETWEEN_S = 1.0
_ROUNDS = {1: 24}
_ROUNDS_OF_MANY = 12

VOICES = (Voice(1.0, 1.0), Voice(1.0, 0.85), Voice(1.1, 1.15), Voice(0.9, 0.9), Voice(1.2, 1.0))
TEXTS = (
    "What time is it?", "What is twelve plus thirty five?", "What day is it today?", "Hello there.",
    "Can you hear me?", "How far is it to the station?", "Seven times eight.", "Who wrote the book about the whale?",
    "Is the museum open on Monday?", "Tell me the time, please.", "What did I say?", "Where is my order?",
    "How long does it take to boil an egg?", "Thank you.", "Could you say that again?", "Will it rain tomorrow?",
    "What is ninety divided by six?", "Do you speak English?", "When does the next train leave?", "Good morning.",
)  # fmt: skip
RECORDED = ("forward", "amiable", "forward", "amiable")


class Question(NamedTuple):
    """A question, and how it sounds."""

    text: str
    samples: NDArray[np.int16]


def questions() -> list[Question]:
    """What is asked: people's recordings between sentences in synthetic voices."""
    speaker = Speaker()
    asked = []
    for number, text in enumerate(TEXTS):
        asked.append((text, speaker.say(text, VOICES[number % len(VOICES)])))
        if number % 5 == 4:
            recording = clip(RECORDED[number // 5])
            asked.append((recording.transcript, recording.pcm))
    return [Question(text, np.frombuffer(pcm, "<i2")) for text, pcm in asked]


async def measure(callers: Sequence[int] = (1, 4), *, quick: bool = False) -> dict[str, Any]:
    """Let so many callers ask at once, one number after the other; all figures, times in milliseconds."""
    asked = questions()
    figures: dict[str, Any] = {"callers": {}}
    async with embedded_model(_EMBEDDED) as model:
        for count in callers:
            rounds = 4 if quick else _ROUNDS.get(count, _ROUNDS_OF_MANY)
            answers = await _converse(model.settings.realtime_api_base_uri, asked, count, rounds)
            figures["callers"][str(count)] = _figures(answers)
    figures["alone"] = await _alone(asked[:4] if quick else asked)
    return figures


async def _converse(url: str, asked: list[Question], count: int, rounds: int) -> list[tuple[Question, Answer | None]]:
    """Each caller asks another question in every round, and all begin a round together."""
    session = {
        "type": "realtime",
        "audio": {"input": {"transcription": {"model": "whisper-1"}, "turn_detection": ServerVad().to_dict()}},
    }
    barrier = asyncio.Barrier(count)
    answers: list[tuple[Question, Answer | None]] = []

    async def converse(number: int) -> None:
        async with calling(url, session, seed=number) as caller:
            for turn in range(rounds):
                await barrier.wait()
                await asyncio.sleep(_BETWEEN_S)
                question = asked[(turn + number * len(asked) // count) % len(asked)]
                answers.append((question, await _answer(caller, question)))

    async with asyncio.TaskGroup() as tasks:
        for number in range(count):
            tasks.create_task(converse(number))
    return answers


async def _answer(caller: Caller, question: Question) -> Answer | None:
    try:
        return await caller.ask(question.samples)
    except TimeoutError:
        return None


def _figures(answers: list[tuple[Question, Answer | None]]) -> dict[str, Any]:
    given = [answer for _, answer in answers if answer]
    errors = [word_error_rate(question.text, answer.heard) for question, answer in answers if answer]
    return {
        "questions": len(answers),
        "unanswered": len(answers) - len(given),
        "cut": sum(answer.turns > 1 or answer.stopped_ms < 0 for answer in given),
        "word_error_rate": round(sum(errors) / max(1, len(errors)), 3),
        "hang_ms": _spread([answer.stopped_ms for answer in given]),
        "words_ms": _spread([max(0, answer.written_ms - answer.stopped_ms) for answer in given]),
        "answer_ms": _spread([answer.spoken_ms - max(answer.written_ms, answer.stopped_ms) for answer in given]),
        "total_ms": _spread([answer.spoken_ms for answer in given]),
    }


async def _alone(asked: list[Question]) -> dict[str, Any]:
    """What each part takes for a question when nothing else is done."""
    parts = await asyncio.to_thread(load_parts, _EMBEDDED)
    took: dict[str, list[float]] = {"stt_ms": [], "brain_ms": [], "tts_ms": []}

    async def timed(name: str, work: Callable[[], Awaitable[Any]]) -> Any:
        began = time.perf_counter()
        result = await work()
        took[name].append((time.perf_counter() - began) * 1000)
        return result

    for question in asked:
        pcm = question.samples[: end_of_speech(question.samples)].tobytes()
        heard = await timed("stt_ms", lambda pcm=pcm: parts.transcriber.transcribe(pcm, None))  # type: ignore[misc]
        sentences = split_sentences(parts.brain.reply(Prompt((Message("user", heard),))))
        sentence = await timed("brain_ms", lambda sentences=sentences: anext(sentences))  # type: ignore[misc]
        await sentences.aclose()
        await timed("tts_ms", lambda text=sentence: parts.synthesizer.speak(text, 1.0))  # type: ignore[misc]
    await asyncio.to_thread(parts.close)
    return {name: _spread(times) for name, times in took.items()}


def _spread(times: list[float]) -> dict[str, float]:
    ordered = sorted(times) or [0.0]
    return {"p50": round(ordered[len(ordered) // 2], 1), "p95": round(ordered[int(len(ordered) * 0.95)], 1)}


def report(figures: dict[str, Any]) -> str:
    """The figures as tables."""
    columns = ("hang_ms", "words_ms", "answer_ms", "total_ms")
    lines = ["| callers | questions | cut | unanswered | word errors | hang | words | answer | in all |"]
    lines.append("|---" * 9 + "|")
    for count, row in figures["callers"].items():
        cells = [count, row["questions"], row["cut"], row["unanswered"], row["word_error_rate"]]
        lines.append("| " + " | ".join(map(str, [*cells, *(_cell(row[column]) for column in columns)])) + " |")
    alone = ", ".join(f"{name.removesuffix('_ms')} {_cell(spread)}" for name, spread in figures["alone"].items())
    return "\n".join([*lines, f"ms p50 / p95. Each part alone: {alone}"])


def _cell(spread: dict[str, float]) -> str:
    return f"{spread['p50']:.0f} / {spread['p95']:.0f}" if spread["p50"] >= 1 else f"{spread['p50']} / {spread['p95']}"


async def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description="How soon the embedded model answers.")
    parser.add_argument("--callers", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--quick", action="store_true", help="four questions each only")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    options = parser.parse_args()
    figures = await measure(options.callers, quick=options.quick)
    print(report(figures))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
