# SPDX-License-Identifier: MIT
"""Bars in panels, as SVG that is readable on light and on dark backgrounds."""
from xml.sax.saxutils import escape

WIDTH, MARGIN, LABEL_WIDTH, VALUE_WIDTH = 760, 16, 220, 56
BAR, STEP, TITLE, GAP = 14, 20, 24, 14

STYLE = """
  text { font: 12px system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif; fill: #24292f }
  .title { font-weight: 600; font-size: 13px }
  .value { font-variant-numeric: tabular-nums }
  .own { font-weight: 600 }
  .back { fill: #ffffff }
  .track { fill: #eaeef2 }
  .peer-bar { fill: #8c959f }
  .own-bar { fill: #0969da }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .back { fill: #0d1117 }
    .track { fill: #21262d }
    .peer-bar { fill: #6e7681 }
    .own-bar { fill: #4c9aff }
  }
"""


def panel(heading, bars, top):
    """Return the elements of a panel that begins at `top`, and the place of its end. Each panel has its own scale."""
    track = WIDTH - 2 * MARGIN - LABEL_WIDTH - VALUE_WIDTH
    most = max(value for _, value, _ in bars)
    left = MARGIN + LABEL_WIDTH
    parts = [f'<text class="title" x="{MARGIN}" y="{top + 15}">{escape(heading)}</text>']
    at = top + TITLE
    for label, value, own in sorted(bars, key=lambda bar: -bar[1]):
        middle, kind = at + BAR - 3, "own" if own else "peer"
        parts += [
            f'<text class="{kind}" x="{left - 8}" y="{middle}" text-anchor="end">{escape(label)}</text>',
            f'<rect class="track" x="{left}" y="{at}" width="{track}" height="{BAR}" rx="2"/>',
            f'<rect class="{kind}-bar" x="{left}" y="{at}" width="{max(1, track * value / most):.1f}" height="{BAR}"'
            ' rx="2"/>',
            f'<text class="value {kind}" x="{WIDTH - MARGIN}" y="{middle}" text-anchor="end">{value:.1f}</text>',
        ]
        at += STEP
    return parts, at + GAP


def draw(panels, caption):
    """Return the file. panels: heading → [(label, value, whether the bar is vestry's)]"""
    parts, top = [f'<text x="{MARGIN}" y="{MARGIN + 12}">{escape(caption)}</text>'], MARGIN + 28
    for heading, bars in panels.items():
        more, top = panel(heading, bars, top)
        parts += more
    size = f'width="{WIDTH}" height="{top}" viewBox="0 0 {WIDTH} {top}"'
    body = "\n".join(parts)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(caption)}">\n'
            f'<style>{STYLE}</style>\n<rect class="back" width="{WIDTH}" height="{top}" rx="6"/>\n{body}\n</svg>\n')
