import math

from f2llm.report import figures


def test_a_long_curve_stays_small():
    line = figures.Line(range(80), [math.sin(step) for step in range(80)])
    short, long = (
        figures.curves({"one": {"loss": figures.Line(line.steps[:rows], line.values[:rows])}}) for rows in (40, 80)
    )
    assert short.count("<use") > 40 > long.count("<use")
    assert len(long) < 20_000


def test_values_that_are_not_there_leave_no_point():
    whole = figures.curves({"one": {"loss": figures.Line([0, 1, 2], [1.0, 2.0, 3.0])}})
    part = figures.curves({"one": {"loss": figures.Line([0, 1, 2], [1.0, float("nan"), 3.0])}})
    none = figures.curves({"one": {"loss": figures.Line([0, 1], [float("nan")] * 2)}})
    assert whole.count("<use") - part.count("<use") == 1
    assert "<svg" in none


def test_points_of_a_map_say_their_texts_and_texts_are_no_markup():
    places = {
        name: [figures.Place(0.0, 0.0, f"<b>{name} & co</b>"), figures.Place(1.0, 1.0, "x")] for name in ("one", "two")
    }
    svg = figures.scatter(places, name="map")
    for number, name in enumerate(places):
        group = svg[svg.index(f'id="map-{number}"') :]
        assert f"<title>&lt;b&gt;{name} &amp; co&lt;/b&gt;</title>" in group[:3000]
    assert svg.count("<title>") == 4


def test_a_difference_that_may_be_chance_is_hollow():
    real, chance = (
        figures.differences(["task"], {"base": {"task": (5.0, low, 8.0, low > 0)}}, label="points")
        for low in (2.0, -2.0)
    )
    assert real.count(f"fill: {figures.COLOURS[0]}") > chance.count(f"fill: {figures.COLOURS[0]}")
