#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Who may do what, what is told to whom, and what is left of a disk that has gone: the rows of
# Documentation/security.rst, in their order.
. "$(dirname "$0")/lib.sh"
need_module
plan 24

P=/sys/module/$MODULE/parameters
AGENT=/usr/lib/dax_holder/agent
BYTES=$(($(</sys/block/$D/size) * 512))

# -------------------------------------------------------------------------------- who may do what

everything() {
	echo "$(<$S/attached) $(<$S/state) $(<$S/policy) $(<$S/last_event) $(<$P/agent) $(<$P/agent_timeout) $(<"$G/barrier")"
}
# unchanged COMMAND...: it succeeds and nothing has happened.
unchanged() {
	local before
	before=$(everything)
	"$@" && is "all that can be set" "$(everything)" "$before"
}

# Every file there is, its mode and its owner; no other.
files() {
	stat -c '%n %a %u:%g' $S/* "$G"/* $P/* | sed 's|.*/||' | sort >"$TMP/files"
	sort <<-'EOF' | diff - "$TMP/files"
	agent 600 0:0
	agent_timeout 600 0:0
	attached 644 0:0
	barrier 400 0:0
	clear 200 0:0
	events 400 0:0
	holders 400 0:0
	hook_lookups 400 0:0
	inject 200 0:0
	last_event 444 0:0
	override 200 0:0
	policy 644 0:0
	reason 444 0:0
	state 444 0:0
	EOF
}
debugfs_is_closed() { is "mode of debugfs" "$(stat -c '%a %u:%g' /sys/kernel/debug)" "700 0:0"; }

WRITABLE=("$S/attached 0" "$S/policy native" "$S/clear 1" "$G/inject all" "$G/override release" "$P/agent /bin/true" "$P/agent_timeout 7")
# each_refused ERRNO [WHO...]: every file that can be written to, by WHO
each_refused() {
	local errno=$1 file text
	shift
	for file in "${WRITABLE[@]}"; do
		text=${file#* } file=${file%% *}
		like "$file" "$("$@" "$BIN/wr" "$file" "$text")" "$errno" || return
	done
}
nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
without() { local caps=$1; shift; setpriv --bounding-set "$caps" "$@"; }
by_nobody() { each_refused EACCES nobody; }
reads_nothing() {
	local f
	for f in "$G"/* $P/*; do fails nobody cat "$f" || return; done
}
by_root_without() { each_refused EPERM without -sys_admin,-sys_module; }
# Who may load modules needs no agent; the disks are not his.
by_module_loader() {
	is attached "$(without -sys_admin "$BIN/wr" $S/attached 0)" EPERM &&
		is inject "$(without -sys_admin "$BIN/wr" "$G/inject" all)" EPERM &&
		is agent "$(without -sys_admin "$BIN/wr" $P/agent $AGENT)" ${#AGENT}
}
# Files that root has opened and handed on, to somebody else or to himself without capabilities.
handed_on() {
	local file text
	for file in "${WRITABLE[@]}"; do
		text=${file#* } file=${file%% *}
		"$@" "$BIN/wr" - "$text" 3>"$file" >"$TMP/handed"
		is "$file" "$(<"$TMP/handed")" EPERM || return
	done
}
# Modes that an administrator has changed.
by_anybody_if_chmod() {
	local bad=0
	chmod a+w $S/{attached,policy,clear} $P/{agent,agent_timeout}
	for file in $S/attached $S/policy $S/clear $P/agent $P/agent_timeout; do
		like "$file" "$(nobody "$BIN/wr" "$file" 1)" EPERM || bad=1
	done
	chmod 644 $S/{attached,policy}; chmod 200 $S/clear; chmod 600 $P/{agent,agent_timeout}
	((!bad)) && files
}
# Root of a user namespace is nobody here.
by_root_of_a_namespace() {
	local got
	cp "$BIN/wr" "$TMP/wr" && chmod a+w $S/attached
	got=$(nobody unshare --user --map-root-user "$TMP/wr" $S/attached 0)
	chmod 644 $S/attached
	is attached "$got" EPERM && attached
}
# The tests above prove something: the same, with the right, does what it says.
with_the_right() {
	is policy "$(wr $S/policy native)" 6 && is policy "$(<$S/policy)" "shutdown [native]" && wr $S/policy shutdown &&
		is timeout "$(wr $P/agent_timeout 61)" 2 && wr $P/agent_timeout 60 && inject "$((BYTES - MIB))+4096" &&
		is state "$(<$S/state)" failed && reset && echo 0 >$S/attached && is state "$(<$S/state)" detached &&
		echo 1 >$S/attached && attached
}

t "the files, their modes and owners are those of the table" files
t "debugfs is for root only" debugfs_is_closed
t "another user opens none of them for writing" unchanged by_nobody
t "and reads nothing of debugfs and the parameters" reads_nothing
t "root without CAP_SYS_ADMIN is refused by each" unchanged by_root_without
t "another user with a file that root has opened is refused by each" unchanged handed_on nobody
t "so is root without capabilities" unchanged handed_on without -all
t "a file that everybody may write to still asks for the capability" unchanged by_anybody_if_chmod
if [ "${KERNEL:-stock}" = stock ] || nobody unshare --user --map-root-user true 2>/dev/null; then
	t "root of a user namespace is not root" unchanged by_root_of_a_namespace
else
	skip "root of a user namespace is not root" "no user namespaces for users"
fi
t "who may load modules may choose the agent, and nothing else" unchanged by_module_loader
t "with the capability each of them works" with_the_right

# ---------------------------------------------------------------------------------- how much input

# Far more than anybody reads, all of it well-formed as far as it goes.
much() {
	yes 4096+4096 | head -c $((3 * MIB)) >"$TMP/much"
	is inject "$(wr "$G/inject" <"$TMP/much")" E2BIG && is override "$(wr "$G/override" <"$TMP/much")" EINVAL &&
		is attached "$(wr $S/attached <"$TMP/much")" EINVAL && is policy "$(wr $S/policy <"$TMP/much")" EINVAL &&
		is clear "$(wr $S/clear <"$TMP/much")" EINVAL && printf '/%4095s' x >"$TMP/much" &&
		is agent "$(wr $P/agent <"$TMP/much")" ENAMETOOLONG && yes 9 | tr -d '\n' | head -c 4000 >"$TMP/much" &&
		is agent_timeout "$(wr $P/agent_timeout <"$TMP/much")" ERANGE
}
# What is kept of events does not grow: 300 of them, the last 64 are shown.
kept() {
	local i
	# So far behind the disk's start that no offset is by chance a frame of it, see of_the_machine().
	for ((i = 0; i < 300; i++)); do echo "$((0x10000000 + i * 8192))+4096" >"$G/inject" || return; done
	is "lines of events" "$(grep -c . "$G/events")" 64 && (($(wc -c <"$G/events") < 64 * 400)) &&
		(($(wc -c <"$G/holders") < 4096)) && (($(wc -c <$S/last_event) < 4096)) && reset
}
t "more input than anybody reads is refused by each" unchanged much
t "events do not pile up" kept

# --------------------------------------------------------------------------------- what is told

setup() {
	partitions 320 300 && mkx "$P1" && mke "$P2" && mnt "$P1" "$TMP/1" && mnt "$P2" "$TMP/2" || return
	for i in 1 2; do "$BIN/file" make "$TMP/$i/f" 64 $SEED || return; done
}
# An address of the kernel, or its hash, has 16 digits; where the memory is in the machine is known
# from /proc/iomem, to root.
ADDRESS='(^|[^0-9a-f])(0x)?[0-9a-f]{16}($|[^0-9a-f])|f{4}[89a-f][0-9a-f]{11}'
collect() { for f in $S/* "$G"/* $P/*; do [ ! -r "$f" ] || cat "$f" 2>/dev/null; done >>"$TMP/told"; }
# Any address of the disk's memory, and any number of a frame of it. Decimal ones are counts and times as
# well: only those that are addresses of pages.
of_the_machine() {
	local word n
	for word in $(grep -oiwE '(0x)?[0-9a-f]{5,15}' "$1" | sort -u); do
		case $word in
		0[xX]*) n=$((word)) ;;
		*[a-fA-F]*) n=$((16#$word)) ;;
		*) n=$((10#$word)); ((n % 4096)) && continue ;;
		esac
		((n >= FIRST && n <= LAST)) || { [[ $word == *[a-fA-FxX]* ]] && ((n >= FIRST >> 12 && n <= LAST >> 12)); } || continue
		echo "$word is where the memory is"
		return
	done
	return 1
}
no_addresses() {
	local inode
	: >"$TMP/told" && echo >$TRACE/trace && echo 1 >$TRACE/events/dax_holder/enable || return
	udevadm monitor --kernel --property --subsystem-match=block >"$TMP/uevents" &
	PID[udevadm]=$!
	wait_for 10 has "$TMP/uevents" KERNEL || return
	collect
	inode=$(stat -c %i "$TMP/1/f")
	inject "$START2+65536" && collect && umnt "$TMP/2" && reset && mnt "$P2" "$TMP/2" &&
		start pin "$BIN/pinner" open "$TMP/1/f" $SEED 1 && tells_nobody "$inode" && collect && unbind 0
	wait_for 30 held && collect && told pin && ended unbind && umnt "$TMP/1" "$TMP/2" && bind_now && collect || return
	wait_for 10 grep -q DAX_HOLDER_EVENT=removal "$TMP/uevents" || return
	kill "${PID[udevadm]}"; wait "${PID[udevadm]}" 2>/dev/null
	unset "PID[udevadm]"
	echo 0 >$TRACE/events/dax_holder/enable
	cat $TRACE/trace $TRACE/events/dax_holder/*/format "$TMP/uevents" >>"$TMP/told"
	sync_log && grep "$MODULE: " "$TMP/log" >>"$TMP/told"
	(($(grep -c . "$TMP/told") > 100)) || { echo "little was said"; return 1; }
	! grep -nE "$ADDRESS" "$TMP/told" && ! grep -nE '%p[^gK]?|\*[a-z_]+;' <(cat $TRACE/events/dax_holder/*/format) &&
		! of_the_machine "$TMP/told"
}
held() { [[ $(cat "$G/barrier" 2>&1) == "held since "* ]]; }
# What everybody may read says nothing of the file that is pinned, though root may know.
tells_nobody() {
	local f
	inject "$START1+65536" && is "pinned files" "$(holder "$P1" pins)" 1 || return
	for f in state reason policy attached; do fails grep -Hwe "$1" -e "${PID[pin]}" "$S/$f" || return; done
	is "last_event" "$(sed 's/=[^ ]*//g' $S/last_event)" "seq kind source ranges bytes first holders result usec"
}
pattern_finds() {
	local a
	read -r FIRST LAST < <(sed -n 's/^ *\([0-9a-f]*\)-\([0-9a-f]*\) : Persistent Memory.*/0x\1 0x\2/p' /proc/iomem)
	((FIRST > 0 && LAST > FIRST)) || { echo "no memory in /proc/iomem"; return 1; }
	for a in $((FIRST)) $((LAST)) $((FIRST + 4096)) $((FIRST >> 12)) $(((LAST >> 12) - 1)); do
		of_the_machine <(printf 'at 0x%x\n' "$a") || { echo "not found: $a"; return 1; }
	done
	of_the_machine <(echo "at $((FIRST + 4096)),") || { echo "a decimal address was not found"; return 1; }
	for a in ffff888004e691c0 '(____ptrval____) 000000005f3a9b12' 'at 0xffffffffc0201000'; do
		grep -qE "$ADDRESS" <<<"$a" || { echo "not found: $a"; return 1; }
	done
	! grep -E "$ADDRESS" <<<'pmem0: event 1: failure, 1 range, 65536 bytes at 0x1f200000: 123456789012345 ns'
}

must "two file systems" setup
t "what looks for addresses finds them" pattern_finds
t "no address of the kernel or of the machine in any file, log line, trace event or uevent" no_addresses

# -------------------------------------------------------------------- what is left of a dead disk

open_all() {
	mnt "$P1" "$TMP/1" && mnt "$P2" "$TMP/2" && start m1 "$BIN/mapper" "$TMP/1/f" $SEED shared,read private,read shared,write &&
		start m2 "$BIN/mapper" "$TMP/2/f" $SEED shared,read private,read shared,write &&
		exec {F1}<>"$TMP/1/f" {F2}<>"$TMP/2/f" {B0}<>"$DEV" {B1}<>"$P1" {A}<$S/last_event {E}<"$G/events" {I}>"$G/inject" {O}>$S/policy
}
# unreadable FD WHAT: not a byte of it, wherever one looks. lost: nor can one be written
unreadable() {
	local n skip
	for skip in 0 15 40; do
		n=$(dd bs=4096 count=1 skip=$skip iflag=fullblock <&"$1" 2>/dev/null | wc -c)
		is "bytes of $2" "$n" 0 || return
	done
}
lost() { unreadable "$@" && { ! printf x 2>/dev/null >&"$1" || { echo "$2 can be written to"; return 1; }; }; }
dead() {
	# The file systems have no user any more that could keep the removal waiting.
	wr $S/policy native && unbind && told m1 && told m2 || return
	lost $F1 "an open file, XFS" && lost $F2 "an open file, ext4" && lost $B0 "the open disk" &&
		lost $B1 "the open partition" && unreadable $A "the attribute" && unreadable $E "events" || return
	! echo all 2>/dev/null >&$I && ! echo native 2>/dev/null >&$O && fails test -e "$G" && fails test -e /sys/block/$D &&
		fails cat "$TMP/1/f" && fails cat "$TMP/2/f"
}
nothing_of_it() {
	exec {F1}<&- {F2}<&- {B0}<&- {B1}<&- {A}<&- {E}<&- {I}>&- {O}>&-
	umnt "$TMP/1" "$TMP/2" && bind_now && is last_event "$(<$S/last_event)" none && is events "$(<"$G/events")" "" &&
		is policy "$(<$S/policy)" "[shutdown] native"
}
t "everything open: files, mappings, the disk, our own files" open_all
t "the disk is removed: not a byte can be read through any of them, nor written" dead
t "bound again, nothing is known of before" nothing_of_it

# ------------------------------------------------------------------------------------- the agent

relative() {
	local w
	for w in agent ./agent ../../bin/sh "bin/sh" " /bin/sh" "-c"; do
		is "agent '$w'" "$(wr $P/agent "$w")" EINVAL || return
	done
	is agent "$(<$P/agent)" $AGENT && is "mode of the agent" "$(stat -c '%a %u:%g' $AGENT)" "755 0:0"
}
# What the kernel runs, with what, as whom: whatever the writer's environment and the device's name.
EVIL='dh_x;touch evil;$(touch evil)'
spy() {
	cat >"$TMP/spy" <<-EOF
	#!/bin/sh
	tr '\0' '\n' </proc/self/environ >$TMP/environment
	tr '\0' '\n' </proc/\$\$/cmdline >$TMP/arguments
	exec $AGENT "\$@"
	EOF
	chmod 700 "$TMP/spy"
}
evil_cache() {
	cd "$TMP" && dd if=/dev/zero of="$P2" bs=1M count=1 oflag=direct status=none &&
		dmsetup --manglename none --noudevsync create "$EVIL" -u "$EVIL" --table "0 204800 writecache p $PLAIN $P2 4096 0" &&
		has <(cat /sys/block/dm-*/dm/name) "$EVIL" &&
		NUMBERS="$(evil -c --noheadings -o major,minor --separator : info) $(stat -c '%Hr:%Lr' "$P2")"
}
# evil OPTIONS COMMAND: of dmsetup, of that device
evil() { dmsetup --manglename none --noudevsync "${@: -1}" "${@:1:$#-1}" "$EVIL"; }
gone_well() {
	is result "$RESULT" 0 && like table "$(evil table)" '*error*' && fails test -e "$TMP/evil" && fails test -e /evil &&
		evil remove && bind_now
}
removed() { unbind && RESULT=$(sync_log; sed -n 's/.*: removal, .* result \(-*[0-9]*\),.*/\1/p' "$TMP/log" | tail -n 1); }
runs_only_that() {
	spy && evil_cache && LD_PRELOAD='' EVIL=1 IFS=/ PATH=$TMP:$PATH "$BIN/wr" $P/agent "$TMP/spy" && removed || return
	cd "$TMP"
	is arguments "$(tail -n +2 arguments | tr '\n' ' ')" "$TMP/spy release $NUMBERS " &&
		is environment "$(sort environment | tr '\n' ' ')" "HOME=/ LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin " && gone_well
}
real_agent() { wr $P/agent $AGENT && evil_cache && removed && gone_well; }
# with_dmsetup EXIT TABLE AGENT'S ARGUMENTS...: a dmsetup that says so, notes that it was asked, and exits so.
with_dmsetup() {
	mkdir -p "$TMP/bin" && rm -f "$TMP/asked" &&
		printf '#!/bin/sh\n: >%s/asked\necho "%s"\nexit %d\n' "$TMP" "$2" "$1" >"$TMP/bin/dmsetup" &&
		chmod 755 "$TMP/bin/dmsetup" && PATH=$TMP/bin:$PATH "$AGENT" "${@:3}"
}
LINEAR="0 8 linear 3:4 0"
# To say that a device is harmless is to let go of the memory under it.
no_answer() {
	with_dmsetup 0 "$LINEAR" release 1:2 3:4
	is "with a table that is no cache" $? 3 && test -e "$TMP/asked" || return
	# A table that is being loaded has the memory mapped, and is neither live nor inactive.
	with_dmsetup 0 "0 8 linear 5:6 0" release 1:2 3:4
	is "with a table that has nothing of the memory" $? 1 || return
	with_dmsetup 0 "$LINEAR" release 1:2 3:4 5:6
	is "with a table that has a part of it" $? 1 || return
	with_dmsetup 0 "0 8 pcache 3:4 5:6 4 cache_mode writeback data_crc false" release 1:2 3:4
	is "with a cache that it cannot handle" $? 1 || return
	with_dmsetup 1 "$LINEAR" release 1:2 3:4
	is "with a dmsetup that fails" $? 1 && rm "$TMP/bin/dmsetup" || return
	PATH=$TMP/bin "$AGENT" release 1:2 3:4
	is "without a dmsetup" $? 1
}
refused() { with_dmsetup 0 "$LINEAR" "$@"; is "the agent with '$*'" $? 1 && fails test -e "$TMP/asked"; }
hostile_arguments() {
	local w
	for w in '1:2;touch evil' '$(touch evil)' '`touch evil`' '1:2 -x' '-v' '1:' ':2' '1:2:3' '' '1:2
touch evil'; do
		refused release "$w" 3:4 && refused drop 1:2 "$w" && refused "$w" 1:2 3:4 || return
	done
	refused && refused release 1:2 && fails test -e evil
}
modprobe -q dm_writecache
t "the agent is an absolute path or none, and nobody but root can change the program" relative
t "it is run with numbers only, and in a fixed environment" runs_only_that
t "the real one is not moved by the name of a device" real_agent
t "nor by arguments" hostile_arguments
t "without an answer it does not say that all is well" no_answer
finish
