// SPDX-License-Identifier: GPL-2.0-only
/*
 * modloop unload NAME		delete_module(NAME) once, without waiting; names the error
 * modloop load FILE		finit_module once
 * modloop refused NAME TIMES	delete_module(NAME), TIMES times: each must be refused
 *
 * Without the forks of rmmod and insmod 200 times take seconds.
 */
#include "common.h"
#include <sys/syscall.h>

static int unload(const char *name)
{
	int rc = 0;

	/* EAGAIN: a reference that is going away right now (udev, a closing file). */
	for (int i = 0; i < 3; i++) {
		rc = syscall(SYS_delete_module, name, O_NONBLOCK) ? errno : 0;
		if (rc != EAGAIN)
			break;
		nap(20000);
	}
	return rc;
}

static int load(const char *file)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC), rc;

	if (fd < 0)
		die("%s", file);
	rc = syscall(SYS_finit_module, fd, "", 0) ? errno : 0;
	close(fd);
	return rc;
}

int main(int argc, char **argv)
{
	int rc = -1;

	if (argc == 3 && !strcmp(argv[1], "unload")) {
		rc = unload(argv[2]);
	} else if (argc == 3 && !strcmp(argv[1], "load")) {
		rc = load(argv[2]);
	} else if (argc == 4 && !strcmp(argv[1], "refused")) {
		for (int i = atoi(argv[3]); i > 0; i--) {
			if (!syscall(SYS_delete_module, argv[2], O_NONBLOCK))
				errno = 0;
			if (errno != EAGAIN)
				die("not refused, %d to go", i);
			nap(1000);
		}
		rc = 0;
	}
	if (rc < 0) {
		fprintf(stderr, "usage: modloop unload NAME | load FILE | refused NAME TIMES\n");
		return TROUBLE;
	}
	printf("%s\n", rc ? strerrorname_np(rc) : "ok");
	return rc != 0;
}
