#!/bin/sh
# SPDX-License-Identifier: MIT
# Every header under lib/ compiles alone in C11, the public ones in C99 and C++11 as well,
# pedantically and without a warning.
# Usage: headers.sh SOURCE-DIR, with CC, CXX and LX_LINT_CPPFLAGS in the environment.
set -eu
source=$1
result=0
headers=0
warnings='-Wall -Wextra -Wconversion -Wshadow -Wundef -Werror'

# alone HEADER LABEL COMPILER...: compile a file that consists of its inclusion, twice.
alone()
{
    header=$1 label=$2
    shift 2
    headers=$((headers + 1))
    # shellcheck disable=SC2086 # lists of words
    if ! printf '#include "%s"\n#include "%s"\n' "$header" "$header" |
        "$@" $warnings -fsyntax-only $LX_LINT_CPPFLAGS -; then
        echo "headers: $header does not stand alone in $label"
        result=1
    fi
}

for path in $(cd "$source/lib" && find . -name '*.h' | sort); do
    # shellcheck disable=SC2086 # CC may carry options
    alone "${path#./}" C11 $CC -std=gnu11 -Wstrict-prototypes -x c
done
for header in lxdb.h lxdb_json.h; do
    # shellcheck disable=SC2086
    alone "$header" C99 $CC -std=c99 -pedantic-errors -Wstrict-prototypes -x c
    if [ "$CXX" = no ]; then
        echo "headers: no C++ compiler: install g++"
        result=1
    else
        # shellcheck disable=SC2086
        alone "$header" C++11 $CXX -std=c++11 -pedantic-errors -x c++
    fi
done

echo "headers: $headers compiled"
exit "$result"
