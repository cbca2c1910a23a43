#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernel: debug
# lockdep knows the order of the locks that Documentation/design.rst documents, from the first disk on,
# so that a violation is reported the first time it happens.
. "$(dirname "$0")/lib.sh"
. "$HERE/holders.sh"
[ -e /proc/lockdep ] || skip_all "this kernel has no lockdep"
need_module
need_test_module holder_test
plan 8

# What lockdep knows: a line "OUTER INNER" for each pair of classes taken one right after the other.
learn() {
	awk '/ FD:/ { outer = $NF; next } / -> / { sub(/#[0-9]+$/, "", outer); sub(/#[0-9]+$/, ""); print outer, $NF }' \
		/proc/lockdep | sort -u >"$TMP/edges"
}
# direct OUTER INNER; under OUTER INNER: on some way.
direct() { grep -qxF "$1 $2" "$TMP/edges"; }
under() {
	awk -v from="$1" -v to="$2" '
		{ next_of[$1] = next_of[$1] " " $2 }
		END {
			n = 1; queue[1] = from
			for (i = 1; i <= n; i++) {
				m = split(next_of[queue[i]], list, " ")
				for (j = 1; j <= m; j++) {
					if (list[j] == to) exit 0
					if (!(list[j] in seen)) { seen[list[j]]; queue[++n] = list[j] }
				}
			}
			exit 1
		}' "$TMP/edges" || {
		echo "lockdep does not know of $2 under $1; right under $1 it knows:"
		grep "^$1 " "$TMP/edges"
		return 1
	}
}
never() { ! direct "$1" "$2" || { echo "$2 was taken under $1"; return 1; }; }
C="dax_holder::"
documented() {
	local locks=("${C}Shim::handling" "${C}Shim::removal" "${C}Shim::unreleased" "${C}Shim::stuck" "${C}Fronts::list"
		"${C}Shim::registry" "${C}Clients::list" "${C}Tally::sheet" GATES "${C}Gate::change" "${C}Gate::seen")
	local i j
	learn
	for ((i = 0; i + 1 < ${#locks[@]}; i++)); do
		under "${locks[i]}" "${locks[i + 1]}" || return
		for ((j = i + 1; j < ${#locks[@]}; j++)); do never "${locks[j]}" "${locks[i]}" || return; done
	done
}
publishing() {
	under "${C}Shim::handling" PUBLISHING && under PUBLISHING "${C}Fronts::list" &&
		never "${C}Fronts::list" PUBLISHING && never PUBLISHING "${C}Shim::handling"
}
table() {
	under PUBLISHING DISKS && under DISKS "${C}Known::inner" && under "${C}Known::inner" "${C}Fronts::list" &&
		never DISKS PUBLISHING && never "${C}Known::inner" DISKS && never "${C}Fronts::list" "${C}Known::inner"
}
grace_periods() {
	local lock
	under PUBLISHING dax_srcu || return
	for lock in removal unreleased stuck registry; do never "${C}Shim::$lock" dax_srcu || return; done
	never DISKS dax_srcu && never "${C}Known::inner" dax_srcu && never "${C}Fronts::list" dax_srcu
}
# The first holder who registers shows it, before any event.
clients() {
	test_module load holder_test && add name=x "disk=$DEV" && remove x && test_module unload holder_test && learn &&
		under "${C}Clients::list" "${C}Client::state" && under "${C}Client::state" "${C}Tally::sheet" &&
		never "${C}Client::state" "${C}Clients::list" && never "${C}Tally::sheet" "${C}Client::state"
}
callbacks() {
	local lock
	never dax_srcu "${C}Shim::handling" || return
	for lock in "${C}Shim::removal" "${C}Clients::list" "${C}Gate::change" "${C}Shim::pending"; do
		under dax_srcu "$lock" && never "$lock" dax_srcu || return
	done
}

t "the order of design.rst, each lock under the one before" documented
t "the fronts are published and killed under handling" publishing
t "lookups find a disk by the table, under the right to publish" table
t "grace periods are waited for with the right to publish, not with what is taken under it" grace_periods
t "callbacks take what they may, and nobody waits for a grace period with one of these" callbacks
t "detached and attached once more: the same" eval "echo 0 >$S/attached && echo 1 >$S/attached && documented"
t "a registered holder: his state comes after the list and before the tally" clients
# A failure that the DAX core reports, clear and a removal: whatever is taken then, in its order.
at_work() {
	local pfn
	modprobe hwpoison-inject && echo 1 >/proc/sys/vm/memory_failure_recovery && partitions 64 && mke "$P1" -m 0 &&
		mnt "$P1" "$TMP/1" && "$BIN/file" make "$TMP/1/f" 16 $SEED && pfn=$("$BIN/file" pfn "$TMP/1/f" 3) || return
	wr /sys/kernel/debug/hwpoison/corrupt-pfn "$pfn"
	wait_for 20 has $S/state failed && umnt "$TMP/1" && wait_for 20 reset && unbind && bind_now && attached || return
	grep -q 'debug_locks: *1' /proc/lockdep_stats || { sync_log && log_since | grep -E "$SPLAT"; return 1; }
	documented && publishing && table && grace_periods && callbacks
}
t "after a failure, clear and a removal: the same, and lockdep is still on" at_work
finish
