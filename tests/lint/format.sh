#!/bin/sh
# SPDX-License-Identifier: MIT
# All C code stands as .clang-format wants it. Its version 14 decides: others lay out differently.
# Usage: format.sh SOURCE-DIR, with CLANG_FORMAT in the environment.
set -eu
cd "$1"
case $("$CLANG_FORMAT" --version 2>/dev/null) in
*'version 14.'*) ;;
*)
    echo 'format: no clang-format 14, nothing checked'
    exit 0
    ;;
esac
files=$(find lib tools tests bench fuzz docs -type f \( -name '*.[ch]' -o -name '*.cc' \) | sort)
# shellcheck disable=SC2086 # a list of words
set -- $files
"$CLANG_FORMAT" --style=file --dry-run -Werror "$@"
echo "format: $# files"
