# SPDX-License-Identifier: MIT
# Models of the protocol, searched by spin.

dist_check_SCRIPTS += tests/models/run.sh
TESTS += tests/models/run.sh

EXTRA_DIST += \
	tests/models/compact.pml \
	tests/models/compact.unreached \
	tests/models/lock.pml \
	tests/models/lock.unreached \
	tests/models/open_close.pml \
	tests/models/open_close.unreached \
	tests/models/queue.pmh \
	tests/models/slot.pml \
	tests/models/slot.unreached
