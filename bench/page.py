# SPDX-License-Identifier: MIT
"""Medians and tables for the pages of measurements, in Markdown."""
import math
import statistics


def median(runs, field):
    return statistics.median(float(run[field]) for run in runs)


def interval(numbers, confidence=0.95):
    """Return the interval of the median by ranks, which assumes nothing about the distribution: the narrowest one that
    has the confidence. With fewer than six numbers none has 95 %, and the interval is that of all numbers."""
    ordered, count, rank, outside = sorted(numbers), len(numbers), 0, 0.5 ** len(numbers)
    while outside <= (1 - confidence) / 2:
        rank += 1
        outside += math.comb(count, rank) / 2 ** count
    return ordered[max(rank - 1, 0)], ordered[count - max(rank, 1)]


def row(cells):
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def table(head, rows):
    return "\n".join([row(head), row(["---"] * len(head)), *(row(cells) for cells in rows)]) + "\n"


def verdict(met):
    return "yes" if met else "**no**"
