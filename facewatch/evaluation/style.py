"""How the pages look, by day and by night, from 400 pixels on, and what all of them have."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

STYLE = """\
:root {
  --page: #f6f6f4; --card: #ffffff; --ink: #1c1c1e; --soft: #6a6a70; --rule: #dcdcd8; --grid: #ebebe8;
  --tone-0: #1f6feb; --tone-1: #d9730d; --tone-2: #2a9d5c; --tone-3: #a83fb0; --tone-4: #c0392b; --tone-5: #5b6b7b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #141416; --card: #1e1e21; --ink: #ececee; --soft: #9a9aa2; --rule: #35353a; --grid: #2a2a2e;
    --tone-0: #6aa8ff; --tone-1: #f2a154; --tone-2: #5fd093; --tone-3: #d98ae0; --tone-4: #ff8577; --tone-5: #a3b3c4;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 24px 16px 64px; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 8px; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 0 0 12px; }
h3 { font-size: 1rem; margin: 0 0 4px; }
section { margin-top: 32px; }
ul { margin: 0; padding: 0 0 0 1.2em; }
.facts, .keys { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: 2px 18px; }
.facts { color: var(--soft); font-size: 0.9rem; overflow-wrap: anywhere; }
.hint { color: var(--soft); font-size: 0.85rem; margin: 6px 0 0; max-width: 75ch; }
.doubt { border-left: 4px solid var(--tone-4); padding: 4px 12px; max-width: 75ch; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(160px, 1fr)); gap: 12px; margin-top: 20px; }
.tile, .charts > figure, .card, .scroll {
  background: var(--card); border: 1px solid var(--rule); border-radius: 10px;
}
.tile { padding: 12px 14px; display: flex; flex-direction: column; }
.tile .name, .tile .note { color: var(--soft); font-size: 0.82rem; }
.tile .value { font-size: 1.7rem; line-height: 1.25; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 0.88rem; white-space: nowrap; }
th, td { padding: 6px 10px; text-align: left; border-bottom: 1px solid var(--rule); }
thead th { color: var(--soft); font-weight: 500; font-size: 0.8rem; line-height: 1.25; vertical-align: bottom; }
thead th:nth-child(n + 3), thead th.number, .number { text-align: right; font-variant-numeric: tabular-nums; }
thead th.word { text-align: left; }
tbody tr:last-child > * { border-bottom: 0; }
th:first-child { position: sticky; left: 0; background: var(--card); }
tbody th { font-weight: 600; }
figure { margin: 0; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 16px; }
.charts > figure { padding: 14px; }
.chart { display: block; width: 100%; height: auto; }
.chart text { font-size: 11px; fill: var(--soft); }
.chart .note { fill: var(--ink); stroke: var(--card); stroke-width: 3px; paint-order: stroke; }
.grid { stroke: var(--grid); stroke-width: 1; }
.ruler { stroke: var(--ink); stroke-width: 1; stroke-dasharray: 3 3; opacity: 0.6; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.line.dashed { stroke-dasharray: 5 4; }
.area { fill-opacity: 0.35; stroke-width: 1.2; }
.keys { font-size: 0.85rem; margin-top: 6px; }
.keys i { display: inline-block; width: 12px; height: 12px; border-radius: 3px; margin-right: 6px; }
.tone-0 { --tone: var(--tone-0); } .tone-1 { --tone: var(--tone-1); } .tone-2 { --tone: var(--tone-2); }
.tone-3 { --tone: var(--tone-3); } .tone-4 { --tone: var(--tone-4); } .tone-5 { --tone: var(--tone-5); }
.line { stroke: var(--tone); } .area { fill: var(--tone); stroke: var(--tone); } .dot { fill: var(--tone); }
.keys i { background: var(--tone); }
details > summary { cursor: pointer; margin-bottom: 12px; }
details > summary h2 { display: inline; }
details h3 { margin-top: 20px; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 250px), 1fr)); gap: 12px; }
.cards { margin-top: 12px; }
.card { padding: 12px; display: grid; grid-template-columns: 1fr 1fr; gap: 8px 12px; align-content: start; }
.card figcaption { grid-column: 1 / -1; border-top: 1px solid var(--rule); padding-top: 6px; font-size: 0.82rem; }
.card figcaption { align-self: end; font-variant-numeric: tabular-nums; }
.face { min-width: 0; display: flex; flex-direction: column; align-items: flex-start; }
.face img, .gone { width: 96px; height: 96px; border-radius: 8px; margin-bottom: 4px; background: var(--grid); }
.gone { display: flex; align-items: center; justify-content: center; color: var(--soft); }
.face b { font-size: 0.85rem; line-height: 1.3; overflow-wrap: anywhere; }
.face small { color: var(--soft); font-size: 0.72rem; line-height: 1.3; overflow-wrap: anywhere; }
"""


CONTENT = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""What a browser may load for a page: nothing but what stands in it, and no script."""


def page(title: str, body: Iterable[str], *, mark: str = "", style: str = "") -> str:
    """Return a whole page; empty parts are left out.

    Args:
        mark: what stands first in its head.
        style: more of it.
    """
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8"/>\n{mark}\n'
        f'<meta http-equiv="Content-Security-Policy" content="{CONTENT}"/>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>\n'
        '<meta name="color-scheme" content="light dark"/>\n'
        f"<title>{escape(title)}</title>\n<style>\n{STYLE}{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(filter(None, body))
        + "\n</main>\n</body>\n</html>\n"
    )


def head(title: str, facts: Iterable[str]) -> str:
    """Return what stands above everything: what it is about."""
    listed = "".join(f"<li>{escape(fact)}</li>" for fact in facts)
    return f'<header>\n<h1>{escape(title)}</h1>\n<ul class="facts">{listed}</ul>\n</header>'


def section(title: str, *content: str) -> str:
    """Return a part of the page under a heading."""
    return f"<section>\n<h2>{escape(title)}</h2>\n" + "\n".join(content) + "\n</section>"
