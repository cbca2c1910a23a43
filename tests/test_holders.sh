#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Registered holders (include/linux/dax_holder.h): who is told what, when, how often; and what each
# answer does. Every number is checked exactly, no time is.
. "$(dirname "$0")/lib.sh"
. "$HERE/holders.sh"
need_module
need_test_module holder_test
plan 51

SIZE=$(($(<"/sys/block/$D/size") * 512))
CORRUPT=/sys/kernel/debug/hwpoison/corrupt-pfn
M=/sys/module/holder_test

# seq: the number of the last event of the disk, 0 before the first.
seq() { local n; n=$(event seq); echo "${n:-0}"; }
# next: N is the number that the next event will have.
next() { N=$(($(seq) + 1)); }
quiet() { is state "$(<$S/state)" active && is "event seq" "$(seq)" $((N - 1)); }
# fresh: nobody is registered, and the disk is as new.
fresh() { remove && { [ "$(<$S/state)" = active ] || reset; } && next; }

# c WHAT FUNCTION...: as t; a failure leaves nothing behind for the next one.
c() { t "$@" || { remove; gone_is_back; fresh; } >/dev/null 2>&1; }
gone_is_back() { [ -b "$DEV" ] || { wait_for 60 gone "${PID[unbind]:-none}" && bind_now; }; }

# ---------------------------------------------------------------------------------- refusals

refused_registration() {
	local what
	next
	for what in info ops function noname empty words line foreign long device; do
		not EINVAL add name=x "disk=$P3" "bad=$what" owner=1 || return
	done
	not EINVAL add name=x "disk=$P3" offset=4096 bad=length owner=1 &&
		not EINVAL add name=x "disk=$P3" bad=length owner=1 || return
	# Beyond the end, by a byte; the disk itself goes on there.
	for what in "$P3 offset=$((LEN3 - 4096)) len=4097" "$P3 offset=$LEN3 len=1" "$P3 len=$((LEN3 + 1))" \
		"$P3 offset=0xfffffffffffff000 len=0x2000" "$P3 offset=4096 len=0xffffffffffffffff" \
		"$P3 offset=0xffffffffffffffff len=1" "$DEV dax=1 offset=$((SIZE - 4096)) len=4097" \
		"$P3 dax=1 offset=$SIZE len=1" "$DEV dax=1 len=$((SIZE + 1))"; do
		not ERANGE add name=x disk=$what owner=1 || return
	done
	not ENODEV add name=x "disk=$PLAIN" owner=1 && not ENODEV add name=x "disk=$PLAIN" dax=1 owner=1 &&
		not EINVAL add name=x "disk=$DEV" dax=1 bad=words owner=1 &&
		not ENODEV add name=x "disk=$DEV" dax=1 bad=device owner=1 &&
		is references "$(<$M/refcnt)" 0 && unlisted x && quiet
}
refused_report() {
	next
	not EINVAL report "disk=$DEV" count=1 len=4096 bad=null && not EINVAL report "disk=$DEV" count=0 &&
		not EINVAL report "disk=$DEV" list=0+4096,4096+0 &&
		not ERANGE report "disk=$DEV" list=0+4096,$((SIZE - 4096))+4097 &&
		not ERANGE report "disk=$P3" "list=$LEN3+1" &&
		not ERANGE report "disk=$P3" list=0xfffffffffffff000+0x2000 &&
		not E2BIG report "disk=$DEV" len=4096 count=1048577 &&
		not ENODEV report "disk=$PLAIN" list=0+4096 && quiet
}
# The most that may be: they are one range once they are sorted.
most_ranges() {
	add name=all "disk=$DEV" && report len=1 count=1048576 &&
		came_to $N 4096 1 0 && heard all calls=1 first=$N ranges=1 bytes=4096 && fresh
}
longest_name() {
	add name=x "disk=$DEV" bad=longest && listed a-name-of-thirty-one-characters "name=$D" state=active events=0 && fresh
}

# ------------------------------------------------------------------------- what one is told

# Bytes need not be pages for a holder; what is reported is rounded out to pages.
one_byte() {
	add name=byte "disk=$DEV" offset=5 len=1 && add name=next "disk=$DEV" offset=4096 len=1 &&
		report list=4095+1 && came_to $N 4096 1 0 &&
		heard byte calls=1 first=$N last=$N offset=0x0 len=0x1 flags=0 kind=failure ranges=1 bytes=1 &&
		heard next calls=0 && report list=4095+2 && came_to $((N + 1)) 8192 2 0 &&
		heard byte calls=2 first=$((N + 1)) missed=0 && heard next calls=1 first=$((N + 1)) && fresh
}
# Bytes count from the beginning of the holder's own range, whatever the report counted from.
own_coordinates() {
	local at=$((START2 + 0x180000))
	add name=part "disk=$P2" offset=0x100000 len=0x200000 && add name=disk "disk=$DEV" &&
		add name=dax "disk=$P2" dax=1 offset=$((START2 + 0x100000)) len=0x100000 &&
		add name=other "disk=$P1" && add name=past "disk=$P2" offset=0x181000 len=$((LEN2 - 0x181000)) &&
		report "list=$at+4096" && came_to $N 4096 3 0 &&
		heard part calls=1 first=$N list=0x80000+0x1000 && heard dax calls=1 list=0x80000+0x1000 &&
		heard disk calls=1 "list=$(hex $at 4096)" && heard other calls=0 && heard past calls=0 &&
		order report "disk=$P2" list=0x180000+4096 && came_to $((N + 1)) 4096 3 0 &&
		heard part calls=2 list=0x80000+0x1000 && heard disk calls=2 "list=$(hex $at 4096)" &&
		inject "$((START2 + 0xff000))+0x2000" && is source "$(event source)" injected &&
		heard part calls=3 first=$((N + 2)) offset=0x0 len=0x1000 && heard dax calls=3 list=0x0+0x1000 &&
		heard disk calls=3 "list=$(hex $((START2 + 0xff000)) 8192)" &&
		inject "$((START2 + 0x2ff000))+0x2000" && heard part calls=4 list=0x1ff000+0x1000 &&
		heard dax calls=3 && heard past calls=1 list=0x17e000+0x2000 && heard other calls=0 &&
		listed part "name=${P2#/dev/}" "start=$(printf %#x $((START2 + 0x100000)))" length=0x200000 \
			state=active result=0 events=4 ranges=0x1ff000+0x1000 &&
		listed dax "name=$D" events=3 && fresh
}
whole() {
	local all=0+0xffffffffffffffff
	add name=disk "disk=$DEV" && add name=two "disk=$P2" && add name=one "disk=$P1" offset=$((LEN1 - 1)) len=1 &&
		order report "disk=$P2" list=$all && came_to $N $LEN2 2 0 &&
		heard disk calls=1 "list=$(hex $START2 $LEN2)" && heard two calls=1 "list=$(hex 0 $LEN2)" &&
		heard one calls=0 && report list=$all && came_to $((N + 1)) $SIZE 3 0 &&
		heard disk calls=2 "list=$(hex 0 $SIZE)" && heard two calls=2 "list=$(hex 0 $LEN2)" &&
		heard one calls=1 list=0x0+0x1 && fresh
}
# Unsorted, with an overlap, two neighbours that are one, and one across the border of two.
sparse() {
	local a=$((START1 + 0x800000)) b=$((START1 + 0xc800000)) c=$((START2 + 0x6400000))
	for i in 1 2 3; do local p=P$i; add name=h$i "disk=${!p}" || return; done
	add name=gap "disk=$DEV" offset=$((a + 0x4000)) len=$((b - a - 0x4000)) || return
	report "list=$((START3 - 8192))+16384,$((a + 8192))+4096,$a+8192,$c+4096,$((c - 4096))+8192,$b+4095" &&
		came_to $N $((16384 + 12288 + 8192 + 4096)) 3 0 && heard gap calls=0 &&
		heard h1 calls=1 first=$N offset=0x800000 len=0xc001000 ranges=2 bytes=16384 list=0x800000+0x3000,0xc800000+0x1000 &&
		heard h2 calls=1 ranges=2 bytes=16384 "list=0x63ff000+0x2000,$(hex $((LEN2 - 8192)) 8192)" &&
		heard h3 calls=1 ranges=1 list=0x0+0x2000 && fresh
}
many_ranges() {
	local two=$((LEN2 / 8192))
	add name=disk "disk=$DEV" && add name=two "disk=$P2" && add name=odd "disk=$DEV" offset=4096 len=4096 &&
		add name=even "disk=$DEV" offset=4096 len=8192 &&
		report len=4096 stride=8192 count=100000 && came_to $N 409600000 3 0 &&
		heard disk calls=1 offset=0x0 "len=$(printf %#x $((99999 * 8192 + 4096)))" ranges=100000 bytes=409600000 &&
		heard two calls=1 offset=0x0 ranges=$two bytes=$((two * 4096)) &&
		heard odd calls=0 && heard even calls=1 list=0x1000+0x1000 && fresh
}
# called PATTERN COUNT: so many were told once, all others of the group never.
called() {
	is "calls of $1" "$(awk -v name="$1" '
		$1 == "#" { for (i = 2; i <= NF; i++) at[$i] = i - 1; next }
		index($1, name ".") == 1 {
			n[$at["calls"]]++
			bad += $at["wrong"] + $at["doubled"] + $at["merged"]
		}
		END { printf "%d told once, %d never, %d wrong", n[1], n[0], bad }' "$H/state")" \
		"$2 told once, $(($3 - $2)) never, 0 wrong"
}
ten_thousand() {
	local want=10000 each="len=4096 stride=65536 count=10000"
	add name=many "disk=$DEV" $each && is "in the holders file" "$(grep -c " many\.[0-9]* " "$G/holders")" $want &&
		report list=$((65536 * 777))+4096 && came_to $N 4096 1 0 && heard many.777 calls=1 first=$N &&
		called many 1 $want && fresh &&
		add name=many "disk=$DEV" $each && report len=4096 stride=655360 count=1000 &&
		came_to $N 4096000 1000 0 && called many 1000 $want && heard many.9990 calls=1 && fresh &&
		add name=many "disk=$DEV" $each && report list=0+$((65536 * want)) && came_to $N $((65536 * want)) $want 0 &&
		called many $want $want && is "holders of the event" "$(event holders)" $want && fresh
}
outside() { add name=x "disk=$DEV" && not EINVAL probe name=x && report list=0+1 && not EINVAL probe name=x && fresh; }

# ------------------------------------------------------------------------------ in what order

# after FIRST THEN: the call of THEN began when all of FIRST's had ended.
after() {
	local end
	row "$H/state" name "$1" && end=${ROW[end]} && row "$H/state" name "$2" && ((ROW[begin] > end)) ||
		{ echo "$2 began at ${ROW[begin]}, $1 ended at $end"; return 1; }
}
by_priority() {
	local p i j last=
	for p in 0 -2147483648 5 2147483647 -1 1; do
		add "name=p$p" "disk=$DEV" priority=$p delay=20 count=3 || return
	done
	report list=0+4096,$((START2))+4096 && came_to $N 8192 18 0 || return
	for p in 2147483647 5 1 0 -1 -2147483648; do
		for i in 0 1 2; do
			heard "p$p.$i" calls=1 first=$N || return
			for j in ${last:+0 1 2}; do after "p$last.$j" "p$p.$i" || return; done
		done
		last=$p
	done
	fresh
}
# Each of the 64 only returns once all of them are in.
in_parallel() {
	add name=par "disk=$DEV" priority=7 count=64 stride=4096 len=8192 meet=64 &&
		report list=0+$((65 * 4096)) && came_to $N $((65 * 4096)) 64 0 && called par 64 64 &&
		heard par.63 most=64 && fresh
}

# ------------------------------------------------------------------------------------ answers

# A deadline that is missed on purpose, but not otherwise.
LATE=$((4000 * PATIENCE))
deadline() {
	add name=slow "disk=$DEV" deadline=$LATE held=1 priority=3 answer=-5 && add name=low "disk=$DEV" priority=2 &&
		report list=8192+4096 && came_to $N 4096 2 -110 && heard low calls=1 first=$N &&
		logged "$D: slow on $D has not answered event $N within $LATE ms: stuck" &&
		listed slow state=stuck result=-110 events=0 && in_call slow &&
		is "clear" "$(wr $S/clear 1)" EBUSY
}
# Two more events come while it is stuck: each waits for it, and it will be told both at once.
merged() {
	report list=4096+4096 && came_to $((N + 1)) 4096 2 -110 &&
		report list=16384+4096,32768+1 && came_to $((N + 2)) 8192 2 -110 &&
		heard slow calls=1 first=$N last=$N list=0x2000+0x1000 && heard low calls=3 missed=0 &&
		order set name=slow && wait_for 60 settled slow 2 &&
		heard slow calls=2 first=$((N + 1)) last=$((N + 2)) missed=0 merged=1 ranges=3 bytes=12288 \
			offset=0x1000 len=0x8000 list=0x1000+0x1000,0x4000+0x1000,0x8000+0x1000 kind=failure &&
		heard low calls=3 && listed slow state=active result=0 events=2 &&
		report list=0+1 && came_to $((N + 3)) 4096 2 0 && heard slow calls=3 first=$((N + 3)) missed=0 && fresh
}
# settled NAME CALLS: has been called so often, and is not being called.
settled() { row "$H/state" name "$1" && [ "${ROW[calls]} ${ROW[running]}" = "$2 0" ]; }
# Many ranges to be put together: that must not be quadratic.
merged_many() {
	local n=100000
	add name=slow "disk=$DEV" deadline=300 held=1 && report list=0+1 &&
		report len=4096 stride=8192 count=$n && report offset=4096 len=4096 stride=8192 count=$((n / 2)) &&
		order set name=slow && wait_for 60 settled slow 2 &&
		heard slow merged=1 first=$((N + 1)) last=$((N + 2)) bytes=$((n * 6144)) ranges=$((n / 2)) && fresh
}
# The first errno in the order of priorities is the event's; -EOPNOTSUPP is no errno here.
results() {
	add name=a "disk=$DEV" priority=3 answer=-95 && add name=b "disk=$DEV" priority=2 answer=-28 &&
		add name=c "disk=$DEV" priority=1 answer=-5 && add name=d "disk=$DEV" answer=1 &&
		report list=0+1 && came_to $N 4096 4 -28 && listed a state=active result=-95 events=1 &&
		listed b state=stuck result=-28 && listed c state=stuck result=-5 && listed d state=stuck result=-22 &&
		is result "$(event result)" -28 && order set name=b && order set name=c && order set name=d &&
		report list=0+1 && came_to $((N + 1)) 4096 4 0 && listed b state=active result=0 && fresh
}

# -------------------------------------------------------------------------------- unregistering

waits_for_call() {
	add name=x "disk=$DEV" deadline=300 held=1 && add name=y "disk=$DEV" priority=5 &&
		report list=0+1 && came_to $N 4096 2 -110 && in_call x || return
	behind unregister unregister name=x
	# It is leaving: later events neither tell it nor wait for it.
	wait_for 60 report_without_x && in_call x && ! gone "${PID[unregister]}" &&
		order set name=x && ended unregister && heard x calls=1 running=0 registered=0 first=$N missed=0 &&
		unlisted x && heard y missed=0 && fresh
}
report_without_x() { report list=0+1 && like result "$(<$H/report)" '* holders=1 result=0'; }
# An event waits for a holder that is busy with an earlier one; then that leaves.
excused() {
	add name=x "disk=$DEV" deadline=$((8000 * PATIENCE)) held=1 && add name=y "disk=$DEV" priority=5 &&
		report list=0+1 && came_to $N 4096 2 -110 && in_call x || return
	behind report report "disk=$DEV" list=0+1
	wait_for 60 settled y 2 && nap 0.3
	behind unregister unregister name=x
	ended report && came_to $((N + 1)) 4096 1 0 && in_call x && order set name=x &&
		ended unregister && heard x calls=1 registered=0 && fresh
}
own_callback() {
	add name=x "disk=$DEV" unregister=x && report list=0+1 && came_to $N 4096 1 0 &&
		heard x calls=1 did=-35 registered=1 && report list=0+1 && heard x calls=2 did=-35 missed=0 &&
		order unregister name=x && report list=0+1 && came_to $((N + 2)) 4096 0 0 && heard x calls=2 && fresh
}
report_inside() {
	add name=x "disk=$DEV" report=x && report list=0+1 && came_to $N 4096 1 0 && heard x calls=1 did=-35 &&
		is "event seq" "$(seq)" $N && fresh
}
# From the callback of another holder: before his turn, at the same time, and when he was told already.
by_another() {
	add name=x "disk=$DEV" priority=1 && add name=y "disk=$DEV" priority=2 unregister=x &&
		report list=0+1 && came_to $N 4096 1 0 && heard y calls=1 did=0 && heard x calls=0 registered=0 &&
		fresh && add name=x "disk=$DEV" priority=2 && add name=y "disk=$DEV" priority=1 unregister=x &&
		report list=0+1 && came_to $N 4096 2 0 && heard y calls=1 did=0 && heard x calls=1 registered=0 && fresh &&
		add name=x "disk=$DEV" meet=1 delay=50 && add name=y "disk=$DEV" unregister=x && report list=0+1 &&
		like result "$(<$H/report)" "event=$N * result=0" && heard y calls=1 did=0 && heard x registered=0 running=0 && fresh
}
# Whoever registers during an event is told nothing of it, though his turn would be yet to come.
during_event() {
	add name=x "disk=$DEV" priority=2 register=late && add name=late "disk=$DEV" priority=1 idle=1 count=4 &&
		report list=0+1 && came_to $N 4096 1 0 && heard x calls=1 did=0 && called late 0 4 &&
		heard late.3 registered=1 && report list=0+1 && came_to $((N + 1)) 4096 5 0 &&
		called late 4 4 && heard late.0 first=$((N + 1)) && fresh
}
again() {
	local i
	add name=x "disk=$DEV" owner=1 && for ((i = 0; i < 50; i++)); do
		report list=0+1 && order unregister name=x && report list=0+1 && order register name=x || return
	done
	heard x calls=50 missed=49 last=$((N + 98)) && fresh
}

# -------------------------------------------------------------------------------------- modules

owned() {
	add name=x "disk=$DEV" owner=1 && is references "$(<$M/refcnt)" 1 && "$BIN/modloop" refused holder_test 3 &&
		report list=0+1 && heard x calls=1 && order unregister name=x && is references "$(<$M/refcnt)" 0 &&
		fails test_module unload dax_holder >/dev/null && test_module unload holder_test && test_module load holder_test && fresh
}
# Its exit function unregisters, and its code is gone at once.
unowned() {
	local i
	for ((i = 0; i < (ROUNDS + 9) / 10; i++)); do
		add name=x "disk=$DEV" count=100 delay=$((i % 3)) && is references "$(<$M/refcnt)" 0 || return
		wr "$G/inject" all >"$TMP/inject" 2>&1 &
		PID[inject]=$!
		((i % 2)) || nap 0.0$((i % 10))
		test_module unload holder_test && ended inject && test_module load holder_test || return
	done
	fails grep -q " x\.[0-9]* " "$G/holders" && reset
}
ROUNDS=${ROUNDS:-200}

# ------------------------------------------------------------------------------ detach, removal

detach() {
	next
	add name=x "disk=$P1" offset=1 len=1 && is detach "$(wr $S/attached 0)" EBUSY && attached &&
		logged "$D: not detached: .*registered" && report "list=$START1+1" && heard x calls=1 && reset &&
		order unregister name=x && echo 0 >$S/attached && next &&
		not ENODEV register name=x && not ENODEV add name=y "disk=$DEV" && not ENODEV add name=y "disk=$DEV" dax=1 &&
		not ENODEV report "disk=$DEV" list=0+1 && echo 1 >$S/attached && attached && order register name=x &&
		report "list=$START1+1" && came_to 1 4096 1 0 && row "$H/state" name x &&
		has_fields x calls=2 first=1 last=1 wrong=0 && fresh	# the numbers begin anew
}
barrier_says() { has "$G/barrier" "$1" || { cat "$G/barrier"; return 1; }; }
# All are told of the removal, once, by priority; each with all of its own.
removal() {
	add name=x "disk=$P2" priority=2 && add name=y "disk=$DEV" priority=1 answer=-95 && add name=z "disk=$P3" offset=4096 len=8192 &&
		report list=0+1 && unbind && heard x calls=1 first=$((N + 1)) kind=removal flags=128 "list=$(hex 0 $LEN2)" registered=1 &&
		heard y calls=2 missed=0 kind=removal "list=$(hex 0 $SIZE)" && heard z calls=1 first=$((N + 1)) list=0x0+0x2000 &&
		after x y && after y z
}
# Until they are unregistered they stay, dead; the disk that has come back knows nothing of them.
dead() {
	not ENODEV add name=late via=x && not ENODEV report via=x list=0+1 && bind_now &&
		not ENODEV add name=late via=x && unlisted x && next && is "first event" $N 1 &&
		add name=new "disk=$DEV" && report list=0+$SIZE && came_to 1 $SIZE 1 0 && heard new calls=1 first=1 &&
		heard x calls=1 && heard y calls=2 && heard z calls=1 && order unregister name=new && reset &&
		echo 0 >$S/attached && echo 1 >$S/attached && not EINVAL probe name=x &&
		order unregister name=x && order unregister name=y && order unregister name=z && heard x registered=0 && fresh
}
# held_up WHO RESULT: a removal waits, and says for whom; nobody comes in meanwhile.
held_up() {
	wait_for 60 barrier_says "$D: holder $1 has not let go, last result $2" && ! gone "${PID[unbind]}" &&
		wait_for 40 logged "$D: $D: holder $1 has not let go, last result $2" &&
		not ESHUTDOWN add name=late via=x && not ESHUTDOWN add name=late via=x offset=4096 len=4096 &&
		not ESHUTDOWN report via=x list=0+1 && ! gone "${PID[unbind]}" && barrier_says "holder $1 "
}
finishes() { wait_for 60 gone "${PID[unbind]}" && ended unbind && bind_now && fresh; }
stuck_at_removal() {
	add name=x "disk=$DEV" deadline=300 held=1 && add name=y "disk=$DEV" priority=-1 && unbind 0 &&
		held_up x -110 && heard y calls=1 kind=removal && in_call x && order set name=x && finishes
}
unwilling() {
	add name=x "disk=$DEV" answer=-5 && unbind 0 && held_up x -5 && heard x calls=1 running=0 &&
		order unregister name=x && finishes
}
stuck_before_removal() {
	add name=x "disk=$DEV" deadline=300 held=1 && report list=4096+1 && came_to $N 4096 1 -110 && unbind 0 &&
		held_up x -110 && order set name=x && wait_for 60 settled x 2 && finishes || return
}
by_another_at_removal() {
	add name=x "disk=$DEV" priority=1 answer=-5 owner=1 && is references "$(<$M/refcnt)" 1 &&
		add name=y "disk=$DEV" priority=-1 unregister=x register=x && unbind &&
		heard x calls=1 registered=0 && heard y calls=1 did=-108 && is references "$(<$M/refcnt)" 0 &&
		bind_now && fresh
}

# -------------------------------------------------------------------------- beside file systems

file_systems() {
	mkx "$P1" && mke "$P2" && mount_both || return
	for i in 1 2; do "$BIN/file" make "$TMP/$i/f" 64 $SEED || return; done
	sync
}
mount_both() { mnt "$P1" "$TMP/1" && mnt "$P2" "$TMP/2"; }
alive() { is "state on $1" "$(fs "$1" state)" active && "$BIN/file" check "$TMP/$1/f" $SEED && "$BIN/file" make "$TMP/$1/new" 4 $SEED; }
down() { is "state on $1" "$(fs "$1" state)" down && fails "$BIN/file" make "$TMP/$1/new" 4 $SEED; }
# fs PARTITION FIELD: of the file system's line, which is not that of a registered holder
fs() {
	local kind=xfs
	(($1 == 1)) || kind=ext4
	row "$G/holders" kind $kind >/dev/null && echo "${ROW[$2]}" || echo none
}
# back: all up again
back() { remove && umnt "$TMP/1" "$TMP/2" && reset && mount_both && alive 1 && alive 2 && next; }
# at PARTITION MIB: bytes of the disk
at() { local start=START$1; echo $((${!start} + $2 * MIB)); }

# A holder before the generic treatment finds the file system at work, one after it does not.
around() {
	add name=high "disk=$DEV" priority=1 held=1 && add name=zero "disk=$DEV" held=1 answer=-95 || return
	behind report report "disk=$DEV" "list=$(at "$1" 100)+4096"
	wait_for 60 in_call high && alive 1 && alive 2 && heard zero calls=0 && order set name=high answer=-95 &&
		wait_for 60 in_call zero && down "$1" && alive $((3 - $1)) && order set name=zero answer=-95 &&
		ended report && came_to $N 4096 3 0 && after high zero && back
}
# try UP ANSWER PRIORITY RANGE...: holders with these ranges of partition 1 (MIB+MIB); an event on a
# page of it at 100 and at 108 MiB and on partition 2. UP is what partition 1 must be then.
try() {
	local up=$1 answer=$2 priority=$3 i=0 told result=0
	shift 3
	for range; do
		add name=h$i "disk=$P1" "offset=$((${range%+*} * MIB))" "len=$((${range#*+} * MIB))" "answer=$answer" "priority=$priority" || return
		i=$((i + 1))
	done
	told=$((i + 1 + (up == 0)))
	case $answer in 0 | -95) ;; *) result=$answer ;; esac
	report "list=$(at 1 100)+4096,$(at 1 108)+4096,$(at 2 100)+4096" && came_to $N 12288 $told $result && down 2 || return
	if ((up)); then alive 1 && is "its calls" "$(fs 1 events)" 0; else down 1; fi && back
}
mixed() {
	add name=h0 "disk=$P1" len=$((104 * MIB)) priority=1 &&
		add name=h1 "disk=$P1" offset=$((104 * MIB)) len=$((8 * MIB)) priority=1 answer=-5 &&
		report "list=$(at 1 100)+4096,$(at 1 108)+4096" && came_to $N 8192 3 -5 && down 1 && alive 2 && back
}
late_absorption() {
	add name=h "disk=$P1" priority=1 deadline=300 held=1 && report "list=$(at 1 100)+1" && came_to $N 4096 2 -110 && down 1 &&
		order set name=h && back
}
# What was absorbed once is not for ever.
not_absorbed_twice() {
	add name=h "disk=$P1" priority=1 && report "list=$(at 1 100)+1" && came_to $N 4096 1 0 && alive 1 &&
		order unregister name=h && report "list=$(at 1 100)+1" && came_to $((N + 1)) 4096 1 0 && down 1 && back
}

# Whoever is told may rely on it that nobody copies any more from what has failed, or to it.
copies() {
	mkfs.ext4 -q -F "$PLAIN" 16M && mkdir -p "$TMP/slow" && mount "$PLAIN" "$TMP/slow" &&
		start copy "$BIN/slowcopy" "$TMP/1/f" "$TMP/slow/page" $SEED || return
	copies_end || { tell copy; ended copy; ended report; umnt "$TMP/slow"; return 1; } >&2
	umnt "$TMP/slow" && back
}
copies_end() {
	add name=x "disk=$DEV" priority=1 answer=-95 || return
	behind report report "disk=$DEV" "list=$(at 2 100)+4096"
	wait_for 60 has $S/state failed && nap 1 && ! gone "${PID[report]}" && heard x calls=0 && tell copy && ended copy &&
		has "$TMP/copy" COPIED && ended report && came_to $N 4096 2 0 && heard x calls=1 && alive 1 && down 2
}

# ------------------------------------------------------------------------------- memory_failure()

# The second frame is one of a file system that is down, which is no news to it; to the holder it is.
poisoned() {
	local pfn at i
	modprobe hwpoison-inject && echo 1 >/proc/sys/vm/memory_failure_recovery || return
	for i in 0 1; do
		pfn[i]=$("$BIN/file" pfn "$TMP/2/f" $((5 + i * 9))) && at[i]=$("$BIN/file" where "$TMP/2/f" $((5 + i * 9))) || return
	done
	add name=x "disk=$P2" && add name=y "disk=$P1" || return
	for i in 0 1; do
		like corrupt-pfn "$(wr $CORRUPT "${pfn[i]}")" '[0-9E]*' && wait_for 60 settled x $((i + 1)) &&
			wait_for 60 recorded $((N + i)) &&
			heard x first=$((N + i)) missed=0 kind=failure flags=0 "list=$(hex "${at[i]}" 4096)" && down 2 && alive 1 &&
			is source "$(event source)" memory_failure && is holders "$(event holders)" $((2 - i)) || return
	done
	is "calls of ext4" "$(fs 2 events)" 1 && heard y calls=0 &&
		remove && umnt "$TMP/1" "$TMP/2" && unbind && bind_now && next
}
recorded() { [ "$(event seq)" = "$1" ]; }
# So many frames that they cannot be listed one by one, while another event is under way; and whoever clears
# the disk is first when that is over.
scattered() {
	local pfn i
	pfn=$("$BIN/file" pfn "$TMP/2/f" 3) && at=$("$BIN/file" where "$TMP/2/f" 3) || return
	umnt "$TMP/1" "$TMP/2" && add name=x "disk=$DEV" held=1 || return
	behind report report "disk=$DEV" "list=$START3+4096"
	wait_for 60 in_call x || return
	for ((i = 1; i <= 80; i++)); do
		like corrupt-pfn "$(wr $CORRUPT $((pfn + (START3 - at) / 4096 + i * 2)))" '[0-9E]*' || return
	done
	wr $S/clear 1 >"$TMP/clear" 2>&1 &
	PID[clear]=$!
	nap 0.3
	! gone "${PID[clear]}" || { echo "clear did not wait for the event: $(<"$TMP/clear")"; return 1; }
	order set name=x && ended report && wait_for 60 gone "${PID[clear]}" && wait_for 60 settled x 2 && wait_for 60 recorded $((N + 1)) &&
		is source "$(event source)" memory_failure && heard x missed=0 || return
	((ROW[ranges] >= 80)) || { echo "told of ${ROW[ranges]} ranges; clear: $(<"$TMP/clear")"; return 1; }
	remove && unbind && bind_now && next
}

# --------------------------------------------------------------------------------------------------

partitioned() { partitions 320 300 64; }
must "the module of the tests loads" test_module load holder_test
must "three partitions" partitioned
c "bad registrations: each its errno, and nothing has changed" refused_registration
c "bad reports: each its errno, and no event" refused_report
next
c "a name of 31 bytes" longest_name
c "1048576 ranges in one report" most_ranges
c "a holder of one byte, and reports are rounded out" one_byte
c "own coordinates in a partition, by both ways to register; reports and injections" own_coordinates
c "(0, U64_MAX) of a partition and of the disk" whole
c "sparse ranges over three holders: each is called once, with its own" sparse
c "100000 ranges in one report" many_ranges
c "10000 holders: one, 1000, all of them touched" ten_thousand
c "outside of its callback a holder cannot ask for an event" outside
c "the order of priorities, extremes included" by_priority
c "64 holders of one priority are all called at the same time" in_parallel
c "a holder misses its deadline: stuck, and the event goes on" deadline
c "what came meanwhile is told in one call, once" merged
c "the same with 150000 ranges" merged_many
c "what holders answer is the result of the event" results
c "unregistering waits for the callback; later events do not" waits_for_call
c "an event does not wait for who leaves" excused
c "from its own callback: EDEADLK, and nothing has changed" own_callback
c "a report from a callback: EDEADLK, and no event" report_inside
c "from the callback of another holder" by_another
c "who registers during an event is told nothing of it" during_event
c "registered and unregistered 50 times: told between, and only then" again
c "a module that is an owner cannot be unloaded until it has unregistered" owned
c "a module that is not can, at any time" unowned
c "detaching is refused while somebody is registered; detached, nobody can" detach
c "a removal tells all, by priority" removal
c "after it registrations are dead; new ones are not" dead
c "a removal waits for a stuck holder and says so" stuck_at_removal
c "it waits for one that has answered an errno until it is unregistered" unwilling
c "it waits for one that was stuck before, and tells him" stuck_before_removal
c "unregistered and registered by another holder at the removal" by_another_at_removal
must "XFS and ext4" file_systems
next
for v in 1 2; do
	c "partition $v: before the generic treatment and after it" around $v
done
c "all that is touched is absorbed: up, the neighbour down" try 1 0 1 96+32
c "absorbed by two holders side by side" try 1 0 1 96+8 104+8
c "absorbed by two holders apart" try 1 0 2147483647 100+1 108+1
c "not all of it: down" try 0 0 1 96+12
c "absorbed by nobody: priority 0, -1" eval "try 0 0 0 96+32 && try 0 0 -1 96+32"
c "EOPNOTSUPP absorbs nothing" try 0 -95 1 96+32
c "another errno neither" try 0 -5 1 96+32
c "one of two holders answers an errno: down" mixed
c "an answer that is late absorbs nothing" late_absorption
c "nor is a later event absorbed" not_absorbed_twice
c "nobody is told before the kernel has stopped copying" copies
c "memory_failure() reaches them" poisoned
c "80 frames fail while another event is under way: clear does not make them forgotten" eval "mount_both && scattered"
test_module unload holder_test >/dev/null
finish
