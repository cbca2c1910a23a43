#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# guest: own
# The administrator gives up on a stuck user: the removal ends although a page is pinned, with a
# warning. Letting go of that page afterwards would be upstream's use after free, so its owner is
# stopped for ever: the guest is not fit for anything else afterwards.
. "$(dirname "$0")/lib.sh"
need_module
plan 6

setup() {
	partitions 320 300 && mke "$P2" && mnt "$P2" "$TMP/2" && "$BIN/file" make "$TMP/2/pin" 16 $SEED &&
		sync && echo 1 >$TRACE/events/dax_holder/barrier_released/enable &&
		start pin "$BIN/pinner" open "$TMP/2/pin" $SEED 1
}
held() { [[ $(cat "$G/barrier" 2>&1) == "held since"* ]]; }
waits() { unbind 0; wait_for 30 held && nap 2 && ! gone "${PID[unbind]}"; }
# The owner is stopped and forgotten, so that nothing here ever ends it.
override() {
	kill -STOP "${PID[pin]}"
	disown "${PID[pin]}"
	unset "PID[pin]"
	is override "$(wr "$G/override" release)" 7 && wait_for 20 gone "${PID[unbind]}" && ended unbind
}
warns() { sync_log && grep -E "$MODULE: $D: .*(override|released by|forced)" "$TMP/log"; }
traced() { grep -E "barrier_released: disk=$D held_ns=[0-9]{10,} forced\$" $TRACE/trace; }
goneby() { fails test -e /sys/block/$D && fails test -e "$G"; }

# The mount stays: unmounting would wait for the page.
clean() { kill "$LOG_PID" 2>/dev/null; }

must "a pinned page" setup
t "the removal waits for it" waits
t "with the override it ends" override
t "the log warns of what that means" warns
t "so does the trace" traced
t "the disk is gone" goneby
finish
