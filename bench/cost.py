#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Instructions per operation, counted by callgrind: measured, checked, kept.

usage: cost.py check|update|functions|table COSTS RUN... -- BUILD

RUN is the command that runs a program of the build (libtool --mode=execute), BUILD the words that
say what was built: compiler, its flags, ours. COSTS is the file that keeps the counts; its line
"build" says for which build they are.

check      measure, and compare with COSTS; exit status 1 if an operation costs TOLERANCE more or
           less. For another build, another compiler say, nothing is compared: that is said, and
           the exit status is 0, or 1 with LXDB_COST_STRICT=1 in the environment
update     measure, and write COSTS
functions  measure one get and one put, and print which function took how many, as Markdown
table      print COSTS as Markdown

The same build takes the same instructions in every run. A time would say more, and could not be
held against a file.
"""
import concurrent.futures
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

COUNT = 8000
TOLERANCE = 0.03
PROGRAM = "bench/cost"
MEANING = {
    "get_hit": "`lxdb_read` of a key that is there",
    "get_miss": "`lxdb_read` of a key that is not",
    "peek_many": "`lxdb_peek_many`, for each of 16 keys",
    "put_create": "`lxdb_create`",
    "put_same_size": "`lxdb_write` that replaces a value by one of its size",
    "delete": "`lxdb_delete`",
    "batch_put": "`lxdb_batch_write`, with its part of the commit of 1000",
    "iterate": "`lxdb_iter_next`",
}


def fail(message):
    print(f"cost: {message}", file=sys.stderr)
    sys.exit(1)


def callgrind(run, operation, count):
    """Run the program; returns instructions by function, callees not counted."""
    with tempfile.TemporaryDirectory(prefix="lxdb-cost.") as folder:
        out = os.path.join(folder, "callgrind.out")
        done = subprocess.run(
            [*run, "valgrind", "--tool=callgrind", "--quiet", "--compress-strings=no",
             "--compress-pos=no", f"--callgrind-out-file={out}", PROGRAM, operation, str(count),
             folder],
            env={**os.environ, "LD_BIND_NOW": "1"}, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            fail(f"{operation}: exit status {done.returncode}: {done.stderr.strip()}")
        with open(out, encoding="utf-8") as file:
            return functions_of(file)


def functions_of(lines):
    """The format is described in the manual of Valgrind, chapter 18.1. What the program itself does
    between the calls is left out."""
    costs = {}
    function = None
    called = False
    for line in lines:
        if line.startswith("ob="):
            library = os.path.basename(line[3:].strip())
        elif line.startswith("fn="):
            name = re.sub(r"\.(isra|part|constprop)\..*", "", line[3:].strip())
            if library.removeprefix("lt-") == os.path.basename(PROGRAM):
                function = None
            elif library.startswith("liblxdb"):
                function = name
            else:
                function = library if name.startswith("0x") else f"{name} in {library}"
        elif line.startswith("calls="):
            called = True  # the next line is what the callee took
        elif line[:1].isdigit():
            if not called and function is not None:
                costs[function] = costs.get(function, 0) + int(line.split()[1])
            called = False
    return costs


def measure(run, operation):
    """Instructions of one operation by function."""
    base = callgrind(run, operation, 0)
    full = callgrind(run, operation, COUNT)
    return {function: (full.get(function, 0) - base.get(function, 0)) / COUNT
            for function in full.keys() | base.keys()}


def measure_all(run):
    done = subprocess.run([*run, PROGRAM], capture_output=True, text=True, check=True)
    names = done.stdout.split()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        parts = pool.map(lambda operation: measure(run, operation), names)
        costs = {operation: sum(part.values()) for operation, part in zip(names, parts)}
    for operation, cost in costs.items():
        print(f"{operation:<16} {cost:8.1f}")
    return costs


def build_of(words):
    """The build in words, so far as it decides what is executed."""
    compiler = words[0].split()
    version, target = (
        subprocess.run([*compiler, option], capture_output=True, text=True, check=False).stdout
        .strip() for option in ("-dumpfullversion", "-dumpmachine"))
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        found = re.search(r"^flags\s*:(.*)$", file.read(), re.MULTILINE)
    # By this libdeflate chooses how to compute a CRC, and the C library how to copy.
    vectors = "avx2" if found and "avx2" in found[1].split() else "no avx2"
    flags = [flag for flag in " ".join(words[1:]).split() if not flag.startswith("-W")]
    return f"{os.path.basename(compiler[-1])} {version} {target} {' '.join(flags)}, {vectors}"


def read_costs(path):
    costs = {}
    build = None
    with open(path, encoding="utf-8") as file:
        for line in file:
            name, _, rest = line.partition(" ")
            if name == "build":
                build = rest.strip()
            elif name and not line.startswith("#") and line.strip():
                costs[name] = float(rest)
    return build, costs


def update(path, run, build):
    costs = measure_all(run)
    with open(path, "w", encoding="utf-8") as file:
        file.write("# Instructions per operation by callgrind: written by `make update-cost`, held "
                   "against\n# the build by `make check-cost`. See bench/cost.py and bench/op.c.\n"
                   f"build {build}\n")
        file.writelines(f"{name:<16} {cost:.1f}\n" for name, cost in costs.items())
    print(f"cost: {len(costs)} operations written")
    return 0


def check(path, run, build):
    kept_build, kept = read_costs(path)
    if build != kept_build:
        print("cost: SKIPPED, nothing compared: the counts are kept for another build\n"
              f"    kept  {kept_build}\n    this  {build}")
        return 1 if os.environ.get("LXDB_COST_STRICT") == "1" else 0
    costs = measure_all(run)
    faults = [f"{name} is only in one of {path} and the program"
              for name in costs.keys() ^ kept.keys()]
    for name in costs.keys() & kept.keys():
        change = costs[name] / kept[name] - 1
        if abs(change) > TOLERANCE:
            faults.append(f"{name} costs {costs[name]:.1f} instructions, kept are "
                          f"{kept[name]:.1f}: {change:+.1%}")
    for fault in sorted(faults):
        print(f"cost: {fault}")
    if faults:
        print("cost: if that is meant, `make update-cost` and commit bench/costs.txt with the "
              "reason")
        return 1
    print(f"cost: {len(costs)} operations within {TOLERANCE:.0%} of what is kept")
    return 0


def functions(run):
    for operation in ("get_hit", "put_same_size"):
        costs = measure(run, operation)
        total = sum(costs.values())
        print(f"{MEANING[operation]}: {total:.0f} instructions, of which\n")
        print("| function | instructions | |\n|---|---:|---:|")
        rest = total
        for function, cost in sorted(costs.items(), key=lambda item: -item[1]):
            if cost < total / 100:
                break
            rest -= cost
            print(f"| `{function}` | {cost:.1f} | {cost / total:.0%} |")
        print(f"| others | {rest:.1f} | {rest / total:.0%} |\n")
    return 0


def table(path):
    build, costs = read_costs(path)
    print("| operation | | instructions |\n|---|---|---:|")
    for name, cost in costs.items():
        print(f"| `{name}` | {MEANING[name]} | {cost:.0f} |")
    print(f"\nBuilt with {build}.")
    return 0


def main():
    arguments = sys.argv[1:]
    if len(arguments) < 4 or "--" not in arguments:
        print(__doc__, file=sys.stderr)
        return 2
    at = arguments.index("--")
    mode, path = arguments[:2]
    run = shlex.split(" ".join(arguments[2:at]))
    if mode != "table" and shutil.which("valgrind") is None:
        fail("there is no valgrind: apt-get install valgrind")
    build = build_of(arguments[at + 1:])
    if mode == "check":
        return check(path, run, build)
    if mode == "update":
        return update(path, run, build)
    if mode == "functions":
        return functions(run)
    if mode == "table":
        return table(path)
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
