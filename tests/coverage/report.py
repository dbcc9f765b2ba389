#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the tests have run of lib/, from the counts of gcov, and whether that is enough.

What counts, for every file of lib/:

  lines     those that gcc made code for;
  branches  the two ways out of every jump, as gcc compiles without optimisation: each part of an
            `&&` or `||` is a jump of its own, and so is each case of a switch and each conversion
            to bool inside an LX_LIKELY(). Both ways must have been taken.

Left out are the jumps of lx_assert() and lx_debug_assert(), since nothing may lead to an abort, and
what unreachable.txt lists with a reason. An entry of that list that fits no line, or fits one that
was covered after all, is a fault of the list.

In the files of STRICT every branch must be covered; in all of lib/ so many percent as LEAST says.

With --only, those files alone are looked at, and every branch of them must be covered; but of a
comparison of `rc` with LXDB_OK the way of the failure need not be.

Usage: report.py [--missing] [--only=FILE,...] [--unreached=FILE] SOURCE-DIR BUILD-DIR
"""
import argparse
import collections
import concurrent.futures
import glob
import json
import os
import re
import subprocess
import sys

LEAST = {"lines": 95.0, "branches": 90.0}
STRICT = {"lib/format/scan.c", "lib/format/skip.c", "lib/engine/recover.c", "lib/engine/repair.c",
          "lib/engine/commit.c", "lib/store/lock.c"}
ASSERTION = re.compile(r"\s*lx_(debug_)?assert\(")
FAILURE = re.compile(r"\brc [!=]= LXDB_OK\b")
UNREACHABLE = "tests/coverage/unreachable.txt"


class Line:
    """Counts of one source line; of its branches by function, since an inline function of a header
    is compiled once for each file that calls it."""

    def __init__(self, text):
        self.text = text
        self.is_code = False
        self.count = 0
        self.branches = {}
        self.unreachable = 0

    def add(self, entry):
        self.is_code = True
        self.count += entry["count"]
        new = [branch["count"] for branch in entry["branches"]]
        key = (entry.get("function_name"), len(new))
        old = self.branches.get(key, [0] * len(new))
        self.branches[key] = [a + b for a, b in zip(old, new)]

    def branch_counts(self):
        if ASSERTION.match(self.text):
            return []
        return [count for counts in self.branches.values() for count in counts]

    def missed(self):
        return sum(count == 0 for count in self.branch_counts())

    def total(self):
        return len(self.branch_counts()) - self.unreachable


def gcov(notes):
    """The counts that gcov has for one object, as it says them."""
    result = subprocess.run(["gcov", "--json-format", "--stdout", "--branch-probabilities", notes],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return [json.loads(text) for text in result.stdout.splitlines() if text]


def read_counts(source, build):
    """{path in the source tree: {line number: Line}} of lib/."""
    source = os.path.realpath(source)
    objects = sorted(glob.glob(os.path.join(build, "lib", "**", "*.gcno"), recursive=True))
    files = {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        documents = [document for found in pool.map(gcov, objects) for document in found]
    for document in documents:
        for file in document["files"]:
            path = os.path.join(document["current_working_directory"], file["file"])
            path = os.path.relpath(os.path.realpath(path), source)
            if not path.startswith("lib" + os.sep):
                continue
            if path not in files:
                with open(os.path.join(source, path), encoding="utf-8") as text:
                    files[path] = dict(enumerate(map(Line, text), 1))
            for entry in file["lines"]:
                files[path][entry["line_number"]].add(entry)
    for path, lines in files.items():
        files[path] = {number: line for number, line in lines.items() if line.is_code}
    return files


def read_unreachable(path):
    """Entries of `FILE: N: TEXT OF THE LINE`, or `FILE: N in M lines: TEXT` where M lines have that
    text, each followed by its reason, indented."""
    entries = []
    with open(path, encoding="utf-8") as text:
        for number, line in enumerate(text, 1):
            head = re.match(r"(lib/\S+): (\d+)(?: in (\d+) lines)?: (.+)$", line)
            if head:
                entries.append([f"{path}:{number}: ", head[1], int(head[2]), int(head[3] or 1),
                                head[4].strip(), ""])
            elif re.match(r" +\S", line) and entries:
                entries[-1][5] += line
            elif line.strip() and not line.startswith("#"):
                raise SystemExit(f"{path}:{number}: neither an entry nor a reason: {line}")
    return entries


def leave_out(files, entries):
    """Take the branches that cannot be covered out of the count; the faults of the list."""
    faults = []
    for where, path, branches, count, text, reason in entries:
        lines = [line for line in files.get(path, {}).values() if line.text.strip() == text]
        if not reason:
            faults.append(where + "no reason")
        if len(lines) != count:
            faults.append(where + f"{len(lines)} lines of {path} are: {text}")
            continue
        missed = sum(line.missed() - line.unreachable for line in lines)
        if missed < branches:
            faults.append(where + f"{branches} branches, of which only {missed} were not taken: "
                          f"{text}")
        for line in lines:
            part = min(branches, line.missed() - line.unreachable)
            line.unreachable += part
            branches -= part
    return faults


def share(part, whole):
    return 100.0 * part / whole if whole else 100.0


def ranges(numbers):
    """1,2,3,7 as 1-3 7"""
    text = []
    for number in numbers:
        if text and text[-1][1] == number - 1:
            text[-1][1] = number
        else:
            text.append([number, number])
    return " ".join(str(a) if a == b else f"{a}-{b}" for a, b in text)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--missing", action="store_true", help="show every line that misses some")
    parser.add_argument("--only", default="", help="these files alone, and all of them")
    parser.add_argument("--unreached", default="", help="one more list like " + UNREACHABLE)
    parser.add_argument("source")
    parser.add_argument("build")
    options = parser.parse_args()
    files = read_counts(options.source, options.build)
    entries = read_unreachable(os.path.join(options.source, UNREACHABLE))
    if options.unreached:
        entries += read_unreachable(options.unreached)
    strict = STRICT
    if options.only:
        strict = set(options.only.split(","))
        files = {path: lines for path, lines in files.items() if path in strict}
        entries = [entry for entry in entries if entry[1] in strict]
    faults = leave_out(files, entries)
    if options.only:
        for line in (line for lines in files.values() for line in lines.values()):
            line.unreachable += min(line.missed() - line.unreachable,
                                    len(FAILURE.findall(line.text)))
    sums = collections.Counter()

    print(f"{'file':<26} {'lines':>12} {'':>6} {'branches':>12} {'':>6}  lines not run")
    for path, lines in sorted(files.items()):
        run = sum(line.count > 0 for line in lines.values())
        total = sum(line.total() for line in lines.values())
        taken = total - sum(line.missed() - line.unreachable for line in lines.values())
        sums.update(lines=len(lines), run=run, branches=total, taken=taken)
        print(f"{path:<26} {run:>5} of {len(lines):>4} {share(run, len(lines)):>5.1f}% "
              f"{taken:>5} of {total:>4} {share(taken, total):>5.1f}%  "
              + ranges(n for n, line in sorted(lines.items()) if line.count == 0))
        for number, line in sorted(lines.items()):
            if line.missed() > line.unreachable and (path in strict or options.missing):
                missed = line.missed() - line.unreachable
                text = f"{path}:{number}: {missed} not taken: {line.text.strip()}"
                print("    " + text)
                if path in strict:
                    faults.append(text)

    left_out = sum(line.unreachable for lines in files.values() for line in lines.values())
    print(f"\n{left_out} branches are left out as unreachable: see {UNREACHABLE}")
    for what, part in (("lines", "run"), ("branches", "taken")):
        percent = share(sums[part], sums[what])
        print(f"{what} of lib/: {sums[part]} of {sums[what]}, {percent:.2f} %; "
              f"{LEAST[what]:.0f} % are needed")
        if percent < LEAST[what] and not options.only:
            faults.append(f"too few {what} of lib/")
    missing = strict - set(files)
    faults += [f"no counts of {path}" for path in sorted(missing)]
    if faults:
        print("\nNot covered well enough:")
        print("".join(f"    {fault}\n" for fault in faults), end="")
    return 1 if faults else 0


sys.exit(main())
