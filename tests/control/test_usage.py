"""What models cost is summed up by kind, whatever they leave out."""

from __future__ import annotations

import json

import pytest

from realtime_agent.control.usage import TotalUsage
from realtime_agent.realtime.types import TranscriptionUsage, Usage

WHOLE = {
    "total_tokens": 253, "input_tokens": 132, "output_tokens": 121,
    "input_token_details": {
        "text_tokens": 119, "audio_tokens": 11, "image_tokens": 2, "cached_tokens": 64,
        "cached_tokens_details": {"text_tokens": 60, "audio_tokens": 3, "image_tokens": 1},
    },
    "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
}  # fmt: skip
"""As the documentation of `response.done` shows it, with an image."""

WHOLE_IN_JSON = json.dumps(WHOLE)


def test_a_response_is_counted_by_kind() -> None:
    assert TotalUsage.of_response(Usage.model_validate(WHOLE)) == TotalUsage(
        responses=1, input_tokens=132, output_tokens=121, total_tokens=253, cached_tokens=64,
        input_text_tokens=119, input_audio_tokens=11, input_image_tokens=2,
        cached_text_tokens=60, cached_audio_tokens=3, cached_image_tokens=1,
        output_text_tokens=30, output_audio_tokens=91,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("told", "counted"),
    [
        ({}, {}),
        ({"total_tokens": 5}, {"total_tokens": 5}),
        ({"input_tokens": 2, "input_token_details": None}, {"input_tokens": 2}),
        ({"input_token_details": {"text_tokens": 3}}, {"input_text_tokens": 3}),
        ({"input_token_details": {"cached_tokens": 3}}, {"cached_tokens": 3}),
        ({"input_token_details": {"cached_tokens_details": {"audio_tokens": 3}}}, {"cached_audio_tokens": 3}),
        ({"output_token_details": {"audio_tokens": 3, "thoughts": 7}}, {"output_audio_tokens": 3}),
    ],
)
def test_of_a_response_what_is_not_told_counts_nothing(told: dict[str, object], counted: dict[str, int]) -> None:
    assert TotalUsage.of_response(Usage.model_validate(told)) == TotalUsage(responses=1, **counted)


@pytest.mark.parametrize(
    ("told", "counted"),
    [
        ({"type": "duration", "seconds": 1.5}, {"transcription_seconds": 1.5}),
        ({"type": "tokens"}, {}),
        (
            {"type": "tokens", "total_tokens": 9, "input_tokens": 7, "output_tokens": 2},
            {"transcription_input_tokens": 7, "transcription_output_tokens": 2},
        ),
        (
            {"type": "tokens", "input_tokens": 7, "input_token_details": {"text_tokens": 3, "audio_tokens": 4}},
            {
                "transcription_input_tokens": 7,
                "transcription_input_text_tokens": 3,
                "transcription_input_audio_tokens": 4,
            },
        ),
    ],
)
def test_a_transcription_is_counted_apart(told: dict[str, object], counted: dict[str, float]) -> None:
    expected = TotalUsage.model_validate({"transcriptions": 1, **counted})
    assert TotalUsage.of_transcription(TranscriptionUsage.model_validate(told)) == expected


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-5", "1e300", '"many"', "[]"])
def test_what_is_no_number_of_tokens_or_seconds_counts_nothing(number: str) -> None:
    """Else no sum would ever be one again, or it would go down."""
    response = WHOLE_IN_JSON.replace("253", number).replace("119", number).replace("64", number).replace("91", number)
    told = TotalUsage.of_response(Usage.model_validate_json(response))
    assert (told.total_tokens, told.input_text_tokens, told.cached_tokens, told.output_audio_tokens) == (0, 0, 0, 0)
    assert (told.input_tokens, told.input_audio_tokens, told.output_text_tokens) == (132, 11, 30)
    by_time = TranscriptionUsage.model_validate_json(f'{{"type": "duration", "seconds": {number}}}')
    assert TotalUsage.of_transcription(by_time) == TotalUsage(transcriptions=1)
    by_token = f'{{"type": "tokens", "input_tokens": {number}, "output_tokens": 2, "total_tokens": {number}}}'
    told = TotalUsage.of_transcription(TranscriptionUsage.model_validate_json(by_token))
    assert told == TotalUsage(transcriptions=1, transcription_output_tokens=2)


def test_what_a_model_does_not_tell_the_kind_of_is_the_rest() -> None:
    usage = TotalUsage(
        input_tokens=10, input_text_tokens=3, input_image_tokens=1, output_tokens=2, output_audio_tokens=5
    )
    assert usage.by_kind("input") == {"text": 3, "audio": 0, "image": 1}
    assert usage.untold() == {"input": 6, "output": 0, "cached": 0, "transcription_input": 0}


def test_sums_are_of_every_field_and_can_be_taken_apart() -> None:
    one = TotalUsage.model_validate({name: number for number, name in enumerate(TotalUsage.model_fields)})
    two = TotalUsage.model_validate({name: 2 * number for number, name in enumerate(TotalUsage.model_fields)})
    assert one + one == two
    assert two - one == one
    assert one + TotalUsage() == one
