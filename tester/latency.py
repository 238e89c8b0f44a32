"""Latencies: a histogram with its percentiles, and how it looks in a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

PERCENTILES = (50.0, 90.0, 99.0, 99.9)
BAR = 40  # characters of the longest bar


@dataclass
class Histogram:
    """How often which latency was seen; `counts` maps lower edges of buckets, in nanoseconds, to numbers.

    A bucket is less than 1 % wide, and so is the error of a percentile.
    """

    counts: dict[float, int] = field(default_factory=dict)
    longest: float = 0.0  # nanoseconds, exact

    @classmethod
    def of(cls, pairs: Iterable[tuple[float, int]], longest: float) -> Histogram:
        return cls({float(low): count for low, count in sorted(pairs)}, float(longest))

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def percentile(self, percent: float) -> float:
        """Nanoseconds below which `percent` (0 to 100) of the samples lie; nan when there are none."""
        rank = math.ceil(self.total * percent / 100)
        seen = 0
        for low in sorted(self.counts):
            seen += self.counts[low]
            if seen >= rank:
                return low
        return math.nan

    def summary(self) -> dict[str, float]:
        """Percentiles and maximum in microseconds, under the names that every report of the tester uses."""
        names = {f"p{percent:g}_us": self.percentile(percent) / 1e3 for percent in PERCENTILES}
        return {name: round(value, 2) for name, value in names.items()} | {
            "max_us": round(self.longest / 1e3, 2)
        }

    def coarse(self, steps: int = 3) -> list[tuple[float, float, int]]:
        """(lower edge, upper edge, count), `steps` buckets a doubling and without a gap, for drawing."""
        if not self.counts:
            return []
        index = {low: math.floor(math.log2(low) * steps + 1e-9) for low in self.counts}
        first, last = min(index.values()), max(index.values())
        sums = dict.fromkeys(range(first, last + 1), 0)
        for low, count in self.counts.items():
            sums[index[low]] += count
        return [(2 ** (i / steps), 2 ** ((i + 1) / steps), count) for i, count in sums.items()]

    def bars(self) -> list[str]:
        """The histogram as lines of text, without the ends where a line stands for less than 0.01 %."""
        rows, total = self.coarse(), self.total or 1
        seen = [i for i, (_, _, count) in enumerate(rows) if count / total >= 0.0001]
        rows = rows[seen[0] : seen[-1] + 1] if seen else []
        most = max((count for _, _, count in rows), default=1)
        return [
            f"{duration(low):>9} {'█' * round(BAR * count / most):<{BAR}} {100 * count / total:6.2f} %"
            for low, _, count in rows
        ]


def duration(nanoseconds: float) -> str:
    """A time with three digits and its unit."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.3g} {unit}"
    return f"{nanoseconds:.3g} ns"
