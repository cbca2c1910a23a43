#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Random and mutated text into every file that can be written to: each answer is the one that
# Documentation/ABI promises, an event comes of right text only, and the disk works afterwards.
# ROUNDS: thousands of writes (100; 20 on a kernel that looks closely).
. "$(dirname "$0")/lib.sh"
need_module
plan 14

ROUNDS=${ROUNDS:-${DEBUG:+20}}
ROUNDS=${ROUNDS:-100}
CONTENT=$SEED
PARAMETERS=/sys/module/$MODULE/parameters
BYTES=$(($(</sys/block/$D/size) * 512))
WRITES=0

path() {
	case $1 in
	inject | override) echo "$G/$1" ;;
	agent*) echo $PARAMETERS/$1 ;;
	*) echo $S/$1 ;;
	esac
}
# scribble KIND THOUSANDTHS [racing|removing]: of all writes; what was accepted is in ACCEPTED.
scribble() {
	SEED=$((SEED + 1))
	"$BIN/scribbler" "$1" "$(path $1)" $((ROUNDS * $2)) $SEED "$BYTES" ${3:-} >"$TMP/said" || {
		echo "scribbler $1, seed $SEED:"
		cat "$TMP/said"
		return 1
	}
	counted "$1" "$TMP/said"
}
counted() {
	local w
	read -ra w <"$2"
	WRITES=$((WRITES + w[1])) ACCEPTED=${w[3]}
	SAID+=("$1: $(<"$2")")
}
sequence() { local n; n=$(event seq); echo "${n:-0}"; }

# Each right text is one event; nothing else is.
injections() {
	local before after
	before=$(sequence)
	scribble inject 300 || return
	after=$(sequence)
	is "events" $((after - before)) "$ACCEPTED" && ((ACCEPTED > 0)) && is kind "$(event kind)" failure &&
		is state "$(<$S/state)" failed && reset
}
no_event() {
	local before
	before=$(<$S/last_event)
	scribble "$@" && is last_event "$(<$S/last_event)" "$before"
}
restored() {
	echo /usr/lib/dax_holder/agent >$PARAMETERS/agent && echo 60 >$PARAMETERS/agent_timeout &&
		echo shutdown >$S/policy
}
policy() { no_event policy 100 && like policy "$(<$S/policy)" '*\[[sn]*\]*'; }
parameters() {
	no_event agent 100 && no_event agent_timeout 50 &&
		like agent_timeout "$(<$PARAMETERS/agent_timeout)" '[1-9]*' && restored
}
attached_again() {
	attached || echo 1 >$S/attached
	[ "$(<$S/state)" != failed ] || echo 1 >$S/clear
	is state "$(<$S/state)" active && [ -d "$G" ]
}
attach() { scribble attached 30 && ((ACCEPTED > 0)) && attached_again; }
clears() { no_event clear 100; }

# many RACING KIND...: one writer each, all at the same time
many() {
	local how=$1 k n=0 bad=0 pids=()
	shift
	INJECTED=0
	for k; do
		SEED=$((SEED + 1)) n=$((n + 1))
		"$BIN/scribbler" "$k" "$(path $k)" $((ROUNDS * 15)) $SEED "$BYTES" $how >"$TMP/said$n" 2>&1 &
		pids+=($!)
	done
	n=0
	for k; do
		n=$((n + 1))
		wait "${pids[n - 1]}" || { bad=1; echo "$k:"; cat "$TMP/said$n"; continue; }
		counted "$k" "$TMP/said$n"
		[ "$k" != inject ] || INJECTED=$((INJECTED + ACCEPTED))
	done
	return $bad
}
writers() {
	local before after
	before=$(sequence)
	many "" inject inject inject override policy policy clear agent || return
	after=$(sequence)
	is events $((after - before)) "$INJECTED" && restored && attached_again
}
with_detach() { many racing inject inject override attached attached clear policy && restored && attached_again; }

# Files that are only to be read.
read_only() {
	local f
	for f in state reason last_event; do like "$f" "$(wr $S/$f x)" 'E*' || return; done
	for f in holders events barrier; do like "$f" "$(wr "$G/$f" x)" 'E*' || return; done
}
# A text that faults is not one that is too long, and the log says so.
says_why() {
	"$BIN/scribbler" inject "$(path inject)" 400 7 "$BYTES" >"$TMP/said" && logged 'refused: text that cannot be read'
}

setup() {
	partitions 300 && mke "$P1" && mnt "$P1" "$TMP/e" && "$BIN/file" make "$TMP/e/f" 64 $CONTENT &&
		start pin "$BIN/pinner" open "$TMP/e/f" $CONTENT 1
}
held() { [[ $(cat "$G/barrier" 2>&1) == "held since "* ]]; }
# The removal is an event too, which is listed once all have been told.
listed() { held && grep -q kind=removal "$G/events"; }
# While a removal waits, nothing that is written moves it, and nothing fails any more.
while_removing() {
	setup && unbind 0
	wait_for 30 listed && BEFORE=$(grep -c . "$G/events") && scribble override 50 removing &&
		scribble inject 30 removing && is "accepted" "$ACCEPTED" 0 &&
		is events "$(grep -c . "$G/events")" "$BEFORE" && held && ! gone "${PID[unbind]}"
}
goes_on() { told pin && ended unbind && umnt "$TMP/e" && bind_now && attached; }

# The disk does what it is for.
works() {
	mnt "$P1" "$TMP/e" && "$BIN/file" check "$TMP/e/f" $CONTENT &&
		start reader "$BIN/mapper" "$TMP/e/f" $CONTENT shared,read shared,write private,read &&
		inject "$START1+4096" && is holders "$(event holders)" 1 && is result "$(event result)" 0 && told reader &&
		is state "$(<$S/state)" failed && is "clear while mounted" "$(wr $S/clear 1)" EBUSY && umnt "$TMP/e" && reset &&
		mnt "$P1" "$TMP/e" && umnt "$TMP/e" && echo 0 >$S/attached && is state "$(<$S/state)" detached &&
		echo 1 >$S/attached && is state "$(<$S/state)" active && unbind && bind_now && attached
}

t "inject: each right text is one event, any other none" injections
t "override: nothing to release, whatever is written" no_event override 100
t "policy" policy
t "clear" clears
t "agent and agent_timeout" parameters
t "attached" attach
t "eight writers at the same time: every event was asked for" writers
t "and with the disk detached and attached meanwhile" with_detach
t "what is only to be read cannot be written" read_only
t "text that faults is refused with a line that says so" says_why
t "a removal that waits is not moved by anything, and nothing fails any more" while_removing
t "it ends when the page is let go of" goes_on
t "then the disk works: a failure, clear, mount, detach, attach, removal" works
enough() {
	local line
	for line in "${SAID[@]}"; do echo "$line"; done
	echo "$WRITES writes"
	((WRITES >= ROUNDS * 1000))
}
t "$WRITES writes were made" enough
for line in "${SAID[@]}"; do note "$line"; done
finish
