# SPDX-License-Identifier: MIT
# The tests, one folder for each way of looking at the library.

include tests/unit/local.mk
include tests/api/local.mk
include tests/compat/local.mk
include tests/concurrency/local.mk
include tests/crash/local.mk
include tests/coverage/local.mk
include tests/linear/local.mk
include tests/cli/local.mk
include tests/demo/local.mk
include tests/lint/local.mk
include tests/models/local.mk
