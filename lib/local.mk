# SPDX-License-Identifier: MIT
# The library: a core that tests see into, and the shared and static library made from it, whose
# symbols are those of the map.

noinst_LTLIBRARIES += lib/libcore.la
lib_libcore_la_SOURCES = \
	lib/api.c \
	lib/base/assert.h \
	lib/base/byteorder.h \
	lib/base/crc.h \
	lib/base/error.c \
	lib/base/error.h \
	lib/base/hash.h \
	lib/base/tags.h \
	lib/base/tsan.h \
	lib/engine/batch.c \
	lib/engine/batch.h \
	lib/engine/close.c \
	lib/engine/commit.c \
	lib/engine/compact.c \
	lib/engine/core.h \
	lib/engine/fork.c \
	lib/engine/get.c \
	lib/engine/get.h \
	lib/engine/helper.c \
	lib/engine/iterate.c \
	lib/engine/open.c \
	lib/engine/ops.h \
	lib/engine/recover.c \
	lib/engine/repair.c \
	lib/engine/session.c \
	lib/engine/stat.c \
	lib/engine/stat.h \
	lib/engine/verify.c \
	lib/engine/verify.h \
	lib/engine/view.c \
	lib/engine/view.h \
	lib/format/crcrange.c \
	lib/format/crcrange.h \
	lib/format/header.c \
	lib/format/header.h \
	lib/format/json.c \
	lib/format/json.h \
	lib/format/record.c \
	lib/format/record.h \
	lib/format/scan.c \
	lib/format/scan.h \
	lib/format/skip.c \
	lib/format/skip.h \
	lib/format/value.c \
	lib/format/value.h \
	lib/json_edge.c \
	lib/store/control.c \
	lib/store/control.h \
	lib/store/durable.c \
	lib/store/durable.h \
	lib/store/fill.c \
	lib/store/fill.h \
	lib/store/index.c \
	lib/store/index.h \
	lib/store/layout.h \
	lib/store/lock.c \
	lib/store/lock.h \
	lib/store/log.c \
	lib/store/log.h \
	lib/store/probe.h \
	lib/store/split.c \
	lib/sys/fds.c \
	lib/sys/fds.h \
	lib/sys/file.c \
	lib/sys/file.h \
	lib/sys/host.c \
	lib/sys/host.h \
	lib/sys/io.c \
	lib/sys/io.h \
	lib/sys/map.c \
	lib/sys/map.h \
	lib/sys/ofd.c \
	lib/sys/ofd.h \
	lib/typed.c \
	lib/typed.h
lib_libcore_la_LIBADD = $(URCU_LIBS) $(DEFLATE_LIBS) $(CJSON_LIBS)

# -z nodelete: threads and fork handlers of ours outlive a dlclose. -version-info is
# current:revision:age; see the libtool manual on when to change which.
lib_LTLIBRARIES += liblxdb.la
liblxdb_la_SOURCES =
liblxdb_la_LIBADD = lib/libcore.la
liblxdb_la_LDFLAGS = $(AM_LDFLAGS) -pthread -no-undefined -version-info 0:0:0 \
	-Wl,--version-script=$(top_srcdir)/lib/liblxdb.map \
	-Wl,-z,nodelete -Wl,-z,now -Wl,-z,relro $(LX_CHECKING_LINKER)
EXTRA_liblxdb_la_DEPENDENCIES = lib/liblxdb.map
EXTRA_DIST += lib/liblxdb.map

include_HEADERS += lib/lxdb.h lib/lxdb_json.h
pkgconfig_DATA += lib/lxdb.pc
