"""Storey 3, the index on disk: every key and value octet, LMDB's pitfalls, building, reading, writing.

layout.py   tables, keys, what `meta` holds
env.py      LMDB: one environment a process, forks, stale readers, sizes, damage
datafile.py     the file under LMDB: its length, its promises, its file system
readers.py      who reads, and who has stood still
lock.py         one writer at a time, in turn
durability.py   what a power loss may take
build.py    make an index equal to a source
compare.py, stretches.py    a source beside an index: what differs, what is known not to
companions.py, groups.py   what a server keeps beside: subscriptions, special use, its group file
write.py    one mailbox changed -> rows changed
transaction.py  one write transaction: lookups that see it, changes applied in one batch
checkpoint.py, rescan.py   where in which source the index stands; a wish to compare it with all of it
replay.py   what a source's log says happened -> the same changes of the index
read.py     lookups, and the lists a view is made of
check.py    does the index agree with itself, and with a source?
"""
