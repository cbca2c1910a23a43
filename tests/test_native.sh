#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Policy native with ranges that XFS's own handler cannot take as they are: it never comes back
# from one that spans allocation groups (xfs_dax_notify_dev_failure(), 32 bits overflow).
. "$(dirname "$0")/lib.sh"
need_module
plan 4

AGBYTES=$((160 * MIB))		# mkx: agcount=2

# Within 60 s, or the kernel walks 2^32 pages.
inject_soon() {
	wr "$G/inject" "$1" >"$TMP/inject" 2>&1 &
	PID[inject]=$!
	wait_for 60 gone "${PID[inject]}" || { cat "/proc/${PID[inject]}/stack"; return 1; }
	ended inject && like "inject $1" "$(<"$TMP/inject")" '[0-9]*'
}

setup() {
	partitions 320 && mkx "$P1" 1 && mnt "$P1" "$TMP/x" && "$BIN/file" make "$TMP/x/f" 512 $SEED &&
		echo native >$S/policy && start people "$BIN/mapper" "$TMP/x/f" $SEED shared,read shared,write
}
spanning() {
	local border=$((START1 + AGBYTES))
	inject_soon "$((border - MIB))+$((2 * MIB))" && logged "$D: event .*: 1 holder, result -117"
}
down() {
	is state "$(holder "$P1" state)" down && is calls "$(holder "$P1" events)" 1 && told people &&
		fails "$BIN/file" check "$TMP/x/f" $SEED
}
after() { umnt "$TMP/x" && echo shutdown >$S/policy && reset; }

must "XFS with a handler of its own, mapped" setup
t "a range across two allocation groups: the handler comes back, it hit metadata, its answer is kept" spanning
t "and then the generic treatment: the whole file system is down, nobody maps anything" down
t "cleared" after
finish
