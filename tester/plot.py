"""Histograms as a small SVG picture that needs nothing but a browser."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from xml.sax.saxutils import escape

from .latency import Histogram, duration

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 760, 300, 52, 34, 40  # pixels; one panel
COLOURS = ("#2b6cb0", "#c05621", "#2f855a", "#6b46c1", "#b83280", "#4a5568")


def svg(histograms: Mapping[str, Histogram]) -> str:
    """One panel a histogram, all with the same logarithmic time axis; dashed lines mark p50 and p99.

    Raises:
        ValueError: none of them has a sample.
    """
    filled = {name: histogram for name, histogram in histograms.items() if histogram.counts}
    if not filled:
        raise ValueError("there is nothing to plot")
    low = math.floor(min(min(histogram.counts) for histogram in filled.values()) or 1)
    high = max(histogram.longest for histogram in filled.values())
    first, last = math.log10(low), max(math.log10(high), math.log10(low) + 0.1)

    def x(nanoseconds: float) -> float:
        return LEFT + (WIDTH - LEFT - 20) * (math.log10(nanoseconds) - first) / (last - first)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT * len(filled)}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for number, (name, histogram) in enumerate(filled.items()):
        parts += _panel(name, histogram, number * HEIGHT, COLOURS[number % len(COLOURS)], x, (low, high))
    return "\n".join([*parts, "</svg>", ""])


def _panel(
    name: str,
    histogram: Histogram,
    y: float,
    colour: str,
    x: Callable[[float], float],
    ends: tuple[float, float],
) -> list[str]:
    floor, room = y + HEIGHT - BOTTOM, HEIGHT - TOP - BOTTOM
    rows = histogram.coarse(8)
    most, total = max(count for _, _, count in rows), histogram.total
    parts = [
        f'<text x="{LEFT}" y="{y + 20}" font-size="14">{escape(name)}, {total} samples</text>',
        f'<text x="{LEFT - 6}" y="{y + TOP + 4}" text-anchor="end">{100 * most / total:.0f} %</text>',
        f'<text x="{LEFT - 6}" y="{floor}" text-anchor="end">0</text>',
        f'<path d="M{LEFT} {floor}H{WIDTH - 20}" stroke="#718096"/>',
    ]
    for low, high, count in rows:
        if count:
            left, right = max(x(low), LEFT), min(x(high), WIDTH - 20)
            height = max(room * count / most, 1)
            parts.append(
                f'<rect x="{left:.1f}" y="{floor - height:.1f}" width="{max(right - left - 0.5, 0.5):.1f}" '
                f'height="{height:.1f}" fill="{colour}"><title>{duration(low)}: {count}</title></rect>'
            )
    for exponent in range(math.ceil(math.log10(ends[0])), math.floor(math.log10(ends[1])) + 1):
        at = x(10**exponent)
        parts.append(
            f'<text x="{at:.1f}" y="{floor + 16}" text-anchor="middle">{duration(10**exponent)}</text>'
        )
        parts.append(f'<path d="M{at:.1f} {floor}v5" stroke="#718096"/>')
    for percent, row in ((50, 0), (99, 1)):
        value = histogram.percentile(percent)
        at = max(x(value), LEFT)
        parts.append(f'<path d="M{at:.1f} {y + TOP}V{floor}" stroke="#1a202c" stroke-dasharray="3 3"/>')
        anchor, gap = ("end", -4) if at > WIDTH - 140 else ("start", 4)
        parts.append(
            f'<text x="{at + gap:.1f}" y="{y + TOP + 10 + 14 * row}" text-anchor="{anchor}">'
            f"p{percent} {duration(value)}</text>"
        )
    return parts
