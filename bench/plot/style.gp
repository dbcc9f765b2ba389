# SPDX-License-Identifier: MIT
# What the figures have in common. An engine has its colour in all of them.

set grid linewidth 0.5 linecolor rgb '#dddddd'
set border 3
set tics nomirror
set datafile missing '?'

engines = 'lxdb lmdb lmdb-writemap sqlite berkeley tdb rocksdb leveldb wiredtiger tkrzw kyoto gdbm redis floor'
colours = '#d7191c #2166ac #67a9cf #1b7837 #8c510a #762a83 #f1a340 #bf812d #35978f #e7298a #7570b3 #666666 #a6761d #000000'
do for [i=1:words(engines)] {
    set style line i linecolor rgb word(colours, i) linewidth (i == 1 ? 3 : 1.5) pointtype i pointsize 0.6
}
set style line words(engines) dashtype 2

file(name) = data.name.'.dat'
blocks(name) = int(system("grep -c '^\"' ".file(name)))
# The name on top of a block.
name_of(name, i) = system(sprintf("grep '^\"' %s | sed -n '%dp' | tr -d '\"'", file(name), i + 1))
position(engine) = int(system(sprintf("echo '%s' | tr ' ' '\\n' | grep -nx -- '%s' | cut -d: -f1", engines, engine)))
style_of(name, i) = position(name_of(name, i))
