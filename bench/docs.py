#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Put what benches measured into a page.

usage: docs.py PAGE NAME=FILE...

The page has, for each name, the lines `<!-- NAME: begin -->` and `<!-- NAME: end -->`, each once.
What stands between them becomes the file's content. All or nothing: a name that the page does not
have, or a file that is empty, changes nothing.
"""
import re
import sys


def replaced(page, name, content):
    marks = re.compile(f"(<!-- {re.escape(name)}: begin -->\n).*?(<!-- {re.escape(name)}: end -->)",
                       re.DOTALL)
    if len(marks.findall(page)) != 1:
        raise ValueError(f"the page has no place for {name}, or several")
    if not content.strip():
        raise ValueError(f"nothing to put at {name}")
    return marks.sub(lambda found: f"{found[1]}{content.strip()}\n{found[2]}", page)


def main():
    if len(sys.argv) < 3 or not all("=" in part for part in sys.argv[2:]):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        with open(sys.argv[1], encoding="utf-8") as file:
            page = file.read()
        for part in sys.argv[2:]:
            name, _, path = part.partition("=")
            with open(path, encoding="utf-8") as file:
                page = replaced(page, name, file.read())
        with open(sys.argv[1], "w", encoding="utf-8") as file:
            file.write(page)
    except (OSError, ValueError) as fault:
        print(f"docs.py: {fault}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
