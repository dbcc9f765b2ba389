#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tables of a report of bench/readme.

usage: readme.py REPORT.json DIRECTORY

Reads the JSON of Google Benchmark and writes to the directory: table.txt, table.json, table.md and
table.tsv, which bench/plot/readme.gp draws. Prints table.txt. Exit status 1 if a row failed its
check or is missing; a target that is missed is printed as that, and is no failure.

All figures are medians of the sections; the spread is the distance of the quickest from the slowest
section, as a part of the median. Ratios are of medians of the same run.
"""
import json
import os
import statistics
import sys

ROWS = ("create read update_same update_diff write delete typed_set typed_get batch_set "
        "batch_create batch_delete ns_set ns_get ns_batch_set ns_batch_delete ns_clear compact "
        "reopen").split()
TYPED = "typed_set typed_get batch_set ns_set ns_get ns_batch_set".split()
BATCH_DELETES = "batch_delete ns_batch_delete ns_clear".split()
UPKEEP = "compact reopen".split()  # where the disk decides: no target
RAW_TARGET, BATCH_DELETE_TARGET, TEXT_TARGET, TREES_TARGET = 12, 7, 20, 4
SECTION_SECONDS = 0.05
SECTIONS = 9
UNITS = {"ns": 1e9, "us": 1e6, "ms": 1e3, "s": 1}


class Figure:
    """One row over one store: the seconds of a pass, by sections."""

    def __init__(self):
        self.seconds = []
        self.shortest = float("inf")  # section
        self.check = None
        self.error = None

    def add(self, run):
        if run.get("error_occurred"):
            self.error = run.get("error_message", "failed")
            return
        seconds = run["real_time"] / UNITS[run["time_unit"]]
        self.seconds.append(seconds)
        self.shortest = min(self.shortest, seconds * run["iterations"])
        self.check = run.get("label")

    @property
    def median(self):
        return statistics.median(self.seconds)

    @property
    def spread(self):
        return (max(self.seconds) - min(self.seconds)) / self.median


def read_report(path):
    """Returns the context, and the figures by (row, store)."""
    with open(path, encoding="utf-8") as file:
        report = json.load(file)
    figures = {}
    for run in report["benchmarks"]:
        if run["run_type"] == "iteration":
            row, store = run["run_name"].split("/")[:2]
            figures.setdefault((row, store), Figure()).add(run)
    return report["context"], figures


def target_of(row):
    if row in TYPED:
        return TEXT_TARGET
    if row in UPKEEP:
        return None
    return BATCH_DELETE_TARGET if row in BATCH_DELETES else RAW_TARGET


def faults_of(figures):
    """What makes the tables worthless: rows that failed or are not there, too few sections."""
    faults = []
    wanted = [(row, store) for row in ROWS for store in ("lxdb", "python", "floor")]
    for key in wanted + [(row, "trees") for row in TYPED]:
        name = "/".join(key)
        if key not in figures:
            faults.append(f"{name} is missing")
        elif figures[key].error:
            faults.append(f"{name}: {figures[key].error}")
    return faults


def row_of(name, records, published, figures):
    """All of one row, as table.json has it."""
    figure, unit = published.split()
    figure = float(figure)

    def measured(store):
        found = figures[name, store]
        return {
            "value": found.median if unit == "s" else records / found.median,
            "seconds": found.seconds,
            "spread": found.spread,
            "shortest_section_seconds": found.shortest,
            "check": found.check,
        }

    def beside(store, target):
        faster = figures[name, "python"].median / figures[name, store].median
        met = None if target is None else faster >= target
        return {"times_python": faster, "target": target, "met": met}

    row = {
        "name": name,
        "unit": unit,
        "lxcore_published": figure,
        "python": measured("python"),
        "floor": measured("floor"),
        "lxdb": measured("lxdb") | beside("lxdb", target_of(name)),
    }
    value = row["lxdb"]["value"]
    row["lxdb"]["times_published"] = figure / value if unit == "s" else value / figure
    row["lxdb"]["times_floor"] = figures[name, "lxdb"].median / figures[name, "floor"].median
    if name in TYPED:
        row["trees"] = measured("trees") | beside("trees", TREES_TARGET)
    return row


def number(row, value):
    return f"{value * 1e3:,.2f} ms" if row["unit"] == "s" else f"{value:,.0f}/s"


def verdict(part):
    if part["target"] is None:
        return "none"
    return f"{part['target']}x {'met' if part['met'] else 'MISSED'}"


def line_of(row):
    lxdb = row["lxdb"]
    return [row["name"], number(row, row["lxcore_published"]), number(row, row["python"]["value"]),
            f"{row['python']['spread']:.0%}", number(row, lxdb["value"]), f"{lxdb['spread']:.0%}",
            f"{lxdb['times_published']:.0f}x", f"{lxdb['times_python']:.1f}x", verdict(lxdb),
            number(row, row["floor"]["value"]), f"{lxdb['times_floor']:.1f}x"]


def trees_line_of(row):
    trees = row["trees"]
    return [row["name"], number(row, row["python"]["value"]), f"{row['python']['spread']:.0%}",
            number(row, trees["value"]), f"{trees['spread']:.0%}", f"{trees['times_python']:.1f}x",
            verdict(trees)]


HEADS = ["row", "lxcore, published", "Python store", "spread", "lxdb", "spread",
         "faster than lxcore", "than Python", "target", "floor", "slower than floor"]
TREES_HEADS = ["row", "Python store", "spread", "lxdb, trees", "spread", "faster than Python",
               "target"]


def tables_of(rows):
    """The two tables: heads first."""
    return ([HEADS] + [line_of(row) for row in rows],
            [TREES_HEADS] + [trees_line_of(row) for row in rows if "trees" in row])


def text_of(table):
    widths = [max(map(len, column)) for column in zip(*table)]
    return "\n".join(
        "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                  for i, (cell, width) in enumerate(zip(line, widths))).rstrip()
        for line in table)


def markdown_of(table):
    lines = ["| " + " | ".join(table[0]) + " |", "|---|" + "---:|" * (len(table[0]) - 1)]
    for line in table[1:]:
        shown = [f"`{line[0]}`"] + [cell.replace("MISSED", "**missed**") for cell in line[1:]]
        lines.append("| " + " | ".join(shown) + " |")
    return "\n".join(lines)


def summary_of(rows):
    parts = [row[part] for row in rows for part in ("lxdb", "trees") if part in row]
    aims = [part for part in parts if part["target"] is not None]
    measured = [row[part] for row in rows for part in ("lxdb", "trees", "python") if part in row]
    shortest = min(part["shortest_section_seconds"] for part in measured)
    sections = min(len(part["seconds"]) for part in measured)
    met = sum(part["met"] for part in aims)
    said = (f"{len(rows)} rows and {len(parts) - len(rows)} of trees verified; "
            f"{met} of {len(aims)} targets met; "
            f"{sections} sections each, the shortest {shortest * 1e3:.0f} ms.")
    if shortest < SECTION_SECONDS or sections < SECTIONS:
        said += " TOO FEW OR TOO SHORT SECTIONS: compare nothing with this."
    return said


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    context, figures = read_report(sys.argv[1])
    faults = faults_of(figures)
    if faults:
        print("\n".join(f"readme.py: {fault}" for fault in faults), file=sys.stderr)
        return 1
    records = int(context["records"])
    rows = [row_of(name, records, context["published " + name], figures) for name in ROWS]
    table, trees = tables_of(rows)
    title = (f"lxdb {context['lxdb']}, {records:,} records, sync none, beside the published "
             "figures of lxcore 0.1.0 and a Python store of lxdb's design in the same run")
    summary = summary_of(rows)

    outputs = {
        "table.txt": f"{title}\n\n{text_of(table)}\n\nThe typed rows through cJSON trees:\n\n"
                     f"{text_of(trees)}\n\n{summary}\n",
        "table.md": f"{markdown_of(table)}\n\nThe typed rows through cJSON trees:\n\n"
                    f"{markdown_of(trees)}\n\n{summary}\n",
        "table.json": json.dumps({"lxdb": context["lxdb"], "date": context["date"],
                                  "records": records, "rows": rows}, indent=1) + "\n",
        "table.tsv": "".join(
            f"{row['name']}\t{row['lxdb']['times_published']:.4g}\t"
            f"{row['lxdb']['times_python']:.4g}\t"
            f"{row['trees']['times_python'] if 'trees' in row else float('nan'):.4g}\t"
            f"{row['lxdb']['target'] or float('nan')}\n"
            for row in rows),
    }
    for name, content in outputs.items():
        with open(os.path.join(sys.argv[2], name), "w", encoding="utf-8") as file:
            file.write(content)
    print(outputs["table.txt"], end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
