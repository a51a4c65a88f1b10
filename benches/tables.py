"""How figures are shown."""

import statistics
import sys


def table(title, columns, rows):
    """Prints a table."""
    print(f"\n### {title}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    sys.stdout.flush()


def spread(values, digits=2):
    """`median (least-most)`."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def percentile(values, percent):
    """The value that so many percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def ratio(value, base):
    """`value / base`, where there is a base."""
    return f"{value / base:.2f}" if base else "-"
