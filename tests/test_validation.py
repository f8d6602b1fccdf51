from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from realtime_agent.validation import field_path, in_words


class Circle(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: Literal["circle"]
    radius: float


class Square(BaseModel):
    kind: Literal["square"]
    side: float


Shape = Annotated[Circle | Square, Field(discriminator="kind")]


class Drawing(BaseModel):
    title: str = ""
    shape: Shape | None = None
    layers: list[Shape] = []
    size: bool | int | Circle = True

    @field_validator("title")
    @classmethod
    def _is_short(cls, title: str) -> str:
        if len(title) > 5:
            raise ValueError("at most five letters")
        return title


def first_error(raw: object) -> tuple[str, str]:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Drawing).validate_python(raw)
    detail = caught.value.errors()[0]
    return field_path(raw, detail), in_words(detail)


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ({"title": 1}, "title"),
        ({"shape": {"kind": "circle", "radius": "wide"}}, "shape.radius"),
        ({"shape": {"kind": "circle", "radius": 1, "hue": 1}}, "shape.hue"),
        ({"layers": [{"kind": "square", "side": 1}, {"kind": "square", "side": "x"}]}, "layers.1.side"),
        ({"size": "big"}, "size"),
        ([], ""),
    ],
)
def test_a_field_is_named_as_its_writer_knows_it(raw: object, path: str) -> None:
    assert first_error(raw)[0] == path


def test_a_field_that_is_missing_is_named_where_it_should_be() -> None:
    assert first_error({"shape": {"kind": "circle"}}) == ("shape.radius", "Field required")


def test_a_union_without_its_tag_lacks_that_field() -> None:
    assert first_error({"shape": {"radius": 1}}) == ("shape.kind", "Field required")


def test_a_union_with_a_wrong_tag_is_told_the_right_ones() -> None:
    path, words = first_error({"layers": [{"kind": "star"}]})
    assert (path, words) == ("layers.0.kind", "Input should be one of 'circle', 'square'")


def test_a_validator_s_words_come_without_the_exception_s_name() -> None:
    assert first_error({"title": "too long"}) == ("title", "at most five letters")
