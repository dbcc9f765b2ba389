# SPDX-License-Identifier: MIT
# Death and refusal at every step.

# The core once more, with the steps of its protocols named; kill_steps.c has lx_step().
check_LTLIBRARIES += tests/crash/libsteps.la
tests_crash_libsteps_la_SOURCES = $(lib_libcore_la_SOURCES)
tests_crash_libsteps_la_CPPFLAGS = $(AM_CPPFLAGS) -DLX_STEPS
tests_crash_libsteps_la_LIBADD = $(lib_libcore_la_LIBADD)

check_PROGRAMS += tests/crash/kill_points
tests_crash_kill_points_SOURCES = \
	tests/crash/kill_points.c \
	tests/crash/kill_steps.c \
	tests/crash/kill_steps.h \
	tests/crash/ledger.c \
	tests/crash/ledger.h \
	$(concurrency_harness)
tests_crash_kill_points_LDADD = tests/crash/libsteps.la
TESTS += tests/crash/kill_points

# Who holds the writer lock is seen where the lock is taken and released, and who repairs likewise.
check_PROGRAMS += tests/crash/kill_storm
tests_crash_kill_storm_SOURCES = \
	tests/crash/kill_storm.c \
	tests/crash/diary.c \
	tests/crash/diary.h \
	tests/crash/kill_steps.c \
	tests/crash/kill_steps.h \
	tests/crash/lock_watch.c \
	tests/crash/lock_watch.h \
	$(concurrency_harness)
tests_crash_kill_storm_LDADD = tests/crash/libsteps.la
tests_crash_kill_storm_LDFLAGS = $(AM_LDFLAGS) \
	-Wl,--wrap=lx_lock_try,--wrap=lx_lock_take,--wrap=lx_lock_release \
	-Wl,--wrap=lx_futex_wait,--wrap=lx_ofd_query,--wrap=lx_repair
TESTS += tests/crash/kill_storm

# Whether a process is in a recovery is seen at its entrance.
check_PROGRAMS += tests/crash/openers_race
tests_crash_openers_race_SOURCES = \
	tests/crash/openers_race.c \
	tests/crash/diary.c \
	tests/crash/diary.h \
	tests/crash/kill_steps.c \
	tests/crash/kill_steps.h \
	$(concurrency_harness)
tests_crash_openers_race_LDADD = tests/crash/libsteps.la
tests_crash_openers_race_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=lx_recover
TESTS += tests/crash/openers_race

check_PROGRAMS += tests/crash/faults
tests_crash_faults_SOURCES = \
	tests/crash/fault.c \
	tests/crash/fault.h \
	tests/crash/faults.c \
	tests/crash/ledger.c \
	tests/crash/ledger.h \
	$(concurrency_harness)
tests_crash_faults_LDADD = tests/crash/libsteps.la
tests_crash_faults_LDFLAGS = $(AM_LDFLAGS) \
	-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup \
	-Wl,--wrap=lx_file_rewrites_allocate,--wrap=lx_random64,--wrap=lx_ofd_set \
	-Wl,--wrap=lx_log_reach,--wrap=lx_index_find,--wrap=lx_index_make_room \
	-Wl,--wrap=lx_index_make_room_for_one
TESTS += tests/crash/faults

# A disk without room.
check_PROGRAMS += tests/crash/full_disk
tests_crash_full_disk_SOURCES = \
	tests/crash/full_disk.c \
	tests/crash/ledger.c \
	tests/crash/ledger.h \
	$(concurrency_harness)
tests_crash_full_disk_LDADD = $(TEST_LIBS_INTERNAL)
TESTS += tests/crash/full_disk

# Loss of power, on a simulated disk.
check_PROGRAMS += tests/crash/powerloss
tests_crash_powerloss_SOURCES = \
	tests/crash/powerloss.c \
	tests/crash/simdisk.c \
	tests/crash/simdisk.h
tests_crash_powerloss_LDADD = $(TEST_LIBS_INTERNAL)
TESTS += tests/crash/powerloss

# The order of file operations.
check_PROGRAMS += tests/crash/sync_order
tests_crash_sync_order_SOURCES = tests/crash/sync_order.c $(concurrency_harness)
tests_crash_sync_order_LDADD = $(TEST_LIBS_INTERNAL)
tests_crash_sync_order_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=lx_now_coarse_ms
TESTS += tests/crash/sync_order
dist_check_SCRIPTS += tests/crash/sync_order.sh
TESTS += tests/crash/sync_order.sh

# Every bit of small data files, flipped.
check_PROGRAMS += tests/crash/bit_flips
tests_crash_bit_flips_SOURCES = \
	tests/crash/bit_flips.c \
	tests/crash/handlog.c \
	tests/crash/handlog.h \
	$(concurrency_harness)
tests_crash_bit_flips_LDADD = $(TEST_LIBS_INTERNAL)
TESTS += tests/crash/bit_flips

# What was broken once.
check_PROGRAMS += tests/crash/regressions
tests_crash_regressions_SOURCES = tests/crash/regressions.c $(API_HARNESS)
tests_crash_regressions_LDADD = tests/crash/libsteps.la $(CMOCKA_LIBS)
tests_crash_regressions_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=lx_ofd_set
TESTS += tests/crash/regressions

# Others between two steps, at every run the same.
check_PROGRAMS += tests/crash/at_steps
tests_crash_at_steps_SOURCES = tests/crash/at_steps.c $(API_HARNESS)
tests_crash_at_steps_LDADD = tests/crash/libsteps.la $(CMOCKA_LIBS)
tests_crash_at_steps_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=realloc
TESTS += tests/crash/at_steps

# Puts that end by themselves, repaired and copied.
check_PROGRAMS += tests/crash/expiry
tests_crash_expiry_SOURCES = tests/crash/expiry.c $(API_HARNESS)
tests_crash_expiry_LDADD = $(TEST_LIBS_INTERNAL)
TESTS += tests/crash/expiry
