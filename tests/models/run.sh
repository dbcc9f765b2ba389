#!/bin/sh
# SPDX-License-Identifier: MIT
# Models of the protocol, each searched by spin to the end without an error; and each again with
# every BROKEN_ mistake that it knows, which must end in the error that its header names. What the
# search of the whole model never reached must be listed beside it, in NAME.unreached.
set -eu
models=${srcdir:-.}/tests/models
models=$(cd "$models" && pwd)
# A system where spin is not installed cannot run this. That is a skip, by name.
command -v spin >/dev/null || { echo 'models: SKIP: spin is not installed'; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
failures=0 searches=0

fail()
{
    echo "models: FAIL: $*"
    failures=$((failures + 1))
}

# search MODEL [DEFINITION]: what pan says is in ./out, its trail, if any, beside it.
search()
{
    rm -f ./*.trail pan*
    spin -a ${2:+"-D$2"} "$models/$1.pml" >spin.out 2>&1 || { cat spin.out; return 1; }
    # a mistake is mostly found before a better optimised search would pay
    level=${2:+1}
    ${CC:-cc} -w "-O${level:-2}" -DSAFETY -DCOLLAPSE -DVECTORSZ=4096 -DMEMLIM=1000 -o pan pan.c ||
        return 1
    ./pan -m1000000 >out 2>&1 || return 1
    searches=$((searches + 1))
}

# The statements that were never reached, without their lines and numbers.
unreached()
{
    sed -n -e '/"(killed/d' -e '/"-end-"/d' -e '/^unreached in /h' \
        -e '/, state [0-9]*, "/{s/.*, state [0-9]*, //;G' \
        -e 's/\(.*\)\nunreached in \(.*\)/\2: \1/p;}' out | LC_ALL=C sort -u
}

for file in "$models"/${1:-*}.pml; do
    model=$(basename "$file" .pml)
    if ! search "$model"; then
        fail "$model: does not run"
        continue
    fi
    grep -q 'errors: 0$' out || fail "$model: has errors"
    if grep -Eq 'Search not completed|max search depth too small|out of memory|reached -DMEMLIM' out
    then
        fail "$model: not searched to the end"
    fi
    sed -n "s/^State-vector.*depth reached \([0-9]*\).*/$model: depth \1/p
        s/^ *\([0-9.e+]*\) states, stored.*/$model: \1 states/p
        s/^pan: elapsed time \(.*\)/$model: \1/p" out
    unreached >found
    if ! diff "$models/$model.unreached" found; then
        fail "$model: $model.unreached is not what was not reached"
    fi
    broken=$(sed -n 's/^ \*  *\(BROKEN_[A-Z]*\)  .*/\1/p' "$file")
    for name in $(sed -n 's/^#ifn*def \(BROKEN_[A-Z]*\)$/\1/p' "$file" | sort -u) $broken; do
        case " $broken " in *"$name"*) ;; *) fail "$model: $name is not in the header" ;; esac
    done
    for name in $broken; do
        grep -Eq "^#ifn?def $name\$" "$file" || fail "$model: nothing is $name"
        error=$(sed -n "s/^ \*  *$name  *\(invalid end state\|[a-z_]*\) .*/\1/p" "$file")
        if ! search "$model" "$name"; then
            fail "$model: $name does not run"
        elif ! grep -q "^pan:.*$error" out || [ ! -e "$model.pml.trail" ]; then
            fail "$model: $name is not caught by $error"
            grep '^pan:' out || :
        else
            echo "$model: $name: $error"
        fi
    done
done
echo "models: $searches searches, $failures failures"
[ "$failures" -eq 0 ] && [ "$searches" -ge 5 ]
