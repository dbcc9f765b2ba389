# SPDX-License-Identifier: MIT
# The README table as a picture: how many times faster than the Python store of the same run, and
# than the published figures of lxcore. From the table.tsv of bench/readme.py.
# usage: gnuplot -e 'data = "table.tsv"; out = "readme"' readme.gp    makes readme.svg, readme.png
set datafile separator "\t"
set datafile missing "nan"
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.9 noborder
set logscale y 2
set yrange [1:]
set bmargin 6
set grid ytics lc rgb "#dddddd"
set border 3
set tics nomirror
set xtics rotate by -35
set rmargin 6
set key outside top center horizontal
set ylabel "times faster"
set title "The README table: 10,000 records, sync none" font ",14"

draw = "plot data using 3:xtic(1) title 'than a Python store, same machine' lc rgb '#2f6db5', \
    '' using 2 title 'than lxcore, published' lc rgb '#c5d3e6', \
    '' using 4 title 'than a Python store, through cJSON trees' lc rgb '#e0902f', \
    '' using ($0 - 0.35):5:(0.7):(0) with vectors nohead lc rgb '#b03030' lw 2 \
        title 'target, beside the Python store'"

set terminal svg noenhanced size 1000,480 font "sans,12" background rgb "white"
set output out . ".svg"
eval draw
set terminal pngcairo noenhanced size 1000,480 font "sans,10" background rgb "white"
set output out . ".png"
eval draw
