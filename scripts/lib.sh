# SPDX-License-Identifier: GPL-2.0-only
# Shared by the scripts of this folder: where things live, and how they talk.
# Sourced, never run.

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/dax_holder
ROOT=$CACHE/root
# What is built of this very folder; other clones have their own.
BUILD=$CACHE/build/$(printf %s "$TOP" | sha256sum | cut -c1-12)
SERIES=7.3			# the baseline kernel series
SUITE=trixie			# the Debian release whose toolchain built it

say() { printf '[%s] %s\n' "$(date +%H:%M:%S)" "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# run_logged LOG WHAT COMMAND...: run a long step with a heartbeat; on failure
# show the end of its log.
run_logged() {
	local log=$1 what=$2 start=$SECONDS pid rc=0
	shift 2
	say "$what ..."
	"$@" >"$log" 2>&1 &
	pid=$!
	while kill -0 "$pid" 2>/dev/null; do
		sleep 1
		if (((SECONDS - start) % 20 == 19)) && kill -0 "$pid" 2>/dev/null; then
			say "  $what: $((SECONDS - start + 1)) s, $(tail -n1 "$log" | tr -d '\r' | cut -c1-80)"
		fi
	done
	wait "$pid" || rc=$?
	((rc == 0)) || { tail -n 30 "$log" >&2; die "$what failed (exit $rc); the whole log is $log"; }
	say "$what: done in $((SECONDS - start)) s"
}

# alone NAME: from here to its end, only one process does NAME.
alone() {
	mkdir -p "$CACHE"
	exec 9>"$CACHE/$1.lock"
	flock -n 9 || { say "waiting for another $1"; flock 9; }
}

# debian_mirror: the archive this machine's own apt configuration uses.
debian_mirror() {
	local uri
	uri=$(apt-get indextargets --format '$(REPO_URI)' \
		'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | head -n1)
	[ -n "$uri" ] || die "apt knows no Debian archive: add one to /etc/apt/sources.list and run apt-get update"
	printf '%s' "$uri"
}

# in_root COMMAND...: run a command inside the build root, with the project, the
# cache and the kernel's virtual file systems at their own paths. The mounts live in
# a private mount name space, so nothing is left behind however it ends.
in_root() {
	ROOT=$ROOT TOP=$TOP CACHE=$CACHE unshare --mount --propagation private bash -ec '
		mount -t tmpfs tmpfs "$ROOT/tmp"
		for d in "$TOP" "$CACHE"; do
			mkdir -p "$ROOT$d"
			mount --rbind "$d" "$ROOT$d"
		done
		mount -t proc proc "$ROOT/proc"
		mount --rbind /dev "$ROOT/dev"
		dir=$1; shift
		exec chroot "$ROOT" /usr/bin/env -i HOME=/root TERM="${TERM:-dumb}" LC_ALL=C.UTF-8 \
			PATH=/usr/sbin:/usr/bin:/sbin:/bin /bin/sh -c "cd \"\$0\" && exec \"\$@\"" "$dir" "$@"
	' in_root "${IN_ROOT_DIR:-$TOP}" "$@"
}
