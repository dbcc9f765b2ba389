#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What bench/bench-peers wrote as JSON, as Markdown or as data for the plots.

    report.py markdown JSON     print the tables
    report.py data JSON FOLDER  write a file per figure for bench/plot/peers.sh

No figure is computed here that is not in the JSON, but for the spread and the lists of who is
ahead.
"""
import json
import os
import sys

# Workload, title, rows; a row that was not measured is left out.
TABLES = [
    ("small", "{small:,} records of the README's shape, one process, no syncs: ns per record", [
        ["create", "get", "get miss", "update same size", "update other size", "delete"],
        ["batch put", "batch delete", "iterate"]]),
    ("large", "{large:,} records of 16 byte keys and 100 byte values, one process, no syncs", [
        ["load", "get", "get miss", "get 16 at once", "update", "95/5", "50/50", "iterate"],
        ["disk", "memory", "reopen", "and first get", "rebuild", "compact", "copy and sync"]]),
    ("processes", "Several processes over {large:,} records, no syncs", [
        ["1 reader", "2 readers", "3 readers", "4 readers"],
        ["1 writer", "2 writers", "least of 2", "4 writers", "least of 4"],
        ["reader, timed", "reader beside", "writer beside", "reader, compacting",
         "writer, compacting"],
        ["reader p50", "reader p99", "reader p99.9", "reader p99.99", "reader max"],
        ["writer p50", "writer p99", "writer p99.9", "writer p99.99", "writer max"]]),
    ("durable", "Durable single puts: commits a second", [
        ["puts by 1", "puts by 4", "puts by 16", "least of 4", "least of 16"],
        ["p99 of 1", "p99 of 4", "p99 of 16", "syncs/commit of 1", "syncs/commit of 4",
         "syncs/commit of 16"]]),
    ("load", "A put while {load:,} keys are loaded, and beside a compaction", [
        ["put", "p50", "p99", "p99.9", "p99.99", "max"],
        ["compacting beside puts", "puts meanwhile", "p99.9 meanwhile", "longest meanwhile"]]),
]

NO_STORES = ("floor", "lxdb-json")
# Rows of which more is better; of all others less is.
RATE_UNITS = ("1/s", "part")
# Rows that describe lxdb's insides, or repeat another row.
NOT_COMPARED = ("copy and sync", "and first get", "rebuild", "get 16 at once", "reader, timed",
                "least of 2", "least of 4", "least of 16")


# What bench/plot/peers.sh draws of a workload.
FIGURES = {
    "large": [("peers-space", "Bytes on the disk and in memory, by store")],
    "processes": [("peers-processes", "Operations a second, by number of processes"),
                  ("peers-latency", "Latency of a reader and a writer beside each other")],
    "durable": [("peers-durable", "Durable puts a second, by number of processes")],
    "scaling": [("peers-scaling", "Cost against the number of keys")],
}


class Report:
    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.json = json.load(file)
        self.engines = [engine["name"] for engine in self.json["engines"]]
        self.cells = {(cell["workload"], cell["row"], cell["engine"]): cell
                      for cell in self.json["results"]}

    def cell(self, workload, row, engine):
        return self.cells.get((workload, row, engine))

    def unit(self, workload, row):
        return next((cell["unit"] for cell in self.json["results"]
                     if (cell["workload"], cell["row"]) == (workload, row)), None)

    def best(self, workload, row, without=NO_STORES):
        """The best store of a row, and its median."""
        medians = [(cell["median"], engine) for engine in self.engines if engine not in without
                   for cell in [self.cell(workload, row, engine)] if cell]
        if not medians:
            return None, None
        better = max if self.unit(workload, row) in RATE_UNITS else min
        median, engine = better(medians)
        return engine, median


def number(value):
    if value >= 1000:
        return f"{value:,.0f}"
    if value >= 100:
        return f"{value:.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}"


def spread(cell):
    if cell["median"] == 0:
        return ""
    return f" ±{50 * (cell['max'] - cell['min']) / cell['median']:.0f} %"


def markdown_table(report, workload, rows):
    rows = [row for row in rows if report.unit(workload, row) is not None]
    engines = [engine for engine in report.engines
               if any(report.cell(workload, row, engine) for row in rows)]
    if not rows:
        return []
    heads = []
    for row in rows:
        unit = report.unit(workload, row)
        heads.append(f"{row}, {unit}" if unit else row)
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(rows)]
    best = {row: report.best(workload, row)[0] for row in rows}
    for engine in engines:
        texts = []
        for row in rows:
            cell = report.cell(workload, row, engine)
            if cell is None:
                texts.append("")
                continue
            text = number(cell["median"])
            if engine == best[row]:
                text = f"**{text}**"
            texts.append(text + spread(cell))
        lines.append(f"| {engine} | " + " | ".join(texts) + " |")
    return lines + [""]


def markdown_figures(workload):
    return [line for name, title in FIGURES.get(workload, [])
            for line in (f"![{title}](figures/{name}.png)", "")]


def markdown_scaling(report):
    sizes = sorted({int(row.split()[1]) for workload, row, _ in report.cells
                    if workload == "scaling"})
    if not sizes:
        return []
    lines = ["### Cost against the number of keys", "",
             "| | " + " | ".join(f"{size:,}" for size in sizes) + " |",
             "|---|" + "---:|" * len(sizes)]
    for what in ("load", "get", "put", "reopen", "rebuild"):
        for engine in report.engines:
            cells = [report.cell("scaling", f"{what} {size}", engine) for size in sizes]
            if not any(cells):
                continue
            unit = next(cell["unit"] for cell in cells if cell)
            lines.append(f"| {engine}, {what}, {unit} | "
                         + " | ".join(number(cell["median"]) if cell else "" for cell in cells)
                         + " |")
    return lines + [""] + markdown_figures("scaling")


def markdown_ahead(report):
    """Every row in which a peer is ahead of lxdb, and by what factor."""
    lines = []
    seen = 0
    for workload, _, groups in TABLES:
        for row in (row for rows in groups for row in rows):
            own = report.cell(workload, row, "lxdb")
            peer, median = report.best(workload, row, NO_STORES + ("lxdb",))
            if own is None or peer is None or row in NOT_COMPARED:
                continue
            seen += 1
            if report.unit(workload, row) in RATE_UNITS:
                factor = median / own["median"]
            else:
                factor = own["median"] / median
            if factor > 1:
                lines.append((factor, f"| {workload}: {row} | {peer} | {factor:.2f} |"))
    if not seen:
        return []
    head = ["### Rows in which another store is ahead", "",
            f"Of {seen} rows that can be compared, lxdb is not the first in {len(lines)}:", "",
            "| row | first | lxdb is behind by a factor of |", "|---|---|---:|"]
    return head + [line for _, line in sorted(lines, reverse=True)] + [""]


def markdown_targets(report):
    targets = report.json["targets"]
    if not targets:
        return []
    lines = ["### Targets", "",
             f"{sum(target['met'] for target in targets)} of {len(targets)} are met.", "",
             "| target | wanted | median | least to most | met |", "|---|---:|---:|---:|---|"]
    for target in targets:
        name = f"{target['name']} ({target['unit']})" if target["unit"] else target["name"]
        lines.append(f"| {name} | {target['aim']} {target['wanted']:g} "
                     f"| {target['median']:.3g} | {target['min']:.3g} to {target['max']:.3g} "
                     f"| {'yes' if target['met'] else '**no**'} |")
    return lines + [""]


def markdown_engines(report):
    lines = ["### The stores and their settings", "",
             "| store | version | processes | without syncs | durable |", "|---|---|---|---|---|"]
    for engine in report.json["engines"]:
        durable = engine["durable"] or "not measured"
        failed = " **failed in this run**" if engine["failed"] else ""
        lines.append(f"| {engine['name']}{failed} | {engine['version']} | {engine['processes']} "
                     f"| {engine['setting']} | {durable} |")
    if report.json["skipped"]:
        lines += ["", report.json["skipped"].rstrip("; ") + "."]
    return lines + [""]


def markdown(report):
    machine, settings = report.json["machine"], report.json["settings"]
    lines = [f"lxdb {report.json['version']} on {machine['processor']}, "
             f"{machine['processors']} processors, {machine['system']}, load average "
             f"{machine['load']:.2f} when it began. Medians of {settings['rounds']} rounds "
             f"({settings['small_rounds']} of the first table), and half of the distance from the "
             "least to the most, in per cent of it. The best store of a column is bold.", ""]
    lines += markdown_engines(report)
    for workload, title, groups in TABLES:
        tables = [line for rows in groups for line in markdown_table(report, workload, rows)]
        if tables:
            lines += ["### " + title.format(**settings), ""] + tables + markdown_figures(workload)
    lines += markdown_scaling(report) + markdown_targets(report) + markdown_ahead(report)
    return "\n".join(lines).rstrip() + "\n"


# ---- Data for gnuplot: blocks, each with a name on top, and two empty lines between them ------


def write_blocks(path, blocks):
    with open(path, "w", encoding="utf-8") as file:
        for name, points in blocks:
            file.write(f'"{name}"\n')
            for point in points:
                file.write(" ".join(str(value) for value in point) + "\n")
            file.write("\n\n")


def series(report, workload, row_of, numbers, engines=None):
    """A block per engine: the number, and median, least and most of its row."""
    blocks = []
    for engine in engines or report.engines:
        points = []
        for value in numbers:
            cell = report.cell(workload, row_of(value), engine)
            if cell:
                points.append((value, cell["median"], cell["min"], cell["max"]))
        if points:
            blocks.append((engine, points))
    return blocks


def write_data(report, folder):
    def path(name):
        return os.path.join(folder, name + ".dat")

    def plural(value, word):
        return f"{value} {word}s" if value > 1 else f"{value} {word}"

    write_blocks(path("readers"),
                 series(report, "processes", lambda n: plural(n, "reader"), (1, 2, 3, 4)))
    write_blocks(path("writers"),
                 series(report, "processes", lambda n: plural(n, "writer"), (1, 2, 4)))
    write_blocks(path("durable"), series(report, "durable", "puts by {}".format, (1, 4, 16)))
    for who in ("reader", "writer"):
        write_blocks(path(who + "-latency"),
                     [(curve["engine"],
                       [(1 / (1 - share), ns / 1000) for share, ns in curve["points"] if ns > 0])
                      for curve in report.json["curves"]
                      if (curve["workload"], curve["row"]) == ("processes", who)])
    sizes = sorted({int(row.split()[1]) for workload, row, _ in report.cells
                    if workload == "scaling"})
    for what in ("get", "put", "reopen", "rebuild"):
        write_blocks(path("scaling-" + what),
                     series(report, "scaling", (what + " {}").format, sizes))
    with open(path("space"), "w", encoding="utf-8") as file:
        for engine in report.engines:
            cells = [report.cell("large", row, engine) for row in ("disk", "memory")]
            if any(cells):
                file.write(f'"{engine}" '
                           + " ".join(str(cell["median"]) if cell else "?" for cell in cells)
                           + "\n")
    with open(path("payload"), "w", encoding="utf-8") as file:
        file.write(f"{report.json['settings']['large'] * 116 / 1e6}\n")


def main(arguments):
    if len(arguments) == 2 and arguments[0] == "markdown":
        sys.stdout.write(markdown(Report(arguments[1])))
    elif len(arguments) == 3 and arguments[0] == "data":
        write_data(Report(arguments[1]), arguments[2])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
