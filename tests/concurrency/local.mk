# SPDX-License-Identifier: MIT
# Several processes (and threads) on one database, through the public interface alone. Each program
# prints its seed first and its counts last; LXDB_TEST_SCALE makes the runs longer, see harness.h.

concurrency_harness = \
	tests/concurrency/harness.c \
	tests/concurrency/harness_db.c \
	tests/concurrency/harness.h

concurrency_programs = \
	tests/concurrency/open_storm \
	tests/concurrency/readers_writer_compaction \
	tests/concurrency/lost_update \
	tests/concurrency/fork_handles \
	tests/concurrency/stopped_holder \
	tests/concurrency/pid_namespaces \
	tests/concurrency/threads \
	tests/concurrency/read_only \
	tests/concurrency/helpers_damage \
	tests/concurrency/bounded_space \
	tests/concurrency/copy_while_open \
	tests/concurrency/index_damage

check_PROGRAMS += $(concurrency_programs)
TESTS += $(concurrency_programs)

tests_concurrency_open_storm_SOURCES = tests/concurrency/open_storm.c $(concurrency_harness)
tests_concurrency_open_storm_LDADD = $(TEST_LIBS)

tests_concurrency_readers_writer_compaction_SOURCES = \
	tests/concurrency/readers_writer_compaction.c $(concurrency_harness)
tests_concurrency_readers_writer_compaction_LDADD = $(TEST_LIBS)

tests_concurrency_lost_update_SOURCES = tests/concurrency/lost_update.c $(concurrency_harness)
tests_concurrency_lost_update_LDADD = $(TEST_LIBS)

tests_concurrency_fork_handles_SOURCES = tests/concurrency/fork_handles.c $(concurrency_harness)
tests_concurrency_fork_handles_LDADD = $(TEST_LIBS)

tests_concurrency_stopped_holder_SOURCES = \
	tests/concurrency/stopped_holder.c $(concurrency_harness)
tests_concurrency_stopped_holder_LDADD = $(TEST_LIBS)

tests_concurrency_pid_namespaces_SOURCES = \
	tests/concurrency/pid_namespaces.c $(concurrency_harness)
tests_concurrency_pid_namespaces_LDADD = $(TEST_LIBS)

tests_concurrency_threads_SOURCES = tests/concurrency/threads.c $(concurrency_harness)
tests_concurrency_threads_LDADD = $(TEST_LIBS)

tests_concurrency_read_only_SOURCES = tests/concurrency/read_only.c $(concurrency_harness)
tests_concurrency_read_only_LDADD = $(TEST_LIBS)

# These two put a disk without syncs in the place of the system's.
tests_concurrency_helpers_damage_SOURCES = \
	tests/concurrency/helpers_damage.c \
	tests/concurrency/harm.c \
	tests/concurrency/harm.h \
	$(concurrency_harness)
tests_concurrency_helpers_damage_LDADD = $(TEST_LIBS_INTERNAL)

tests_concurrency_index_damage_SOURCES = \
	tests/concurrency/index_damage.c \
	tests/concurrency/harm.c \
	tests/concurrency/harm.h \
	$(concurrency_harness)
tests_concurrency_index_damage_LDADD = $(TEST_LIBS_INTERNAL)

tests_concurrency_bounded_space_SOURCES = \
	tests/concurrency/bounded_space.c $(concurrency_harness)
tests_concurrency_bounded_space_LDADD = $(TEST_LIBS)

tests_concurrency_copy_while_open_SOURCES = \
	tests/concurrency/copy_while_open.c $(concurrency_harness)
tests_concurrency_copy_while_open_LDADD = $(TEST_LIBS)
