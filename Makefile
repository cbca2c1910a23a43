# SPDX-License-Identifier: GPL-2.0-only
#
# For people. Kbuild has the rules for the module itself.

define HELP
make demo                 lose a persistent memory under running programs, with and without the module
make bench                measure: events against pages, fan-out, storms, transparency, memory (results/)
make check                every test: the pure parts here, the rest in guests
make soak                 everything at once, at random, for half an hour (MINUTES=30 SEED=number)
make fuzz                 random input for the pure parts, steered by coverage (EXECS=10000000)
make coverage             which lines of the pure parts the host tests run
make mutants              faults on purpose, one by one: which test catches each (MUTANTS="a b")
make shell                a guest with the module loaded
make modules [KDIR=dir]   dax_holder.ko for the stock kernel, or for the kernel of that build directory
make install [KDIR=dir]   the module and its agent (DESTDIR: below that folder)
make lint                 formatting, clippy, syntax of the scripts
make docs                 the documentation as HTML
make clean, distclean     remove what was built; remove also kernels, root and tools (the cache)

KERNEL=debug              the same on a kernel that looks closely (KASAN, lockdep, kmemleak, KUnit)
KERNEL=kcsan              the same on one that looks for data races (KCSAN), also those of the Rust code
SUITES="a b"              make check: only these suites of tests/
BENCH=--quick             make bench: a few small samples, to see whether it runs
W=e                       make modules: warnings are errors

The first run prepares a Debian root and a kernel in the cache (~/.cache/dax_holder), as root.
endef

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help prepare modules test-modules tests check demo bench shell install lint docs clean distclean fuzz coverage mutants soak

KERNEL ?= stock
export KERNEL
lib := . scripts/lib.sh;
BUILD := $(shell $(lib) echo "$$BUILD")
CACHE := $(shell $(lib) echo "$$CACHE")

# A kernel that is not ours is built with the tools of this machine, ours with those of
# the root, which are the ones it was made with.
ifdef KDIR
override KDIR := $(abspath $(KDIR))
OUT := $(BUILD)/$(subst /,_,$(KDIR))
run :=
llvm := $(if $(LLVM),LLVM=$(LLVM),$$(grep -qs ^CONFIG_CC_IS_CLANG=y '$(KDIR)/.config' && echo LLVM=1 || :))
else
OUT := $(BUILD)/$(KERNEL)
run := $(lib) in_root
llvm := $(if $(filter stock,$(KERNEL)),CC=gcc-14,LLVM=-19)
modules lint docs: prepare
endif
kdir := $(or $(KDIR),$(CACHE)/kernel/$(KERNEL)/build)
kbuild = $(run) make -C '$(kdir)' M='$(CURDIR)$(1)' $(llvm) $(if $(W),W=$(W)) -j$$(nproc)

help:
	$(info $(HELP))@:

prepare:
	@scripts/prepare-host && scripts/prepare-root && scripts/prepare-kernel $(KERNEL)

modules:
	@$(run) scripts/preflight '$(kdir)'
	@mkdir -p '$(OUT)'
	@$(call kbuild) MO='$(OUT)' modules
	@echo 'built $(OUT)/dax_holder.ko'

test-modules: modules
	@mkdir -p '$(OUT)/samples' '$(OUT)/tests'
	@$(call kbuild,/samples) MO='$(OUT)/samples' KBUILD_EXTRA_SYMBOLS='$(OUT)/Module.symvers' modules
	@$(call kbuild,/tests/modules) MO='$(OUT)/tests' KBUILD_EXTRA_SYMBOLS='$(OUT)/Module.symvers' modules

tests: prepare
	@mkdir -p '$(BUILD)/tests'
	@$(lib) in_root make -s -C tests OUTPUT='$(BUILD)/tests'

check: modules test-modules tests
	@scripts/check $(SUITES)

soak: modules test-modules tests
	@scripts/soak

fuzz:
	@scripts/fuzz

coverage:
	@scripts/coverage

mutants: prepare
	@tests/mutants $(MUTANTS)

demo: modules tests
	@scripts/demo

bench: modules test-modules tests
	@scripts/bench $(BENCH)

shell: modules tests
	@scripts/guest

install: modules
	@release=$$(cat '$(kdir)/include/config/kernel.release'); \
	install -D -m 644 '$(OUT)/dax_holder.ko' "$(DESTDIR)/lib/modules/$$release/updates/dax_holder.ko"; \
	install -D scripts/agent '$(DESTDIR)/usr/lib/dax_holder/agent'; \
	$(if $(DESTDIR),:,depmod "$$release")

lint:
	@scripts/lint

docs:
	@scripts/docs

clean:
	rm -rf '$(BUILD)'

distclean:
	rm -rf '$(CACHE)'
