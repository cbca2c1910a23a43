/* SPDX-License-Identifier: GPL-2.0-only */
/* Shared by the programs of this folder: complain, touch memory that may vanish, fill pages. */
#ifndef DAX_HOLDER_TESTS_COMMON_H
#define DAX_HOLDER_TESTS_COMMON_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PAGE	4096UL
#define HUGE_PAGE	(2UL << 20)

/* Exit codes: 0 as expected, 1 a rule was broken, 2 the test could not be done. */
#define BROKEN	1
#define TROUBLE	2

static inline void __attribute__((noreturn, format(printf, 1, 2))) die(const char *fmt, ...)
{
	int err = errno;
	va_list ap;

	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, ": %s\n", err ? strerrorname_np(err) : "failed");
	exit(TROUBLE);
}

static inline uint64_t usec_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000ull + t.tv_nsec / 1000;
}

static inline void nap(unsigned int usec)
{
	struct timespec t = { usec / 1000000, (usec % 1000000) * 1000L };

	nanosleep(&t, NULL);
}

/* One write(2): the byte count, or -errno. */
static inline ssize_t write_once(const char *path, const void *buf, size_t len)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, buf, len);
	if (n < 0)
		n = -errno;
	close(fd);
	return n;
}

/* One read(2) of a text, which ends with a NUL, and is empty if there is none: its length, or -errno. */
static inline ssize_t read_once(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	text[0] = '\0';
	if (fd < 0)
		return -errno;
	n = read(fd, text, size - 1);
	if (n < 0)
		n = -errno;
	else
		text[n] = '\0';
	close(fd);
	return n;
}

/*
 * Touching memory that may vanish. One touch at a time per thread; SA_NODEFER spares the
 * mask system call of sigsetjmp(.., 1) at every touch.
 */
static __thread sigjmp_buf touch_env;
static __thread volatile uintptr_t touch_page;	/* 0: no touch under way */
static __thread volatile sig_atomic_t bus_code;
static __thread volatile uintptr_t bus_addr;

static inline void on_sigbus(int sig, siginfo_t *si, void *ctx)
{
	uintptr_t page = (uintptr_t)si->si_addr & ~(PAGE - 1);
	bool memory_error = si->si_code == BUS_MCEERR_AO || si->si_code == BUS_MCEERR_AR;

	(void)sig;
	(void)ctx;
	bus_code = si->si_code;
	bus_addr = page;
	/* A notice about another page must not be taken for the answer to this touch. */
	if (memory_error && page != touch_page)
		return;
	if (!touch_page)
		_exit(TROUBLE);
	siglongjmp(touch_env, 1);
}

static inline void catch_sigbus(void)
{
	struct sigaction sa = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_NODEFER };

	if (sigaction(SIGBUS, &sa, NULL))
		die("sigaction");
}

static inline bool can_read(const volatile void *p)
{
	if (sigsetjmp(touch_env, 0)) {
		touch_page = 0;
		return false;
	}
	touch_page = (uintptr_t)p & ~(PAGE - 1);
	(void)*(const volatile uint64_t *)p;
	touch_page = 0;
	return true;
}

static inline bool can_write(volatile void *p)
{
	if (sigsetjmp(touch_env, 0)) {
		touch_page = 0;
		return false;
	}
	touch_page = (uintptr_t)p & ~(PAGE - 1);
	++*(volatile uint64_t *)p;
	touch_page = 0;
	return true;
}

static inline bool can_copy(void *page, const void *from)
{
	if (sigsetjmp(touch_env, 0)) {
		touch_page = 0;
		return false;
	}
	touch_page = (uintptr_t)page;
	memcpy(page, from, PAGE);
	touch_page = 0;
	return true;
}

static inline const char *bus_name(int code)
{
	switch (code) {
	case 0:			return "none";
	case BUS_ADRALN:	return "BUS_ADRALN";
	case BUS_ADRERR:	return "BUS_ADRERR";
	case BUS_OBJERR:	return "BUS_OBJERR";
	case BUS_MCEERR_AR:	return "BUS_MCEERR_AR";
	case BUS_MCEERR_AO:	return "BUS_MCEERR_AO";
	}
	return "unknown";
}

/*
 * Content that can be recomputed: each page is a function of a seed and its number. Its
 * first word belongs to the writers (a counter) and is not part of what is compared.
 */
static inline uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static inline void fill_page(uint64_t *page, uint64_t seed, uint64_t number)
{
	uint64_t x = mix(seed ^ mix(number));

	page[0] = 0;
	for (size_t i = 1; i < PAGE / 8; i++)
		page[i] = x += 0x9e3779b97f4a7c15ull;
}

static inline bool page_matches(const uint64_t *page, uint64_t seed, uint64_t number)
{
	uint64_t x = mix(seed ^ mix(number));

	for (size_t i = 1; i < PAGE / 8; i++)
		if (page[i] != (x += 0x9e3779b97f4a7c15ull))
			return false;
	return true;
}

/* Address space for LEN bytes: aligned for 2 MiB mappings, or so that none is possible. */
static inline char *place(size_t len, bool huge)
{
	char *p = mmap(NULL, len + 2 * HUGE_PAGE, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		die("reserving addresses");
	p = (char *)(((uintptr_t)p + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1));
	return huge ? p : p + PAGE;
}

static inline size_t file_size(int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		die("fstat");
	return st.st_size;
}

#endif
