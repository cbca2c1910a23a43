#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernel: debug
# guest: --size 512M
# limit: 5400
# Every allocation that is made for the module, and every call of it that can fail, fails once, each by
# itself, on every way through it: then either an errno, and nothing has changed, or it was done. An
# event is never lost: without any memory too the gate closes and the holders go down.
. "$(dirname "$0")/lib.sh"
. "$HERE/holders.sh"
need_module
for m in fail_call holder_test surprise; do need_test_module $m; done
[ -e "$KO" ] || skip_all "DAX_HOLDER_KO does not name the module"
plan 80

export ND_NAME=$NAME SURPRISE_KO=$MODULES/surprise.ko
ARM=/sys/kernel/debug/fail_call/arm

# Small file systems with a file each: ext4, ext4 on a dm-linear, XFS; and ext4 with a cache of
# dm-writecache that knows nothing when it is made.
L=/dev/mapper/dh_layer C=/dev/mapper/dh_cached A=/dev/mapper/dh_above
table() { sh -c "$MAKE_LAYER"; }
table_cached() { sh -c "$MAKE_CACHED"; }
setup() {
	local d
	partitions 64 64 320 48 || return
	MAKE_LAYER="[ -b $L ] || dmsetup --noudevsync create ${L##*/} --table '0 $((LEN2 / 512)) linear $P2 0'"
	MAKE_CACHED="dd if=/dev/zero of=$P4 bs=1M count=1 oflag=direct status=none && dmsetup --noudevsync create ${C##*/} --table '0 131072 writecache p $PLAIN $P4 4096 0'"
	MAKE_ABOVE="[ -b $A ] || dmsetup --noudevsync create ${A##*/} --table '0 $((LEN2 / 512)) linear $L 0'"
	mke "$P1" -m 0 && mkx "$P3" && table && mke $L || return
	mkdir -p "$TMP"/{1,2,3,4}
	for d in "$P1 1" "$L 2" "$P3 3"; do
		mnt ${d% *} "$TMP/${d#* }" && "$BIN/file" make "$TMP/${d#* }/f" 512 $SEED && umnt "$TMP/${d#* }" || return
	done
	tables_gone && modprobe hwpoison-inject && modprobe dm_writecache && table_cached && mke $C &&
		mount $C "$TMP/4" && : >"$TMP/4/f" && umnt "$TMP/4" && dmsetup message ${C##*/} 0 flush && tables_gone &&
		echo 1 >/proc/sys/vm/memory_failure_recovery && echo clear >/sys/kernel/debug/kmemleak &&
		unload && test_module load fail_call && load && attached
}
EXT4="-m $DEV""p1:ext4:$TMP/1"
LAYER="-m $L:ext4:$TMP/2"
XFS="-m $DEV""p3:xfs:$TMP/3"
CACHED="-m $C:ext4:$TMP/4:cached"
GO="dmsetup --noudevsync remove --retry"

# w LEAST OPTIONS PATH WHAT [RETURNS]: a walk; so many at least must have been made to fail.
w() {
	local out rc made
	out=$("$BIN/faults" "${@:2}" 2>&1)
	rc=$?
	echo "$out"
	made=${out##*injected=}
	((rc == 0)) && ((${made%% *} >= $1)) || { echo "exit $rc, $1 had to fail: faults ${*:2}"; return 1; }
	FIGURE="${out##*$'\n'}, $((SECONDS - BEGUN)) s"
}
# f WHAT COMMAND...: a test, unless $WALKS, a regular expression, asks for others. What a failure has left
# behind must not be found by the next one.
f() { ft "$1" w "${@:2}"; }
ft() {
	[[ $1 =~ ${WALKS:-.} ]] || { skip "$1" "not asked for"; return; }
	BEGUN=$SECONDS
	if t "$@"; then note "$FIGURE"; else again >/dev/null 2>&1; fi
}
again() {
	echo off >$ARM
	loaded || load
	[ ! -d $H ] || remove
	tidy
	# Or nothing else helps: it has lost its DAX device, say.
	attached && [ "$(<$S/state)" = active ] || { unbind_now; bind_now; }
}
none() { w 0 "$@" && has "$TMP/out" "injected=0 "; }
K=rust_helper_krealloc_node_align KV=rust_helper_kvrealloc_node_align

must "file systems, and what makes calls fail" setup

# ------------------------------------------------------------------------------------- the module

# EINVAL is what driver_register() makes of one.
f "load: every allocation" 130 -e EINVAL $EXT4 load alloc
f "load: every allocation of Rust code" 18 $EXT4 load $K 0
f "load: no queue" 2 $EXT4 load alloc_workqueue_noprof 0
f "load: the nd bus is not found" 1 $EXT4 load __nd_driver_register -12
f "load: the nd bus takes no listener" 1 $EXT4 load bus_register_notifier -12
f "load: no filter for the hook" 1 $EXT4 load ftrace_set_filter_ip -22
f "load: no hook" 1 $EXT4 load register_ftrace_function -16

# ---------------------------------------------------------------------------- attaching, detaching

must "registered holders" test_module load holder_test
f "attach: every allocation" 25 $EXT4 attach alloc
f "attach: from each allocation on, all" 50 -t -1 $EXT4 attach alloc
f "attach: every allocation of Rust code" 10 $EXT4 attach $K 0
f "attach: every list of ranges" 1 $EXT4 attach $KV 0
f "attach: no DAX device of its own" 3 $EXT4 attach alloc_dax -12
f "attach: not published" 2 $EXT4 attach dax_add_host -12
f "attach: somebody else is published" 2 -e EBUSY $EXT4 attach dax_add_host -16
f "attach: no DAX device is found" 2 -e EOPNOTSUPP,EBUSY $EXT4 attach fs_dax_get_by_bdev+5 0
f "attach: the memory is not there" 1 -e EIO $EXT4 attach dax_direct_access -5
f "attach: the module goes" 1 -e ENODEV $EXT4 attach try_module_get 0
f "attach: the disk is locked" 1 $EXT4 attach _mutex_trylock_nest_lock 0
f "detach: the disk is locked" 1 $EXT4 detach _mutex_trylock_nest_lock 0
ft "detach takes no memory" none $EXT4 detach alloc
f "bind: every allocation" 40 $EXT4 bind alloc
f "bind: no attributes" 1 $EXT4 bind device_add_groups -12
f "claim: every allocation" 3 -e ENODEV $EXT4 claim alloc
f "claim: no DAX device of its own" 1 -e ENODEV $EXT4 claim alloc_dax -12
f "claim: not published" 1 -e ENODEV $EXT4 claim dax_add_host -12

# ------------------------------------------------------------------------------ registered holders

f "register: every allocation" 2 $EXT4 register alloc
f "register: its module goes" 1 -e ENODEV $EXT4 register try_module_get 0
ft "unregister takes no memory" none $EXT4 unregister alloc
ft "clear takes no memory" none $EXT4 clear alloc

# ------------------------------------------------------------------------------------------ events

at() { local start=START$1; echo $((${!start} + 1048576 * $2)); }
RANGES="0+4096,$(at 1 8)+4096,$(at 2 8)+4096,$(at 3 8)+4096"
ON_LAYER=(-b "$MAKE_LAYER" -a "$GO ${L##*/}" $EXT4 $LAYER)
ON_CACHE=(-b "$MAKE_CACHED" -a "$GO ${C##*/}" $EXT4 $CACHED)
TWO=(-r "$RANGES" "${ON_LAYER[@]}")
ALL=("${TWO[@]}" $XFS)
f "inject: every allocation" 30 "${TWO[@]}" inject alloc
f "inject: every allocation, XFS" 15 $XFS inject alloc
f "inject: every list of ranges" 17 "${TWO[@]}" inject $KV 0
f "inject, a holder of high priority: every allocation" 18 -p 1 -r "$RANGES" $EXT4 inject alloc
TOWER=(-b "$MAKE_LAYER; $MAKE_ABOVE" -a "$GO ${A##*/} && $GO ${L##*/}" $EXT4 -m $A:ext4:$TMP/2)
f "inject, a table on a table: every allocation" 30 "${TOWER[@]}" inject alloc
f "inject: pages that seem to be pinned" 2 "${ALL[@]}" inject dax_layout_busy_page_range 1
f "inject: a layer that does not say where it is" 1 "${TWO[@]}" inject dax_direct_access -5
f "inject: a layer seems to have no DAX" 1 "${TWO[@]}" inject fs_dax_get_by_bdev+5 0
f "inject: no uevent" 1 $EXT4 inject kobject_uevent_env -12
f "inject: no memory at all" 1 -f -t -1 "${ALL[@]}" inject alloc
f "report: every allocation" 16 -r "$RANGES" $EXT4 report alloc
f "report, a table between: every allocation" 30 "${TWO[@]}" report alloc
f "report: no memory at all" 1 -f -t -1 "${ALL[@]}" report alloc
native() {
	echo native >$S/policy && w 1 -f "${ALL[@]}" inject "$@"
	local rc=$?
	echo shutdown >$S/policy && return $rc
}
ft "inject, policy native: XFS's handler fails" native dax_holder_notify_failure -5
ft "inject, policy native: XFS's super block cannot be read" native read_cache_folio -5
f "inject, a cache: every allocation" 38 "${ON_CACHE[@]}" inject alloc
f "inject: no memory at all, a cache" 1 -f -t -1 "${ON_CACHE[@]}" inject alloc
f "memory_failure(): every allocation" 16 $EXT4 poison alloc
f "memory_failure(), a table between: every allocation" 25 "${TWO[@]}" poison alloc
f "memory_failure(): another event seems to be under way" 1 $EXT4 poison rust_helper_mutex_trylock 0
f "memory_failure(): no memory at all" 1 -f -t -1 $EXT4 $XFS poison alloc

# ---------------------------------------------------------------------------------------- removals

f "unbind: every allocation" 10 $EXT4 unbind alloc
f "unbind: every allocation, XFS" 9 $XFS unbind alloc
f "unbind: pages that seem to be pinned" 2 $EXT4 $XFS unbind dax_layout_busy_page_range 1
f "unbind: no memory at all" 1 -f -t -1 $EXT4 $XFS unbind alloc
f "unbind: no barrier" 1 $EXT4 unbind get_dev_pagemap 0
f "unbind: files that do not let go at once" 2 $EXT4 $XFS unbind dax_break_layout -16
l() { f "unbind, a table between: $1" "$2" "${ON_LAYER[@]}" "${@:3}"; }
l "every allocation" 16 unbind alloc
l "no memory at all" 1 -f -t -1 unbind alloc
l "it does not say where it is" 1 unbind dax_direct_access -5
l "it seems to have no DAX" 1 unbind fs_dax_get_by_bdev+5 0
f "unbind, a table on a table: every allocation" 15 "${TOWER[@]}" unbind alloc
c() { f "unbind, a cache: $1" "$2" "${ON_CACHE[@]}" "${@:3}"; }
c "every allocation" 16 -W unbind alloc
c "no process for the agent" 1 unbind call_usermodehelper_setup 0
# call_usermodehelper_exec() frees what it is given when it fails, so it cannot be left out: that there is no
# agent, or that it is killed, is for test_writecache.
c "its file system is not frozen" 1 unbind bdev_freeze -12
c "no memory at all" 1 -f -t -1 -w unbind alloc
# To the end of the event.
unbind_without_memory() {
	echo "alloc 1 -1" >$ARM
	unbind 0
	wait_for 60 logged "$D: event [0-9]*: removal,"
	local rc=$? met
	read -r met <$ARM
	echo off >$ARM
	echo "$met"
	FIGURE="${met#* }, $((SECONDS - BEGUN)) s"
	((rc == 0)) && [[ $met != *" injected=0 "* ]]
}
# pinned [WRITER]: a pinned file that is closed would be evicted, which waits for the pin; without memory it
# cannot be kept from that. Who writes to the file system may wait for the pin as well. Those behind are told all
# the same.
pinned() {
	local f=$TMP/1/pinned
	mnt "$P1" "$TMP/1" && mnt "$P3" "$TMP/3" && "$BIN/file" make "$f" 64 $SEED && sync && start pin "$BIN/pinner" closed "$f" $SEED 1 || return
	if (($#)); then
		"$@" "$f" &
		PID[writer]=$!
		wait_for 30 stands_in writer dax_break_layout || { echo "nobody waits for the page"; return 1; }
	fi
	start map "$BIN/mapper" "$TMP/3/f" $SEED shared,read && unbind_without_memory && logged "no memory to keep pinned inode" && told map &&
		! gone "${PID[unbind]}" && told pin && wait_for 60 gone "${PID[unbind]}" && ended unbind && { ! (($#)) || wait_for 10 gone "${PID[writer]}"; } &&
		unset "PID[writer]" &&
		umnt "$TMP/1" "$TMP/3" && bind_now && attached && mnt "$P3" "$TMP/3" && "$BIN/file" check "$TMP/3/f" $SEED &&
		umnt "$TMP/3"
}
ft "unbind: no memory at all, a closed file is pinned" pinned
ft "unbind: no memory at all, a writer waits for the pin" pinned truncate -s 0
# A table that is just being loaded has claimed the layer, and is none itself yet.
claimed() {
	table && start claim python3 -c "$CLAIM" $L && unbind_without_memory && nap 1 && ! gone "${PID[unbind]}" &&
		tell claim && ended claim && tables_gone && wait_for 60 gone "${PID[unbind]}" && ended unbind && bind_now && attached
}
ft "unbind: no memory at all, somebody has claimed a layer" claimed
f "surprise: every allocation" 8 $EXT4 surprise alloc
f "surprise, XFS: every allocation" 9 $XFS surprise alloc
f "surprise, a table between: every allocation" 15 "${ON_LAYER[@]}" surprise alloc
f "surprise, a cache: every allocation" 17 -W "${ON_CACHE[@]}" surprise alloc
f "surprise: files that do not let go at once" 1 $EXT4 $XFS surprise dax_break_layout -16
f "surprise: no barrier" 1 $EXT4 surprise get_dev_pagemap 0
f "surprise: no memory at all, a table between" 1 -f -t -1 "${ON_LAYER[@]}" surprise alloc
f "surprise: no memory at all" 1 -f -t -1 $EXT4 $XFS surprise alloc

kmemleak() {
	nap 6
	echo scan >/sys/kernel/debug/kmemleak && nap 6 && echo scan >/sys/kernel/debug/kmemleak &&
		! grep . /sys/kernel/debug/kmemleak
}
# The one that has looked nd_pmem's device up has one that is gone by now.
modules_go() {
	unbind_now
	[ ! -d /sys/module/surprise ] || test_module unload surprise || return
	bind_now && test_module unload holder_test && test_module unload fail_call
}
t "the modules of the tests are unloaded" modules_go
t "kmemleak finds nothing" kmemleak
wipefs -qa "$PLAIN"
finish
