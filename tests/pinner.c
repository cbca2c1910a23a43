// SPDX-License-Identifier: GPL-2.0-only
/*
 * pinner open|closed FILE SEED PAGES: pins the first PAGES pages (at most 16) of FILE by splicing
 * them from a mapping into a pipe, as a transfer in flight does, and says READY. SIGUSR1: read the
 * pipe, compare what was in the pages, let go, say RELEASED. The mapping itself is given up before
 * READY, and with the word closed so is the file, so that only the pins are left.
 */
#include "common.h"
#include <sys/uio.h>

int main(int argc, char **argv)
{
	uint64_t seed, page[PAGE / 8];
	struct iovec v;
	sigset_t set;
	size_t pages;
	int fd, p[2], sig;

	if (argc != 5 || (pages = strtoul(argv[4], NULL, 0)) < 1 || pages > 16) {
		fprintf(stderr, "usage: pinner open|closed FILE SEED PAGES\n");
		return TROUBLE;
	}
	seed = strtoull(argv[3], NULL, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = open(argv[2], O_RDWR);
	if (fd < 0 || pipe(p))
		die("%s", argv[2]);
	v.iov_len = pages * PAGE;
	v.iov_base = mmap(NULL, v.iov_len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (v.iov_base == MAP_FAILED)
		die("mmap");
	for (size_t i = 0; i < pages; i++)
		(void)*(volatile char *)((char *)v.iov_base + i * PAGE);
	if (vmsplice(p[1], &v, 1, 0) != (ssize_t)v.iov_len)
		die("vmsplice");
	munmap(v.iov_base, v.iov_len);
	if (!strcmp(argv[1], "closed"))
		close(fd);
	printf("READY\n");
	fflush(stdout);
	sigwait(&set, &sig);
	for (size_t i = 0; i < pages; i++) {
		size_t got = 0;

		while (got < PAGE) {
			ssize_t n = read(p[0], (char *)page + got, PAGE - got);

			if (n <= 0)
				die("reading the pipe");
			got += n;
		}
		if (!page_matches(page, seed, i)) {
			printf("BROKEN: pinned page %zu changed\n", i);
			return BROKEN;
		}
	}
	printf("RELEASED\n");
	return 0;
}
