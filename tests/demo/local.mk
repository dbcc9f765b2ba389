# SPDX-License-Identifier: MIT
# The main job on real data: `make demo` shows it, `make check` proves its short form.

check_PROGRAMS += tests/demo/demo
tests_demo_demo_SOURCES = \
	tests/demo/common.c tests/demo/common.h \
	tests/demo/demo.c \
	tests/demo/ledger.c tests/demo/ledger.h \
	tests/demo/proof.c tests/demo/proof.h \
	tests/demo/reader.c \
	tests/demo/source.c tests/demo/source.h \
	tests/demo/workers.h \
	tests/demo/writer.c
tests_demo_demo_LDADD = liblxdb.la $(CJSON_LIBS)

dist_check_SCRIPTS += tests/demo/demo.sh tests/demo/short.sh
TESTS += tests/demo/short.sh

.PHONY: demo
demo: tests/demo/demo$(EXEEXT) lxdb$(EXEEXT) bench/table$(EXEEXT)
	@$(AM_TESTS_ENVIRONMENT) PYTHON='$(PYTHON)' $(top_srcdir)/tests/demo/demo.sh
