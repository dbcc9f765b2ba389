#!/bin/sh
# SPDX-License-Identifier: MIT
# What no file may hold, and what each must: a licence on the first or second line, no tab in C, no
# line over 100 columns, and no shortcut for fuzzers in the library.
# Usage: words.sh SOURCE-DIR
set -eu
cd "$1"
result=0

fault()
{
    echo "words: $1"
    printf '%s\n' "$2" | sed 's/^/    /'
    result=1
}

code=$(find lib tools tests bench fuzz docs -type f \
    \( -name '*.[ch]' -o -name '*.cc' -o -name '*.map' -o -name '*.mk' -o -name '*.py' \
    -o -name '*.sh' \)
    echo bootstrap
    echo configure.ac
    echo Makefile.am)

found=$(echo "$code" | xargs awk 'FNR <= 2 && /SPDX-License-Identifier: MIT/ { seen[FILENAME] = 1 }
    END { for (i = 1; i < ARGC; i++) if (!seen[ARGV[i]]) print ARGV[i] }')
[ -z "$found" ] || fault 'no SPDX line at the top' "$found"

found=$(echo "$code" | grep '\.[ch]$' | xargs grep -nP '\t' || true)
[ -z "$found" ] || fault 'a tab' "$found"

found=$(echo "$code" | grep -E '\.([ch]|py|sh)$' | xargs grep -nE '^.{101}' || true)
[ -z "$found" ] || fault 'a line of more than 100 columns' "$found"

found=$(grep -rn 'FUZZING_BUILD_MODE' lib || true)
[ -z "$found" ] || fault 'the library must be fuzzed as it is' "$found"

echo "words: $(echo "$code" | wc -l) files"
exit "$result"
