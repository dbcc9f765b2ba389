#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A store of lxdb's design in pure Python, for `make bench-readme` to measure lxdb against.

It writes the file of docs/format.md: an append-only log with a CRC-32 in each record, replaced and
deleted records killed by their status byte, a GROUP before each batch, and the watermark while a
session writes. An index of offsets leads to the records, here a dict. The file is mapped, so that a
change is in the page cache when the call returns, as with lxdb's sync mode none. A lock orders the
writers, readers take none. What lxdb has beyond that is left out, to the advantage of this store:
other processes, repair, damage in the middle of a file. Only the standard library is used: struct,
zlib, json, mmap.

usage: pystore.py DIRECTORY RECORDS

Reads names of rows from standard input, one a line, and answers each with one line: the seconds
that the operations of the row took, a tab, and the check in words; or "failed", a tab, and the
name. The rows are those of bench/rows.c, prepared and verified likewise.
"""
import json
import mmap
import os
import struct
import sys
import threading
import time
from zlib import crc32

HEADER = struct.Struct(">4sHI")
HEAD = struct.Struct(">BHI")
CRC = struct.Struct(">I")
GROUP = struct.Struct(">cQIQq")
CONTROL_KEY = b"\0lxdb"
WATERMARK_AT = 6
CHUNK = 1 << 20  # what the file grows by
JSON_TAG = b"\1"


def check(key):
    if not 1 <= len(key) <= 0xffff:
        raise ValueError(f"a key of {len(key)} bytes")


def encode(status, key, value):
    """A record: struct refuses a value that is too long."""
    body = HEAD.pack(status, len(key), len(value)) + key + value
    return body + CRC.pack(crc32(body))


class Store:
    """A database: bytes to bytes, all methods named after those of lxdb."""

    def __init__(self, path):
        self.path = path
        self.lock = threading.Lock()  # of the writers
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        size = os.fstat(self.fd).st_size
        if size == 0:
            os.write(self.fd, HEADER.pack(b"LXDB", 1, 0))
            os.fsync(self.fd)
            size = HEADER.size
        self.writing = False
        self.dead = 0
        # What readers use, replaced in one step: the mapped file, and the offset by key.
        self.view = mmap.mmap(self.fd, size), {}
        self.scan(size)

    def scan(self, size):
        """Fill the index from a closed file, and find the tail."""
        log, index = self.view
        magic, version, watermark = HEADER.unpack_from(log)
        if (magic, version, watermark) != (b"LXDB", 1, 0):
            raise ValueError(f"{self.path}: not a closed database of version 1")
        data = log[:size]
        view = memoryview(data)
        at = HEADER.size
        while at + HEAD.size <= size:
            status, key_len, value_len = HEAD.unpack_from(data, at)
            key_at = at + HEAD.size
            value_at = key_at + key_len
            value_end = value_at + value_len
            end = value_end + CRC.size
            if key_len == 0 or end > size:
                break
            if status == 1:
                if crc32(view[at:value_end]) != CRC.unpack_from(data, value_end)[0]:
                    break
                index[data[key_at:value_at]] = at
            else:
                if value_len == 0:
                    index.pop(data[key_at:value_at], None)
                self.dead += end - at
            at = end
        self.tail = at

    # ---- One record ------------------------------------------------------------------------------

    def read(self, key):
        log, index = self.view
        at = index.get(key)
        if at is None:
            return None
        _, key_len, value_len = HEAD.unpack_from(log, at)
        value_at = at + HEAD.size + key_len
        return log[value_at:value_at + value_len]

    def append(self, data):
        """Put bytes at the end of the log; returns where they are."""
        log = self.view[0]
        if not self.writing:
            log[WATERMARK_AT:WATERMARK_AT + 4] = CRC.pack(self.tail)
            os.fdatasync(self.fd)
            self.writing = True
        at = self.tail
        end = at + len(data)
        if end > len(log):
            log.resize((end // CHUNK + 1) * CHUNK)
        log[at:end] = data
        self.tail = end
        return at

    def kill(self, at):
        log = self.view[0]
        _, key_len, value_len = HEAD.unpack_from(log, at)
        log[at] = 0
        self.dead += HEAD.size + key_len + value_len + CRC.size

    def put(self, key, record, old):
        at = self.append(record)
        if old is not None:
            self.kill(old)
        self.view[1][key] = at

    def create(self, key, value):
        check(key)
        record = encode(1, key, value)
        with self.lock:
            if key in self.view[1]:
                return False
            self.put(key, record, None)
        return True

    def update(self, key, value):
        check(key)
        record = encode(1, key, value)
        with self.lock:
            old = self.view[1].get(key)
            if old is None:
                return False
            self.put(key, record, old)
        return True

    def write(self, key, value):
        check(key)
        record = encode(1, key, value)
        with self.lock:
            self.put(key, record, self.view[1].get(key))

    def delete(self, key):
        check(key)
        marker = encode(0, key, b"")
        with self.lock:
            old = self.view[1].get(key)
            if old is None:
                return False
            self.append(marker)
            self.kill(old)
            del self.view[1][key]
            self.dead += len(marker)
        return True

    # ---- Batches: the caller has the lock --------------------------------------------------------

    def commit(self, records):
        """Append the records of a batch behind a GROUP, at once; returns where they begin."""
        data = b"".join(records)
        group = encode(0, CONTROL_KEY, GROUP.pack(b"G", self.tail, len(records), len(data), 0))
        self.dead += len(group)
        return self.append(group + data) + len(group)

    def put_all(self, pairs, records):
        at = self.commit(records)
        index = self.view[1]
        for (key, _), record in zip(pairs, records):
            old = index.get(key)
            if old is not None:
                self.kill(old)
            index[key] = at
            at += len(record)

    def encode_all(self, pairs):
        for key, _ in pairs:
            check(key)
        return [encode(1, key, value) for key, value in pairs]

    def batch_write(self, pairs):
        records = self.encode_all(pairs)
        with self.lock:
            self.put_all(pairs, records)

    def batch_create(self, pairs):
        """Returns None, or the position of the first key that is there already."""
        records = self.encode_all(pairs)
        with self.lock:
            index = self.view[1]
            for position, (key, _) in enumerate(pairs):
                if key in index:
                    return position
            self.put_all(pairs, records)
        return None

    def batch_delete(self, keys):
        """Returns how many of the keys were there."""
        with self.lock:
            index = self.view[1]
            found = [key for key in keys if key in index]
            markers = [encode(0, key, b"") for key in found]
            self.commit(markers)
            for key, marker in zip(found, markers):
                self.kill(index.pop(key))
                self.dead += len(marker)
        return len(found)

    def clear(self):
        return self.batch_delete(list(self.view[1]))

    def keys(self):
        return self.view[1].keys()

    # ---- Upkeep ----------------------------------------------------------------------------------

    def compact(self):
        """Copy the live records, in their order, to a new file, and put it in place."""
        with self.lock:
            log, index = self.view
            temporary = self.path + "-new"
            fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            parts = [b""]
            moved = {}
            tail = HEADER.size
            for key, at in sorted(index.items(), key=lambda item: item[1]):
                _, key_len, value_len = HEAD.unpack_from(log, at)
                record = log[at:at + HEAD.size + key_len + value_len + CRC.size]
                if crc32(record[:-CRC.size]) != CRC.unpack_from(record, len(record) - CRC.size)[0]:
                    raise ValueError(f"{self.path}: offset {at}: CRC does not match")
                parts.append(record)
                moved[key] = tail
                tail += len(record)
            parts[0] = HEADER.pack(b"LXDB", 1, tail if self.writing else 0)
            os.write(fd, b"".join(parts))
            os.fsync(fd)
            os.rename(temporary, self.path)
            folder = os.open(os.path.dirname(self.path), os.O_RDONLY | os.O_DIRECTORY)
            os.fsync(folder)
            os.close(folder)
            os.close(self.fd)
            self.fd = fd
            self.view = mmap.mmap(fd, tail), moved
            self.tail = tail
            self.dead = 0

    def close(self):
        log = self.view[0]
        if self.writing:
            os.fdatasync(self.fd)
            log[WATERMARK_AT:WATERMARK_AT + 4] = CRC.pack(0)
        log.close()
        if self.writing:
            os.truncate(self.fd, self.tail)
            os.fdatasync(self.fd)
        os.close(self.fd)


class Typed:
    """Python values as JSON in a store, or in a namespace of it."""

    def __init__(self, store, namespace=None):
        self.store = store
        self.prefix = b"" if namespace is None else namespace + b"\0"

    def set(self, key, value):
        self.store.write(self.prefix + key, JSON_TAG + json.dumps(value).encode())

    def get(self, key):
        stored = self.store.read(self.prefix + key)
        if stored is None:
            return None
        if stored[:1] != JSON_TAG:
            raise TypeError("the value is not JSON")
        return json.loads(stored[1:])

    def exists(self, key):
        return self.prefix + key in self.store.keys()

    def batch_set(self, pairs):
        prefix = self.prefix
        self.store.batch_write(
            [(prefix + key, JSON_TAG + json.dumps(value).encode()) for key, value in pairs])

    def batch_delete(self, keys):
        prefix = self.prefix
        return self.store.batch_delete([prefix + key for key in keys])

    def count(self):
        prefix = self.prefix
        return sum(key.startswith(prefix) for key in self.store.keys())

    def clear(self):
        prefix = self.prefix
        return self.store.batch_delete([key for key in self.store.keys() if key.startswith(prefix)])


# ---- The rows, as in bench/rows.c ---------------------------------------------------------------

FRESH_BYTES = 32 << 20
COMPACT_VERSIONS = 8
FIRST, SAME, OTHER = "created", "updated", "updated with another size"
WRITTEN, TYPED, BATCHED = "written", "typed", "stored by a batch"


class Wrong(Exception):
    """A row's check failed."""


def verify(truth):
    if not truth:
        raise Wrong


class Rows:
    """Each row is a generator: prepare, yield (twice, around what is timed), verify, yield."""

    def __init__(self, folder, n):
        self.folder = folder
        self.n = n
        self.made = 0
        self.store = None
        self.begin_afresh()

    # ---- States to begin from ----

    def begin_afresh(self):
        if self.store is not None:
            self.store.close()
            os.unlink(self.path)
        self.made += 1
        self.path = os.path.join(self.folder, f"python-{self.made}.lxdb")
        self.attach(Store(self.path))
        self.store.write(b"session", b"")
        self.store.delete(b"session")

    def attach(self, store):
        self.store = store
        self.root = Typed(store)
        self.space = Typed(store, b"agent")

    def begin_empty(self):
        if self.store.tail > FRESH_BYTES:
            self.begin_afresh()
        else:
            self.store.clear()

    def keys(self, prefix):
        return [b"%s_%06d" % (prefix, i) for i in range(self.n)]

    def value(self, i, version):
        return {"id": i, "name": f"item {i}", "score": i % 100 + 0.5, "active": i % 2 != 0,
                "note": version}

    def typed(self, prefix, version):
        return [(key, self.value(i, version)) for i, key in enumerate(self.keys(prefix))]

    def raw(self, prefix, version):
        return [(key, json.dumps(value).encode()) for key, value in self.typed(prefix, version)]

    def begin_with(self, prefix, version):
        self.begin_empty()
        pairs = self.raw(prefix, version)
        self.store.batch_write(pairs)
        return pairs

    def begin_typed(self, version):
        self.begin_empty()
        pairs = self.typed(b"key", version)
        self.root.batch_set(pairs)
        return pairs

    def begin_with_space(self):
        self.begin_typed(BATCHED)
        pairs = self.typed(b"item", TYPED)
        self.space.batch_set(pairs)
        return pairs

    # ---- Checks ----

    def raw_equal(self, pairs):
        read = self.store.read
        verify(all(read(key) == value for key, value in pairs))
        return f"all {self.n} values verified"

    def typed_equal(self, typed, pairs):
        get = typed.get
        verify(all(get(key) == value for key, value in pairs))
        return f"all {self.n} values verified"

    def counts(self, wanted):
        verify(len(self.store.keys()) == wanted)

    # ---- Raw rows ----

    def create(self):
        self.begin_empty()
        pairs = self.raw(b"key", FIRST)
        create = self.store.create
        yield
        for key, value in pairs:
            create(key, value)
        yield
        verify(not create(pairs[0][0], b"other"))
        self.counts(self.n)
        yield self.raw_equal(pairs) + ", duplicate create blocked"

    def read(self):
        pairs = self.begin_with(b"key", FIRST)
        keys = [key for key, _ in pairs]
        read = self.store.read
        yield
        results = [read(key) for key in keys]
        yield
        verify(results == [value for _, value in pairs] and read(b"missing") is None)
        yield f"all {self.n} values verified, missing key refused"

    def update(self, old, new):
        self.begin_with(b"key", old)
        pairs = self.raw(b"key", new)
        update = self.store.update
        yield
        for key, value in pairs:
            update(key, value)
        yield
        verify(not update(b"missing", b"x"))
        self.counts(self.n)
        yield self.raw_equal(pairs) + ", missing key refused"

    def update_same(self):
        return self.update(FIRST, SAME)

    def update_diff(self):
        return self.update(SAME, OTHER)

    def write(self):
        self.begin_with(b"key", OTHER)
        half = self.n // 2
        pairs = self.raw(b"key", WRITTEN)[:half] + self.raw(b"new", WRITTEN)[half:]
        write = self.store.write
        yield
        for key, value in pairs:
            write(key, value)
        yield
        self.counts(2 * self.n - half)
        yield self.raw_equal(pairs) + ", half of the keys new"

    def delete(self):
        keys = [key for key, _ in self.begin_with(b"key", WRITTEN)]
        delete = self.store.delete
        yield
        for key in keys:
            delete(key)
        yield
        verify(not delete(keys[0]))
        self.counts(0)
        yield f"all {self.n} keys gone, second delete refused"

    def batch_create(self):
        self.begin_typed(BATCHED)
        pairs = self.raw(b"new", BATCHED)
        yield
        self.store.batch_create(pairs)
        yield
        verify(self.store.batch_create([(b"fresh", b"x"), (pairs[0][0], b"x")]) == 1)
        self.counts(2 * self.n)
        yield self.raw_equal(pairs) + ", batch with a duplicate refused whole"

    def batch_delete(self):
        self.begin_typed(BATCHED)
        pairs = self.raw(b"new", BATCHED)
        self.store.batch_create(pairs)
        keys = [key for key, _ in pairs]
        yield
        deleted = self.store.batch_delete(keys)
        yield
        verify(deleted == self.n and not any(key in self.store.keys() for key in keys))
        self.counts(self.n)
        yield f"all {self.n} keys gone, the others kept"

    # ---- Typed rows, and those of a namespace ----

    def set_all(self, typed, pairs):
        set_one = typed.set
        for key, value in pairs:
            set_one(key, value)

    def typed_set(self):
        self.begin_empty()
        pairs = self.typed(b"key", TYPED)
        yield
        self.set_all(self.root, pairs)
        yield
        self.counts(self.n)
        yield self.typed_equal(self.root, pairs)

    def get_all(self, typed, pairs):
        keys = [key for key, _ in pairs]
        get = typed.get
        yield
        results = [get(key) for key in keys]
        yield
        verify(results == [value for _, value in pairs])
        yield f"all {self.n} values verified"

    def typed_get(self):
        pairs = self.begin_typed(TYPED)
        return self.get_all(self.root, pairs)

    def batch_set(self):
        self.begin_typed(TYPED)
        pairs = self.typed(b"key", BATCHED)
        yield
        self.root.batch_set(pairs)
        yield
        self.counts(self.n)
        yield self.typed_equal(self.root, pairs)

    def ns_set(self):
        self.begin_typed(BATCHED)
        pairs = self.typed(b"item", TYPED)
        yield
        self.set_all(self.space, pairs)
        yield
        verify(not any(self.root.exists(key) for key, _ in pairs))
        verify(self.space.count() == self.n)
        yield self.typed_equal(self.space, pairs) + ", root sees none of them"

    def ns_get(self):
        pairs = self.begin_with_space()
        return self.get_all(self.space, pairs)

    def ns_batch_set(self):
        self.begin_with_space()
        pairs = self.typed(b"item", BATCHED)
        yield
        self.space.batch_set(pairs)
        yield
        verify(self.space.count() == self.n)
        yield self.typed_equal(self.space, pairs)

    def ns_batch_delete(self):
        keys = [key for key, _ in self.begin_with_space()]
        yield
        deleted = self.space.batch_delete(keys)
        yield
        verify(deleted == self.n and self.space.count() == 0)
        yield f"all {self.n} keys gone"

    def ns_clear(self):
        self.begin_with_space()
        yield
        deleted = self.space.clear()
        yield
        verify(deleted == self.n and self.space.count() == 0)
        self.counts(self.n)
        yield f"all {self.n} keys gone, root untouched"

    # ---- Upkeep ----

    def compact(self):
        self.begin_afresh()
        pairs = self.typed(b"key", BATCHED)
        for _ in range(COMPACT_VERSIONS + 1):
            self.root.batch_set(pairs)
        dead = self.store.dead
        yield
        self.store.compact()
        yield
        self.counts(self.n)
        yield self.typed_equal(self.root, pairs) + f", dead bytes {dead} -> {self.store.dead}"

    def reopen(self):
        self.begin_afresh()
        pairs = self.typed(b"key", BATCHED)
        self.root.batch_set(pairs)
        yield
        self.store.close()
        store = Store(self.path)
        yield
        self.attach(store)
        self.counts(self.n)
        yield self.typed_equal(self.root, pairs) + ", closed and opened"


def run(rows, name):
    """Prepare, time and verify one row."""
    phases = getattr(rows, name)()
    next(phases)
    start = time.perf_counter()
    next(phases)
    seconds = time.perf_counter() - start
    return seconds, next(phases)


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    rows = Rows(sys.argv[1], int(sys.argv[2]))
    for line in sys.stdin:
        name = line.strip()
        try:
            seconds, check = run(rows, name)
            print(f"{seconds:.9f}\t{check}", flush=True)
        except Wrong:
            print(f"failed\t{name}", flush=True)
    rows.store.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
