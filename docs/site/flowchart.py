"""A Mermaid flowchart as an SVG, drawn when the site is built: Mermaid's own script would come from another site.

GitHub draws the same block itself. Taken: `flowchart TD`, lines `a["label"]` and `a -->|label| b["label"]`. Drawn from
left to right, in columns by the longest way from the first box; what stands on an arrow stands in the box it leads to.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

WIDTH, HEIGHT = 176, 42
"""Of a box, in pixels."""
ACROSS, DOWN = 34, 16
"""Between columns, and between the boxes of a column."""

NODE = r'(\w+)(?:\["([^"]+)"\])?'
LINE = re.compile(rf'{NODE}(?:\s*-->(?:\|"?([^|"]+)"?\|)?\s*{NODE})?')


@dataclass(frozen=True)
class Chart:
    """`labels`: box -> what stands in it; `edges`: from, to, what stands on the arrow."""

    labels: dict[str, str]
    edges: list[tuple[str, str, str]]


def read(text: str) -> Chart:
    """A flowchart's boxes and arrows.

    Raises:
        ValueError: a line is none that is known here.
    """
    first, *lines = text.strip().splitlines()
    if first.split()[0] != "flowchart":
        raise ValueError(f"a diagram that the site cannot draw: {first}")
    labels: dict[str, str] = {}
    edges = []
    for line in lines:
        match = LINE.fullmatch(line.strip())
        if not match:
            raise ValueError(f"a line of a flowchart that the site cannot draw: {line.strip()}")
        start, label, said, end, end_label = match.groups()
        labels[start] = label or labels.get(start, start)
        if end:
            labels[end] = end_label or labels.get(end, end)
            edges.append((start, end, said or ""))
    return Chart(labels, edges)


def places(chart: Chart) -> dict[str, tuple[int, float]]:
    """Box -> its column and its row, both from 0; a column stands in the middle of the tallest."""
    column = dict.fromkeys(chart.labels, 0)
    for _ in chart.labels:
        for start, end, _said in chart.edges:
            column[end] = max(column[end], column[start] + 1)
        if max(column.values()) >= len(column):
            raise ValueError("a flowchart with a circle cannot be drawn")
    row: dict[str, float] = {}
    for number in range(max(column.values()) + 1):
        boxes = [box for box in chart.labels if column[box] == number]
        before = {box: [row[start] for start, end, _ in chart.edges if end == box] for box in boxes}
        boxes.sort(key=lambda box: sum(before[box]) / max(len(before[box]), 1))
        row |= {box: float(place) for place, box in enumerate(boxes)}
    tallest = max(row.values())
    heights = {c: max(row[b] for b in row if column[b] == c) for c in set(column.values())}
    return {box: (column[box], row[box] + (tallest - heights[column[box]]) / 2) for box in row}


def svg(text: str) -> str:
    """The flowchart as an `<svg>` in the page's own colours.

    Raises:
        ValueError: it cannot be drawn here.
    """
    chart = read(text)
    place = places(chart)
    at = {box: (c * (WIDTH + ACROSS) + 2, r * (HEIGHT + DOWN) + 2) for box, (c, r) in place.items()}
    width = max(x for x, _ in at.values()) + WIDTH + 2
    height = max(y for _, y in at.values()) + HEIGHT + 2
    drawn = []
    for start, end, _ in chart.edges:
        x1, y1 = at[start][0] + WIDTH, at[start][1] + HEIGHT / 2
        x2, y2 = at[end][0] - 3, at[end][1] + HEIGHT / 2
        bend = ACROSS * 0.7
        drawn.append(
            f'<path d="M{x1:g} {y1:g} C{x1 + bend:g} {y1:g} {x2 - bend:g} {y2:g} {x2:g} {y2:g}" '
            'fill="none" stroke="currentColor" stroke-opacity=".45" marker-end="url(#arrow)"/>'
        )
    for box, (x, y) in at.items():
        said = ", ".join(dict.fromkeys(text for _, end, text in chart.edges if end == box and text))
        middle, name = x + WIDTH / 2, html.escape(chart.labels[box])
        drawn += [
            f'<rect x="{x:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="5" class="box"/>',
            f'<text x="{middle:g}" y="{y + (18 if said else 26):g}" class="name">{name}</text>',
            f'<text x="{middle:g}" y="{y + 34:g}" class="said">{html.escape(said)}</text>',
        ]
    arrow = (
        '<marker id="arrow" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="currentColor"/></marker>'
    )
    names = ", ".join(chart.labels.values())
    return (
        f'<svg class="flowchart" role="img" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'aria-label="{html.escape(names)}"><defs>{arrow}</defs>{"".join(drawn)}</svg>'
    )
