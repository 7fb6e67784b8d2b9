"""Plots of the report as SVG text: the same data give the same bytes, legible on light and dark."""

import io
import itertools
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

QUIET, STRONG, THIRD = "#8a94a6", "#2f7ed8", "#d9822b"
INK = "#7a8494"  # between the inks of the light and the dark page
# Of middle lightness, so that they show on light and dark; further groups take the next of MARKS.
COLOURS = ("#2f7ed8", "#d9822b", "#1b9e77", "#b8568a", "#8a6d3b", "#56a3c9", "#a05195", "#7f8c1f", "#c0504d", "#6b7a99")
LEGEND = {"frameon": False, "labelcolor": INK, "fontsize": 8}
MARKS = ("o", "x", "^", "s", "+", "v")
PANELS_A_ROW = 4
MOST_MARKED = 40  # points of a line that are marked one by one


class Line(NamedTuple):
    """Values over steps, NaN where there is none."""

    steps: Sequence[int] | NDArray[np.int64]
    values: Sequence[float] | NDArray[np.float64]


class Place(NamedTuple):
    """A point on a map, with its text."""

    x: float
    y: float
    text: str


def funnel_bars(stages: Mapping[str, Sequence[int | None]], *, sources: Sequence[str]) -> str:
    """Horizontal bars, one group a source, on a logarithmic axis; no bar where the count is None."""
    figure, (axes,) = _panels(height=0.5 * len(sources) + 0.8)
    height = 0.86 / len(stages)
    for number, (stage, counts) in enumerate(stages.items()):
        places = [row + (number - (len(stages) - 1) / 2) * height for row in range(len(sources))]
        shade = 0.3 + 0.7 * number / max(1, len(stages) - 1)
        axes.barh(places, [max(count or 0, 0.8) for count in counts], height, color=STRONG, alpha=shade, label=stage)
    axes.set_yticks(range(len(sources)), sources)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.xaxis.set_minor_formatter("")
    axes.set_xlabel("queries, at the end tuples")
    axes.legend(**LEGEND, ncols=len(stages), loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return _svg(figure)


def score_histograms(
    histograms: Mapping[str, tuple[Sequence[int], Sequence[int]]], *, edges: Sequence[float] | NDArray[np.float64]
) -> str:
    """A panel for each source with the scores of (positives, hard negatives), as counts between `edges`."""
    figure, panels = _panels(len(histograms), height=1.5, above=0.45)
    for (name, (positives, negatives)), axes in zip(histograms.items(), panels, strict=True):
        for counts, colour, label in ((negatives, QUIET, "hard negatives"), (positives, STRONG, "positives")):
            total = max(1, sum(counts))
            axes.stairs([count / total for count in counts], edges, fill=True, color=colour, alpha=0.7, label=label)
        axes.set_yticks([])
        axes.set_title(name, fontsize=8, color=INK)
    _legend(figure, panels)
    return _svg(figure)


def curves(lines: Mapping[str, Mapping[str, Line]], *, zero: bool = False) -> str:
    """A panel for each source with its named lines; all panels share their axes, from 0 where `zero`."""
    figure, panels = _panels(len(lines), height=1.45, above=0.45, share=True)
    colours = (STRONG, THIRD, QUIET, *COLOURS[2:])
    for (name, named), axes in zip(lines.items(), panels, strict=True):
        for (label, line), colour in zip(named.items(), itertools.cycle(colours), strict=False):
            values = np.asarray(line.values, np.float64)
            known = ~np.isnan(values)
            if known.any():
                steps = np.asarray(line.steps)[known]
                mark = "o" if known.sum() <= MOST_MARKED else ""  # marks are most of the bytes of a long curve
                axes.plot(steps, values[known], marker=mark, color=colour, markersize=2, linewidth=0.8, label=label)
        axes.set_title(name, fontsize=8, color=INK)
    for axes in panels[:1] if zero else ():
        axes.set_ylim(bottom=0)  # of all, since they share it; behind the last plot, else it cuts
    _legend(figure, panels)
    return _svg(figure)


def differences(
    rows: Sequence[str], groups: Mapping[str, Mapping[str, tuple[float, float, float, bool]]], *, label: str
) -> str:
    """Points with intervals: a row for each of `rows`, a mark for each group.

    A group maps rows to (points, low, high, more than chance); hollow marks may be chance.
    """
    figure, (axes,) = _panels(height=0.34 * len(rows) + 1.0)
    axes.axvline(0, color=INK, linewidth=0.8)
    labelled: set[str] = set()
    for number, (group, cells) in enumerate(groups.items()):
        colour, shift = COLOURS[number % len(COLOURS)], (number - (len(groups) - 1) / 2) * 0.7 / max(1, len(groups))
        for real in (True, False):
            picked = [(place, cells[row]) for place, row in enumerate(rows) if row in cells and cells[row][3] is real]
            if not picked:
                continue
            xs, ys = [cell[0] for _, cell in picked], [place + shift for place, _ in picked]
            ends = [(middle - low, high - middle) for _, (middle, low, high, _) in picked]
            spread = np.maximum(0.0, np.transpose(ends))
            axes.errorbar(
                xs, ys, xerr=spread, fmt="o", color=colour, markersize=4, linewidth=1,
                markerfacecolor=colour if real else "none", label=None if group in labelled else group,
            )  # fmt: skip
            labelled.add(group)
    axes.set_yticks(range(len(rows)), rows)
    axes.invert_yaxis()
    axes.set_xlabel(label)
    if groups:
        axes.legend(**LEGEND, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    return _svg(figure)


def scatter(groups: Mapping[str, Sequence[Place]], *, name: str) -> str:
    """A map of points; each group is an element with the id `{name}-{number}`, each point says its text."""
    figure, (axes,) = _panels(height=5.6)
    for number, (group, points) in enumerate(groups.items()):
        xs, ys, _ = zip(*points, strict=True)
        looks = {"color": COLOURS[number % len(COLOURS)], "marker": MARKS[(number // len(COLOURS)) % len(MARKS)]}
        drawn = axes.scatter(xs, ys, 9, **looks, alpha=0.75, linewidths=0.8, label=group)
        drawn.set_gid(f"{name}-{number}")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.legend(**LEGEND, loc="center left", bbox_to_anchor=(1, 0.5))
    text = _svg(figure)
    for number, points in enumerate(groups.values()):
        text = _titled(text, f"{name}-{number}", [point.text for point in points])
    return text


def _titled(svg: str, group: str, texts: Sequence[str]) -> str:
    """Give each point of a group its text, which a browser shows under the pointer."""
    start = svg.index(f'<g id="{group}">')
    body = svg[start : svg.index("\n   <g id=", start + 1) if "\n   <g id=" in svg[start + 1 :] else len(svg)]
    waiting = iter(texts)

    def titled(match: re.Match) -> str:
        text = next(waiting, "")
        return f"{match[1]}><title>{escape(text)}</title></use>"

    return svg[:start] + re.sub(r"(<use\b[^>]*?)/>", titled, body) + svg[start + len(body) :]


def _panels(count: int = 1, *, height: float, above: float = 0.0, share: bool = False):  # noqa: ANN202 - matplotlib objects
    """A figure of `count` panels, each `height` inches high, with room `above` them for a legend."""
    from matplotlib.figure import Figure

    wide = max(1, min(PANELS_A_ROW, count))
    high = max(1, -(-count // wide))
    figure = Figure(figsize=(8.2, height * high + above), layout="constrained")
    panels = figure.subplots(high, wide, squeeze=False, sharex=share, sharey=share).ravel()
    for axes in panels:
        axes.tick_params(colors=INK, labelsize=7)
        axes.xaxis.label.set_color(INK)
        axes.yaxis.label.set_color(INK)
        for name, spine in axes.spines.items():
            spine.set_visible(name in ("left", "bottom"))
            spine.set_color(INK)
    for axes in panels[count:]:
        axes.set_visible(False)
    return figure, panels[:count]


def _legend(figure, panels) -> None:  # noqa: ANN001 - matplotlib objects
    handles = {
        label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), **LEGEND, ncols=3, loc="outside upper left")


def _svg(figure: object) -> str:
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "f2llm", "svg.fonttype": "none", "font.family": "sans-serif"}):
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
