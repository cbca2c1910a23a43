// SPDX-License-Identifier: GPL-2.0-only
/*
 * mountsoon DEVICE DIRECTORY TYPE: mounts it with DAX, as soon as that can be done. READY: trying.
 */
#include "common.h"
#include <sys/mount.h>

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: mountsoon DEVICE DIRECTORY TYPE\n");
		return 2;
	}
	printf("READY\n");
	fflush(stdout);
	for (time_t end = time(NULL) + 60; mount(argv[1], argv[2], argv[3], 0, "dax=always");)
		if (time(NULL) > end)
			die("mounting %s", argv[1]);
	return 0;
}
