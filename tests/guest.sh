#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# scripts/guest keeps its word: exit status, splats, timeout, death, nothing left behind.
# Runs on the host, boots half a dozen guests.
set -u
here=$(cd "$(dirname "$0")" && pwd)
guest=$here/../scripts/guest
runs=${XDG_CACHE_HOME:-$HOME/.cache}/dax_holder/guest
said=$(mktemp)
trap 'rm -f "$said"' EXIT

n=0 bad=0
# t WHAT STATUS PATTERN OPTIONS...: the guest ends with STATUS and says PATTERN.
t() {
	local what=$1 want=$2 pattern=$3 rc
	shift 3
	n=$((n + 1))
	"$guest" --no-module "$@" >"$said" 2>&1 </dev/null
	rc=$?
	if [ "$rc" = "$want" ] && grep -qE "$pattern" "$said"; then
		echo "ok $n $what"
	else
		bad=1
		echo "not ok $n $what"
		sed "s/^/# /; \$a # status $rc, should be $want, saying $pattern" "$said"
	fi
}

# Which lines are complaints, and which only look like it.
complaints() {
	python3 - "$guest" <<-'EOF'
	import importlib.machinery, importlib.util, sys
	sys.dont_write_bytecode = True
	loader = importlib.machinery.SourceFileLoader("guest", sys.argv[1])
	guest = importlib.util.module_from_spec(importlib.util.spec_from_loader("guest", loader))
	loader.exec_module(guest)
	bad = """BUG: KASAN: slab-use-after-free in dax_x+0x1/0x2
	BUG: unable to handle page fault for address: ffff88
	BUG: sleeping function called from invalid context at mm/x.c:1
	kernel BUG at mm/x.c:1!
	WARNING: mm/x.c:1 at dax_x+0x1/0x2, CPU#0: sh/1
	WARNING: possible circular locking dependency detected
	WARNING: possible recursive locking detected
	WARNING: suspicious RCU usage
	Oops: general protection fault, maybe for address 0x0: 0000 [#1] SMP
	Kernel panic - not syncing: x
	INFO: task sh:1 blocked for more than 120 seconds.
	rcu: INFO: rcu_preempt self-detected stall on CPU
	watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [sh:1]
	UBSAN: array-index-out-of-bounds in x.c:1:2
	kmemleak: 2 new suspected memory leaks (see /sys/kernel/debug/kmemleak)
	rust_kernel: panicked at src/x.rs:1:2:
	list_add corruption. next->prev should be x
	refcount_t: underflow; use-after-free.
	ODEBUG: Out of memory. ODEBUG disabled""".splitlines()
	good = """dax_holder: pmem0: BUG in the words of somebody else
	Memory failure: 0x1: Sending SIGBUS to x:1 due to hardware memory corruption
	XFS (pmem0p1): Corruption of in-memory data detected
	tsc: Unable to calibrate against PIT
	EXT4-fs error (device pmem0p2): ext4_x:1: comm x: no WARNING""".splitlines()
	# A race is ours if any frame is.
	race = lambda frame, reordered="b+0x7/0x8", between="": f"""BUG: KCSAN: data-race in x / y

	write to 0xffff888100000000 of 8 bytes by task 1 on cpu 0:
	 x+0x1/0x2
	 {frame}

	race at unknown origin, with read to 0xffff888100000000 of 8 bytes by interrupt on cpu 1:
	{between}
	 y+0x5/0x6
	  |
	  +-> reordered to: {reordered}

	value changed: 0x1 -> 0x2

	Reported by Kernel Concurrency Sanitizer on:
	CPU: 1 UID: 0 PID: 1 Comm: sh Not tainted
	=================================================================="""
	cut = lambda text: text.split("\nCPU: ")[0]	# the guest died in the midst of it
	bad += [race("a+0x3/0x4 [dax_holder]"), race("a+0x3/0x4", "b+0x7/0x8 [dax_holder]"), race("a+0x3/0x4 [holder_storm]"),
	        race("a+0x3/0x4", between="WARNING: in the midst of it"), cut(race("a+0x3/0x4 [dax_holder]"))]
	good += [race("a+0x3/0x4"), race("a+0x3/0x4 [dm_writecache]", between="dax_holder: pmem0: in the midst of it"),
	         cut(race("dax_holder_x+0x3/0x4"))]
	# Whoever was interrupted has nothing to do with it.
	under = lambda entry, of: race(f"asm_{entry}+0x1/0x2\n a+0x3/0x4 [dax_holder]").replace("by task 1", f"by {of}")
	good += [under("sysvec_apic_timer_interrupt", "interrupt"), under("common_interrupt", "interrupt")]
	bad += [under("exc_page_fault", "task 1"), race("a+0x3/0x4 [dax_holder]").replace("by task 1", "by interrupt"),
	        under("common_interrupt", "interrupt").replace("y+0x5/0x6", "y+0x5/0x6 [dax_holder]")]
	# Nor who waits for a lock whose own queue races; the next report counts again.
	of = lambda names: race("a+0x3/0x4 [dax_holder]").replace("x / y", names)
	good += [of("osq_lock / osq_unlock"), of("osq_lock")]
	bad += [of("osq_lock / dax_x"), of("dax_osq_lock / osq_lock"), of("osq_lock") + "\n" + of("x / y")]
	stamped = lambda text, stamp: "\n".join(stamp + line for line in text.split("\n"))
	stamps = "[    1.234567] ", "[    1.234567][  T123] "
	wrong = [t for t in bad for stamp in stamps if not guest.splats(stamped(t, stamp))]
	wrong += [t for t in good for stamp in stamps if guest.splats(stamped(t, stamp))]
	print("\n".join("# " + line for text in wrong for line in text.split("\n")))
	sys.exit(bool(wrong))
	EOF
}

echo KTAP version 1
echo 1..11
n=1
if complaints >"$said"; then
	echo "ok 1 a complaint of the kernel is known from other lines"
else
	bad=1
	echo "not ok 1 a complaint of the kernel is known from other lines"
	cat "$said"
fi

# The command: two NVDIMMs of the size, in fsdax mode, this folder, no input.
# shellcheck disable=SC2016
t "status, output, disks and folder are those asked for" 3 "^seen $here 552960 552960 2097152$" \
	--nvdimms 2 --size 272M -- sh -c 'cd "$1"; [ -z "$(cat)" ] && touch here.$$ && rm here.$$ &&
	readlink /sys/block/pmem0/device | grep -q /pfn && readlink /sys/block/pmem1/device | grep -q /pfn &&
	echo seen "$PWD" "$(cat /sys/block/pmem0/size)" "$(cat /sys/block/pmem1/size)" "$(cat /sys/block/vdb/size)"; exit 3' sh "$here"
t "a splat fails a command that succeeds" 70 "WARNING: made up" -- sh -c 'echo "WARNING: made up" >/dev/kmsg'
t "an expected splat does not, and is shown" 5 "WARNING: made up" --expect-splat -- \
	sh -c 'echo "WARNING: made up" >/dev/kmsg; exit 5'
t "a panic is a splat" 70 "sysrq triggered crash" -- sh -c 'echo c >/proc/sysrq-trigger; sleep 9'
t "one that is expected is a death" 71 "sysrq triggered crash" --expect-splat -- sh -c 'echo c >/proc/sysrq-trigger; sleep 9'
t "a guest that goes away has died" 71 "ended before COMMAND" -- sh -c 'echo o >/proc/sysrq-trigger; sleep 9'
t "a guest that does not end is killed" 124 "no end after 20 s" --timeout 20 -- sleep 99
t "so is one that has become silent" 124 "^said 4" --silence 6 -- sh -c 'for i in 1 2 3 4; do sleep 2; echo said $i; done; sleep 99'
t "a folder without modules is refused" 1 "has no lib/modules" --kernel /dev/null --modules "$here" -- true

n=11
"$guest" --no-module -- sh -c 'echo here; sleep 99' >"$said" 2>&1 </dev/null &
pid=$!
while kill -0 $pid && ! grep -q ^here "$said"; do sleep 0.1; done
run=$(ls -dt "$runs"/run[0-9]*-* | head -n1)
kill -TERM $pid
wait $pid
rc=$?
if [ $rc = 143 ] && [ -n "$run" ] && [ ! -e "$run" ] && ! compgen -G "/dev/shm/dax_holder-*-${run##*/}" >/dev/null && ! pgrep -f "$run" >/dev/null; then
	echo "ok 11 a signal ends the guest and leaves nothing behind"
else
	bad=1
	echo "not ok 11 a signal ends the guest and leaves nothing behind"
	sed "s/^/# /; \$a # status $rc, run $run" "$said"
fi
exit $bad
