#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# guest: own
# The administrator gives up on a stuck user: the removal ends although a cache has the memory mapped, or a page
# is pinned, with a warning. What has begun to look after them ends as well. Letting go of that page afterwards
# would be upstream's use after free, and so would I/O of that cache, so both stay as they are
# for ever: the guest is not fit for anything else afterwards.
. "$(dirname "$0")/lib.sh"
. "$HERE/writecache.sh"
need_writecache
plan 10

setup() {
	partitions 320 300 && mke "$P2" && mnt "$P2" "$TMP/2" && "$BIN/file" make "$TMP/2/pin" 16 $SEED &&
		sync && echo 1 >$TRACE/events/dax_holder/barrier_released/enable &&
		start pin "$BIN/pinner" open "$TMP/2/pin" $SEED 1
}
# An agent that says each time that it is called, and does nothing.
cache() {
	partitions 320 300 && CACHE=$P1 && fresh_cache && cached && program counts "echo >>$TMP/calls; exit 1"
}
calls() { wc -l <"$TMP/calls"; }
tried() { (($(calls) > 1)); }
cache_waits() { unbind 0; wait_for 60 tried && held && ! gone "${PID[unbind]}"; }
# Idle for longer than between two tries, and the module, which an endless worker would hold up, can go.
left_alone() {
	local before
	nap 2
	before=$(calls)
	nap 20
	is "calls of the agent" "$(calls)" "$before" && agent_is $AGENT && bind_now && attached && unload && load && attached
}
held() { [[ $(cat "$G/barrier" 2>&1) == "held since"* ]]; }
waits() { unbind 0; wait_for 30 held && nap 2 && ! gone "${PID[unbind]}"; }
# The owner is stopped and forgotten, so that nothing here ever ends it.
override() { is override "$(wr "$G/override" release)" 7 && wait_for 20 gone "${PID[unbind]}" && ended unbind && logged "barrier released by force"; }
override_pin() {
	kill -STOP "${PID[pin]}"
	disown "${PID[pin]}"
	unset "PID[pin]"
	override
}
warns() { sync_log && grep -E "$MODULE: $D: .*(override|released by|forced)" "$TMP/log"; }
traced() { grep -E "barrier_released: disk=$D held_ns=[0-9]{10,} forced\$" $TRACE/trace; }
goneby() { fails test -e /sys/block/$D && fails test -e "$G"; }

# The mount stays: unmounting would wait for the page.
clean() { kill "$LOG_PID" 2>/dev/null; }

must "a cache" cache
t "the removal waits for it" cache_waits
t "with the override it ends" override
t "the agent is not called any more, the disk comes again, and the module goes" left_alone
must "a pinned page" setup
t "the removal waits for it" waits
t "with the override it ends" override_pin
t "the log warns of what that means" warns
t "so does the trace" traced
t "the disk is gone" goneby
finish
