/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/kept.h"

#include "base/cleanup.h"

struct kept {
	struct kept *next;
	char *name;
	int fd;
};

void kept_add(struct kept **list, const char *name, int fd)
{
	struct kept *k = xcalloc(1, sizeof(*k));

	*k = (struct kept){ .next = *list, .name = xstrdup(name), .fd = fd };
	*list = k;
}

static void drop(struct kept **at)
{
	struct kept *k = *at;

	*at = k->next;
	fd_close(k->fd);
	free(k->name);
	free(k);
}

int kept_take(struct kept **list, const char *name)
{
	for (struct kept **at = list; *at; at = &(*at)->next) {
		int fd;

		if (!str_eq((*at)->name, name))
			continue;
		fd = TAKE_FD((*at)->fd);
		drop(at);
		return fd;
	}
	return -1;
}

void kept_clear(struct kept **list)
{
	while (*list)
		drop(list);
}
