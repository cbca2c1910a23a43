#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# scripts/preflight against kernel build directories that each lack one thing. Runs on the
# host, needs nothing.
set -u
here=$(cd "$(dirname "$0")" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export RUSTC=$tmp/bin/rustc BINDGEN=$tmp/bin/bindgen
k=$tmp/kdir

# A build directory and tools that lack nothing.
fake() {
	rm -rf "$k" "$tmp/bin"
	mkdir -p "$k"/{include/config,include/generated,scripts,rust} "$tmp/bin"
	: | tee "$k"/{Makefile,Module.symvers,scripts/target.json,rust/libmacros.so} \
		"$k"/include/generated/{autoconf.h,rustc_cfg} \
		"$k"/rust/lib{core,compiler_builtins,ffi,bindings,uapi,build_error,pin_init,kernel}.rmeta
	echo 7.3.4+x-amd64 >"$k/include/config/kernel.release"
	printf 'CONFIG_%s\n' RUST=y 'RUSTC_VERSION_TEXT="rustc 1.85.1 (x)"' DAX=y FS_DAX=y ZONE_DEVICE=y \
		MEMORY_FAILURE=y DEBUG_FS=y KALLSYMS_ALL=y BLK_DEV_PMEM=m >"$k/.config"
	printf '#!/bin/sh\necho "rustc 1.85.1 (x)"\n' >"$RUSTC"
	printf '#!/bin/sh\n' >"$BINDGEN"
	chmod +x "$tmp"/bin/*
}

n=0 bad=0
# expect "SENTENCE'S BEGINNING" COMMAND...: what preflight says after COMMAND spoiled the fake.
expect() {
	local want=$1 got
	shift
	fake
	"$@"
	n=$((n + 1))
	got=$("$here/../scripts/preflight" "$k" 2>&1)
	local rc=$?
	got=${got//$k/KDIR} got=${got//$tmp\/bin\//}
	if { [ -z "$want" ] && [ "$rc$got" = 0 ]; } ||
		{ [ -n "$want" ] && [ "$rc" = 1 ] && [[ $got == "preflight: $want"* ]] && [[ $got != *$'\n'* ]]; }; then
		echo "ok $n ${want:-nothing is missing}"
	else
		bad=1
		echo "not ok $n ${want:-nothing is missing}"
		echo "# said ($rc): $got"
	fi
}
without() { sed -i "/^CONFIG_$1=/d" "$k/.config"; }
module() { sed -i "s/^CONFIG_$1=.*/CONFIG_$1=m/" "$k/.config"; }
release() { echo "$1" >"$k/include/config/kernel.release"; }
another_rustc() { printf '#!/bin/sh\necho "rustc 1.90.0 (y)"\n' >"$RUSTC"; }

echo KTAP version 1
echo 1..25
expect "" :
expect "" release 7.10.0-rc1
expect "there is no folder KDIR" rm -r "$k"
expect "KDIR is no kernel build directory" rm "$k/Makefile"
expect "KDIR is no kernel build directory" rm "$k/.config"
expect "KDIR is configured but not prepared" rm "$k/include/config/kernel.release"
expect "KDIR is Linux 7.2.13-x, and dax_holder needs 7.3" release 7.2.13-x
expect "KDIR is Linux 6.12, and dax_holder needs 7.3" release 6.12
expect "Linux 7.3.4+x-amd64 in KDIR is configured without CONFIG_RUST" without RUST
expect "KDIR has no Rust metadata (rust/libkernel.rmeta)" rm "$k/rust/libkernel.rmeta"
expect "KDIR has no Rust metadata (rust/libmacros.so)" rm "$k/rust/libmacros.so"
expect "KDIR has no Rust metadata (scripts/target.json)" rm "$k/scripts/target.json"
expect "KDIR has no Rust metadata (include/generated/rustc_cfg)" rm "$k/include/generated/rustc_cfg"
expect "there is no rustc" rm "$RUSTC"
expect "rustc is 'rustc 1.90.0 (y)', but this kernel's Rust metadata only fits 'rustc 1.85.1 (x)'" another_rustc
expect "there is no bindgen" rm "$BINDGEN"
for o in DAX FS_DAX ZONE_DEVICE MEMORY_FAILURE DEBUG_FS KALLSYMS_ALL BLK_DEV_PMEM; do
	expect "Linux 7.3.4+x-amd64 in KDIR is configured without CONFIG_$o" without $o
done
expect "CONFIG_DAX is a module" module DAX
expect "KDIR has no Module.symvers" rm "$k/Module.symvers"
exit $bad
