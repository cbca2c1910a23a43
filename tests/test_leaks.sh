#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What is done many times leaves nothing behind: no slab object, no vmalloc area, no reference,
# and nothing that kmemleak finds where the kernel has it.
. "$(dirname "$0")/lib.sh"
. "$HERE/holders.sh"
need_module
need_test_module holder_test
[ -r /proc/slabinfo ] || skip_all "no /proc/slabinfo"
plan 17

[ ! -e /sys/kernel/debug/kmemleak ] || ROUNDS=${ROUNDS:-40}	# with that few will do
ROUNDS=${ROUNDS:-${DEBUG:+150}}
ROUNDS=${ROUNDS:-400}
SLOW=$(((ROUNDS * 3 + 7) / 8))
# Those that a leak of the module would fill: what is allocated once per disk, event, holder.
CACHES='dax_cache|kmalloc(-rnd-[0-9]+|-cg|-rcl)?-[0-9]+k?|kernfs_node_cache|ext4_inode_cache|xfs_inode|bdev_cache'

# counts FILE: objects per cache, once everything that is only kept for later is given back
counts() {
	local c again
	for again in 1 2; do
		sync
		echo 3 >/proc/sys/vm/drop_caches
		nap 0.3
		for c in /sys/kernel/slab/*/shrink; do echo 1 >"$c"; done 2>/dev/null
	done
	awk -v want="^($CACHES)\$" '$1 ~ want { print $1, $2 }' /proc/slabinfo | sort >"$1"
	echo "vmalloc $(grep -c "$MODULE" /proc/vmallocinfo)" >>"$1"
	echo "references $(cat /sys/module/$MODULE/refcnt)" >>"$1"
}

# steady ROUNDS FUNCTION...: repeat it; no count may have grown. The first rounds fill what is
# filled once. The allocator keeps free objects in lots of up to 60 per CPU and counts them as used:
# that much is forgiven, and the rounds are so many that one object per round is more.
FORGIVEN=130
steady() {
	local n rounds=$1
	shift
	for ((n = 0; n < rounds / 10 + 2; n++)); do "$@" >/dev/null || return; done
	counts "$TMP/before"
	for ((n = 0; n < rounds; n++)); do "$@" >/dev/null || { echo "in round $n"; return 1; }; done
	counts "$TMP/after"
	join "$TMP/before" "$TMP/after" | awk -v most=$FORGIVEN '
		$1 == "references" && $3 != $2 || $1 == "vmalloc" && $3 > $2 + 2 ||
		$1 == "dax_cache" && $3 > $2 + 2 || $3 > $2 + most { print $1 ": " $2 " before, " $3 " after"; bad = 1 }
		END { exit bad || NR < 5 }'
}

setup() {
	partitions 320 300 && mkx "$P1" && mke "$P2" && mnt "$P1" "$TMP/1" && mnt "$P2" "$TMP/2" || return
	for i in 1 2; do "$BIN/file" make "$TMP/$i/f" 64 $SEED || return; done
	umnt "$TMP/1" "$TMP/2"
	[ ! -e /sys/kernel/debug/kmemleak ] || echo clear >/sys/kernel/debug/kmemleak
}

attach() { echo 0 >$S/attached && echo 1 >$S/attached; }
refuse() {
	local text
	for text in garbage 4096+4096,x 0+0; do
		! echo "$text" >"$G/inject" || return 1
	done 2>/dev/null
}
# The last megabyte belongs to no partition.
unheard() { echo "$(($(</sys/block/$D/size) * 512 - MIB))+4096,$(($(</sys/block/$D/size) * 512 - 8192))+4096" >"$G/inject" && echo 1 >$S/clear; }
heard() {
	mount -o dax=always "$P1" "$TMP/1" && mount -o dax=always "$P2" "$TMP/2" &&
		"$BIN/file" pfn "$TMP/1/f" 1 && "$BIN/file" pfn "$TMP/2/f" 1 &&
		echo "$START1+4096,$START2+4096" >"$G/inject" &&
		umount "$TMP/1" "$TMP/2" && echo 1 >$S/clear
}
absorbed() { echo "$START2+4096" >"$G/inject"; }
storm() {
	local rc
	mnt "$P2" "$TMP/2" || return
	steady "$ROUNDS" absorbed
	rc=$?
	umnt "$TMP/2" && echo 1 >$S/clear && return $rc
}
rebind() {
	mount -o dax=always "$P1" "$TMP/1" && "$BIN/file" pfn "$TMP/1/f" 1 && unbind_now &&
		umount "$TMP/1" && bind_now && attached
}
# The same with a device-mapper table between.
rebind_table() {
	dm_linear && mount -o dax=always /dev/mapper/dh_leak "$TMP/1" && "$BIN/file" pfn "$TMP/1/f" 1 &&
		unbind_now && umount "$TMP/1" && tables_gone && bind_now && attached
}
dm_linear() { dmsetup --noudevsync create dh_leak --table "0 $((LEN1 / 512)) linear $P1 0"; }
reload() {
	unload && load && attached
}
look() { cat $S/* "$G"/{holders,events,barrier} >/dev/null 2>&1; :; }

# Registered holders: a hundred, one behind the other, so that a few rounds show what is left of one.
HUNDRED="count=100 len=4096 stride=8192"
come_and_go() { add name=x "disk=$DEV" $HUNDRED && remove x; }
told_all() { report list=0+$((100 * 8192)) && like "what came of it" "$(<$H/report)" '* holders=100 result=0' && echo 1 >$S/clear; }
with_hundred() {
	local rc
	add name=x "disk=$DEV" $HUNDRED || return
	steady "$SLOW" told_all
	rc=$?
	remove x && return $rc
}
# Of a thousand ranges, which nobody holds.
reported() { report len=4096 stride=8192 count=1000 && like "what came of it" "$(<$H/report)" '* holders=0 result=0' && echo 1 >$S/clear; }

references() {
	local n=0 f
	for f in /sys/block/pmem*/dax_holder/attached; do n=$((n + $(<"$f"))); done
	is "references to the module" "$(</sys/module/$MODULE/refcnt)" "$n"
}
kmemleak() {
	nap 6
	echo scan >/sys/kernel/debug/kmemleak && nap 6 && echo scan >/sys/kernel/debug/kmemleak &&
		! grep . /sys/kernel/debug/kmemleak
}

must "two file systems" setup
t "reading all files of the disk" steady "$ROUNDS" look
t "detach and attach" steady "$ROUNDS" attach
t "refused injections" steady "$ROUNDS" refuse
t "events that nobody hears, and clear" steady "$ROUNDS" unheard
t "events that a file system which is down absorbs" storm
t "mount both, an event for both, unmount, clear" steady "$SLOW" heard
t "unbind under a mounted file system, and bind" steady "$SLOW" rebind
t "unbind under a file system on a dm-linear, and bind" steady "$SLOW" rebind_table
must "the module of the tests loads" test_module load holder_test
t "register and unregister 100 holders" steady 20 come_and_go
t "an event for 100 holders" with_hundred
t "a report of 1000 ranges" steady "$SLOW" reported
t "the module of the tests is unloaded" test_module unload holder_test
if [ -e "$KO" ]; then
	t "detach, unload, load" steady "$SLOW" reload
else
	skip "detach, unload, load" "DAX_HOLDER_KO does not name the module"
fi
t "the module is held once by each attached disk" references
if [ -e /sys/kernel/debug/kmemleak ]; then
	t "kmemleak finds nothing" kmemleak
else
	skip "kmemleak finds nothing" "this kernel has no kmemleak"
fi
finish
