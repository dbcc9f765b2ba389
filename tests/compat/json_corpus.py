#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The texts of json_corpus.txt get the verdict that stands beside each, from Python's json module
in strict mode and from a database.

Usage: json_corpus.py CORPUS JSON_CORPUS LXDB

Python's verdict is that of json.loads(text, parse_constant=refuse), where text is the bytes decoded
as strict UTF-8 (a byte order mark stays, and is refused by json) and refuse raises ValueError for
NaN, Infinity and -Infinity. Its own limits, on recursion and on the digits of an integer, are
lifted: they are none of JSON's. Where the library is stricter, which is for two reasons only, the
corpus says so by name.

JSON_CORPUS asks the database, and checks that what is accepted comes back to the byte. What it left
then goes through the tool LXDB, from export to import, in both formats, and must be the same.
"""

import json
import os
import re
import struct
import subprocess
import sys
import tempfile

LEAST = {'yes': 150, 'no': 300, 'lone-surrogate': 10, 'too-deep': 8}
# What Python says and what the library says, for each verdict of the corpus.
MEANING = {
    'yes': ('yes', 'yes'),
    'no': ('no', 'no'),
    'lone-surrogate': ('yes', 'no'),
    'too-deep': ('yes', 'no'),
}
SPECIAL = re.compile(rb'%(?:([0-9a-f]{2})|<(\d+)\*([^>]*)>)')


def decode(text):
    """The bytes that a text of the corpus stands for."""
    def piece(match):
        if match[1]:
            return bytes.fromhex(match[1].decode())
        return decode(match[3]) * int(match[2])
    return SPECIAL.sub(piece, text)


def read_corpus(path):
    """The cases of the file at `path`, as (name, verdict, bytes)."""
    cases = []
    with open(path, 'rb') as file:
        for line in file.read().split(b'\n'):
            if line and not line.startswith(b'#'):
                name, verdict, text = line.split(b'\t')
                cases.append((name.decode(), verdict.decode(), decode(text)))
    return cases


def refuse(word):
    raise ValueError(word)


def of_python(raw):
    try:
        json.loads(raw.decode('utf-8'), parse_constant=refuse)
    except ValueError:
        return 'no'
    return 'yes'


def of_database(program, path, cases):
    stream = b''.join(struct.pack('>I', len(raw)) + raw for _, _, raw in cases)
    answer = subprocess.run([program, path], input=stream, stdout=subprocess.PIPE, check=True)
    lines = answer.stdout.decode().split('\n')[:-1]
    if len(lines) != len(cases):
        sys.exit(f'{len(cases)} texts, {len(lines)} verdicts')
    return lines


def travels(tool, path, form):
    """Whether a copy made by export and import holds the same."""
    def run(*arguments, given=b''):
        return subprocess.run([tool, *arguments], input=given, stdout=subprocess.PIPE,
                              check=True).stdout
    copy = f'{path}-{form}'
    run(copy, 'import', f'--format={form}', given=run(path, 'export', f'--format={form}'))
    held = run(copy, 'export', '--format=hex')
    return held != b'' and held == run(path, 'export', '--format=hex')


def main():
    corpus, program, tool = sys.argv[1:]
    sys.setrecursionlimit(20000)
    sys.set_int_max_str_digits(0)

    cases = read_corpus(corpus)
    faults = []
    counts = dict.fromkeys(MEANING, 0)
    seen = {}
    with tempfile.TemporaryDirectory(prefix='lxdb-json-corpus.') as folder:
        path = os.path.join(folder, 'corpus.lxdb')
        for (name, verdict, raw), ours in zip(cases, of_database(program, path, cases)):
            counts[verdict] += 1
            for what, key in (('name', name), ('text', raw)):
                if key in seen:
                    faults.append(f'{name}: the {what} of {seen[key]} again')
                seen[key] = name
            for who, wanted, got in zip(('Python', 'the library'), MEANING[verdict],
                                        (of_python(raw), ours)):
                if got != wanted:
                    faults.append(f'{name}: {verdict}, but {who} says {got}: {raw[:100]!r}')
        for form in ('ndjson', 'hex'):
            if not travels(tool, path, form):
                faults.append(f'export and import as {form} do not give the same')
    for fault in faults:
        print(fault)
    print(f'count: texts {len(cases)}')
    for verdict, count in counts.items():
        print(f'count: {verdict} {count}')
        if count < LEAST[verdict]:
            faults.append(verdict)
            print(f'fewer than {LEAST[verdict]} texts of the verdict {verdict}')
    sys.exit(1 if faults else 0)


if __name__ == '__main__':
    main()
