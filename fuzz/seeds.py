#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes data files that lead a scan to each of its decisions: seeds of scan, scan_fixed, open_ops.

Written from docs/format.md. Each file is named by what it reaches; `crash_...` are files of a
crashed session. The conformance files of tests/compat, crash images of the simulated disk
(FUZZ_IMAGES of the replayed target recover) and what the fuzzers have found stand beside them.

usage: seeds.py FOLDER        writes the files of scan there
       seeds.py FOLDER PREFIX with the bytes PREFIX (in hex) in front, for other targets
"""
import os
import struct
import sys
import zlib

FILES = {}


def record(key, value=b"", status=1, born=None):
    """A whole record."""
    head = struct.pack(">BHI", status if born is None else born, len(key), len(value))
    body = head + key + value
    return bytes([status]) + body[1:] + struct.pack(">I", zlib.crc32(body))


def marker(key):
    return record(key, b"", 0)


def bad(key, value, flip=-1):
    """A damaged record: one byte is another."""
    whole = bytearray(record(key, value))
    whole[flip] ^= 0xff
    return bytes(whole)


def head(key_len, value_len, status=1):
    return struct.pack(">BHI", status, key_len, value_len)


class Log:
    """Parts of a log; a part that is a function is called with its own offset."""

    def __init__(self, *parts):
        self.data = bytearray(b"LXDB\0\1\0\0\0\0")
        self.marks = []
        for part in parts:
            self.marks.append(len(self.data))
            self.data += part(len(self.data)) if callable(part) else part
        self.marks.append(len(self.data))

    def crashed(self, boundary, shift=0):
        word = shift << 27 | boundary >> shift
        self.data[6:10] = struct.pack(">I", word)
        return self


def group(count, size, expiry=0, off=None):
    """A GROUP, made for the place where it stands."""
    return lambda at: record(b"\0lxdb", struct.pack(
        ">cQIQq", b"G", at if off is None else off, count, size, expiry), 0)


def pad(filler):
    return lambda at: record(b"\0lxdb", struct.pack(">cQ", b"P", at) + filler, 0)


def save(name, log):
    FILES[name] = bytes(log.data if isinstance(log, Log) else log)


A, B, C = record(b"a", b"1"), record(b"bb", b"22"), record(b"c", b"")
BIG = record(b"big", bytes(range(256)) * 3)
DEAD_BIG = record(b"big", bytes(range(256)) * 3, 0)


def groups():
    one = record(b"k", b"v")
    two = one + marker(b"k")
    mine = len(one)
    for name, parts in {
            "complete": (group(2, len(two)), two),
            "of_none": (group(0, 0), A),
            "of_none_with_bytes": (group(0, 12), A),
            "bytes_beyond_the_file": (group(1, 1 << 40), A),
            "bytes_too_many": (group(1, mine + 1), one, A),
            "bytes_too_few": (group(2, mine), two),
            "count_too_small": (group(1, len(two)), two),
            "record_beyond_its_bytes": (group(1, mine - 2), one),
            "torn": (group(2, len(two)), one, marker(b"k")[:-1]),
            "of_one_with_expiry": (group(1, mine, 5), one),
            "of_one_for_another_length": (group(1, mine + 3, 5), one),
            "of_another_offset": (group(1, mine, 5, off=77), one),
            "nested": (group(2, 45 + mine), group(1, mine, 9), one),
            "nested_of_two": (group(3, 45 + 2 * mine), group(2, 2 * mine, 9), one, one),
            "nested_with_other_bytes": (group(2, 45 + mine), group(1, mine + 1, 9), one),
            "nested_with_no_bytes": (group(2, 45 + mine), group(1, 0, 9), one),
            "nested_at_the_end": (group(1, 45), group(1, mine, 9), one),
            "nested_twice": (group(3, 90 + mine), group(1, 45), group(1, mine), one),
    }.items():
        log = Log(A, *parts, B)
        save("crash_group_" + name, log.crashed(log.marks[1]))
    log = Log(A, group(2, len(two)), one, bad(b"k", b"v"), B)
    save("crash_group_rotten_below_w", log.crashed(log.marks[-1]))
    for name, parts in {
            "rotten": (group(1, mine, 7), bad(b"k", b"v"), A),
            "of_another_length": (group(1, mine + 3, 7), one, A),
            "of_a_marker": (group(1, len(marker(b"k")), 7), marker(b"k"), A),
    }.items():
        log = Log(one, *parts, B)
        save("expiry_" + name, log)
        save("crash_expiry_below_w_" + name, log.crashed(log.marks[-1]))
    save("group_in_a_closed_file", Log(group(1, mine, 1), one, marker(b"a"), pad(b"filler"), A))
    save("control_records_that_are_none",
         Log(record(b"\0lxdb", b"G", 0), record(b"\0lxdb", b"G" * 20, 0),
             lambda at: record(b"\0lxdb", struct.pack(">cQ", b"X", at), 0),
             lambda at: record(b"\0lxdb", struct.pack(">cQ", b"G", at), 0),
             lambda at: record(b"\0lxdb", struct.pack(">cQ", b"P", at), 1),
             record(b"\0lxdc", b"G" * 29, 0), A))


def watermarks():
    log = Log(A, B, C, marker(b"a"), record(b"bb", b"22", 0, 1))
    for name, boundary in (("below_the_header", 3), ("at_10", 10), ("in_a_record", 20),
                           ("at_the_end", log.marks[-1]), ("beyond_the_end", 5000)):
        log.crashed(boundary)
        save("crash_w_" + name, log)
    log.data[6:10] = struct.pack(">I", 3 << 27)
    save("crash_w_of_no_mantissa", log)
    for shift in (1, 2, 3, 4, 5, 31):
        save(f"crash_w_rounded_{shift}", log.crashed(log.marks[2], shift))
    for name, parts in {
            "rot": (A, bad(b"x", b"yy"), B, C, A),
            "rot_at_its_place": (A, B, bad(b"x", b"yy"), b"\xee" * 40, A),
            "rot_to_the_end": (A, b"\xee" * 90),
            "rot_with_records_behind": (A, b"\xee" * 30, B, C, B, A),
            "rot_that_leads_to_its_place": (A, bad(b"x", record(b"in", b"ner")), B, C),
    }.items():
        for shift in (0, 3, 5):
            log = Log(*parts)
            middle = log.marks[len(log.marks) // 2]
            save(f"crash_{name}_{shift}", log.crashed(middle, shift))
            save(f"crash_{name}_{shift}_w_last", log.crashed(log.marks[-2], shift))


def with_length(whole, key_len=None, value_len=None):
    """A record in which a length is another."""
    k, v = struct.unpack_from(">HI", whole, 1)
    return struct.pack(">BHI", whole[0], k if key_len is None else key_len,
                       v if value_len is None else value_len) + whole[7:]


def astray():
    """Damaged lengths that lead to a whole record in the value or key of their own record."""
    inner = b"." * 6 + record(b"in", b"ner") + b"." * 20
    for status in (0, 1):
        for name, filler in (("", b""), ("_large", b"," * 700)):
            save(f"astray_value_{status}{name}",
                 Log(A, with_length(record(b"v", inner + filler, status), value_len=2), B, C))
            save(f"astray_key_{status}{name}",
                 Log(A, with_length(record(inner + filler, b"v", status), key_len=1), B, C))
            save(f"astray_and_rotten_{status}{name}",
                 Log(A, with_length(bad(b"v", inner + filler), value_len=2), B, C))


def damage():
    into = record(b"v", b"." * 6 + record(b"in", b"ner") + b"." * 20)
    for name, parts in {
            "crc": (A, bad(b"x", b"yy"), B),
            "status": (A, b"\7" + B[1:], C),
            "key_length_0": (A, head(0, 5), b"fivexxxx", B),
            "length_beyond_the_file": (A, head(1, 1 << 31) + b"xyz1", B, C),
            "length_that_passes_32_bits": (A, head(9, (1 << 32) - 8) + b"x" * 30, B),
            "length_into_a_value": (A, head(1, 16) + b"x" * 7, into, B),
            "length_into_a_value_too_long": (A, head(1, 17) + b"x" * 8, into, B),
            "length_of_key_into_a_value": (A, head(4, 13) + b"x" * 7, into, B),
            "length_over_whole_records": (A, head(1, 2 + len(B + C)) + b"xyy" + b"crc.", B, C, A),
            "length_over_records_to_the_end": (A, head(1, 2 + len(B + C)) + b"xyy" + b"crc.", B,
                                               C),
            "length_to_the_padding": (A, head(1, 2 + len(B + C) + 3) + b"xyy" + b"crc.", B, C,
                                      b"\0" * 5),
            "garbage": (A, b"\xee" * 33, B, C),
            "zeros_in_the_middle": (A, b"\0" * 64, B, C),
            "two_places": (A, b"\xee" * 9, B, bad(b"x", b"yy"), C, b"\xdd" * 20, A),
            "second_on_the_way": (A, b"\xee" * 9, B, bad(b"x", b"yy"), C),
            "torn_end": (A, B, BIG[:-30]),
            "large_records": (A, b"\xee" * 9, BIG, DEAD_BIG, A),
            "large_rotten": (A, bad(b"big", b"." * 700), BIG, bad(b"big", b"." * 700), DEAD_BIG,
                             A),
            "large_swallowed": (A, head(1, len(BIG + DEAD_BIG) + 2) + b"xyy" + b"crc.", BIG,
                                DEAD_BIG, A),
            "large_with_another_length": (A, head(3, 777 + 40) + BIG[7:], into * 3, B),
            "large_dead_with_another_length": (A, head(3, 777 + 40, 0) + DEAD_BIG[7:], into * 3,
                                               B),
            "records_in_a_value": (A, bad(b"v", A + B + C), B),
            "file_in_a_value": (A, head(1, 1 << 30) + b"v" + A + B + C + b"crc.", B, A),
            "many_places": (A,) + (b"\xee" * 5, B) * 40,
            "and_torn_end": (A, bad(b"x", b"yy"), B, BIG[:-30]),
            "twice_and_torn_end": (A, bad(b"x", b"yy"), B, bad(b"z", b""), C, b"\xee" * 5, B,
                                   BIG[:-30]),
            "length_into_the_padding": (A, b"\xee" * 9, head(1, 30) + b"x", bytes(60)),
            "large_record_in_a_value": (A, bad(b"v", b"." * 9 + BIG), B, C),
            "last_record": (A, B, bad(b"x", b"yy")),
            "steps": (A, bad(b"x", b"yy") + bad(b"z", b""), B),
    }.items():
        log = Log(*parts)
        save("damage_" + name, log)
        save("crash_damage_" + name, log.crashed(log.marks[-1]))
        if len(log.data) < 400:
            save("crash_damage_rounded_" + name, log.crashed(log.marks[-1], 4))
    save("padding_short", Log(A, B, b"\0" * 9))
    save("header_alone", Log())
    save("zeros", bytes(40))
    save("zeros_and_one", bytes(40) + b"\1")
    save("wrong_magic", b"LXDC" + bytes(30))
    save("other_version", b"LXDB\0\2" + bytes(30))
    save("cut_header", b"LXDB\0\1")


def hostile(size=900):
    """What must take linear work, small: to grow is up to the fuzzer."""
    def chain(fill, step, make):
        data = bytearray(bytes([fill]) * size)
        for at in range(0, size - 40, step):
            part = make(at)
            data[at:at + len(part)] = part
        return bytes(data[:size])

    save("hostile_ones", Log(b"\1" * size))
    save("hostile_threes", Log(b"\0\0\1" * (size // 3)))
    save("hostile_chain", Log(chain(0xee, 12, lambda at: head(1, 0, 0)), head(1, 0, 0) + b"12345"))
    save("hostile_headers_to_the_end", Log(chain(1, 7, lambda at: head(1, size - at - 12))))
    save("hostile_claims", Log(chain(0xee, 32, lambda at: head(1, (size - at) // 2) + b"12345" +
                                     record(b"k", b"12345678"))))
    save("hostile_astray", Log(chain(0xee, 33, lambda at: head(1, 1) + b"123456" +
                                     record(b"k", b"12345678")), record(b"k", b"123456789012")))


def main():
    groups()
    watermarks()
    astray()
    damage()
    hostile()
    prefix = bytes.fromhex(sys.argv[2]) if len(sys.argv) > 2 else b""
    for name, data in FILES.items():
        with open(os.path.join(sys.argv[1], name), "wb") as file:
            file.write(prefix + data)
    print(f"{len(FILES)} files")


main()
