#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Eight threads register and unregister holders, callbacks do too, while events come from two threads
# and from injections, and while the disk goes and comes back. tests/modules/holder_storm.c keeps
# the books: each registration is told every event of its time, once, and no other.
# MINUTES: how long the storm goes on, the second half of it with removals (default 2).
. "$(dirname "$0")/lib.sh"
. "$HERE/holders.sh"
need_module
need_test_module holder_storm
plan 4

MINUTES=${MINUTES:-2}
HALF=$((MINUTES * 30))			# seconds
EVENTS=$((DEBUG ? 50 : 400))		# at least so many in the first half

loaded_storm() { test_module load holder_storm; }
# events FIELD=LEAST...: until there was enough of everything.
events() { until storm_saw "$@"; do storm_strike || return; done; }
storm() {
	local end=$((SECONDS + HALF))
	storm_begins || return
	while ((SECONDS < end)); do storm_strike || return; done
	events events=$EVENTS due=$EVENTS registrations=$EVENTS inside=$((EVENTS / 10)) && storm_ends
}
# The disk goes in the midst of it. Whoever is registered must still be unregistered, and nobody new
# comes in; the storm goes on meanwhile.
removals() {
	local n end=$((SECONDS + HALF))
	for ((n = 1; n <= 4 || SECONDS < end; n++)); do
		storm_begins && events events=5 due=5 && nap 0.$((RANDOM % 10)) && unbind 300 &&
			wait_for 60 storm_saw refused=10 && storm_ends && bind_now && attached || {
			echo "in round $n"
			return 1
		}
	done
	echo "# $((n - 1)) removals" >>"$TMP/notes"
}
unload_storm() {
	storm_begins && events events=5 && storm_ends && test_module unload holder_storm &&
		fails grep -qE ' (storm|books) ' "$G/holders" && { [ "$(<$S/state)" = active ] || reset; } &&
		echo 0 >$S/attached && echo 1 >$S/attached
}

must "the module of the tests loads" loaded_storm
t "holders come and go among reports and injections for $HALF s" storm
t "removals in the midst of it for $HALF s" removals
t "nobody is left: unloaded and detached" unload_storm
[ ! -e "$TMP/notes" ] || cat "$TMP/notes"
finish
