// SPDX-License-Identifier: GPL-2.0-only
/*
 * pinner open|closed FILE SEED PAGES [write|read DEVICE]: pins the first PAGES pages (at most 16) of
 * FILE and says READY. They are spliced from a mapping into a pipe, or are the buffer of an O_DIRECT
 * write to the start of DEVICE, or read from it, that has been submitted. SIGUSR1: read the pipe, or
 * wait for that transfer; compare what was in the pages, or is on DEVICE; let go, say RELEASED. The
 * mapping itself is given up before READY, and with the word closed so is the file, so that only the
 * pins are left. Before a read the pages are cleared: what is in the file later has come from DEVICE.
 */
#include "common.h"
#include <linux/aio_abi.h>
#include <sys/syscall.h>
#include <sys/uio.h>

/* Linux AIO, for it returns while a suspended device keeps the transfer. */
static aio_context_t submit(int fd, bool write, const struct iovec *v)
{
	struct iocb cb = { .aio_fildes = fd, .aio_buf = (uintptr_t)v->iov_base, .aio_nbytes = v->iov_len,
			   .aio_lio_opcode = write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD };
	aio_context_t ctx = 0;

	if (syscall(SYS_io_setup, 1, &ctx) || syscall(SYS_io_submit, ctx, 1, (struct iocb *[]){ &cb }) != 1)
		die("submitting");
	return ctx;
}

static void complete(aio_context_t ctx, size_t len)
{
	struct io_event ev;

	if (syscall(SYS_io_getevents, ctx, 1, 1, &ev, NULL) != 1)
		die("waiting for the transfer");
	errno = ev.res < 0 ? -ev.res : 0;
	if (ev.res != (int64_t)len)
		die("the transfer");
}

int main(int argc, char **argv)
{
	static uint64_t page[PAGE / 8] __attribute__((aligned(PAGE)));
	aio_context_t ctx = 0;
	struct iovec v;
	sigset_t set;
	uint64_t seed;
	size_t pages;
	int fd, p[2], sig;

	if ((argc != 5 && argc != 7) || (pages = strtoul(argv[4], NULL, 0)) < 1 || pages > 16) {
		fprintf(stderr, "usage: pinner open|closed FILE SEED PAGES [write|read DEVICE]\n");
		return TROUBLE;
	}
	seed = strtoull(argv[3], NULL, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = open(argv[2], O_RDWR);
	if (fd < 0 || pipe(p))
		die("%s", argv[2]);
	if (argc == 7 && (p[0] = open(argv[6], O_RDWR | O_DIRECT)) < 0)
		die("%s", argv[6]);
	v.iov_len = pages * PAGE;
	v.iov_base = mmap(NULL, v.iov_len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (v.iov_base == MAP_FAILED)
		die("mmap");
	for (size_t i = 0; i < pages; i++)
		(void)*(volatile char *)((char *)v.iov_base + i * PAGE);
	if (argc == 7) {
		if (!strcmp(argv[5], "read"))
			memset(v.iov_base, 0, v.iov_len);
		ctx = submit(p[0], strcmp(argv[5], "read"), &v);
	} else if (vmsplice(p[1], &v, 1, 0) != (ssize_t)v.iov_len) {
		die("vmsplice");
	}
	munmap(v.iov_base, v.iov_len);
	if (!strcmp(argv[1], "closed"))
		close(fd);
	printf("READY\n");
	fflush(stdout);
	sigwait(&set, &sig);
	if (ctx)
		complete(ctx, v.iov_len);
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
