/* SPDX-License-Identifier: BSD-2-Clause */
/* Looks at what droverd does behind its answers: until it is done. */
#include "base/cleanup.h"
#include "rig.h"

#include <unistd.h>

enum { LOOK_MS = 20, LOOKS = RIG_DEADLINE_MS / LOOK_MS, LOOKS_ALIKE = 2 };

char *rig_world_at_rest(struct rig *r, bool daemon)
{
	char *world = rig_world(r, daemon);

	for (int i = 0, alike = 0; i < LOOKS && alike < LOOKS_ALIKE; i++) {
		_cleanup_free_ char *last = world;

		usleep(LOOK_MS * 1000);
		world = rig_world(r, daemon);
		alike = str_eq(world, last) && rig_is_still(world) ? alike + 1 : 0;
	}
	return world;
}

void rig_expect_world(struct rig *r, bool daemon, const char *before)
{
	char *now = rig_world(r, daemon);

	for (int i = 0; i < LOOKS && !str_eq(now, before); i++) {
		usleep(LOOK_MS * 1000);
		free(now);
		now = rig_world(r, daemon);
	}
	ck_assert_str_eq(now, before);
	free(now);
}

unsigned process_fds_at_rest(pid_t pid)
{
	unsigned n = process_fds(pid);

	for (int i = 0, alike = 0; i < LOOKS && alike < LOOKS_ALIKE; i++) {
		unsigned last = n;

		usleep(LOOK_MS * 1000);
		n = process_fds(pid);
		alike = n == last ? alike + 1 : 0;
	}
	return n;
}

void process_expect_fds(pid_t pid, unsigned n)
{
	for (int i = 0; i < LOOKS && process_fds(pid) != n; i++)
		usleep(LOOK_MS * 1000);
	ck_assert_uint_eq(process_fds(pid), n);
}
