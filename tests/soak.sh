#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Everything at once, at random, for MINUTES: what `make soak` (scripts/soak) runs in its guest. The I/O
# and the book of what was acknowledged are those of tests/soak.c.
#
# A cycle mounts one to four file systems, verifies them, has processes work on them, disturbs them,
# lets parts of the memory fail, and ends with a removal, a surprise or a calm unmount. Then comes what
# needs an idle disk. The file systems live for a few cycles, and so does what was promised of them.
#
# Every decision comes from SEED and the number of the cycle. What happens at the same time does not:
# the same seed makes the same decisions, not the same race.
#
# MINUTES (30), SEED (required); LOSE=n: changes one promised byte in cycle n, which must be noticed.
SEED_GIVEN=${SEED:?}
. "$(dirname "$0")/lib.sh"
. "$HERE/holders.sh"
need_module
for m in holder_test holder_storm surprise; do need_test_module $m; done
[ -e "$KO" ] || skip_all "DAX_HOLDER_KO does not name the module"

SEED=$SEED_GIVEN
MINUTES=${MINUTES:-30}
LIMIT=${LIMIT:-300}			# seconds that one step may take
SURPRISE=/sys/module/surprise/parameters/fire
CORRUPT=/sys/kernel/debug/hwpoison/corrupt-pfn
ORIGIN_MIB=320
PLACES=4
VISITED_MIB=16			# a file system that is mounted for a moment only, again and again
shopt -s extglob
CYCLE=0
BOOK=$TMP/book
# A slow guest on a busy machine is no reason to give the agent up.
patient_agent() { echo $((60 * PATIENCE)) >/sys/module/$MODULE/parameters/agent_timeout; }
patient_agent

# ----------------------------------------------------------------------------------- decisions

# rnd N: R is one of 0 to N - 1. Nothing else decides.
rnd() { STATE=$((STATE * 25214903917 + 11 & 281474976710655)) R=$(((STATE >> 17) % $1)); }
chance() { rnd "$1"; ((R == 0)); }
pick() { rnd $#; PICK=${*:R + 1:1}; }
decide_for() {
	STATE=$((SEED * 7919 + $1 * 104729 & 281474976710655))
	for _ in 1 2 3; do rnd 2; done
}
# a_while TENTHS: of a second, at most; longer where all is slow.
a_while() {
	local t
	rnd "$1"
	R=$((R * (DEBUG ? 3 : 1)))
	printf -v t '%d.%d1' $((R / 10)) $((R % 10))
	nap "$t"
}

# ------------------------------------------------------------------------------ what is counted

declare -A COUNT=()
count() { COUNT[$1]=$((${COUNT[$1]:-0} + ${2:-1})); }
did() { SAID+="${SAID:+, }$*"; }
counts() {
	local pair
	for pair in $("$BIN/soak" counts "$BOOK"); do COUNT[${pair%%=*}]=${pair#*=}; done
}

# beat WHAT: what is being done; the watchdog looks for changes.
BEATS=0
beat() { BEATS=$((BEATS + 1)); echo "$BEATS $*" >"$TMP/beat"; }

# The soak may wait for what does not end, where nobody can interrupt it.
watchdog() {
	local now last='' since=$SECONDS
	while nap 5; do
		now=$(<"$TMP/beat")
		[ "$now" = "$last" ] || { last=$now since=$SECONDS; continue; }
		((SECONDS - since > LIMIT * PATIENCE)) || continue
		echo "HANGS in cycle $(<"$TMP/cycle"): ${now#* }"
		stacks
		kill -KILL $$
		exit
	done
}
stacks() {
	echo w >/proc/sysrq-trigger
	dmesg | tail -n 200
}

# step WHAT COMMAND...: what it says is shown if it fails; then the soak is over.
step() {
	local _what=$1
	shift
	beat "$_what"
	"$@" >"$TMP/out" 2>&1 || failed "$_what"
}
failed() {
	local f
	echo "FAILED in cycle $CYCLE ($SAID): $1"
	tail -n 100 "$TMP/out"
	for f in "$TMP"/work[0-9]; do [ ! -e "$f" ] || sed "s/^/${f##*/}: /" "$f"; done
	for f in "$G"/{barrier,holders,events} $S/last_event; do
		echo "$f:"
		timeout 20 tail -n 12 "$f" 2>&1
	done
	echo "The kernel since the begin of the cycle:"
	sync_log && log_since | tail -n 80
	stacks
	result failed
}

# result WORD: the table, and the line that sums it up.
result() {
	local name words=''
	counts
	COUNT[cycles]=$CYCLE
	printf '\n%-16s %s\n' ${KERNEL:-stock} "$MINUTES minutes, seed $SEED"
	for name in "${NAMES[@]}"; do
		printf '%-16s %16s\n' "${name//_/ }" "${COUNT[$name]:-0}"
		words+=" $name=${COUNT[$name]:-0}"
	done
	echo "SOAK $1 kernel=${KERNEL:-stock} seed=$SEED minutes=$MINUTES seconds=$SECONDS$words"
	FINISHED=1
	[ "$1" = passed ]
	exit
}
NAMES=(cycles file_systems mounts visits acknowledged_bytes fsyncs msyncs sync_stores verified_bytes read_bytes
	truncates punches unlinks forks pins frames ranged all native removals races surprises calm table_changes
	registrations storms attachments loads refusals fscks sigbus errors lost_bytes splats leaks)

# ---------------------------------------------------------------------------------- the places

# Of a place: KIND; PART, AT and LEN of its partition; DISK, what is mounted, on M; FS and DAX, empty
# without; STATE_OF: off, up, or down if an event has taken it.
KIND=() PART=() AT=() LEN=() DISK=() M=() FS=() DAX=() STATE_OF=() FEATURES=()
dm() { dmsetup --noudevsync "$@"; }
with() {	# with STATE: the places in it
	local i
	WITH=()
	for i in "${!KIND[@]}"; do [ "${STATE_OF[i]}" != "$1" ] || WITH+=("$i"); done
}

# layout KIND...: [linear-|cache-|extents-]xfs|plain|ext4
#   plain	XFS without rmapbt
#   linear	on a dm-linear of two pieces that are swapped
#   cache	on a dm-writecache with its cache there; extents: in two pieces, so it is vmapped
layout() {
	local i kind sizes=()
	KIND=("$@") DISK=() STATE_OF=() FEATURES=()
	for kind; do
		case $kind in
		cache-* | extents-*) pick 48 64 && sizes+=("$PICK") ;;
		*ext4) pick 96 128 160 && sizes+=("$PICK") ;;
		*) sizes+=(304) ;;
		esac
	done
	partitions "${sizes[@]}" $VISITED_MIB || return
	VISITED=${DEV}p$((${#sizes[@]} + 1))
	mkfs.ext4 -q -F -b 4096 "$VISITED" || return
	for i in "${!KIND[@]}"; do
		local p=P$((i + 1)) start=START$((i + 1)) len=LEN$((i + 1))
		PART[i]=${!p} AT[i]=${!start} LEN[i]=${!len} M[i]=$TMP/m$i STATE_OF[i]=off
		FS[i]=${KIND[i]##*-} DAX[i]=dax DISK[i]=/dev/mapper/dh_$i
		case ${KIND[i]} in
		cache-* | extents-*) DAX[i]='' ;;
		linear-*) ;;
		*) DISK[i]=${PART[i]} ;;
		esac
		pick "0" "4 high_watermark 98 low_watermark 97" "4 high_watermark 20 low_watermark 10"
		FEATURES[i]=$PICK
		mkdir -p "${M[i]}"
		# No cache that somebody has left.
		[ -n "${DAX[i]}" ] || dd if=/dev/zero of="${PART[i]}" bs=1M count=$((LEN[i] / MIB)) oflag=direct status=none
		assemble "$i" && made "$i" && dismantle "$i" && "$BIN/soak" new "$BOOK" "$i" || return
		count file_systems
	done
}
made() {
	case ${FS[$1]}:${DAX[$1]} in
	xfs:dax) mkx "${DISK[$1]}" 1 ;;
	plain:dax) mkx "${DISK[$1]}" 0 ;;
	ext4:dax) mke "${DISK[$1]}" ;;
	ext4:) mkfs.ext4 -q -F -E nodiscard,lazy_itable_init=0 -N 1024 "${DISK[$1]}" ;;
	*) mkfs.xfs -q -f -K -m reflink=0 "${DISK[$1]}" ;;
	esac
}
# As many as there is room for.
new_layout() {
	local room=$((1016 - VISITED_MIB)) n kinds=() cached=
	rnd $PLACES
	n=$((R + 1))
	while ((${#kinds[@]} < n && room >= 160)); do
		pick xfs plain ext4 linear-xfs linear-ext4 linear-plain cache-ext4 cache-xfs extents-ext4 extents-xfs
		case $PICK in
		cache-* | extents-*) [ -z "$cached" ] && cached=1 && kinds+=("$PICK") && room=$((room - 64)) ;;
		*ext4) kinds+=("$PICK") && room=$((room - 160)) ;;
		*) ((room >= 304)) && kinds+=("$PICK") && room=$((room - 304)) ;;
		esac
	done
	layout "${kinds[@]}"
}

# swapped PARTITION BYTES PIECES: the second half, then the first, each in so many pieces.
swapped() {
	local half=$(($2 / 1024)) each n
	each=$((half / $3)) TABLE=
	for ((n = 0; n < 2 * $3; n++)); do
		TABLE+="$((n * each)) $each linear $1 $(((n * each + half) % (2 * half)))"$'\n'
	done
}
assemble() {
	local cache=${PART[$1]}
	case ${KIND[$1]} in
	linear-*)
		swapped "${PART[$1]}" "${LEN[$1]}" 1 && dm create "dh_$1" --table "$TABLE"
		return ;;
	extents-*)
		swapped "${PART[$1]}" "${LEN[$1]}" 1 && dm create "dh_${1}x" --table "$TABLE" || return
		cache=/dev/mapper/dh_${1}x ;;
	cache-*) ;;
	*) return 0 ;;
	esac
	dm create "dh_$1" --table "0 $((ORIGIN_MIB * 2048)) writecache p $PLAIN $cache 4096 ${FEATURES[$1]}"
}
dismantle() {
	local d
	for d in "dh_$1" "dh_${1}x"; do
		# An event holds the super blocks that it has told until all have been: so long they are open.
		[ ! -b "/dev/mapper/$d" ] || wait_for 60 dm remove "$d" || return
	done
}
mounted() {
	count mounts
	if [ -n "${DAX[$1]}" ]; then
		mnt "${DISK[$1]}" "${M[$1]}"
	else
		mount "${DISK[$1]}" "${M[$1]}"
	fi
}
verify() { rnd 1000000; "$BIN/soak" verify "$BOOK" "$1" "${M[$1]}" $R ${DAX[$1]}; }
# up PLACE: everything that was ever promised is there; processes work on it.
up() {
	beat "up $1"
	assemble "$1" && { ((CYCLE != ${LOSE:-0})) || lose "$1"; } && mounted "$1" && verify "$1" || return
	rnd 1000000
	DISK_STATE=$S/state start "work$1" "$BIN/soak" work "$BOOK" "$1" "${M[$1]}" $R ${DAX[$1]} && STATE_OF[$1]=up
}
# over PLACE told|taken|either: its processes end for that reason, all of them.
over() {
	local how=$2
	beat "over $1"
	[ "$how" = taken ] || kill -TERM "${PID[work$1]}"
	[ "$how" != either ] || how='@(told|taken|taken in part)'
	# shellcheck disable=SC2053
	ended "work$1" && [[ $(<"$TMP/work$1") == *"ENDED "$how ]] || {
		echo "${KIND[$1]} was not $2:"
		cat "$TMP/work$1"
		return 1
	}
}
away() {
	beat "away $1"
	umnt "${M[$1]}" && dismantle "$1" && STATE_OF[$1]=off
}
# lose PLACE: changes a byte that was promised, behind everybody's back. Without one, nothing.
lose() {
	local file page byte at
	[ -n "${DAX[$1]}" ] && read -r file page byte < <("$BIN/soak" find "$BOOK" "$1") || return 0
	mnt "${DISK[$1]}" "${M[$1]}" && at=$("$BIN/file" where "${M[$1]}/$file" "$page") && umnt "${M[$1]}" &&
		LOST="${DISK[$1]} $((at + byte))" && "$BIN/soak" flip $LOST
}

# ------------------------------------------------------------------------- under load, no event

# Of the places that are up, one with a table.
table_place() {
	local i some=()
	with up
	for i in "${WITH[@]}"; do [ "${DISK[i]}" = "${PART[i]}" ] || some+=("$i"); done
	((${#some[@]})) && pick "${some[@]}"
}
suspended() {
	table_place || return 0
	local i=$PICK
	pick "" --nolockfs
	dm suspend $PICK "dh_$i" || return
	a_while 10
	dm resume "dh_$i" && count table_changes && did suspend
}
# The same in more pieces, or fewer. (dm-writecache wants one owner of its cache at a time.)
reloaded() {
	table_place && [[ ${KIND[PICK]} == linear-* ]] || { suspended; return; }
	local i=$PICK
	pick 1 2 4
	swapped "${PART[i]}" "${LEN[i]}" "$PICK"
	dm load "dh_$i" --table "$TABLE" && dm suspend "dh_$i" && dm resume "dh_$i" && count table_changes && did reload
}
detach_refused() { is detach "$(wr $S/attached 0)" EBUSY && count refusals; }
unload_refused() { "$BIN/modloop" refused $MODULE 3 && count refusals; }
bad_injection() {
	pick EINVAL:4096+1 EINVAL:x ERANGE:$SIZE+4096 EOVERFLOW:0xfffffffffffff000+0x2000
	is "inject ${PICK#*:}" "$(wr "$G/inject" "${PICK#*:}")" "${PICK%%:*}" && count refusals
}
looked() { cat $S/[a-bd-z]* "$G"/{holders,events,barrier} >/dev/null; }

# Holders of any part, told after the file systems, or before them without taking their part.
registered() {
	[ -n "$HOLDERS" ] || test_module load holder_test || return
	HOLDERS=$((${HOLDERS:-0} + 1))
	local at len how
	rnd $((SIZE / 4096)) && at=$((R * 4096))
	rnd $(((SIZE - at) / 4096)) && len=$((R * 4096 + 4096))
	FROM[HOLDERS]=$at BEHIND[HOLDERS]=$((at + len))
	pick "priority=-1" "priority=0" "priority=0 answer=-95" "priority=1 answer=-95" && how=$PICK
	pick "" "" delay=20
	add name=soak$HOLDERS "disk=$DEV" offset=$at len=$len $how $PICK && count registrations && did register
}
unregistered() {
	((${HOLDERS:-0})) || { registered; return; }
	remove soak$HOLDERS && HOLDERS=$((HOLDERS - 1))
}
# All of them, if any; none was told anything twice, or not as promised.
no_holders() {
	[ -n "$HOLDERS" ] || return 0
	awk '$1 == "#" { for (i = 2; i <= NF; i++) at[$i] = i - 1 }
		$1 != "#" && $at["wrong"] + $at["doubled"] { print; bad = 1 }
		END { exit bad }' $H/state && remove && test_module unload holder_test && HOLDERS=
}

# A file system that comes and goes. Whether it can be mounted just now is nobody's concern.
visitor() {
	while [ -e "$TMP/visits" ]; do
		mount -o dax=always "$VISITED" "$TMP/v" || { nap 0.1; continue; }
		: >"$TMP/v/f"
		umount "$TMP/v" && printf . >>"$TMP/visited"
	done >/dev/null 2>&1
	! mountpoint -q "$TMP/v" || umount "$TMP/v"
}
visit() {
	mkdir -p "$TMP/v"
	: >"$TMP/visits"
	: >"$TMP/visited"
	visitor &
	PID[visitor]=$!
	did visitor
}
visited() {
	[ -n "${PID[visitor]:-}" ] || return 0
	rm -f "$TMP/visits"
	ended visitor || return
	local visits
	visits=$(<"$TMP/visited")
	count visits ${#visits}
}

# Somebody who goes on and on, whatever happens to the disk; what he does may fail.
meddler() {
	while [ -e "$TMP/meddle" ]; do
		[[ ${KIND[$1]} != linear-* ]] || dm load "dh_$1" --table "$TABLE"
		dm suspend --nolockfs "dh_$1"
		nap 0.02
		dm resume "dh_$1" && printf . >>"$TMP/tables"
		nap 0.1
	done >/dev/null 2>&1
}
meddle() {
	table_place || return 0
	local i=$PICK
	pick 1 2
	swapped "${PART[i]}" "${LEN[i]}" "$PICK"
	: >"$TMP/meddle"
	: >"$TMP/tables"
	meddler "$i" &
	PID[meddler]=$!
	did meddler
}
meddled() {
	[ -n "${PID[meddler]:-}" ] || return 0
	rm -f "$TMP/meddle"
	ended meddler
	local tables
	tables=$(<"$TMP/tables")
	count table_changes ${#tables}
}

# -------------------------------------------------------------------------------------- events

# touched OFFSET LENGTH: HIT has also the places that lie there, HEARD the registered holders.
touched() {
	local i
	with up
	for i in "${WITH[@]}"; do (($1 < AT[i] + LEN[i] && AT[i] < $1 + $2)) && HIT[i]=$i; done
	for ((i = 1; i <= ${HOLDERS:-0}; i++)); do (($1 < BEHIND[i] && FROM[i] < $1 + $2)) && HEARD[i]=$i; done
	:
}
# All that were touched have been called, a cache with what is on it, and have let go.
answered() {
	local i holders=${#HEARD[@]}
	# XFS may answer with an error, a mount be under way.
	[ $POLICY = shutdown ] && [ -z "${PID[visitor]:-}" ] || return 0
	is result "$(event result)" 0 || return
	with down
	# Who is down may be told again, or not.
	((${#WITH[@]} == 0)) || return 0
	for i in "${HIT[@]}"; do holders=$((holders + (${#DAX[i]} ? 1 : 2))); done
	is holders "$(event holders)" $holders
}
# Anywhere, or within one place.
ranges() {
	local n at len from=0 size=$SIZE
	count ranged
	WHAT=
	! chance 2 || { pick "${!KIND[@]}" && from=${AT[PICK]} size=${LEN[PICK]}; }
	rnd 6
	did "$((R + 1)) range(s)"
	for ((n = R; n >= 0; n--)); do
		pick 4096 4096 65536 1048576 && len=$PICK
		rnd $(((size - len) / 4096)) && at=$((from + R * 4096))
		WHAT+=" $at+$len"
		touched $at $len
	done
	WHAT=${WHAT# }
}
# quiet: who is below a cache writes nothing, since ext4 calls things durable too early then
# (Documentation/device-mapper.rst).
quiet() {
	local i
	for i in "${HIT[@]}"; do [ -n "${DAX[i]}" ] || over "$i" told || return; done
}
# With the policy native XFS goes on, without what has failed.
taken_or_not() { [ "$POLICY ${FS[$1]}" = "native xfs" ] && echo either || echo taken; }
taken() {
	local i
	for i in "${HIT[@]}"; do
		[ -z "${DAX[i]}" ] || over "$i" "$(taken_or_not "$i")" || return
		STATE_OF[i]=down
	done
	with up
	for i in "${WITH[@]}"; do
		! gone "${PID[work$i]}" || {
			echo "${KIND[i]} was not touched, but has ended:"
			cat "$TMP/work$i"
			return 1
		}
	done
}
failure() {
	HIT=() HEARD=()
	pick ranges ranges ranges all frame frame
	case $PICK in
	ranges) ranges ;;
	all) WHAT=all && touched 0 $SIZE && count all && did all ;;
	frame)
		frame
		return ;;
	esac
	quiet && inject "$WHAT" && is state "$(<$S/state)" failed && answered && taken
}
# memory_failure() of one page of a file. Its struct page remembers until the disk is removed.
frame() {
	local i some=()
	with up
	for i in "${WITH[@]}"; do [ -z "${DAX[i]}" ] || some+=("$i"); done
	((${#some[@]})) && pick "${some[@]}" || return 0
	i=$PICK
	rnd 1024
	POISONED=1 HIT=("$i") WHAT=$("$BIN/file" pfn "${M[i]}/f0" $R) || return
	like corrupt-pfn "$(wr $CORRUPT "$WHAT")" '@([0-9]*|EBUSY|EIO|EOPNOTSUPP|EHWPOISON)' && count frames &&
		did frame && taken
}
# Repaired: whoever has gone down comes back.
cleared() { is clear "$(wr $S/clear 1)" 1; }
repaired() {
	local i
	with down
	for i in "${WITH[@]}"; do away "$i" || return; done
	wait_for 60 cleared || return
	for i in "${WITH[@]}"; do up "$i" || return; done
	did clear
}

# ------------------------------------------------------------------------------------- the end

all_taken() {
	local i
	with up
	for i in "${WITH[@]}"; do over "$i" taken && STATE_OF[i]=down || return; done
}
all_told() {
	local i
	with up
	for i in "${WITH[@]}"; do over "$i" told && STATE_OF[i]=down || return; done
}
all_away() {
	local i
	with down
	for i in "${WITH[@]}"; do away "$i" || return; done
}
# A failure at the same time, in a place that has no cache.
race() {
	local i some=()
	with up
	for i in "${WITH[@]}"; do [ -z "${DAX[i]}" ] || some+=("$i"); done
	((${#some[@]})) && pick "${some[@]}" || return 0
	i=$PICK
	rnd $((LEN[i] / 4096))
	wr "$G/inject" "$((AT[i] + R * 4096))+4096" >"$TMP/race" &
	PID[race]=$!
	did race && count races
	rnd 10
	nap 0.0$R
}
raced() {
	[ -n "${PID[race]:-}" ] || return 0
	wait_for 60 gone "${PID[race]}" || return
	unset "PID[race]"
	like inject "$(<"$TMP/race")" '@([0-9]*|ESHUTDOWN|ENOENT|EIO)'
}
removal() {
	! chance 3 || meddle || return
	! chance 3 || race || return
	with up
	local written_back=("${WITH[@]}")
	unbind 100 && count removals && did removal && all_taken && meddled && raced && visited && all_away &&
		bind_now && attached && on_origins "${written_back[@]}"
}
# A removal that nobody has announced. What a cache has stays in it, as after a failure.
surprise() {
	local i
	with up
	for i in "${WITH[@]}"; do [ -n "${DAX[i]}" ] || { over "$i" told && STATE_OF[i]=down; } || return; done
	echo 1 >$SURPRISE && is answer "$(<$SURPRISE)" 0 && all_taken && count surprises && did surprise &&
		visited && all_away && unbind 100 && rmmod surprise && bind_now && attached
}
calm() {
	all_told && visited && all_away && count calm && did unmount || return
	[ "$(<$S/state)" != failed ] || wait_for 60 cleared
}
# on_origins PLACE...: of these, what a cache had is on its origin alone. One that was down before the
# removal has it still.
on_origins() {
	local i
	for i; do
		[ -z "${DAX[i]}" ] && chance 2 || continue
		mount "$PLAIN" "${M[i]}" && verify "$i" && umnt "${M[i]}" && did origin || return
	done
}

# -------------------------------------------------------------------------------- an idle disk

attachments() {
	local n
	for n in 1 2 3; do echo 0 >$S/attached && echo 1 >$S/attached && count attachments || return; done
}
loads() { unload && load && patient_agent && attached && count loads && did load; }
idle_removal() { unbind 60 && bind_now && attached && count removals; }
storm() {
	local n
	test_module load holder_storm && storm_begins || return
	rnd 8
	RANDOM=$R
	for ((n = R; n >= 0; n--)); do storm_strike || return; done
	storm_ends && test_module unload holder_storm && count storms && did storm || return
	[ "$(<$S/state)" = active ] || reset
}
checked() {
	local i
	for i in "${!KIND[@]}"; do
		# What is in the log first.
		assemble "$i" && mounted "$i" && umnt "${M[i]}" || return
		case ${FS[i]} in
		ext4) e2fsck -fn "${DISK[i]}" ;;
		*) xfs_repair -n "${DISK[i]}" ;;
		esac && dismantle "$i" && count fscks || return
	done
	did fsck
}

# ----------------------------------------------------------------------------------- all of it

# The verifier finds a single byte that is wrong, and where; without it, it finds nothing.
notices() {
	local BOOK=$TMP/trial
	layout linear-xfs && up 0 && nap $PATIENCE && over 0 told && away 0 && assemble 0 && lose 0 && mounted 0 &&
		fails verify 0 >"$TMP/lost" && has "$TMP/lost" "LOST ${M[0]}/f0 cell" && has "$TMP/lost" "promised, 1 lost" &&
		umnt "${M[0]}" && "$BIN/soak" flip $LOST && mounted 0 && verify 0 && away 0
}

prepared() {
	modprobe dm_writecache && modprobe hwpoison-inject && echo 1 >/proc/sys/vm/memory_failure_early_kill &&
		echo 1 >/proc/sys/vm/memory_failure_recovery || return
	[ ! -e /sys/kernel/debug/kmemleak ] || echo clear >/sys/kernel/debug/kmemleak
}

cycle() {
	local n ends actions
	CYCLE=$((CYCLE + 1)) SAID='' HOLDERS='' POISONED=''
	echo $CYCLE >"$TMP/cycle"
	decide_for $CYCLE
	mark
	if ((CYCLE == 1)) || chance 4; then
		# What was promised in the last ones goes with them.
		((CYCLE == 1)) || step "all is there" all_verified
		step "new file systems" new_layout
	fi
	! chance 6 || step "fsck" checked
	pick removal removal removal removal removal surprise calm calm
	ends=$PICK
	pick shutdown shutdown shutdown native
	POLICY=$PICK
	[ $POLICY = shutdown ] || { count native && did native; }
	step "policy" wr $S/policy $POLICY
	[ $ends != surprise ] || step "the module of surprises" surprising
	for n in "${!KIND[@]}"; do step "mount, verify, begin" up "$n"; done
	! chance 3 || step "visitor" visit
	for ((n = 0; n < 2; n++)); do
		a_while 40
		rnd 4
		for ((actions = R; actions; actions--)); do
			pick suspended suspended reloaded reloaded detach_refused unload_refused bad_injection looked \
				registered registered unregistered
			step "$PICK" "$PICK"
			a_while 8
		done
		chance 2 || continue
		step "failure" failure
		# What a frame has marked, only a removal can put right.
		chance 3 || [ -n "$POISONED" ] || [ "$(<$S/state)" != failed ] || step "repair" repaired
	done
	a_while 40
	[ -z "$POISONED" ] || [ $ends != calm ] || ends=removal
	step "$ends" $ends
	step "registered holders" no_holders
	for ((n = 0; n < 2; n++)); do
		pick : : : attachments loads loads idle_removal storm
		step "$PICK" $PICK
	done
	step "kernel log, other disks" nothing_else
	((CYCLE != ${LOSE:-0})) || step "nothing was promised that could be lost, or nobody noticed" false
	counts
	printf 'cycle %d at %d:%02d: %s: %s; acknowledged %d MiB, verified %d MiB, lost %d\n' $CYCLE $((SECONDS / 60)) \
		$((SECONDS % 60)) "${KIND[*]}" "$SAID" $((COUNT[acknowledged_bytes] / MIB)) \
		$((COUNT[verified_bytes] / MIB)) "${COUNT[lost_bytes]}"
}
surprising() { echo 0 >$S/attached && insmod "$MODULES/surprise.ko" "disk=$DEV" && echo 1 >$S/attached; }

nothing_else() { no_splat && others_go_on || { count splats; return 1; }; }
references() {
	is "references to the module" "$(</sys/module/$MODULE/refcnt)" \
		"$(cat /sys/block/pmem*/dax_holder/attached | grep -c 1)"
}
kmemleak() {
	[ -e /sys/kernel/debug/kmemleak ] || return 0
	# What was freed a moment ago is not looked at.
	nap 6
	echo scan >/sys/kernel/debug/kmemleak && nap 6 && echo scan >/sys/kernel/debug/kmemleak &&
		! grep . /sys/kernel/debug/kmemleak || { count leaks; return 1; }
}
all_verified() {
	local i
	for i in "${!KIND[@]}"; do assemble "$i" && mounted "$i" && verify "$i" && away "$i" || return; done
}
last_look() { all_verified && references && checked; }

mkdir -p "$TMP"
OTHERS=$(others)
beat begin
echo 0 >"$TMP/cycle"
start_log
SIZE=$(($(<"/sys/block/$D/size") * 512))
watchdog &
WATCHDOG=$!
decide_for 0
step "what is needed" prepared
step "a byte that is wrong is noticed" notices
echo "the verifier notices one wrong byte"
SECONDS=0
while ((SECONDS < MINUTES * 60)); do cycle; done
step "everything is there" last_look
step "kmemleak" kmemleak
step "kernel log, other disks" nothing_else
counts
step "something was verified" test "${COUNT[verified_bytes]}" -gt 0
kill $WATCHDOG
result passed
