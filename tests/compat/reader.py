#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A strict reader of closed LXDB files of version 1, from the table of the format alone.

It knows nothing of watermarks, control records, delete markers and expiry: it is what a program of
version 1 sees. Status bytes are believed, dead records are passed over, the last live record of a
key wins. Any byte that is not part of a whole record is an error, padding too.

usage: reader.py [--step] FILE

With --step, bytes that are no whole record are stepped over by the lengths that stand in them, and
counted on stderr: for files that were closed with damage which was reported and left in its place.

Prints KEYHEX<tab>VALUEHEX for each live record, sorted by key bytes. Exit code 1, with a message on
stderr and nothing on stdout, if the file is not well formed to the byte.
"""
import struct
import sys
import zlib

HEADER = struct.Struct(">4sHI")
HEAD = struct.Struct(">BHI")
CRC = struct.Struct(">I")


class Malformed(Exception):
    """What is wrong, and where."""


def records(data, step=False):
    """Yield (status, key, value) of each record behind the header."""
    if len(data) < HEADER.size:
        raise Malformed(f"{len(data)} bytes are no header")
    magic, version, reserved = HEADER.unpack_from(data)
    if magic != b"LXDB":
        raise Malformed("no LXDB magic")
    if version != 1:
        raise Malformed(f"version {version}")
    if reserved != 0:
        raise Malformed(f"reserved field is {reserved:#x}: not closed")
    at = HEADER.size
    while at < len(data):
        if len(data) - at < HEAD.size:
            raise Malformed(f"offset {at}: {len(data) - at} bytes are no record")
        status, key_len, value_len = HEAD.unpack_from(data, at)
        if status not in (0, 1) and not step:
            raise Malformed(f"offset {at}: status {status}")
        if key_len == 0:
            raise Malformed(f"offset {at}: empty key")
        key_at = at + HEAD.size
        value_at = key_at + key_len
        crc_at = value_at + value_len
        if crc_at + CRC.size > len(data):
            raise Malformed(f"offset {at}: record ends at {crc_at + CRC.size}, file at {len(data)}")
        stored, = CRC.unpack_from(data, crc_at)
        possible = (1,) if status == 1 else (1, 0)
        if all(zlib.crc32(data[at + 1:crc_at], zlib.crc32(bytes([born]))) != stored
               for born in possible):
            if not step:
                raise Malformed(f"offset {at}: CRC does not match")
            print(f"reader.py: offset {at}: stepped over", file=sys.stderr)
            at = crc_at + CRC.size
            continue
        yield status, data[key_at:value_at], data[value_at:crc_at]
        at = crc_at + CRC.size


def main():
    step = sys.argv[1:2] == ["--step"]
    if len(sys.argv) != 2 + step:
        print("usage: reader.py [--step] FILE", file=sys.stderr)
        return 2
    live = {}
    try:
        with open(sys.argv[-1], "rb") as file:
            data = file.read()
        for status, key, value in records(data, step):
            if status == 1:
                live[key] = value
    except (OSError, Malformed) as fault:
        print(f"reader.py: {sys.argv[1]}: {fault}", file=sys.stderr)
        return 1
    for key in sorted(live):
        print(f"{key.hex()}\t{live[key].hex()}")
    return 0


sys.exit(main())
