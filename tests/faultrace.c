// SPDX-License-Identifier: GPL-2.0-only
/*
 * faultrace FILE SEED THREADS EVENT_FILE EVENT_TEXT [DELAY_USEC]
 *
 * THREADS threads map FILE (in turn shared read, shared write, private read, private write; the
 * second half in 2 MiB mappings), fault at random pages, and drop their own page tables now and
 * then so that there is always a fault under way. After DELAY_USEC the main thread writes
 * EVENT_TEXT to EVENT_FILE. Once that write has returned:
 *
 *   held	pages of the memory that still answer in a mapping that was there: must be 0
 *   fresh	pages that answer after the page tables were dropped, or in a new mapping: must be 0
 *		(every 16th is tried: a refused fault costs 100 us in an emulated guest)
 */
#include "common.h"

struct racer {
	pthread_t thread;
	int number;
	bool shared, write, huge;
	unsigned long faults, refused, held, fresh;
};

static const char *file;
static size_t len, pages;
static volatile int started, over;

static void race(struct racer *r, char *addr, unsigned char *copied)
{
	uint64_t x = mix(r->number + usec_now());

	while (!over) {
		for (int i = 0; i < 64 && !over; i++) {
			size_t page;
			char *p;

			x = mix(x);
			page = x % pages;
			p = addr + page * PAGE;
			if (r->write && (r->shared || page % 2) ? can_write(p) : can_read(p)) {
				copied[page] |= !r->shared && r->write && page % 2;
				r->faults++;
			} else {
				r->refused++;
			}
		}
		/* A piece of at least 2 MiB, so that PMD mappings go as well. */
		if (!over && x % 3 == 0) {
			size_t start = (x >> 8) % pages & ~511ul;
			size_t count = pages - start < 1024 ? pages - start : 1024;

			madvise(addr + start * PAGE, count * PAGE, MADV_DONTNEED);
			memset(copied + start, 0, count);
		}
	}
}

static void *run(void *arg)
{
	struct racer *r = arg;
	int fd = open(file, O_RDWR);
	int flags = r->shared ? MAP_SHARED : MAP_PRIVATE;
	unsigned char *copied = calloc(pages, 1);
	char *addr = mmap(place(len, r->huge), len, PROT_READ | (r->write ? PROT_WRITE : 0),
			  MAP_FIXED | flags, fd, 0);

	if (fd < 0 || addr == MAP_FAILED || !copied)
		die("mapping %s", file);
	__atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
	race(r, addr, copied);

	for (size_t i = 0; i < pages; i++) {
		char *p = addr + i * PAGE;

		if (copied[i])
			continue;
		if (can_read(p) || (r->shared && r->write && can_write(p)))
			r->held++;
	}
	madvise(addr, len, MADV_DONTNEED);
	for (size_t i = r->number; i < pages; i += 16)
		r->fresh += can_read(addr + i * PAGE);
	munmap(addr, len);
	/* A new mapping may be refused altogether, which is as good. */
	addr = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (addr != MAP_FAILED) {
		for (size_t i = r->number; i < pages; i += 16)
			r->fresh += can_read(addr + i * PAGE);
		munmap(addr, len);
	}
	close(fd);
	free(copied);
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned long faults = 0, refused = 0, held = 0, fresh = 0;
	struct racer racer[64] = { 0 };
	uint64_t t;
	int n, fd;
	ssize_t rc;

	if (argc < 6 || (n = atoi(argv[3])) < 1 || n > 64) {
		fprintf(stderr, "usage: faultrace FILE SEED THREADS EVENT_FILE EVENT_TEXT [DELAY_USEC]\n");
		return TROUBLE;
	}
	file = argv[1];
	fd = open(file, O_RDONLY);
	if (fd < 0)
		die("%s", file);
	len = file_size(fd);
	pages = len / PAGE;
	close(fd);
	catch_sigbus();
	for (int i = 0; i < n; i++) {
		racer[i] = (struct racer){ .number = i, .shared = !(i & 2), .write = i & 1,
					   .huge = i >= n / 2 };
		if (pthread_create(&racer[i].thread, NULL, run, &racer[i]))
			die("pthread_create");
	}
	while (started < n)
		nap(500);
	nap(argc > 6 ? atoi(argv[6]) : 20000);
	t = usec_now();
	rc = write_once(argv[4], argv[5], strlen(argv[5]));
	t = usec_now() - t;
	over = 1;
	for (int i = 0; i < n; i++) {
		struct racer *r = &racer[i];

		pthread_join(r->thread, NULL);
		if (r->held || r->fresh)
			printf("thread %d (%s %s %s): held=%lu fresh=%lu\n", i,
			       r->shared ? "shared" : "private", r->write ? "write" : "read",
			       r->huge ? "huge" : "small", r->held, r->fresh);
		faults += r->faults;
		refused += r->refused;
		held += r->held;
		fresh += r->fresh;
	}
	printf("event %s in %llu us; %lu touches, %lu refused before it returned; held=%lu fresh=%lu\n",
	       rc < 0 ? strerrorname_np(-rc) : "ok", (unsigned long long)t, faults, refused, held, fresh);
	if (rc < 0 || !faults)
		return TROUBLE;
	return held || fresh ? BROKEN : 0;
}
