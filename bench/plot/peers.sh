#!/bin/sh
# SPDX-License-Identifier: MIT
# The figures of bench/bench-peers, each as SVG and PNG, from its JSON. What the JSON has no results
# for is not drawn.
set -eu

if [ $# -ne 2 ]; then
    echo 'usage: peers.sh JSON FOLDER' >&2
    exit 2
fi
json=$1
out=$2
here=$(dirname "$0")
data=$(mktemp -d)
trap 'rm -rf "$data"' EXIT
mkdir -p "$out"
"${PYTHON:-python3}" "$here/../peers/report.py" data "$json" "$data"

# draw NAME WIDTH HEIGHT: standard input has gnuplot commands that draw.
draw()
{
    cat "$here/style.gp" - >"$data/$1.gp"
    for kind in svg png; do
        case $kind in
        svg) terminal="svg size $2,$3 font 'sans-serif,13' background 'white'" ;;
        png) terminal="pngcairo size $2,$3 font 'Sans,11'" ;;
        esac
        # Into a file beside it first: a figure is whole or it is the old one.
        gnuplot -e "set terminal $terminal; set output '$out/.$1.$kind'; data = '$data/'" \
            "$data/$1.gp"
        mv "$out/.$1.$kind" "$out/$1.$kind"
    done
    echo "$out/$1.svg $out/$1.png"
}

# has NAME...: all these have points.
has()
{
    for name in "$@"; do
        [ -s "$data/$name.dat" ] || return 1
    done
}

if has readers writers; then
    draw peers-processes 1100 480 <<'END'
set multiplot layout 1,2 title 'Operations a second of all processes together, no syncs'
set logscale y
set format y '10^{%T}'
set xtics 1
set xrange [0.8:4.2]
set key outside bottom center horizontal maxcols 4
set xlabel offset 0,0.6
set xlabel 'readers'
plot for [i=0:blocks('readers')-1] file('readers') index i using 1:2:3:4 \
    with yerrorlines linestyle style_of('readers', i) title columnheader(1)
set xlabel 'writers'
plot for [i=0:blocks('writers')-1] file('writers') index i using 1:2:3:4 \
    with yerrorlines linestyle style_of('writers', i) title columnheader(1)
END
fi

if has durable; then
    draw peers-durable 700 480 <<'END'
set title 'Durable single puts: commits a second of all processes together'
set logscale xy
set xtics (1, 4, 16)
set xrange [0.8:20]
set xlabel 'processes'
set key outside right center
plot for [i=0:blocks('durable')-1] file('durable') index i using 1:2:3:4 \
    with yerrorlines linestyle style_of('durable', i) title columnheader(1)
END
fi

if has reader-latency writer-latency; then
    draw peers-latency 1100 480 <<'END'
set multiplot layout 1,2 title 'Latency of single operations: a reader and a writer at full speed'
set logscale xy
set xtics ('50 %%' 2, '90 %%' 10, '99 %%' 100, '99.9 %%' 1e3, '99.99 %%' 1e4, '99.999 %%' 1e5)
set xrange [1:1e6]
set ylabel 'us'
set key outside bottom center horizontal maxcols 4
set xlabel offset 0,0.6
set xlabel 'share of the gets that are at least as fast'
plot for [i=0:blocks('reader-latency')-1] file('reader-latency') index i using 1:2 \
    with lines linestyle style_of('reader-latency', i) title columnheader(1)
set xlabel 'share of the puts that are at least as fast'
plot for [i=0:blocks('writer-latency')-1] file('writer-latency') index i using 1:2 \
    with lines linestyle style_of('writer-latency', i) title columnheader(1)
END
fi

if has scaling-get scaling-put scaling-reopen scaling-rebuild; then
    draw peers-scaling 1000 760 <<'END'
set multiplot layout 2,2 title 'Cost against the number of keys, no syncs'
set logscale xy
set format x '10^{%T}'
set xlabel 'keys'
set key top left
array names[4] = ['get', 'put', 'reopen', 'rebuild']
array units[4] = ['ns', 'ns', 'ms', 'ms']
do for [n=1:4] {
    name = 'scaling-'.names[n]
    set ylabel names[n].', '.units[n]
    plot for [i=0:blocks(name)-1] file(name) index i using 1:2:3:4 \
        with yerrorlines linestyle style_of(name, i) title columnheader(1)
}
END
fi

if has space; then
    draw peers-space 900 440 <<'END'
stats file('payload') using 1 nooutput name 'payload'
set title 'Bytes on the disk, and of a process that has read all records, once opened'
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.85 noborder
set ylabel 'MB'
set yrange [0:*]
set xtics rotate by -35 noenhanced
set key top left
plot file('space') using 2:xtic(1) linecolor rgb '#2166ac' title 'disk', \
    '' using 3 linecolor rgb '#f4a582' title 'memory (PSS)', \
    payload_max with lines linecolor rgb '#444444' dashtype 2 title 'keys and values'
END
fi
