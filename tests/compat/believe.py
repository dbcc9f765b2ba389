#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a scan believes of a data file in any state: docs/format.md, sections 1 to 5, and no more.

Written from that page alone, bytewise and without a thought for speed, so that it shares neither
code nor cleverness with the library. live(data, now_ms) gives the live records of a file, or raises
Refused with the word pair of section 1.

usage: believe.py FILE     prints KEYHEX<tab>VALUEHEX for each live record, sorted by key bytes
"""
import struct
import sys
import time
import zlib

HEADER = 10
OVERHEAD = 11
CONTROL_KEY = b"\0lxdb"


class Refused(Exception):
    """No file that may be read."""


class BadWatermark(Exception):
    """W is not to be believed (5.1)."""


class Record:
    """A whole record (section 2)."""

    def __init__(self, data, at, key, value, born):
        self.at, self.key, self.value, self.born = at, key, value, born
        self.status = data[at]
        self.end = at + OVERHEAD + len(key) + len(value)
        self.kind = None  # of a control record (section 3)
        if born == 0 and key == CONTROL_KEY and value[1:9] == struct.pack(">Q", at):
            if value[:1] == b"G" and len(value) == 29:
                self.kind = "G"
                self.count, self.bytes, self.expiry = struct.unpack_from(">IQq", value, 9)
            elif value[:1] == b"P" and len(value) >= 9:
                self.kind = "P"


def head(data, at):
    """(status, K, end by these lengths), or None if the file ends before."""
    if at + 7 > len(data):
        return None
    status, key_len, value_len = struct.unpack_from(">BHI", data, at)
    return status, key_len, at + OVERHEAD + key_len + value_len


def whole(data, at):
    """The whole record at an offset, or None."""
    lengths = head(data, at)
    if lengths is None:
        return None
    status, key_len, end = lengths
    if status > 1 or key_len < 1 or end > len(data):
        return None
    crc, = struct.unpack_from(">I", data, end - 4)
    key, value = data[at + 7:at + 7 + key_len], data[at + 7 + key_len:end - 4]
    if zlib.crc32(b"\1" + data[at + 1:end - 4]) == crc:
        return Record(data, at, key, value, 1)
    if status == 0 and zlib.crc32(b"\0" + data[at + 1:end - 4]) == crc:
        return Record(data, at, key, value, 0)
    return None


class Scan:
    """A walk over the file, with the watermark believed or not."""

    def __init__(self, data, watermark, shift):
        self.data, self.watermark, self.shift = data, watermark, shift
        self.records = []
        self.known = {}
        self.data_end = len(data.rstrip(b"\0"))
        self.walk()

    def whole(self, at):
        if at not in self.known:
            self.known[at] = whole(self.data, at)
        return self.known[at]

    def walk(self):
        at = HEADER
        while at < len(self.data):
            record = self.whole(at)
            beyond = self.watermark and at >= self.watermark
            if record is not None and not beyond and self.watermark:
                if self.shift == 0 and at < self.watermark < record.end:
                    raise BadWatermark
            if beyond and (record is None or not self.complete(record)):
                return
            if record is None:
                if not self.watermark and at >= self.data_end:
                    return  # padding
                at = self.behind_damage(at)
                if at is None:
                    return
            else:
                self.records.append(record)
                at = record.end

    def complete(self, record):
        """Whether it is no GROUP, or one with all that it groups (5.3)."""
        if record.kind != "G":
            return True
        at, end = record.end, record.end + record.bytes
        after_one = None  # the GROUP of one whose put has to come next
        for _ in range(record.count):
            inner = self.whole(at) if at < end else None
            if inner is None or inner.end > end:
                return False
            after_one = None
            if inner.kind == "G":
                if inner.count != 1:
                    return False
                after_one = inner
                put = self.whole(inner.end)
                if put is None or put.kind == "G" or put.end > end:
                    return False
                if put.end - put.at != inner.bytes:
                    return False
            at = inner.end
        return at == end and after_one is None

    # ---- damage (5.4) ----

    def is_end(self, at):
        if not self.watermark:
            return self.data_end <= at <= min(self.data_end + 4, len(self.data)) or \
                at == len(self.data)
        if self.shift == 0:
            return at == self.watermark
        return False  # of a rounded W: see leads_to_end()

    def last_end(self):
        """What no chain may pass."""
        if not self.watermark:
            return len(self.data)
        return self.watermark + (1 << self.shift) - 1 if self.shift else self.watermark

    def behind_damage(self, at):
        place = self.by_own_lengths(at)
        if place is None:
            place = self.by_chain(at)
        if place is not None or not self.watermark:
            return place
        if self.shift:
            for place in range(self.watermark, self.watermark + (1 << self.shift)):
                if self.whole(place):
                    return place
        return self.watermark

    def by_own_lengths(self, at):
        lengths = head(self.data, at)
        if lengths is None or lengths[1] < 1:
            return None
        end = lengths[2]
        if end > self.last_end() or not self.is_end(end) and not self.whole(end):
            return None
        near = self.shift and self.watermark <= end  # a rounded W stands for a place like this
        if not self.is_end(end) and not near and not self.leads_to_end(end):
            chain = self.by_chain(at)
            if chain is not None and (chain < end or self.whole_if_ended(at, chain)):
                return chain
        for place in range(at + 1, end):
            here = place
            while self.whole(here):
                here = self.whole(here).end
                if here == end or self.is_end(end) and self.is_end(here):
                    return place
        return end

    def whole_if_ended(self, at, end):
        """Whether the record is whole with another V, or another K, that lets it end there."""
        status, key_len, _ = head(self.data, at)
        value_len, = struct.unpack_from(">I", self.data, at + 3)
        both = end - at - OVERHEAD
        body, crc = self.data[at + 7:end - 4], self.data[end - 4:end]
        for k, v in ((key_len, both - key_len), (both - value_len, value_len)):
            if status <= 1 and 1 <= k <= 0xffff and 0 <= v <= 0xffffffff:
                for born in (0, 1) if status == 0 else (1,):
                    made = struct.pack(">BHI", born, k, v) + body
                    if struct.pack(">I", zlib.crc32(made)) == crc:
                        return True
        return False

    def by_chain(self, at):
        for place in range(at + 1, self.last_end()):
            if self.whole(place) and self.leads_to_end(place):
                return place
        return None

    def leads_to_end(self, at):
        while at < self.last_end():
            lengths = head(self.data, at)
            if lengths is None or lengths[0] > 1 or lengths[1] < 1 or lengths[2] > len(self.data):
                return False
            end = lengths[2]
            if self.watermark and self.shift and end >= self.watermark:
                return end <= self.last_end() and self.whole(at) is not None
            if self.is_end(end):
                return True
            at = end
        return False

    # ---- what is live ----

    def live(self, now_ms):
        found = {}
        group = None
        for record in self.records:
            expiry = 0
            if group is not None and group.count == 1 and group.end == record.at and \
                    record.born == 1 and record.end - record.at == group.bytes:
                expiry = group.expiry
            group = record if record.kind == "G" else None
            if record.kind:
                continue
            if record.born == 1 and (record.status == 1 or self.watermark):
                found[record.key] = (record.value, expiry)
            elif record.born == 0 and not record.value:
                found.pop(record.key, None)
        return {key: value for key, (value, expiry) in found.items()
                if expiry == 0 or expiry > now_ms}


def live(data, now_ms):
    """The live records of a file: {key: value}."""
    if not data.strip(b"\0"):
        return {}
    if len(data) < HEADER or data[:4] != b"LXDB":
        raise Refused("not-a-database")
    version, word = struct.unpack_from(">HI", data, 4)
    if version != 1:
        raise Refused("unsupported-version")
    shift, mantissa = word >> 27, word & 0x7ffffff
    watermark = mantissa << shift
    if watermark < HEADER or watermark > len(data):
        watermark = 0
    try:
        return Scan(data, watermark, shift).live(now_ms)
    except BadWatermark:
        return Scan(data, 0, 0).live(now_ms)


def export(data, now_ms):
    """The lines that `lxdb FILE export --format=hex` prints for such a file."""
    found = live(data, now_ms)
    return [f"{key.hex()}\t{found[key].hex()}" for key in sorted(found)]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: believe.py FILE")
    with open(sys.argv[1], "rb") as file:
        contents = file.read()
    try:
        print("".join(line + "\n" for line in export(contents, time.time() * 1000)), end="")
    except Refused as refusal:
        sys.exit(f"believe.py: {sys.argv[1]}: {refusal}")
