# SPDX-License-Identifier: MIT
# make lint proves what a compiler does not; make installcheck, what only an installed tree shows.

EXTRA_DIST += \
	tests/lint/docs.py \
	tests/lint/format.sh \
	tests/lint/headers.sh \
	tests/lint/installcheck.sh \
	tests/lint/layers.py \
	tests/lint/symbols.sh \
	tests/lint/words.sh

LINT = $(top_srcdir)/tests/lint

# All checks run, then the first failure counts.
.PHONY: lint
lint: liblxdb.la
	@result=0; \
	$(PYTHON) $(LINT)/layers.py $(top_srcdir) || result=1; \
	NM='$(NM)' $(LINT)/symbols.sh $(top_srcdir) $(top_builddir) || result=1; \
	CC='$(CC)' CXX='$(CXX)' LX_LINT_CPPFLAGS='$(AM_CPPFLAGS) $(CPPFLAGS)' \
		$(LINT)/headers.sh $(top_srcdir) || result=1; \
	$(LINT)/words.sh $(top_srcdir) || result=1; \
	$(PYTHON) $(LINT)/docs.py $(top_srcdir) || result=1; \
	CLANG_FORMAT='$(CLANG_FORMAT)' $(LINT)/format.sh $(top_srcdir) || result=1; \
	exit $$result

installcheck-local:
	@CC='$(CC)' CXX='$(CXX)' CFLAGS='$(LX_LDFLAGS) $(CFLAGS)' LDFLAGS='$(LDFLAGS)' \
	PKG_CONFIG='$(PKG_CONFIG)' DESTDIR='$(DESTDIR)' bindir='$(bindir)' \
	includedir='$(includedir)' libdir='$(libdir)' pkgconfigdir='$(pkgconfigdir)' \
	top_srcdir='$(top_srcdir)' version='$(PACKAGE_VERSION)' $(LINT)/installcheck.sh
