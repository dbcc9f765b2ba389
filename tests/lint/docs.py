#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every public function and every code is named in a manual page, and no page names a function that
does not exist. With no pages there is nothing to compare."""
import glob
import os
import re
import sys


def main():
    root = sys.argv[1]
    pages = sorted(glob.glob(os.path.join(root, "docs", "man", "*.[1-9]")))
    if not pages:
        print("docs: no manual pages")
        return 0
    headers = ""
    for name in ("lxdb.h", "lxdb_json.h"):
        with open(os.path.join(root, "lib", name), encoding="utf-8") as file:
            headers += file.read()
    functions = set(re.findall(r"LXDB_EXPORT [^;(]*?\b(lxdb_\w+)\(", headers))
    codes = set(re.findall(r"^    (LXDB_[A-Z]+) = -?\d+,? ", headers, re.M))
    text = ""
    for page in pages:
        with open(page, encoding="utf-8") as file:
            text += file.read()
    text = text.replace("\\_", "_").replace("\\-", "-")
    words = set(re.findall(r"\bLXDB_[A-Z_]+\b|\blxdb_\w+\b", text))
    called = set(re.findall(r"\b(lxdb_\w+)(?:\\f[A-Z]|\s)*\(", text))
    faults = [f"{name} is in no manual page" for name in sorted((functions | codes) - words)]
    faults += [f"{name}() is in a manual page and in no header"
               for name in sorted(called - functions)]
    for fault in faults:
        print("docs: " + fault)
    print(f"docs: {len(functions)} functions, {len(codes)} codes, {len(pages)} pages")
    return 1 if faults or not functions else 0


sys.exit(main())
