"""Sums that are asked for in words: "what is twelve plus thirty five", "12 + 35", "3 times 4 minus 2"."""

from __future__ import annotations

import re
from fractions import Fraction
from string import digits

__all__ = ["spoken_result"]

_TOKEN = re.compile(r"[0-9][0-9,]*(?:\.[0-9]+)?|[a-z']+|[^\sa-z0-9]")
_UNITS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19,
}  # fmt: skip
_TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
_SCALES = {"thousand": 1000, "million": 1_000_000, "billion": 1_000_000_000}
_OPERATORS = {
    "plus": "+", "+": "+", "minus": "-", "-": "-", "\N{MINUS SIGN}": "-", "\N{EN DASH}": "-",
    "times": "*", "multiplied": "*", "*": "*", "x": "*", "\N{MULTIPLICATION SIGN}": "*",
    "divided": "/", "over": "/", "/": "/", "\N{DIVISION SIGN}": "/",
}  # fmt: skip
_SPOKEN = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}
_MODIFIERS = {"percent", "%", "squared", "cubed", "point", "^"}
"""What would change the meaning of the number before it: better no answer than a wrong one."""

_MAX_CHARS = 300
"""Nobody asks for a sum in more."""


def spoken_result(text: str) -> str | None:
    """Work out the first sum in a text and say it, such as "12 plus 35 is 47."; None if there is no sum."""
    if len(text) > _MAX_CHARS:
        return None
    tokens = _TOKEN.findall(text.lower())
    for start in range(len(tokens)):
        terms, end = _read_sum(tokens, start)
        if len(terms) > 1:
            if end < len(tokens) and tokens[end] in _MODIFIERS:
                return None
            return _say(terms)
    return None


Terms = list[tuple[str, Fraction]]
"""Each number behind its operator; the first one's is "+"."""


def _read_sum(tokens: list[str], start: int) -> tuple[Terms, int]:
    terms: Terms = []
    operator, i = "+", start
    while (found := _read_signed(tokens, i)) is not None:
        number, end = found
        terms.append((operator, number))
        if end == len(tokens) or tokens[end] not in _OPERATORS:
            return terms, end
        operator, i = _OPERATORS[tokens[end]], end + 1
        if tokens[end] in ("multiplied", "divided") and tokens[i : i + 1] == ["by"]:
            i += 1
    return terms, i


def _read_signed(tokens: list[str], i: int) -> tuple[Fraction, int] | None:
    if i < len(tokens) and tokens[i] in ("minus", "negative", "-"):
        found = _read_number(tokens, i + 1)
        return (-found[0], found[1]) if found else None
    return _read_number(tokens, i)


def _read_number(tokens: list[str], i: int) -> tuple[Fraction, int] | None:
    if i < len(tokens) and tokens[i][0] in digits:
        return Fraction(tokens[i].replace(",", "")), i + 1
    total, start = 0, i
    while (found := _below_thousand(tokens, i)) is not None:
        value, i = found
        if i == len(tokens) or tokens[i] not in _SCALES:
            return Fraction(total + value), i
        total += value * _SCALES[tokens[i]]
        i += 1
        if tokens[i : i + 1] == ["and"] and _below_thousand(tokens, i + 1):
            i += 1
    return (Fraction(total), i) if i > start else None


def _below_thousand(tokens: list[str], i: int) -> tuple[int, int] | None:
    found = _below_hundred(tokens, i)
    if tokens[i : i + 1] == ["a"] and tokens[i + 1 : i + 2] in (["hundred"], ["thousand"], ["million"]):
        found = 1, i + 1
    if found is None or tokens[found[1] : found[1] + 1] != ["hundred"]:
        return found
    hundreds, i = found[0] * 100, found[1] + 1
    rest = _below_hundred(tokens, i + 1 if tokens[i : i + 1] == ["and"] else i)
    return (hundreds + rest[0], rest[1]) if rest else (hundreds, i)


def _below_hundred(tokens: list[str], i: int) -> tuple[int, int] | None:
    word = tokens[i] if i < len(tokens) else ""
    if word in _UNITS:
        return _UNITS[word], i + 1
    if word not in _TENS:
        return None
    j = i + 2 if tokens[i + 1 : i + 2] == ["-"] else i + 1
    unit = _UNITS.get(tokens[j], 0) if j < len(tokens) else 0
    return (_TENS[word] + unit, j + 1) if 1 <= unit <= 9 else (_TENS[word], i + 1)


def _say(terms: Terms) -> str:
    question = _format(terms[0][1]) + "".join(f" {_SPOKEN[operator]} {_format(n)}" for operator, n in terms[1:])
    try:
        return f"{question} is {_format(_evaluate(terms))}."
    except ZeroDivisionError:
        return "I can't divide by zero."


def _evaluate(terms: Terms) -> Fraction:
    products: list[Fraction] = []
    for operator, number in terms:
        if operator == "*":
            products[-1] *= number
        elif operator == "/":
            products[-1] /= number
        else:
            products.append(-number if operator == "-" else number)
    return sum(products, Fraction())


def _format(number: Fraction) -> str:
    sign = "minus " if number < 0 else ""
    size = abs(number)
    if size.denominator == 1:
        return f"{sign}{size.numerator}"
    thousandths = round(size * 1000)
    about = "" if Fraction(thousandths, 1000) == size else "about "
    return f"{about}{sign}{thousandths // 1000}.{thousandths % 1000:03}".rstrip("0").rstrip(".")
