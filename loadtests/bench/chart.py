"""A chart of the results: how much of the rate of a reference each application reaches, as bars."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

_WIDTH = 720
_LEFT = 130
_RIGHT = 60
_BAR = 14
_GAP = 12
_TOP = 56
# By day, and by night: of the same contrast against the page.
_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 14px }
.axis { stroke: #d0d7de }
.series-0 { fill: #0969da } .series-1 { fill: #8c959f } .series-2 { fill: #bf8700 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .axis { stroke: #3d444d }
  .series-0 { fill: #4493f8 } .series-1 { fill: #9198a1 } .series-2 { fill: #d29922 }
}
"""


@dataclass(frozen=True, slots=True)
class Group:
    """Bars that belong together; the values are shares of the reference, which is 1."""

    label: str
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Chart:
    """At most three series, named once for all groups."""

    title: str
    reference: str
    series: Sequence[str]
    groups: Sequence[Group]

    def write(self, path: Path) -> None:
        """Write it as SVG."""
        path.write_text(self.as_svg())

    def as_svg(self) -> str:
        """The chart, readable by day and by night."""
        most = max(1.0, *(value for group in self.groups for value in group.values))
        scale = (_WIDTH - _LEFT - _RIGHT) / most
        height = _TOP + len(self.groups) * (_BAR * len(self.series) + _GAP) + 8
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
            f'height="{height}" role="img">',
            f"<title>{escape(self.title)}</title>",
            f"<style>{_STYLE}</style>",
            f'<text class="title" x="0" y="16">{escape(self.title)}</text>',
            *self._legend(),
            *self._reference(scale, height),
            *self._bars(scale),
            "</svg>\n",
        ]
        return "\n".join(parts)

    def _legend(self) -> list[str]:
        parts, left = [], 0.0
        for number, name in enumerate(self.series):
            parts.append(f'<rect class="series-{number}" x="{left:.0f}" y="26" width="10" height="10"/>')
            parts.append(f'<text x="{left + 15:.0f}" y="35">{escape(name)}</text>')
            left += 45 + 7 * len(name)
        return parts

    def _reference(self, scale: float, height: int) -> list[str]:
        place = _LEFT + scale
        return [
            f'<line class="axis" x1="{place:.1f}" y1="{_TOP - 8}" x2="{place:.1f}" y2="{height - 4}"/>',
            f'<text x="{place:.1f}" y="{_TOP - 12}" text-anchor="middle">{escape(self.reference)} = 1</text>',
        ]

    def _bars(self, scale: float) -> list[str]:
        parts, top = [], float(_TOP)
        for group in self.groups:
            middle = top + _BAR * len(self.series) / 2 + 4
            parts.append(f'<text x="{_LEFT - 8}" y="{middle:.1f}" text-anchor="end">{escape(group.label)}</text>')
            for number, value in enumerate(group.values):
                width = value * scale
                parts.append(
                    f'<rect class="series-{number}" x="{_LEFT}" y="{top:.1f}" width="{width:.1f}" height="{_BAR - 2}"/>'
                    f'<text x="{_LEFT + width + 5:.1f}" y="{top + _BAR - 4:.1f}">{value:.2f}</text>'
                )
                top += _BAR
            top += _GAP
        return parts
