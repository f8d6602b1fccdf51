"""Draw the architecture pictures, light and dark, from docs/architecture.toml.

    python docs/draw_architecture.py            write both PNGs
    python docs/draw_architecture.py --check    fail unless the committed PNGs are what would be written

The font is the one inside Pillow, so the pictures do not depend on the machine that draws them.
"""

from __future__ import annotations

import argparse
import math
import sys
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image, ImageChops, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo
from pydantic import BaseModel, ConfigDict, Field

__all__ = ["DARK", "LIGHT", "ROOT", "Picture", "Theme", "draw", "load", "main", "stale"]

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "docs" / "architecture.toml"

SCALE = 2  # pixels for each unit of the canvas: sharp on dense screens
SMOOTH = 2  # shapes are drawn this much larger and reduced, which smooths their edges; text is smooth by itself
TITLE, TEXT = 17.5, 15.5  # font sizes in units: legible when a page shows the picture 700 pixels wide
LEADING = 1.26
CORNER, BEND, HEAD = 9.0, 10.0, 9.0
VISIBLE = 48  # levels of 255; FreeType versions differ by less on the edges of letters
TOLERATED = 0.01  # the share of pixels that may differ visibly

Point = tuple[float, float]
Rectangle = tuple[float, float, float, float]
Kind = Literal["audio", "control"]
Tone = Literal["plain", "process", "outside"]


class _Source(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Canvas(_Source):
    """The size of the picture, in units."""

    width: int
    height: int


class Shape(_Source):
    """A rounded rectangle with a title; as a group it lies behind boxes, its title at its top."""

    name: str
    at: Rectangle
    title: str
    lines: tuple[str, ...] = ()
    chips: tuple[str, ...] = ()
    tone: Tone = "plain"

    def side(self, side: str, along: float | None) -> Point:
        """The point on one side, `along` the axis of that side or at its middle."""
        x, y, width, height = self.at
        match side:
            case "left" | "right":
                return (x if side == "left" else x + width), (y + height / 2 if along is None else along)
            case "top" | "bottom":
                return (x + width / 2 if along is None else along), (y if side == "top" else y + height)
            case _:
                raise ValueError(f"{self.name} has no side {side!r}")


class Arrow(_Source):
    """A line with one or two heads between two shapes: straight, or with bends where its ends are not in line."""

    start: str = Field(alias="from")
    end: str = Field(alias="to")
    from_at: float | None = None
    to_at: float | None = None
    kind: Kind
    heads: Literal["end", "both"] = "end"


class Label(_Source):
    """Words beside an arrow. `at` is their middle, or the middle of the side named by `align`.

    With `sample`, a piece of line stands before them: an entry of the legend.
    """

    at: Point
    text: str
    kind: Kind
    align: Literal["left", "center", "right"] = "center"
    sample: bool = False


class Picture(_Source):
    """All of docs/architecture.toml."""

    canvas: Canvas
    group: tuple[Shape, ...]
    box: tuple[Shape, ...]
    arrow: tuple[Arrow, ...]
    label: tuple[Label, ...]

    def points(self, arrow: Arrow) -> list[Point]:
        """The corners of an arrow's line."""
        shapes = {shape.name: shape for shape in (*self.group, *self.box)}
        (first, first_side), (last, last_side) = arrow.start.split("."), arrow.end.split(".")
        (x1, y1), (x2, y2) = shapes[first].side(first_side, arrow.from_at), shapes[last].side(last_side, arrow.to_at)
        if x1 == x2 or y1 == y2:
            return [(x1, y1), (x2, y2)]
        level = (first_side in ("left", "right"), last_side in ("left", "right"))
        bends: dict[tuple[bool, bool], list[Point]] = {
            (True, True): [((x1 + x2) / 2, y1), ((x1 + x2) / 2, y2)],
            (False, False): [(x1, (y1 + y2) / 2), (x2, (y1 + y2) / 2)],
            (True, False): [(x2, y1)],
            (False, True): [(x1, y2)],
        }
        return [(x1, y1), *bends[level], (x2, y2)]


@dataclass(frozen=True)
class Theme:
    """A file and its colours."""

    file: str
    ground: str
    group: str
    box: str
    edge: str
    ink: str
    faint: str
    process: str
    audio: str
    control: str

    def line(self, kind: Kind) -> str:
        """The colour of an arrow and its label."""
        return self.audio if kind == "audio" else self.control

    def edge_of(self, shape: Shape) -> str:
        """The colour around a shape."""
        return self.process if shape.tone == "process" else self.edge


LIGHT = Theme(
    file="architecture-light-theme.png",
    ground="#ffffff", group="#f6f8fa", box="#ffffff", edge="#c9d1d9", ink="#1f2328", faint="#57606a",
    process="#0969da", audio="#0a7d5a", control="#8250df",
)  # fmt: skip
DARK = Theme(
    file="architecture-dark-theme.png",
    ground="#0d1117", group="#151b23", box="#1f2630", edge="#3d444d", ink="#f0f6fc", faint="#a3adb8",
    process="#4493f8", audio="#3fc08f", control="#bc8cff",
)  # fmt: skip


def load(source: Path = SOURCE) -> Picture:
    """Read and check the text source."""
    return Picture.model_validate(tomllib.loads(source.read_text(encoding="utf-8")))


def draw(picture: Picture, theme: Theme) -> Image.Image:
    """The picture in the colours of `theme`."""
    size = (picture.canvas.width * SCALE, picture.canvas.height * SCALE)
    large = Image.new("RGB", (size[0] * SMOOTH, size[1] * SMOOTH), theme.ground)
    shapes = _Shapes(ImageDraw.Draw(large), theme)
    for group in picture.group:
        shapes.rectangle(group.at, theme.group, theme.edge_of(group))
    for box in picture.box:
        shapes.rectangle(box.at, theme.group if box.tone == "outside" else theme.box, theme.edge_of(box))
        for _, at in _chips(box):
            shapes.rectangle(at, theme.group, theme.edge)
    for arrow in picture.arrow:
        shapes.arrow(picture.points(arrow), theme.line(arrow.kind), arrow.heads)
    for label in picture.label:
        if label.sample:
            shapes.line([(label.at[0] - 32, label.at[1]), (label.at[0] - 8, label.at[1])], theme.line(label.kind))
    image = large.resize(size, Image.Resampling.BOX)
    words = _Words(ImageDraw.Draw(image), theme)
    for group in picture.group:
        x, y, width, _ = group.at
        words.write((x + width / 2, y + 26), group.title, theme.process if group.tone == "process" else theme.faint)
    for box in picture.box:
        words.box(box)
    for label in picture.label:
        words.write(label.at, label.text, theme.line(label.kind), align=label.align)
    return image


def _chips(box: Shape) -> Iterable[tuple[str, Rectangle]]:
    x, y, width, height = box.at
    top, gap, side = 44.0, 10.0, 9.0
    each = (height - top - gap * len(box.chips)) / max(1, len(box.chips))
    for number, chip in enumerate(box.chips):
        yield chip, (x + side, y + top + number * (each + gap), width - 2 * side, each)


class _Shapes:
    """Rectangles and arrows, in units, on an enlarged image."""

    def __init__(self, canvas: ImageDraw.ImageDraw, theme: Theme) -> None:
        self.canvas, self.theme, self.scale = canvas, theme, SCALE * SMOOTH

    def rectangle(self, at: Rectangle, fill: str, edge: str) -> None:
        x, y, width, height = (value * self.scale for value in at)
        self.canvas.rounded_rectangle(
            (x, y, x + width, y + height), CORNER * self.scale, fill, edge, round(1.5 * self.scale)
        )

    def arrow(self, points: Sequence[Point], colour: str, heads: str) -> None:
        line = [*points]
        tips = [(line[-1], line[-2])] + ([(line[0], line[1])] if heads == "both" else [])
        line[-1] = _towards(line[-1], line[-2], HEAD / 2)
        if heads == "both":
            line[0] = _towards(line[0], line[1], HEAD / 2)
        self.line(_bent(line), colour)
        for tip, back in tips:
            self._head(tip, back, colour)

    def line(self, points: Sequence[Point], colour: str) -> None:
        pixels = [(x * self.scale, y * self.scale) for x, y in points]
        self.canvas.line(pixels, colour, round(2.2 * self.scale), joint="curve")

    def _head(self, tip: Point, back: Point, colour: str) -> None:
        x, y = tip
        angle = math.atan2(back[1] - y, back[0] - x)
        wings = [
            (x + HEAD * 1.25 * math.cos(angle + turn), y + HEAD * 1.25 * math.sin(angle + turn))
            for turn in (0.45, -0.45)
        ]
        self.canvas.polygon([(a * self.scale, b * self.scale) for a, b in ((x, y), *wings)], colour)


def _towards(start: Point, end: Point, distance: float) -> Point:
    length = math.dist(start, end)
    return start[0] + (end[0] - start[0]) * distance / length, start[1] + (end[1] - start[1]) * distance / length


def _bent(points: Sequence[Point]) -> list[Point]:
    """The same line with round corners (quadratic curves)."""
    line = [points[0]]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        radius = min(BEND, math.dist(before, corner) / 2, math.dist(corner, after) / 2)
        (x0, y0), (x1, y1), (x2, y2) = _towards(corner, before, radius), corner, _towards(corner, after, radius)
        for step in range(13):
            t = step / 12
            a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t * t
            line.append((a * x0 + b * x1 + c * x2, a * y0 + b * y1 + c * y2))
    return [*line, points[-1]]


class _Words:
    """Text, in units, on the finished image."""

    def __init__(self, canvas: ImageDraw.ImageDraw, theme: Theme) -> None:
        self.canvas, self.theme = canvas, theme

    def write(
        self, at: Point, text: str, colour: str, *, size: float = TEXT, bold: bool = False, align: str = "center"
    ) -> None:
        """Write `text`, its lines centred on `at` vertically."""
        lines = text.split("\n")
        anchor = {"left": "lm", "center": "mm", "right": "rm"}[align]
        for number, line in enumerate(lines):
            y = at[1] + (number - (len(lines) - 1) / 2) * size * LEADING
            self.canvas.text(
                (at[0] * SCALE, y * SCALE), line, colour, ImageFont.load_default(size * SCALE), anchor,
                stroke_width=0.6 if bold else 0,
            )  # fmt: skip

    def box(self, box: Shape) -> None:
        x, y, width, height = box.at
        titles, gap = box.title.split("\n"), 5.0 if box.lines else 0.0
        middle = x + width / 2
        if box.chips:
            self.write((middle, y + 24), box.title, self.theme.ink, size=TITLE, bold=True)
            for chip, (left, top, wide, high) in _chips(box):
                self.write((left + wide / 2, top + high / 2), chip, self.theme.faint)
            return
        first, second = len(titles) * TITLE * LEADING, len(box.lines) * TEXT * LEADING
        top = y + (height - first - gap - second) / 2
        self.write((middle, top + first / 2), box.title, self.theme.ink, size=TITLE, bold=True)
        self.write((middle, top + first + gap + second / 2), "\n".join(box.lines), self.theme.faint)


def stale(picture: Picture, theme: Theme, folder: Path = ROOT) -> str | None:
    """Why the file of `theme` in `folder` is not what `draw` gives, or None."""
    try:
        with Image.open(folder / theme.file) as opened:
            text, committed = opened.info.get("Source"), opened.convert("RGB")
    except OSError as error:
        return f"{theme.file} cannot be read: {error}"
    if text != picture.model_dump_json():
        return f"{theme.file} was drawn from another architecture.toml"
    drawn = draw(picture, theme)
    if committed.size != drawn.size:
        return f"{theme.file} is {committed.size}, not {drawn.size}"
    differing = ImageChops.difference(committed, drawn).convert("L").histogram()[VISIBLE:]
    share = sum(differing) / (drawn.width * drawn.height)
    return f"{theme.file} differs in {share:.1%} of its pixels" if share > TOLERATED else None


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Draw the architecture pictures from docs/architecture.toml.")
    parser.add_argument("--check", action="store_true", help="only say whether the committed pictures are current")
    check = parser.parse_args(arguments).check
    picture, faults = load(), []
    for theme in (LIGHT, DARK):
        if not check:
            text = PngInfo()
            text.add_text("Source", picture.model_dump_json())
            draw(picture, theme).save(ROOT / theme.file, pnginfo=text, optimize=True)
        elif fault := stale(picture, theme):
            faults.append(f"{fault}: run python docs/draw_architecture.py")
    print("\n".join(faults), end="\n" if faults else "", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
