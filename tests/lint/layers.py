#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The layer rule: who may include what.

base -> sys -> format -> store -> engine -> api: a file under lib/ includes its own layer and lower
ones, by path. What it may take from outside is listed below; nothing else is allowed, so that the
system, liburcu and cJSON stay where they belong. The tool sees the public headers only.
"""
import os
import re
import sys

LAYERS = ["base", "sys", "format", "store", "engine", "api"]
PUBLIC = ["lxdb.h", "lxdb_json.h"]

# The C standard library, without what prints, exits, aborts with a message or asks the system.
STANDARD = {"ctype.h", "errno.h", "float.h", "inttypes.h", "limits.h", "math.h", "stdalign.h",
            "stdarg.h", "stdatomic.h", "stdbool.h", "stddef.h", "stdint.h", "stdio.h", "stdlib.h",
            "string.h"}
# Beyond that, by layer; None: anything.
OUTSIDE = {
    "base": {"emmintrin.h", "libdeflate.h", "xxhash.h"},
    "sys": None,
    "format": set(),
    "store": set(),
    "engine": {"pthread.h", "signal.h"},
    "api": set(),
}
# format turns bytes into structs: it must run without a system below it.
UNREACHABLE = {"format": {"sys"}}
# Single files that may know one library each.
URCU_FILES = {"lib/engine/view.c", "lib/engine/view.h"}
JSON_FILES = {"lib/json_edge.c", "lib/lxdb_json.h"}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)


def c_files(root, folder):
    for directory, _, names in os.walk(os.path.join(root, folder)):
        for name in names:
            if name.endswith((".c", ".h")):
                yield os.path.relpath(os.path.join(directory, name), root)


def layer_of(path):
    parts = path.split("/")
    return parts[1] if len(parts) > 2 else "api"


def fault_inside(root, path, name):
    """What is wrong with `#include "name"` in a file of lib/, or None."""
    layer = layer_of(path)
    if name == "config.h":
        return None if path.endswith(".c") else "a header must not need config.h"
    if not os.path.isfile(os.path.join(root, "lib", name)):
        return "is not a path under lib/"
    if name == "lxdb.h":
        return None
    if name == "lxdb_json.h":
        return None if path in JSON_FILES else "only the JSON edge knows cJSON"
    if path in ("lib/lxdb.h", "lib/lxdb_json.h"):
        return "a public header includes public headers only"
    target = layer_of("lib/" + name)
    if LAYERS.index(target) > LAYERS.index(layer) or target in UNREACHABLE.get(layer, ()):
        return f"{layer} must not reach {target}"
    return None


def fault_outside(path, name):
    """What is wrong with `#include <name>` in a file of lib/, or None."""
    if name in PUBLIC:
        return None if path == "lib/lxdb_json.h" else 'is included as "' + name + '"'
    if name.startswith("urcu"):
        return None if path in URCU_FILES else "only engine/view knows liburcu"
    if name.startswith("cjson/"):
        return None if path in JSON_FILES else "only the JSON edge knows cJSON"
    if path in ("lib/lxdb.h", "lib/lxdb_json.h"):
        return None if name in ("stddef.h", "stdint.h") else "lxdb.h needs nothing but C99"
    layer = layer_of(path)
    allowed = OUTSIDE[layer]
    if name in STANDARD or allowed is None or name in allowed:
        return None
    return f"{layer} must not include it"


def fault_of_tool(root, path, name):
    """What is wrong with `#include "name"` in a file of tools/, or None."""
    if name in PUBLIC or name == "config.h":
        return None
    beside = os.path.join(root, os.path.dirname(path), name)
    if os.path.isfile(beside) or os.path.isfile(os.path.join(root, "tools", name)):
        return None
    return "the tool sees the public headers only"


def main():
    root = sys.argv[1]
    faults = []
    files = 0
    for path in sorted(list(c_files(root, "lib")) + list(c_files(root, "tools"))):
        files += 1
        parts = path.split("/")
        if parts[0] == "lib" and layer_of(path) not in LAYERS:
            faults.append(f"{path}: {parts[1]}/ is no layer")
            continue
        with open(os.path.join(root, path), encoding="utf-8") as file:
            text = file.read()
        for match in INCLUDE.finditer(text):
            quote, name = match.groups()
            if parts[0] == "tools":
                fault = fault_of_tool(root, path, name) if quote == '"' else None
            elif quote == '"':
                fault = fault_inside(root, path, name)
            else:
                fault = fault_outside(path, name)
            if fault:
                line = text.count("\n", 0, match.start()) + 1
                faults.append(f"{path}:{line}: {match.group(0).strip()}: {fault}")
    for fault in faults:
        print(fault)
    print(f"layers: {files} files, {len(faults)} faults")
    return 1 if faults or files == 0 else 0


sys.exit(main())
