# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Shared by the suites of this folder. Sourced, never run. A suite is
#
#	. "$(dirname "$0")/lib.sh"
#	plan 2				# KTAP header; one more test is added, the kernel log
#	must "what the others need" function	# like t, but without it the suite ends
#	t "what must hold" command arguments	# ok if the command returns 0
#	finish
#
# Tests are functions that join their steps with &&, say on standard output what went wrong, and
# run in the shell itself. Nothing here runs a program where the shell can do it: a fork costs
# 10 to 30 ms in an emulated guest.

set -u
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
BIN=${OUTPUT:-$(. "$HERE/../scripts/lib.sh" && echo "$BUILD/tests")}	# as in the Makefile
. "$HERE/gone.sh"
SUITE=$(basename "$0" .sh)
TMP=/tmp/dax_holder.$SUITE
D=${DAX_DISK:-pmem0}			# the disk under test
DEV=/dev/$D
S=/sys/block/$D/dax_holder
G=/sys/kernel/debug/dax_holder/$D
ND=/sys/bus/nd/drivers/nd_pmem
TRACE=/sys/kernel/tracing
MODULE=dax_holder
KO=${DAX_HOLDER_KO:-}
PLAIN=${PLAIN_DISK:-/dev/vdb}
SEED=4711
MIB=1048576
# The kernels that look closely are also the slow ones.
DEBUG=; [ ! -e /sys/kernel/debug/kmemleak ] && [ ! -e /sys/kernel/debug/kcsan ] || DEBUG=1
PATIENCE=$((DEBUG ? 6 : 1))

# ---------------------------------------------------------------------------------------- KTAP

PLAN=0 DONE=0 BAD=0 SKIPPED=0 RACES=0 FINISHED='' LAST_MARK=''
declare -A PID=()

note() { printf '# %s\n' "$*"; }

skip_all() {
	printf 'KTAP version 1\n1..0 # SKIP %s\n' "$*"
	FINISHED=1
	exit 4
}

plan() {
	PLAN=$(($1 + 1))
	printf 'KTAP version 1\n1..%d\n' "$PLAN"
	OTHERS=$(others)
	rm -rf "$TMP"
	mkdir -p "$TMP"
	start_log
}

result() {
	DONE=$((DONE + 1))
	if (($1 == 0)); then
		printf 'ok %d %s\n' "$DONE" "$2"
	else
		BAD=$((BAD + 1))
		printf 'not ok %d %s\n' "$DONE" "$2"
	fi
}

skip() {
	DONE=$((DONE + 1)) SKIPPED=$((SKIPPED + 1))
	printf 'ok %d %s # SKIP %s\n' "$DONE" "$1" "$2"
}

# The names of its own variables are odd so that no test function changes them.
t() {
	local _what=$1 _rc _line
	shift
	mark
	"$@" >"$TMP/out" 2>&1
	_rc=$?
	if ((_rc)); then
		while IFS= read -r _line; do note "$_line"; done < <(tail -n 60 "$TMP/out")
		sync_log && while IFS= read -r _line; do note "dmesg: $_line"; done < <(log_since | tail -n 25)
	fi
	result "$_rc" "$_what"
	return "$_rc"
}

# Without this one the rest makes no sense.
must() { t "$@" || finish; }

finish() {
	local want=$((PLAN - 1))
	while ((DONE < want)); do result 1 "not reached"; done
	((DONE == want)) || result 1 "$DONE tests, $want planned"
	if [ -n "${DIRTY:-}" ]; then	# a suite that breaks the kernel on purpose
		skip "the kernel log is free of splats" "it is not meant to be"
	else
		t "the kernel log is free of splats, other disks have noticed nothing" eval "no_splat && others_go_on"
		((RACES == 0)) || note "KCSAN: $RACES data races of the kernel, none with dax_holder"
	fi
	clean >/dev/null 2>&1
	FINISHED=1
	printf '# Totals: pass:%d fail:%d skip:%d\n' $((DONE - BAD - SKIPPED)) "$BAD" "$SKIPPED"
	((BAD == 0)) || exit 1
	((SKIPPED < DONE - 1)) || exit 4
	exit 0
}

at_exit() {
	local rc=$?
	[ -n "$FINISHED" ] && exit "$rc"
	note "the suite ended early"
	while ((DONE < PLAN)); do result 1 "not reached"; done
	clean >/dev/null 2>&1
	exit 1
}
trap at_exit EXIT

# is WHAT GOT WANTED, like WHAT GOT PATTERN: compare, and say what was wrong.
is() { [ "$2" = "$3" ] || { echo "$1: '$2', should be '$3'"; return 1; }; }
like() {
	# shellcheck disable=SC2254
	case $2 in $3) ;; *) echo "$1: '$2', should be like '$3'"; return 1 ;; esac
}
# fails COMMAND: it must not succeed.
fails() { if "$@"; then echo "succeeded, should not have: $*"; return 1; fi; }

# ------------------------------------------------------------------------------------- waiting

# A pipe nobody writes to: read's timeout is a sleep without a fork.
exec {NAP}<> <(:)
nap() { read -rt "$1" -u "$NAP" || :; }

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
	local end=$((SECONDS + $1 * PATIENCE + 1)) what=("${@:2}")
	until "${what[@]}" >/dev/null 2>&1; do
		if ((SECONDS >= end)); then
			echo "waited $1 s in vain for: ${what[*]}"
			return 1
		fi
		nap 0.03
	done
}

has() { [[ $(<"$1") == *"$2"* ]]; }

# start NAME COMMAND...: in the background; returns when it has said READY.
start() {
	local name=$1
	shift
	: >"$TMP/$name"		# here: the child may come to it after we look for READY
	"$@" >>"$TMP/$name" 2>&1 &
	PID[$name]=$!
	wait_for 60 started "$name" && has "$TMP/$name" READY || {
		echo "$name did not get ready: $(<"$TMP/$name")"
		return 1
	}
}
started() { has "$TMP/$1" READY || gone "${PID[$1]}"; }

# For start: python3 -c "$CLAIM" DEVICE claims it for itself until it is told.
# shellcheck disable=SC2034
CLAIM='import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
os.open(sys.argv[1], os.O_RDWR | os.O_EXCL)
print("READY", flush=True)
signal.sigwait([signal.SIGUSR1])'

# tell NAME: SIGUSR1. ended NAME: wait for its end (60 s); its exit code; its output on failure.
tell() { kill -USR1 "${PID[$1]:-none}" 2>/dev/null; }
ended() {
	local rc pid=${PID[$1]:-}
	[ -n "$pid" ] || { echo "$1 does not run"; return 1; }
	wait_for 60 gone "$pid" || return 1
	wait "$pid"
	rc=$?
	unset "PID[$1]"
	((rc == 0)) || { echo "$1 exited with $rc:"; cat "$TMP/$1"; }
	return "$rc"
}
# stopped_by_error FILE DIRECTORY [ERRNO]: FILE is the output of an fsyncer, who stopped since nothing from
# the file system on DIRECTORY reaches the disk any more, and for no other reason: EIO; from ext4 also
# EROFS, if the journal was aborted when he was on his way to it; or ERRNO. With DAX, where the disk goes, that
# is ENXIO: past the checks of the file system when its DAX device died.
stopped_by_error() {
	local out last errors=EIO${3:+|$3}
	out=$(<"$1") && last=${out##*$'\n'}
	! has /proc/mounts " $2 ext4 " || errors+='|EROFS'
	[[ $last =~ ^STOPPED\ after\ [0-9]+\ files:\ .*:\ ($errors)$ ]] || {
		echo "${1##*/}: '$last', should be '$errors'"
		return 1
	}
}
# stands_in NAME FUNCTIONS: PID[NAME] is in one of these functions of the kernel, a regular expression.
stands_in() { grep -qE "$2" "/proc/${PID[$1]}/stack"; }
told() {
	tell "$1" || echo "$1 had ended before"
	ended "$1"
}

# ------------------------------------------------------------------------------ the kernel log

# Everything since the start of the suite is kept in a file: a storm turns the ring over.
start_log() {
	dmesg --follow-new >"$TMP/log" 2>/dev/null &
	LOG_PID=$!
	TAINT=$(</proc/sys/kernel/tainted)
	wait_for 10 log_lives
	mark
}
log_lives() { echo "$SUITE: log starts" >/dev/kmsg; nap 0.1; [ -s "$TMP/log" ]; }

MARKS=0
mark() {
	MARKS=$((MARKS + 1))
	LAST_MARK="$SUITE: mark $MARKS"
	echo "$LAST_MARK" >/dev/kmsg
}

# sync_log: everything logged until now is in the file.
sync_log() {
	MARKS=$((MARKS + 1))
	echo "$SUITE: sync $MARKS" >/dev/kmsg
	wait_for 20 grep -q "$SUITE: sync $MARKS\$" "$TMP/log"
}

# log_since: the lines since the last mark, without our own.
log_since() { sed -e "1,/$LAST_MARK\$/d" "$TMP/log" | grep -v "$SUITE: \(mark\|sync\)"; }

# logged PATTERN: a line of the module since the last mark.
logged() {
	sync_log && log_since | grep -qE "$MODULE: .*($1)" || {
		echo "not in the log: $MODULE: ... $1"
		return 1
	}
}
not_logged() { sync_log && ! log_since | grep -E "$1"; }

SPLAT='BUG:|WARNING:|ODEBUG disabled|Oops|general protection fault|KASAN|UBSAN|kernel panic|Call Trace|possible recursive|possible circular|inconsistent lock|suspicious RCU|blocked for more than|soft lockup|rcu.*detected (stalls|expedited)|bad page|refcount_t|unreferenced object|rust_kernel: panicked|sleeping function called|scheduling while atomic'

# What taints: 4 machine check, 32 bad page, 128 oops, 512 warning, 16384 soft lockup.
no_splat() {
	local taint bad log=$TMP/log
	sync_log || return 1
	# KCSAN sees the whole kernel: of its races only ours count.
	if [ -e /sys/kernel/debug/kcsan ]; then
		grep -q '^enabled: 1' /sys/kernel/debug/kcsan || { echo "KCSAN is off"; return 1; }
		log=$TMP/ours
		awk -f "$HERE/../scripts/races.awk" "$TMP/log" >"$log" || return
		RACES=$(grep -c 'KCSAN, not of dax_holder' "$log")
	fi
	# memory_failure() taints by MCE and warns of hardware errors by design: not these.
	bad=$(grep -nE "$SPLAT" "$log" | head -n 5)
	taint=$(($(</proc/sys/kernel/tainted) & ~TAINT & (32 | 128 | 512 | 16384)))
	if [ -n "$bad" ] || ((taint)); then
		echo "taint $taint, first lines:"
		echo "$bad"
		[ -z "$bad" ] || sed -n "${bad%%:*},+45p" "$log"
		return 1
	fi
	[ ! -e /proc/lockdep_stats ] || grep -q 'debug_locks: *1' /proc/lockdep_stats || {
		echo "lockdep has switched itself off"
		return 1
	}
}

# ------------------------------------------------------------------------------------- devices

# The disks that are not under test, where there are any, must be as they were.
others() { grep -s . /sys/block/pmem*/dax_holder/{state,last_event} | grep -v "^/sys/block/$D"; }
others_go_on() { is "other disks" "$(others)" "$OTHERS"; }
loaded() { [ -d /sys/module/$MODULE ]; }
attached() { [ "$(cat $S/attached 2>/dev/null)" = 1 ]; }
wr() { "$BIN/wr" "$@"; }

need_module() {
	[ -b "$DEV" ] || skip_all "no $DEV"
	[ -x "$BIN/wr" ] || skip_all "the programs are not built: make -C tests"
	loaded || skip_all "$MODULE is not loaded"
	# Loaded but not attached is not a reason to skip: the tests then fail.
	[ -d "$G" ] || note "$D is not attached: $(cat $S/reason 2>/dev/null)"
}

# The nd device under the driver, as pfn0.0. The name stays when the disk goes.
NAME=$(basename "$(readlink -f "/sys/block/$D/device" 2>/dev/null)")
NAME=${NAME:-pfn0.0}

# After bind the block device and the attachment come a moment later.
bound() { [ -b "$DEV" ] && { ! loaded || [ -d "$G" ]; }; }
unbind_now() { wr $ND/unbind "$NAME"; }
bind_now() { wr $ND/bind "$NAME" && wait_for 20 bound; }
# unbind [SECONDS]: must end by itself. With an argument 0: only started, as PID[unbind].
unbind() {
	: >"$TMP/unbind"
	wr $ND/unbind "$NAME" >>"$TMP/unbind" 2>&1 &
	PID[unbind]=$!
	((${1:-60})) || return 0
	wait_for "${1:-60}" gone "${PID[unbind]}" || { cat "$G/barrier"; return 1; }
	ended unbind
}

# partitions SIZE_MIB...: aligned to 2 MiB, the first at 2 MiB. Sets P1 P2 ... (device nodes),
# START1 ... and LEN1 ... (bytes on the disk).
partitions() {
	local at=2 n=0 size script="label: gpt"$'\n'
	for size; do
		n=$((n + 1))
		script+="start=$((at * 2048)), size=$((size * 2048))"$'\n'
		printf -v P$n '%sp%d' "$DEV" $n
		printf -v START$n '%d' $((at * MIB))
		printf -v LEN$n '%d' $((size * MIB))
		at=$((at + size))
	done
	printf '%s' "$script" | sfdisk --quiet --wipe always --wipe-partitions always "$DEV" >"$TMP/sfdisk" 2>&1 || {
		cat "$TMP/sfdisk"
		return 1
	}
	wait_for 10 test -b "${DEV}p$n"
}

# Stripes of 2 MiB let both file systems place large files so that 2 MiB mappings are possible.
mkx() { mkfs.xfs -q -f -K -m "reflink=0,rmapbt=${2:-1}" -d agcount=2,su=2m,sw=1 -l size=64m "$1"; }
# A fixed hash seed, because ext4 places directories by it.
mke() { mkfs.ext4 -q -F -b 4096 -E hash_seed=a8c12ae4-4711-4711-8711-000000004711,nodiscard,stride=512,stripe_width=512,lazy_itable_init=0 -N 2048 "${@:2}" "$1"; }

# mnt DEVICE DIRECTORY: with DAX, and it must be real.
mnt() {
	mkdir -p "$2" && mount -o dax=always "$1" "$2" && : >"$2/.dax" && "$BIN/file" dax "$2/.dax" || {
		echo "$1 is not mounted with DAX on $2"
		return 1
	}
}
umnt() {
	local d
	for d; do umount "$d" || return 1; done
}

# tables_gone: every device-mapper table dh_*; a table sorts before what it lies on.
tables_gone() {
	local n
	for n in /dev/mapper/dh_*; do
		[ ! -b "$n" ] || dmsetup --noudevsync remove "${n##*/}" || return
	done
}

# The mounts of this suite, the last one first.
mounts() { awk -v t="$TMP" 'index($2, t) == 1 { print $2 }' /proc/mounts | sort -r; }
# tidy: no processes, no mounts, no tables, every disk bound, attached, and nothing failed, the usual policy.
tidy() {
	local p s unbind=${PID[unbind]:-}
	unset "PID[unbind]"		# it may wait for all the others
	# A suspended table, a frozen file system: who waits for it ends only then. To thaw may be to wait for who
	# has pinned a page.
	for p in /dev/mapper/dh_*; do [ ! -b "$p" ] || dmsetup --noudevsync resume "$p"; done
	for p in "${PID[@]}"; do kill -KILL "$p" 2>/dev/null; done
	mounts | xargs -rn1 fsfreeze -u 2>/dev/null &
	for p in "${PID[@]}"; do wait_for 10 gone "$p" && wait "$p" 2>/dev/null; done
	PID=()
	while read -r p; do
		umount "$p" 2>/dev/null || umount -l "$p"
	done < <(mounts)
	tables_gone
	[ -z "$unbind" ] || wait_for 10 gone "$unbind"
	[ -b "$DEV" ] || bind_now
	loaded || return 0
	for s in /sys/block/pmem*/dax_holder; do
		[ "$(cat "$s/state" 2>/dev/null)" != failed ] || echo 1 >"$s/clear"
		[ "$(cat "$s/attached" 2>/dev/null)" = 1 ] || echo 1 >"$s/attached"
		echo shutdown >"$s/policy"
	done
}

# clean: tidy, and no partitions.
clean() {
	tidy
	wipefs -qa "$DEV" >/dev/null 2>&1
	partx -d "$DEV" >/dev/null 2>&1
	kill "${LOG_PID:-none}" 2>/dev/null
	:
}

# ---------------------------------------------------------------------------------- the module

# unload, load: the module, which every attached disk holds.
unload() {
	local d
	for d in /sys/block/pmem*/dax_holder/attached; do
		[ "$(<"$d")" = 0 ] || echo 0 >"$d" || return
	done
	"$BIN/modloop" unload $MODULE
}
load() { "$BIN/modloop" load "$KO"; }

# inject TEXT: one event; the byte count or the error's name is in REPLY.
inject() {
	REPLY=$(wr "$G/inject" "$1")
	like "inject $1" "$REPLY" '[0-9]*'
}

# holder PARTITION FIELD: of the holders table, whose first line names the columns.
holder() {
	local row names i
	while read -ra row; do
		if [ "${row[0]}" = "#" ]; then
			names=("${row[@]:1}")
		elif [ "${row[0]}" = "${1#/dev/}" ]; then
			for i in "${!names[@]}"; do
				[ "${names[i]}" != "$2" ] || echo "${row[i]}"
			done
			return
		fi
	done <"$G/holders"
	echo none
}

# event FIELD: of the last event.
event() {
	local word
	for word in $(<$S/last_event); do
		[ "${word%%=*}" != "$1" ] || echo "${word#*=}"
	done
}

# reset: after a failure, with everything unmounted, the disk as new for the next test.
reset() { echo 1 >$S/clear && is state "$(<$S/state)" active; }
