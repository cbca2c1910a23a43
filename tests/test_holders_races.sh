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
STORM=/sys/kernel/debug/holder_storm

loaded_storm() { test_module load holder_storm; }
begin() { is "the storm begins" "$(wr $STORM/start "$DEV")" ${#DEV}; }
# enough FIELD=LEAST...: the storm has seen that much.
enough() {
	local result pair value
	result=$(<$STORM/result)
	for pair; do
		value=${result##*"${pair%%=*}="} value=${value%% *}
		((value >= ${pair#*=})) || return
	done
}
# It ends, and nothing was wrong.
settle() {
	local answer result
	answer=$(wr $STORM/stop 1)
	result=$(<$STORM/result)
	note "$result" >>"$TMP/notes"
	is "the storm ends" "$answer" 1 && is wrong "${result##*wrong=}" 0 || { echo "$result"; return 1; }
}
# One more injection among the reports. Meanwhile nobody may detach; clearing may find a holder being
# called.
strike() {
	local n what=
	for ((n = RANDOM % 8; n >= 0; n--)); do what+=" $((RANDOM % 128 * MIB + RANDOM % 256 * 4096))+4096"; done
	((RANDOM % 16)) || what=all
	inject "$what" && is detach "$(wr $S/attached 0)" EBUSY && like clear "$(wr $S/clear 1)" '[1E]*' || return
	nap 0.0$((RANDOM % 10))
}
# events FIELD=LEAST...: until there was enough of everything.
events() { until enough "$@"; do strike || return; done; }
storm() {
	local end=$((SECONDS + HALF))
	begin || return
	while ((SECONDS < end)); do strike || return; done
	events events=$EVENTS due=$EVENTS registrations=$EVENTS inside=$((EVENTS / 10)) && settle
}
# The disk goes in the midst of it. Whoever is registered must still be unregistered, and nobody new
# comes in; the storm goes on meanwhile.
removals() {
	local n end=$((SECONDS + HALF))
	for ((n = 1; n <= 4 || SECONDS < end; n++)); do
		begin && events events=5 due=5 && nap 0.$((RANDOM % 10)) && unbind 300 &&
			wait_for 60 enough refused=10 && settle && bind_now && attached || {
			echo "in round $n"
			return 1
		}
	done
	echo "# $((n - 1)) removals" >>"$TMP/notes"
}
unload_storm() {
	begin && events events=5 && settle && test_module unload holder_storm &&
		fails grep -qE ' (storm|books) ' "$G/holders" && { [ "$(<$S/state)" = active ] || reset; } &&
		echo 0 >$S/attached && echo 1 >$S/attached
}

must "the module of the tests loads" loaded_storm
t "holders come and go among reports and injections for $HALF s" storm
t "removals in the midst of it for $HALF s" removals
t "nobody is left: unloaded and detached" unload_storm
[ ! -e "$TMP/notes" ] || cat "$TMP/notes"
finish
