"""Plots of the report as SVG text: the same data give the same bytes, legible on light and dark."""

import io
import re
from collections.abc import Mapping, Sequence

QUIET, STRONG, THIRD = "#8a94a6", "#2f7ed8", "#d9822b"
INK = "#7a8494"  # between the inks of the light and the dark page


def funnel_bars(stages: Mapping[str, Sequence[int]], *, sources: Sequence[str]) -> str:
    """Return horizontal bars, one group a source, on a logarithmic axis."""
    figure, axes = _figure(8.2, 0.55 * len(sources) + 0.8)
    height = 0.8 / len(stages)
    for number, (stage, counts) in enumerate(stages.items()):
        places = [row + (number - (len(stages) - 1) / 2) * height for row in range(len(sources))]
        shade = 0.35 + 0.65 * number / max(1, len(stages) - 1)
        axes.barh(places, [max(count, 0.8) for count in counts], height, color=STRONG, alpha=shade, label=stage)
    axes.set_yticks(range(len(sources)), sources)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("queries")
    axes.legend(
        frameon=False, labelcolor=INK, fontsize=8, ncols=len(stages), loc="lower center", bbox_to_anchor=(0.5, 1.0)
    )
    return _svg(figure)


def score_histogram(edges: Sequence[float], *, positives: Sequence[int], negatives: Sequence[int]) -> str:
    """Return the two distributions of retriever scores, given as counts between `edges`."""
    figure, axes = _figure(3.6, 1.7)
    for counts, colour, label in ((negatives, QUIET, "hard negatives"), (positives, STRONG, "positives")):
        total = max(1, sum(counts))
        axes.stairs([count / total for count in counts], edges, fill=True, color=colour, alpha=0.7, label=label)
    axes.set_yticks([])
    axes.set_xlabel("cosine of the retriever")
    axes.legend(frameon=False, labelcolor=INK, fontsize=7)
    return _svg(figure)


def loss_curve(steps: Sequence[int], terms: Mapping[str, Sequence[float]]) -> str:
    """Return the loss terms over the steps, as points."""
    figure, axes = _figure(8.2, 2.6)
    for (name, values), colour in zip(terms.items(), (STRONG, THIRD, QUIET), strict=False):
        present = [(step, value) for step, value in zip(steps, values, strict=True) if value]
        if present:
            axes.plot(*zip(*present, strict=True), "o", color=colour, markersize=3, label=name)
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.legend(frameon=False, labelcolor=INK, fontsize=8)
    return _svg(figure)


def intervals(values: Mapping[str, tuple[float, float, float]], *, label: str) -> str:
    """Return one (middle, low, high) a line, with its interval, and a line at zero; nothing for no values."""
    if not values:
        return ""
    figure, axes = _figure(8.2, 0.3 * len(values) + 0.8)
    for place, (middle, low, high) in enumerate(values.values()):
        axes.plot((low, high), (place, place), color=QUIET, linewidth=2)
        axes.plot(middle, place, "o", color=STRONG, markersize=5)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(values)), list(values))
    axes.invert_yaxis()
    axes.set_xlabel(label)
    return _svg(figure)


def _figure(width: float, height: float):  # noqa: ANN202 - a pair of matplotlib objects
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.tick_params(colors=INK, labelsize=8)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    for name, spine in axes.spines.items():
        spine.set_visible(name in ("left", "bottom"))
        spine.set_color(INK)
    return figure, axes


def _svg(figure: object) -> str:
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "f2llm", "svg.fonttype": "none", "font.family": "sans-serif"}):
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
