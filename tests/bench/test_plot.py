"""The picture of a run."""

from __future__ import annotations

from xml.etree import ElementTree

from bench import plot
from bench.results import Results
from tests.bench import made_up


def test_it_is_well_formed_and_within_its_bounds() -> None:
    picture = ElementTree.fromstring(plot.draw(made_up.run()))
    _, _, width, height = map(float, picture.attrib["viewBox"].split())
    circles = picture.findall("{*}circle")
    assert len(circles) == 4 * (2 * 2 + 2)  # two panels with two numbers of agents, and the ends of the legend
    assert all(0 < float(each.attrib["cx"]) < width and 0 < float(each.attrib["cy"]) < height for each in circles)


def test_more_is_higher() -> None:
    points = ElementTree.fromstring(plot.draw(made_up.run())).findall("{*}circle")
    blue = [float(each.attrib["cy"]) for each in points if each.attrib["fill"] == "#0b62c4"]
    assert blue[1] < blue[0]


def test_what_was_not_measured_is_said() -> None:
    content = made_up.run().content | {"series": []}
    assert plot.draw(Results(content)).count("not measured") == 2
