#!/bin/sh
# SPDX-License-Identifier: MIT
# The machine that a bench ran on, as Markdown: what decides its figures, and nothing that names it.
# Usage: machine.sh [CC]; the databases of the benches are in ${TMPDIR:-/tmp}.
set -eu
LC_ALL=C
export LC_ALL
cc=${1:-cc}

# package NAME: its version, if this is Debian and it is installed.
package()
{
    dpkg-query -W -f '${Version}' "$1" 2>/dev/null || echo unknown
}

# row NAME TEXT
row()
{
    printf '| %s | %s |\n' "$1" "$2"
}

echo '| | |'
echo '|---|---|'
row processor "$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1)"
row 'cores given' "$(nproc)"
row caches "$(getconf -a | awk '
    function size(bytes) {
        return bytes >= 1048576 ? bytes / 1048576 " MiB" : bytes / 1024 " KiB"
    }
    $2 > 0 && sub(/^LEVEL/, "L", $1) && sub(/(_D?CACHE_SIZE)$/, "", $1) && $1 !~ /I/ {
        printf "%s%s %s", (n++ ? ", " : ""), $1, size($2)
    }')"
row 'virtual machine' "$(grep -q '^flags.* hypervisor' /proc/cpuinfo && echo yes || echo no)"
row memory "$(awk '/^MemTotal/ { printf "%.1f GiB\n", $2 / 1048576 }' /proc/meminfo)"
row kernel "$(uname -sr)"
row 'file system' "$(df --output=fstype "${TMPDIR:-/tmp}" | tail -n 1)"
row system "$(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release)"
# shellcheck disable=SC2086 # CC may carry options
row compiler "$($cc --version | head -n 1)"
row 'C library, libdeflate' "$(package libc6), $(package libdeflate0)"
row 'liburcu, xxHash, cJSON' \
    "$(package liburcu8), $(package libxxhash0), $(package libcjson1)"
row 'Google Benchmark, Python' "$(package libbenchmark-dev), $(python3 -V 2>&1 | cut -d ' ' -f 2)"
row 'load before the run' "$(cut -d ' ' -f 1-3 /proc/loadavg)"
row date "$(date -u +%Y-%m-%d)"
