#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A report of bench/ops as a table in Markdown: medians of the repetitions, by number of keys.

usage: ops.py REPORT.json
"""
import json
import statistics
import sys

NANOSECONDS = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    with open(sys.argv[1], encoding="utf-8") as file:
        report = json.load(file)
    times = {}
    # In the program's order, whatever the order of the runs was.
    for run in sorted(report["benchmarks"], key=lambda run: run["family_index"]):
        if run["run_type"] == "iteration":
            operation, keys = run["run_name"].split("/")[:2]
            line = times.setdefault(operation, {})
            line.setdefault(int(keys.removeprefix("keys:")), []).append(
                run["real_time"] * NANOSECONDS[run["time_unit"]])
    sizes = sorted({keys for line in times.values() for keys in line})
    print("| ns, by number of keys | " + " | ".join(f"{keys:,}" for keys in sizes) + " |")
    print("|---|" + "---:|" * len(sizes))
    for operation, line in times.items():
        print(f"| `{operation}` | " + " | ".join(
            f"{statistics.median(line[keys]):,.0f}" if keys in line else "" for keys in sizes) +
            " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
