#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compare the JSON checker with Python's json module over odd texts.

Usage: json_python.py JSON_VERDICT [SEED [COUNT]]

The texts are those of tests/compat/json_corpus.txt and random ones. Python's verdict is
json.loads() of the bytes decoded as strict UTF-8, with NaN and the infinities refused. There are
two differences by design, and both are applied to Python's verdict here: lone surrogates written as
escapes are refused (they are no text), and so is nesting beyond 1000.
What is accepted must also mean the same: strings decode to the same text, numbers to the same
integer and to the same double, which is printed as Python's repr() prints it.
"""

import json
import os
import random
import re
import struct
import subprocess
import sys

COMPAT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'compat')
sys.path.insert(0, COMPAT)
from json_corpus import read_corpus  # noqa: E402

DEPTH = 1000

SEEDS = [
    b'{"name": "value", "list": [1, 2.5, -3e10, true, false, null], "nested": {"a": {}}}',
    b'[[], {}, [[]], {"": ""}, "\\u0041\\n\\"\\\\\\/", "\\ud83d\\ude00"]',
    '{"tekst": "grüße, 日本, \U0001f600", "ключ": ["é", "\u2028"]}'.encode(),
    b' \t\r\n { "a" : [ 1 , 2 ] } \n',
    b'-0.0e-0', b'0', b'-1', b'1E+5', b'9223372036854775807', b'-9223372036854775808',
    b'"plain text that is longer than a machine word"',
    b'{"a":1,"a":2}',
]

PIECES = [
    b'{', b'}', b'[', b']', b',', b':', b'"', b'\\', b'/', b' ', b'\t', b'\n', b'\r', b'\x0b',
    b'\0', b'0', b'1', b'9', b'-', b'+', b'.', b'e', b'E', b'00', b'01', b'1.', b'.5', b'1e',
    b'1e+', b'-0',
    b'true', b'false', b'null', b'tru', b'True', b'None', b'NaN', b'Infinity', b'-Infinity', b'nan',
    b'"a"', b'""', b'"a":', b'"\\n"', b'"\\x"', b'"\\u12"', b'"\\u12g4"', b'"\\u0000"',
    b'"\\ud800"', b'"\\udc00"', b'"\\ud800\\udc00"', b'"\\udbff\\udfff"', b'"\\ud800\\u0041"',
    b'"\\ud800\\ud800"', b'"\\uDBFF\\uDFFF"', b'"\\ud7ff"', b'"\\ue000"',
    b'\xef\xbb\xbf', b'\xc3\xa9', b'"\xc3\xa9"', b'\xc0\x80', b'"\xc0\xaf"', b'"\xe0\x80\x80"',
    b'"\xed\xa0\x80"', b'"\xed\x9f\xbf"', b'"\xee\x80\x80"', b'"\xf0\x80\x80\x80"',
    b'"\xf4\x8f\xbf\xbf"', b'"\xf4\x90\x80\x80"', b'"\xf5\x80\x80\x80"', b'"\x80"', b'"\xff"',
    b'"\x1f"', b'"\x7f"', b'//', b'/**/', b"'a'", b'\xc2\xa0', b'\xe2\x80\xa8',
]


def refuse(_):
    raise ValueError('not JSON')


def text_of(value):
    """Raise ValueError if a string in `value` is no text (holds a lone surrogate)."""
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, str):
            item.encode()
        elif isinstance(item, list):
            todo.extend(item)
        elif isinstance(item, Pairs):
            for name, member in item.pairs:
                name.encode()
                todo.append(member)


class Pairs:
    """An object with its duplicate names."""

    def __init__(self, pairs):
        self.pairs = pairs


def depth_of(text):
    """The deepest nesting of a text that is JSON."""
    depth = deepest = 0
    for token in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', text):
        if token[0] in '[{':
            depth += 1
            deepest = max(deepest, depth)
        elif token[0] in ']}':
            depth -= 1
    return deepest


def expect(raw):
    """The line that the checker should print; only "no" if it should refuse."""
    try:
        text = raw.decode('utf-8')
        value = json.loads(text, parse_constant=refuse, object_pairs_hook=Pairs)
        text_of(value)
    except ValueError:
        return 'no'
    if depth_of(text) > DEPTH:
        return 'no'
    if isinstance(value, str):
        quoted = quote(value)
        return f'ok string {value.encode().hex()} {quoted.encode().hex()}'
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        whole = str(value) if isinstance(value, int) and -2**63 <= value < 2**63 else '-'
        number = float(text)
        if number in (float('inf'), float('-inf')):
            return f'ok number {whole} - -'
        return f'ok number {whole} {number.hex()} {number!r}'
    return 'ok'


def quote(text):
    return json.dumps(text, ensure_ascii=False)


def mutate(rng, raw):
    raw = bytearray(raw)
    for _ in range(rng.randint(1, 3)):
        place = rng.randint(0, len(raw))
        kind = rng.randrange(5)
        if kind == 0:
            raw[place:place] = rng.choice(PIECES)
        elif kind == 1:
            del raw[place:place + rng.randint(1, 4)]
        elif kind == 2 and place < len(raw):
            raw[place] = rng.randrange(256)
        elif kind == 3 and place < len(raw):
            raw[place] ^= 1 << rng.randrange(8)
        else:
            del raw[place:]
    return bytes(raw)


def number(rng):
    kind = rng.randrange(7)
    if kind == 0:
        return repr(struct.unpack('>d', rng.randbytes(8))[0]).encode()
    if kind == 1:
        digits = ''.join(rng.choice('0123456789') for _ in range(rng.randint(1, 40)))
        return f'{rng.choice(["", "-"])}{digits.lstrip("0") or "0"}'.encode()
    if kind == 2:
        return f'{rng.randrange(10**18)}.{rng.randrange(10**12)}e{rng.randint(-345, 320)}'.encode()
    if kind == 3:
        # Exactly halfway between two doubles, or a hair beside it.
        low = struct.unpack('>d', struct.pack('>Q', rng.randrange(1, 0x7fe << 52)))[0]
        numerator, denominator = low.as_integer_ratio()
        shift = 52 - (numerator.bit_length() - 1)
        if shift > 0:
            numerator, denominator = numerator << shift, denominator << shift
        numerator, denominator = 2 * numerator + 1, 2 * denominator
        scale = denominator.bit_length() - 1
        digits = str(numerator * 5**scale) + rng.choice(['', '0', '1', '0' * 900 + '1'])
        extra = len(digits) - len(str(numerator * 5**scale))
        return f'{digits}e{-scale - extra}'.encode()
    if kind == 4:
        return repr(2.0 ** rng.randint(-1074, 1023)).encode()
    if kind == 5:
        return repr(5e-324 * rng.randrange(1 << rng.randint(1, 52))).encode()
    zeros = '0' * rng.randint(300, 700)
    return rng.choice([f'0.{zeros}1e{len(zeros)}', f'1{zeros}e-{len(zeros)}',
                       f'1{zeros}', f'0.{zeros}']).encode()


def nested(rng):
    depth = rng.choice([999, 1000, 1001, 1500])
    opening, closing = b'', b''
    for _ in range(depth):
        if rng.randrange(2):
            opening, closing = opening + b'[', b']' + closing
        else:
            opening, closing = opening + b'{"":', b'}' + closing
    return opening + rng.choice([b'0', b'"["', b'null']) + closing


def cases(rng, count):
    yield from (raw for _, _, raw in read_corpus(os.path.join(COMPAT, 'json_corpus.txt')))
    yield from SEEDS
    yield from PIECES
    for seed in SEEDS:
        for end in range(len(seed)):
            yield seed[:end]
    for byte in range(256):
        yield bytes([byte])
        yield b'"' + bytes([byte]) + b'"'
        yield b'"\\' + bytes([byte]) + b'"'
        yield b'1' + bytes([byte])
    for unit in range(0, 0x10000, 0x40):
        yield b'"\\u%04x"' % unit
        yield b'"\\ud83d\\u%04X"' % unit
    for _ in range(count):
        kind = rng.randrange(8)
        if kind < 3:
            yield mutate(rng, rng.choice(SEEDS))
        elif kind == 3:
            yield b''.join(rng.choice(PIECES) for _ in range(rng.randint(1, 8)))
        elif kind == 4:
            yield b'"' + rng.randbytes(rng.randint(1, 5)) + b'"'
        else:
            yield number(rng)
    for _ in range(20):
        yield nested(rng)


def main():
    checker = sys.argv[1]
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 20000
    print(f'seed {seed}')
    sys.setrecursionlimit(10000)
    sys.set_int_max_str_digits(0)

    texts = list(cases(random.Random(seed), count))
    stream = b''.join(struct.pack('>I', len(raw)) + raw for raw in texts)
    answer = subprocess.run([checker], input=stream, stdout=subprocess.PIPE, check=True)
    lines = answer.stdout.decode().split('\n')[:-1]
    if len(lines) != len(texts):
        sys.exit(f'{len(texts)} texts, {len(lines)} verdicts')

    wrong = accepted = 0
    for raw, line in zip(texts, lines):
        wanted = expect(raw)
        accepted += wanted != 'no'
        if wanted.startswith('ok number') and line.startswith('ok number'):
            # Both write hexadecimal floats, but not with the same zeros.
            same = [float.fromhex(part) if 'x' in part else part for part in line.split(' ')] == \
                   [float.fromhex(part) if 'x' in part else part for part in wanted.split(' ')]
        else:
            same = line == wanted or wanted == 'no' and line.startswith('no ')
        if not same:
            wrong += 1
            print(f'{raw[:200]!r}\n    wanted {wanted[:200]}\n    got    {line[:200]}')
    print(f'{len(texts)} texts, {accepted} of them JSON, {wrong} judged wrong')
    if wrong or accepted < count // 4 or len(texts) - accepted < count // 4:
        sys.exit(1)


main()
