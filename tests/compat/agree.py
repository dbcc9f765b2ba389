#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The library and believe.py agree on what a file holds: on every conformance file, and on random
logs, most of them crashed, damaged or both.

Both know the format page; they share no line of code. A log is made of puts, deletes, killed and
foreign dead records, batches, expiries, fillers, values that hold records, and padding; its
watermark is zero, a record boundary, or anything; then bits flip, ranges become zeros or noise,
lengths swallow what follows, ends are cut. The tool exports it.

Environment: LXDB (the tool), LXDB_TEST_SEED, LXDB_TEST_SCALE, LXDB_TEST_SECONDS.
usage: agree.py [--keep]        with --keep the file of a failure stays
"""
import glob
import os
import random
import struct
import subprocess
import sys
import tempfile
import time
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import believe  # noqa: E402

LOGS = 400
KEYS = [b"a", b"b", b"key", b"ns\0key", b"longer key", believe.CONTROL_KEY]
PAST, FUTURE = 1, 4102444800000  # 1970 and 2100


def record(status, key, value, born=None):
    """The bytes of a record, whose CRC was made with the status `born`."""
    born = status if born is None else born
    body = struct.pack(">HI", len(key), len(value)) + key + value
    return bytes([status]) + body + struct.pack(">I", zlib.crc32(bytes([born]) + body))


def control(at, kind, rest):
    return record(0, believe.CONTROL_KEY, kind + struct.pack(">Q", at) + rest)


def group(at, count, size, expiry=0):
    return control(at, b"G", struct.pack(">IQq", count, size, expiry))


class Log:
    """A log in the making, and where its records begin."""

    def __init__(self, rng):
        self.rng = rng
        self.data = bytearray(b"LXDB\0\1\0\0\0\0")
        self.bounds = [believe.HEADER]

    def add(self, *records):
        for one in records:
            self.data += one
            self.bounds.append(len(self.data))

    def value(self):
        kind = self.rng.random()
        if kind < 0.08:  # what is in this log already, or could be
            start = self.rng.choice(self.bounds)
            return bytes(self.data[start:start + self.rng.randrange(1, 200)])
        if kind < 0.14:
            return b"".join(record(1, self.rng.choice(KEYS), b"inner") for _ in range(3))
        if kind < 0.2:
            return bytes(self.rng.randrange(1, 40))
        if kind < 0.25:
            return b""
        return self.rng.randbytes(self.rng.randrange(1, 60))

    def put(self):
        return record(1, self.rng.choice(KEYS), self.value())

    def marker(self):
        return record(0, self.rng.choice(KEYS), b"")

    def batch(self):
        inner, at = [], len(self.data) + 45
        for _ in range(self.rng.randrange(1, 5)):
            kind = self.rng.random()
            if kind < 0.2:
                put = self.put()
                inner.append(group(at, 1, len(put), self.rng.choice((PAST, FUTURE))))
                at += 45
                inner.append(put)
            else:
                inner.append(self.put() if kind < 0.8 else self.marker())
            at += len(inner[-1])
        if self.rng.random() < 0.1:  # one that is never complete, if it has to be
            return [group(len(self.data), len(inner) + 1, sum(map(len, inner)))] + inner
        return [group(len(self.data), len(inner), sum(map(len, inner)))] + inner

    def grow(self):
        kind = self.rng.random()
        if kind < 0.45:
            self.add(self.put())
        elif kind < 0.57:
            self.add(self.marker())
        elif kind < 0.70:  # killed
            self.add(record(0, self.rng.choice(KEYS), self.value(), 1))
        elif kind < 0.74:  # killed, with a new CRC
            self.add(record(0, self.rng.choice(KEYS), self.value() or b"x"))
        elif kind < 0.86:
            self.add(*self.batch())
        elif kind < 0.92:
            put = self.put()
            expiry = self.rng.choice((PAST, FUTURE, -5, 0))
            self.add(group(len(self.data), 1, len(put) + (self.rng.random() < 0.1), expiry), put)
        elif kind < 0.96:
            self.add(control(len(self.data), b"P", bytes(self.rng.randrange(0, 50))))
        else:  # no control record: the offset is another's
            self.add(control(len(self.data) + 1, b"G", struct.pack(">IQq", 1, 20, PAST)))

    def watermark(self):
        kind = self.rng.random()
        if kind < 0.3:
            return 0
        if kind < 0.88:
            return self.rng.choice(self.bounds)
        if kind < 0.92:
            return self.rng.randrange(0, len(self.data) + 40)
        if kind < 0.98:  # rounded
            shift = self.rng.randrange(1, 7)
            return shift << 27 | self.rng.randrange(0, (len(self.data) >> shift) + 2)
        return self.rng.randrange(0, 1 << 32)

    def harm(self):
        data, rng = self.data, self.rng
        at = rng.randrange(believe.HEADER, len(data))
        kind = rng.random()
        if rng.random() < 0.15 and len(self.bounds) > 3:  # lengths that swallow what follows
            first, last = sorted(rng.sample(self.bounds, 2))
            key_len = int.from_bytes(data[first + 1:first + 3], "big")
            if first + 7 < len(data):
                struct.pack_into(">I", data, first + 3,
                                 max(0, last - first - believe.OVERHEAD - key_len))
            return
        if kind < 0.35:
            data[at] ^= 1 << rng.randrange(8)
        elif kind < 0.5:
            data[at:at + 30] = bytes(len(data[at:at + 30]))
        elif kind < 0.6:
            data[at:at + 8] = rng.randbytes(len(data[at:at + 8]))
        elif kind < 0.75:  # a head
            at = rng.choice(self.bounds) + rng.randrange(7)
            if at < len(data):
                data[at] = rng.randrange(256)
        elif kind < 0.85:
            data[at:at] = rng.randbytes(rng.randrange(1, 20))
        elif kind < 0.95:
            del data[at:]
        else:
            data[at:at + rng.randrange(1, 60)] = b""


def random_log(rng):
    log = Log(rng)
    for _ in range(rng.randrange(0, 14)):
        log.grow()
    struct.pack_into(">I", log.data, 6, log.watermark())
    if rng.random() < 0.1 and len(log.bounds) > 1:  # a torn end
        del log.data[log.bounds[-2] + rng.randrange(0, 12):]
    for _ in range(rng.choice((0, 0, 1, 1, 2, 3))):
        if len(log.data) > believe.HEADER:
            log.harm()
    log.data += bytes(rng.choice((0, 0, 0, 3, 200, 3000)))
    return bytes(log.data)


def exported(tool, path):
    """What the tool says of a file: lines, or the words of its refusal."""
    done = subprocess.run([tool, path, "export", "--format=hex"], capture_output=True, check=False)
    for suffix in ("", "-lock", "-index", "-lost", "-compact", "-compact-index"):
        if os.path.exists(path + suffix):
            os.unlink(path + suffix)
    if done.returncode == 0:
        return done.stdout.decode().splitlines()
    for words in ("not-a-database", "unsupported-version"):
        if done.returncode == 4 and words in done.stderr.decode():
            return words
    return f"exit code {done.returncode}: {done.stderr.decode()}"


def believed(data):
    try:
        return believe.export(data, time.time() * 1000)
    except believe.Refused as refused:
        return str(refused)


class Counts:
    def __init__(self):
        self.crashed = self.records = self.differ = 0


def compare(counts, tool, path, data, what):
    with open(path, "wb") as file:
        file.write(data)
    got, want = exported(tool, path), believed(data)
    counts.crashed += data[6:10] != b"\0\0\0\0"
    counts.records += len(want) if isinstance(want, list) else 0
    if got == want:
        return
    counts.differ += 1
    print(f"FAILED: {what}: the library says {got}, the format page {want}")
    if "--keep" in sys.argv:
        with open(path + ".kept", "wb") as file:
            file.write(data)
        print(f"  kept in {path}.kept")


def main():
    tool = os.environ.get("LXDB", "./lxdb")
    text = os.environ.get("LXDB_TEST_SEED")
    seed = int(text, 0) if text else random.SystemRandom().getrandbits(48)
    logs = LOGS * int(os.environ.get("LXDB_TEST_SCALE") or 1)
    seconds = int(os.environ.get("LXDB_TEST_SECONDS") or 0)
    began = time.monotonic()
    counts = Counts()
    print(f"seed: LXDB_TEST_SEED={seed:#x}", flush=True)
    here = os.path.dirname(os.path.abspath(__file__))
    folder = tempfile.mkdtemp(prefix="lxdb-agree.")
    path = os.path.join(folder, "agree.lxdb")
    corpus = sorted(glob.glob(os.path.join(here, "conformance", "*.lxdb")))
    for name in corpus:
        with open(name, "rb") as file:
            compare(counts, tool, path, file.read(), os.path.basename(name))
    number = 0
    while time.monotonic() - began < seconds if seconds else number < logs:
        number += 1
        compare(counts, tool, path, random_log(random.Random(f"{seed} {number}")), f"log {number}")
    if not counts.differ or "--keep" not in sys.argv:
        os.rmdir(folder)
    print(f"count: conformance files {len(corpus)}")
    print(f"count: random logs {number}")
    print(f"count: with a watermark {counts.crashed}")
    print(f"count: live records compared {counts.records}")
    print(f"count: differences {counts.differ}")
    low = len(corpus) != 55 or counts.crashed < number // 2 or counts.records < number
    if low:
        print("FAILED: too few to prove anything")
    return 1 if counts.differ or low else 0


if __name__ == "__main__":
    sys.exit(main())
