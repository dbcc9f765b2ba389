#!/bin/sh
# SPDX-License-Identifier: MIT
# The installed tree serves a user: through pkg-config, in C and C++, with the shared and the static
# library, and the tool runs. All paths come in the environment, DESTDIR before each.
set -eu
: "${CC:?}" "${CXX:?}" "${PKG_CONFIG:?}" "${bindir:?}" "${includedir:?}" "${libdir:?}" \
    "${pkgconfigdir:?}" "${top_srcdir:?}" "${version:?}"
[ "$CXX" != no ] || { echo 'installcheck: no C++ compiler: install g++'; exit 1; }
stage=${DESTDIR-}
work=$(mktemp -d "${TMPDIR:-/tmp}/lxdb-installcheck.XXXXXX")
trap 'rm -rf "$work"' EXIT

# A staged tree is not yet where its .pc file says.
sed -e "s|^libdir=.*|libdir=$stage$libdir|" -e "s|^includedir=.*|includedir=$stage$includedir|" \
    "$stage$pkgconfigdir/lxdb.pc" >"$work/lxdb.pc"
PKG_CONFIG_PATH=$work${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
LD_LIBRARY_PATH=$stage$libdir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export PKG_CONFIG_PATH LD_LIBRARY_PATH

pc()
{
    "$PKG_CONFIG" "$@" lxdb
}

[ "$(pc --modversion)" = "$version" ] || { echo "lxdb.pc is not of version $version"; exit 1; }

# A user of lxdb.h alone needs none of our dependencies; lxdb_json.h needs cJSON.
cat >"$work/plain.c" <<'END'
#include <lxdb.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    lxdb *db;
    char text[8];
    size_t len;
    if (argc != 2 || lxdb_open(argv[1], NULL, &db) || lxdb_write(db, "key", 3, "value", 5) ||
        lxdb_read(db, "key", 3, text, sizeof text, &len) || lxdb_close(db)) {
        fprintf(stderr, "%s\n", lxdb_errmsg(NULL));
        return 1;
    }
    if (len != 5 || memcmp(text, "value", 5) != 0)
        return 1;
    puts(lxdb_version());
    return 0;
}
END
cat >"$work/tree.c" <<'END'
#include <lxdb_json.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    lxdb *db;
    cJSON *tree = cJSON_Parse("[1,2]");
    cJSON *back = NULL;
    if (argc != 2 || lxdb_open(argv[1], NULL, &db) || lxdb_set(db, "tree", 4, tree) ||
        lxdb_get(db, "tree", 4, &back) || lxdb_close(db)) {
        fprintf(stderr, "%s\n", lxdb_errmsg(NULL));
        return 1;
    }
    if (!cJSON_Compare(tree, back, 1))
        return 1;
    cJSON_Delete(tree);
    cJSON_Delete(back);
    puts(lxdb_version());
    return 0;
}
END
cp "$work/plain.c" "$work/plain.cc"
cp "$work/tree.c" "$work/tree.cc"

# run PROGRAM: it works, and says the version.
run()
{
    said=$("$1" "$work/$(basename "$1").lxdb")
    [ "$said" = "$version" ] || { echo "$1 says '$said', not $version"; exit 1; }
}

# Words of flags, so without quotes; the same for compilers with options.
# shellcheck disable=SC2046,SC2086
for source in plain.c tree.c plain.cc tree.cc; do
    case $source in
    *.cc) compiler="$CXX -std=c++11" ;;
    *) compiler="$CC -std=c99" ;;
    esac
    case $source in
    tree.*) json=$("$PKG_CONFIG" --cflags --libs libcjson) ;;
    *) json= ;;
    esac
    if [ -e "$stage$libdir/liblxdb.so" ]; then
        $compiler ${CFLAGS-} -o "$work/$source.shared" "$work/$source" ${LDFLAGS-} \
            $(pc --cflags --libs) $json
        run "$work/$source.shared"
    fi
    if [ -e "$stage$libdir/liblxdb.a" ]; then
        $compiler ${CFLAGS-} -o "$work/$source.static" "$work/$source" ${LDFLAGS-} \
            $(pc --static --cflags --libs | sed "s|-llxdb|$stage$libdir/liblxdb.a|") $json
        run "$work/$source.static"
    fi
done

said=$("$stage$bindir/lxdb" --version)
case $said in
*"$version"*) ;;
*)
    echo "lxdb --version says '$said'"
    exit 1
    ;;
esac
echo "installcheck: C and C++ programs and the tool work from $stage$libdir"
