# SPDX-License-Identifier: MIT
"""Medians and tables for the pages of measurements, in Markdown."""
import statistics


def median(runs, field):
    return statistics.median(float(run[field]) for run in runs)


def row(cells):
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def table(head, rows):
    return "\n".join([row(head), row(["---"] * len(head)), *(row(cells) for cells in rows)]) + "\n"


def verdict(met):
    return "yes" if met else "**no**"
