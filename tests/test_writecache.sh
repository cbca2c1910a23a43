#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The disk goes away under a dm-writecache: what was durable above is on the origin afterwards.
. "$(dirname "$0")/lib.sh"
. "$HERE/writecache.sh"
need_writecache
plan 24

ROUNDS=${ROUNDS:-${DEBUG:+3}}
ROUNDS=${ROUNDS:-20}

setup() { partitions 64 300 && plain_layout && fresh_cache; }
# made FS [FEATURES]: an empty file system on a new cache
made_on_it() { fresh_cache && cached "${@:2}" && mkfs_on "$1" && mount $WC "$M"; }
made() { nothing && back && made_on_it "$@"; }

back() { [ -b "$DEV" ] || bind_now; }

# After the removal: nobody has the memory, I/O ends, the origin is whole.
gone_well() {
	stopped && refused && dismantle && on_origin && bind_now && attached
}
one_round() {
	cached && mount $WC "$M" && writers && nap 0.5 && unbind && gone_well
}
rounds() {
	made "$1" && writers && unbind && gone_well || return
	for ((n = 2; n <= ROUNDS; n++)); do
		one_round || { echo "in round $n"; return 1; }
	done
}
in_the_books() {
	nothing && back && cached && mount $WC "$M" && writers && is "before" "$(holder "${P1#/dev/}" kind)" "$WC_DM" &&
		unbind && logged "$D: event [0-9]+: removal.* 2 holders, result 0" && gone_well
}

# Nine tenths of the cache are not on the origin, and are not on their way there.
ninety() {
	made "$1" 4 high_watermark 98 low_watermark 97 || return
	dd if=/dev/urandom of="$M/big" bs=1M count=48 status=none && sync -f "$M" || return
	for ((n = 0; $(dirty_percent) < 91 && n < 40; n++)); do
		dd if=/dev/urandom of="$M/more$n" bs=512k count=1 status=none && sync -f "$M" || return
	done
	sha256sum "$M/big" >"$TMP/sum" && WRITERS=1 && writers || return
	# Only now: the writers could have set off a write-back.
	n=$(dirty_percent) && note "$1: the cache is dirty to $n %" >>"$TMP/notes"
	((n >= 90)) || { echo "the cache is dirty to $n % only"; return 1; }
	unbind && gone_well && mount "$PLAIN" "$M" && sha256sum -c "$TMP/sum" && umnt "$M"
}
# reader NAME: reads the file over and over until an error comes, which it says at its end; counts in
# $TMP/NAME.rounds how often it had all of it.
reader() {
	while dd if="$M/big" of=/dev/null bs=64k iflag=direct status=none; do printf . >>"$TMP/$1.rounds"; done >"$TMP/$1" 2>&1
}
# read_so_often ROUNDS: each of them
read_so_often() {
	local i rounds
	for i in 1 2 3; do rounds=$(<"$TMP/reader$i.rounds") && ((${#rounds} >= $1)) || return; done
}
readers() {
	made ext4 && dd if=/dev/urandom of="$M/big" bs=1M count=16 status=none && sync -f "$M" &&
		WRITERS=1 && writers || return
	for i in 1 2 3; do
		: >"$TMP/reader$i.rounds"
		reader "reader$i" &
		PID[reader$i]=$!
	done
	wait_for 60 read_so_often 2 && unbind || return
	for i in 1 2 3; do ended "reader$i" && like "reader $i" "$(<"$TMP/reader$i")" '*Input/output error*' || return; done
	note "16 MiB read by each of 3: $(cat "$TMP"/reader?.rounds | wc -c) times in all" >>"$TMP/notes"
	gone_well
}
vmapped() {
	nothing && back && vmapped_layout && made_on_it "$1" && writers && nap 0.5 && unbind && gone_well
	local rc=$?
	plain_layout
	return $rc
}

# ---- an agent that does not do its work ------------------------------------------------------

held() { [[ $(cat "$G/barrier" 2>&1) == "held since"*"not let go"*"$1"* ]]; }
# waits WORDS ERRNO: the removal does not end, says why, upper I/O ends all the same
waits() {
	unbind 0
	wait_for 30 held "$1" || { cat "$G/barrier"; return 1; }
	stopped && refused && held "$1" && ! gone "${PID[unbind]}" && logged "$D|$WC_DM on .*$1" &&
		is state "$(holder "${P1#/dev/}" state)" stuck && is result "$(holder "${P1#/dev/}" result)" "$2"
}
# goes_on: the worker has the right agent try again
goes_on() { wait_for 90 gone "${PID[unbind]}" && ended unbind && dismantle && on_origin && bind_now; }

missing() { agent_is /nonexistent && made ext4 && writers && waits "there is no agent" -2; }
arrives() { agent_is $AGENT && goes_on; }
none() { agent_is '' && made xfs && writers && waits "there is no agent" -2; }
not_executable() { echo '#!/bin/sh' >"$TMP/text" && agent_is "$TMP/text" && made ext4 && writers && waits "not executable" -13; }
by_hand() {
	# Freezing an XFS that is shut down is an error.
	dm message wc 0 flush_on_suspend && dm wipe_table --nolockfs wc && goes_on
}
removed_by_hand() {
	# Its cache stays on the medium: nothing is lost, but it is not on the origin.
	umnt "$M" && dm remove wc && wait_for 30 gone "${PID[unbind]}" && ended unbind && bind_now &&
		cached && mount $WC "$M" || return
	for i in $WRITERS; do "$BIN/fsyncer" verify "$M/$i" "$TMP/log$i" || return; done
	dismantle
}
hangs() {
	echo 2 >$PARAMETERS/agent_timeout && program hangs 'exec sleep 1000' && made ext4 && writers &&
		waits "takes too long" -110
}
killed() { ! pgrep -f 'sleep 1000'; }
hung() {
	wait_for 10 killed && echo 60 >$PARAMETERS/agent_timeout && arrives
}
liar() { program liar 'exit 0' && made xfs && writers && waits "it has not" -16; }
fails_once() {
	program once "[ -e $TMP/failed ] || { touch $TMP/failed; exit 1; }; exec $AGENT \"\$@\"" &&
		made ext4 && writers && unbind 90 && stopped && refused && dismantle && on_origin &&
		bind_now && fails test ! -e "$TMP/failed" && agent_is $AGENT
}

# However many lie on the disk: those of them who do not lie on what fails are not told.
crowded() {
	local n
	made ext4 && writers || return
	for ((n = 0; n < 70; n++)); do dm create dh_$n --table "0 8 linear $P2 $((n * 8))" || return; done
	inject "$START2+4096" && is holders "$(event holders)" 0 && is bytes "$(event bytes)" 4096 && nap 0.5 || return
	for n in $WRITERS; do ! gone "${PID[writer$n]}" || return; done
	unbind 90 && stopped && refused && dismantle && on_origin && tables_gone && bind_now && attached
}
claimed() { [[ $(cat "$G/barrier" 2>&1) == "held since"*claimed*"$1"* ]]; }

# ---- other things that lie on a layer ---------------------------------------------------------

# Whoever has claimed a layer that passes DAX on could have mapped the memory: a cache that is just being
# made has, and is no layer yet.
claimed_layer() {
	nothing && back && dm create extents --table "0 8192 linear $P1 0" &&
		start claim python3 -c "$CLAIM" /dev/mapper/extents && unbind 0 &&
		wait_for 30 claimed "$(dm info -c --noheadings -o blkdevname extents)" && nap 1 && ! gone "${PID[unbind]}" || return
	tell claim && ended claim && wait_for 30 gone "${PID[unbind]}" && ended unbind && nothing && bind_now
}
# A table that waits may lie on its own device, by way of another: no live one can.
round_about() {
	dm create extents --table "0 8192 linear $P1 0" && dm create wc --table "0 8192 linear /dev/mapper/extents 0" &&
		dm load extents --table "0 8192 linear /dev/mapper/wc 0" || return
	cat "$G/holders" >"$TMP/listed" 2>&1 &
	PID[list]=$!
	wait_for 20 gone "${PID[list]}" && ended list && inject "$START1+4096" && dm clear extents && nothing && reset
}

# ---- somebody else at the same time ----------------------------------------------------------

# A write to a suspended device waits for its resume, and a removal that comes then for the write:
# the other process goes on for as long as we wait.
# What each has come to is in a file, a character for each time: it is killed at its end.
meddlers() {
	while :; do
		meddle suspend dm suspend --nolockfs wc
		meddle resume dm resume wc
		meddle message dm message wc 0 flush
		meddle remove dm remove wc	# somebody has it open
	done >/dev/null 2>&1
}
meddle() { "${@:2}" && printf . >>"$TMP/meddled.$1" || printf . >>"$TMP/meddled.not_$1"; }
# Each has had its way, but for the one that must not.
at_work() { local name; for name in suspend resume message not_remove; do [ -s "$TMP/meddled.$name" ] || return; done; }
meddlings() { (cd "$TMP" && wc -c meddled.* | awk '{ sub("meddled.", ""); printf "%s%s=%d", (NR > 1 ? " " : ""), $2, $1 }'); }
meddled() {
	local n during=0
	for ((n = 1; n <= (ROUNDS + 3) / 4; n++)); do
		made "$( ((n % 2)) && echo ext4 || echo xfs)" || return
		writers || return
		rm -f "$TMP"/meddled.*
		meddlers &
		PID[meddlers]=$!
		wait_for 30 at_work || { echo "in round $n: $(meddlings)"; return 1; }
		during=$((during - $(cat "$TMP"/meddled.* | wc -c)))
		unbind 90 && stopped || { echo "in round $n"; return 1; }
		during=$((during + $(cat "$TMP"/meddled.* | wc -c)))
		kill -KILL "${PID[meddlers]}"
		wait "${PID[meddlers]}" 2>/dev/null
		unset "PID[meddlers]"
		note "meddled in round $n: $(meddlings)" >>"$TMP/notes"
		fails test -e "$TMP/meddled.remove" || { echo "removed while mounted, in round $n"; return 1; }
		dm resume wc 2>/dev/null
		refused && dismantle && on_origin && bind_now && attached || { echo "in round $n"; return 1; }
	done
	note "commands that ended while the disk went: $during" >>"$TMP/notes"
	((during > 0)) || { echo "nobody meddled with a removal"; return 1; }
}

must "partitions" setup
t "ext4: $ROUNDS times removal under four writers, everything durable is on the origin" rounds ext4
t "XFS: the same" rounds xfs
t "the books name the cached device" in_the_books
t "ext4: nine tenths of the cache are dirty" ninety ext4
t "XFS: the same" ninety xfs
WRITERS="1 2 3 4"
t "a load of reads" readers
WRITERS="1 2 3 4"
t "ext4: a cache of two extents, which is vmapped" vmapped ext4
t "XFS: the same" vmapped xfs
t "no agent where it should be: the removal waits and says so, I/O ends" missing
t "the agent comes: it goes on by itself" arrives
t "no agent at all: the same" none
t "released by hand: the removal ends" by_hand
t "an agent that is not executable" not_executable
t "the cached device is removed by hand: nothing crashes, the data is on the medium" removed_by_hand
t "an agent that hangs" hangs
t "is killed, and another one goes on" hung
t "an agent that lies" liar
t "and one that does not" arrives
t "an agent that fails once" fails_once
t "seventy devices on the disk: each is looked through" crowded
t "somebody has claimed a layer: the removal waits for him" claimed_layer
t "a table that lies on itself, and waits: no event hangs" round_about
t "suspend, resume, message and remove at the same time" meddled
[ ! -e "$TMP/notes" ] || cat "$TMP/notes"
finish
