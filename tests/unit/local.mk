# SPDX-License-Identifier: MIT
# Unit tests: one program per module, one block per program. They see all internal symbols.

check_PROGRAMS += tests/unit/error
tests_unit_error_SOURCES = tests/unit/error.c
tests_unit_error_LDADD = $(TEST_LIBS_INTERNAL)
TESTS += tests/unit/error

check_PROGRAMS += tests/unit/byteorder
tests_unit_byteorder_SOURCES = tests/unit/byteorder.c
tests_unit_byteorder_LDADD = $(TEST_LIBS_INTERNAL)
TESTS += tests/unit/byteorder

check_PROGRAMS += tests/unit/crc
tests_unit_crc_SOURCES = tests/unit/crc.c
tests_unit_crc_LDADD = $(TEST_LIBS_INTERNAL)
TESTS += tests/unit/crc

check_PROGRAMS += tests/unit/tags
tests_unit_tags_SOURCES = tests/unit/tags.c
tests_unit_tags_LDADD = $(TEST_LIBS_INTERNAL)
TESTS += tests/unit/tags

check_PROGRAMS += tests/unit/hash
tests_unit_hash_SOURCES = tests/unit/hash.c
tests_unit_hash_LDADD = $(TEST_LIBS_INTERNAL)
TESTS += tests/unit/hash

check_PROGRAMS += tests/unit/file
tests_unit_file_SOURCES = tests/unit/file.c
tests_unit_file_LDADD = $(TEST_LIBS_INTERNAL)
TESTS += tests/unit/file

check_PROGRAMS += tests/unit/io
tests_unit_io_SOURCES = tests/unit/io.c
tests_unit_io_LDADD = $(TEST_LIBS_INTERNAL)
TESTS += tests/unit/io

check_PROGRAMS += tests/unit/map
tests_unit_map_SOURCES = tests/unit/map.c
tests_unit_map_LDADD = $(TEST_LIBS_INTERNAL)
TESTS += tests/unit/map

check_PROGRAMS += tests/unit/ofd
tests_unit_ofd_SOURCES = tests/unit/ofd.c
tests_unit_ofd_LDADD = $(TEST_LIBS_INTERNAL)
TESTS += tests/unit/ofd

check_PROGRAMS += tests/unit/host
tests_unit_host_SOURCES = tests/unit/host.c
tests_unit_host_LDADD = $(TEST_LIBS_INTERNAL)
TESTS += tests/unit/host

check_PROGRAMS += tests/unit/json
tests_unit_json_SOURCES = tests/unit/json.c
tests_unit_json_LDADD = $(TEST_LIBS_INTERNAL)
TESTS += tests/unit/json

check_PROGRAMS += tests/unit/header
tests_unit_header_SOURCES = tests/unit/header.c
tests_unit_header_LDADD = $(TEST_LIBS_INTERNAL)
TESTS += tests/unit/header

check_PROGRAMS += tests/unit/record
tests_unit_record_SOURCES = tests/unit/record.c
tests_unit_record_LDADD = $(TEST_LIBS_INTERNAL)
TESTS += tests/unit/record

check_PROGRAMS += tests/unit/value
tests_unit_value_SOURCES = tests/unit/value.c
tests_unit_value_LDADD = $(TEST_LIBS_INTERNAL)
TESTS += tests/unit/value

check_PROGRAMS += tests/unit/crcrange
tests_unit_crcrange_SOURCES = tests/unit/crcrange.c
tests_unit_crcrange_LDADD = $(TEST_LIBS_INTERNAL)
TESTS += tests/unit/crcrange

check_PROGRAMS += tests/unit/scan
tests_unit_scan_SOURCES = tests/unit/scan.c
tests_unit_scan_LDADD = $(TEST_LIBS_INTERNAL)
TESTS += tests/unit/scan

check_PROGRAMS += tests/unit/scan_conformance
tests_unit_scan_conformance_SOURCES = tests/unit/scan_conformance.c
tests_unit_scan_conformance_LDADD = $(TEST_LIBS_INTERNAL)
TESTS += tests/unit/scan_conformance

check_PROGRAMS += tests/unit/control
tests_unit_control_SOURCES = tests/unit/control.c
tests_unit_control_LDADD = $(TEST_LIBS_INTERNAL)
TESTS += tests/unit/control

check_PROGRAMS += tests/unit/lock
tests_unit_lock_SOURCES = tests/unit/lock.c
tests_unit_lock_LDADD = $(TEST_LIBS_INTERNAL)
tests_unit_lock_LDFLAGS = $(AM_LDFLAGS) \
	-Wl,--wrap=lx_cpu_relax,--wrap=lx_now_ms,--wrap=lx_now_ns,--wrap=lx_ofd_query \
	-Wl,--wrap=lx_futex_wake
TESTS += tests/unit/lock

check_PROGRAMS += tests/unit/log
tests_unit_log_SOURCES = tests/unit/log.c
tests_unit_log_LDADD = $(TEST_LIBS_INTERNAL)
TESTS += tests/unit/log

check_PROGRAMS += tests/unit/index
tests_unit_index_SOURCES = tests/unit/index.c
tests_unit_index_LDADD = $(TEST_LIBS_INTERNAL)
TESTS += tests/unit/index

check_PROGRAMS += tests/unit/split
tests_unit_split_SOURCES = tests/unit/split.c
tests_unit_split_LDADD = $(TEST_LIBS_INTERNAL)
TESTS += tests/unit/split

check_PROGRAMS += tests/unit/durable
tests_unit_durable_SOURCES = tests/unit/durable.c
tests_unit_durable_LDADD = $(TEST_LIBS_INTERNAL)
tests_unit_durable_LDFLAGS = $(AM_LDFLAGS) \
	-Wl,--wrap=lx_futex_wait,--wrap=lx_futex_wake,--wrap=lx_yield,--wrap=lx_now_ns
TESTS += tests/unit/durable

# Calls to the system that are interrupted or refused: the linker leads them to the test.
check_PROGRAMS += tests/unit/refused
tests_unit_refused_SOURCES = tests/unit/refused.c
tests_unit_refused_LDADD = $(TEST_LIBS_INTERNAL)
tests_unit_refused_LDFLAGS = $(AM_LDFLAGS) \
	-Wl,--wrap=open,--wrap=open64,--wrap=openat,--wrap=openat64,--wrap=fcntl,--wrap=fcntl64 \
	-Wl,--wrap=read,--wrap=pread,--wrap=pread64,--wrap=pwrite,--wrap=pwrite64 \
	-Wl,--wrap=ftruncate,--wrap=ftruncate64,--wrap=fallocate,--wrap=fallocate64 \
	-Wl,--wrap=fdatasync,--wrap=fsync,--wrap=msync,--wrap=fstatfs,--wrap=fstatfs64,--wrap=statx \
	-Wl,--wrap=fchmod,--wrap=fchown,--wrap=fgetxattr,--wrap=fsetxattr,--wrap=fremovexattr \
	-Wl,--wrap=getrandom,--wrap=madvise,--wrap=pthread_atfork \
	-Wl,--wrap=strdup,--wrap=strndup,--wrap=malloc,--wrap=realloc
TESTS += tests/unit/refused

check_PROGRAMS += tests/unit/skip
tests_unit_skip_SOURCES = tests/unit/skip.c
tests_unit_skip_LDADD = $(TEST_LIBS_INTERNAL)
tests_unit_skip_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
TESTS += tests/unit/skip
