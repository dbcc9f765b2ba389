# SPDX-License-Identifier: MIT
# Manual pages, texts and examples. The examples are built and run by make check, and what README.md
# shows is run as it is printed.

dist_man_MANS += \
	docs/man/lxdb.1 \
	docs/man/lxdb.3 \
	docs/man/lxdb_batch.3 \
	docs/man/lxdb_cas.3 \
	docs/man/lxdb_compact.3 \
	docs/man/lxdb_flush.3 \
	docs/man/lxdb_iter.3 \
	docs/man/lxdb_open.3 \
	docs/man/lxdb_peek.3 \
	docs/man/lxdb_read.3 \
	docs/man/lxdb_set.3 \
	docs/man/lxdb_stat.3 \
	docs/man/lxdb_strerror.3 \
	docs/man/lxdb_verify.3 \
	docs/man/lxdb_write.3

dist_doc_DATA += \
	README.md \
	docs/SECURITY.md \
	docs/testing.md \
	docs/architecture.md \
	docs/concurrency.md \
	docs/durability.md \
	docs/format.md \
	docs/fuzzing.md \
	docs/performance.md

figuresdir = $(docdir)/figures
dist_figures_DATA = docs/figures/readme.png docs/figures/readme.svg $(peers_figures)
# Drawn by make bench-peers-docs: those that its last run had results for.
peers_figures = $(wildcard $(srcdir)/docs/figures/peers-*)

examplesdir = $(docdir)/examples
dist_examples_DATA = \
	docs/examples/agent_memory.c \
	docs/examples/counter.c \
	docs/examples/first.c \
	docs/examples/session.sh

check_PROGRAMS += \
	docs/examples/agent_memory \
	docs/examples/counter \
	docs/examples/first
docs_examples_agent_memory_SOURCES = docs/examples/agent_memory.c
docs_examples_agent_memory_LDADD = liblxdb.la
docs_examples_counter_SOURCES = docs/examples/counter.c
docs_examples_counter_LDADD = liblxdb.la
docs_examples_first_SOURCES = docs/examples/first.c
docs_examples_first_LDADD = liblxdb.la

dist_check_SCRIPTS += tests/cli/readme.sh
TESTS += tests/cli/readme.sh

# So that `man lxdb_close` finds lxdb_open(3): a page that is a link, for every other name in the
# NAME of a page. LINKS_DO opens two loops, with $$page and $$link in them.
LINKS_DO = \
	for path in $(dist_man_MANS); do \
		page=`basename "$$path"`; \
		for link in `$(SED) -n '/^\.Sh NAME/,/^\.Nd/s/^\.Nm \(lxdb_[a-z_]*\).*/\1.3/p' \
			"$(srcdir)/$$path"`; do \
			test "$$link" != "$$page" || continue

install-data-hook:
	@$(LINKS_DO); \
		echo ".so man3/$$page" >"$(DESTDIR)$(man3dir)/$$link" || exit 1; \
	done; done

uninstall-hook:
	@$(LINKS_DO); \
		rm -f "$(DESTDIR)$(man3dir)/$$link"; \
	done; done
