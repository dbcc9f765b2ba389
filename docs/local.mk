# SPDX-License-Identifier: MIT

dist_man_MANS += docs/man/lxdb.1
EXTRA_DIST += docs/examples/session.sh
