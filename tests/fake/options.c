/* SPDX-License-Identifier: BSD-2-Clause */
#include "options.h"

#include <stdio.h>
#include <string.h>

char *option_value(const char *options, const char *key)
{
	_cleanup_free_ char *copy = xstrdup(options);
	char *out = copy;

	/* A doubled comma is one of the value: \1 stands for it while the list is cut. */
	for (const char *p = options; *p; p++) {
		bool doubled = p[0] == ',' && p[1] == ',';

		*out = *p;
		if (doubled)
			*out = '\1';
		out++;
		p += doubled;
	}
	*out = '\0';
	for (char *save = NULL, *item = strtok_r(copy, ",", &save); item; item = strtok_r(NULL, ",", &save)) {
		size_t len = key ? strlen(key) : 0;

		if (key && !(str_starts(item, key) && item[len] == '='))
			continue;
		out = xstrdup(item + len + (key ? 1 : 0));
		for (char *p = out; *p; p++)
			if (*p == '\1')
				*p = ',';
		return out;
	}
	return NULL;
}

int option_listener(char **argv, const char *id)
{
	for (; argv[0] && argv[1]; argv++) {
		_cleanup_free_ char *its = NULL, *fd = NULL;

		if (!str_eq(argv[0], "-chardev"))
			continue;
		its = option_value(argv[1], "id");
		fd = option_value(argv[1], "fd");
		if (its && fd && str_eq(its, id))
			return (int)strtol(fd, NULL, 10);
	}
	fprintf(stderr, "fake-qemu: -mon: chardev '%s' not found\n", id);
	exit(1);
}
