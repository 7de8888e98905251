/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests about the devices of a machine "web" that runs on the stage, and images for them. Included once by a program.
 */
#ifndef DROVER_TESTS_REQUESTS_H
#define DROVER_TESTS_REQUESTS_H

#include "stage.h"

#include "base/cleanup.h"

#include <string.h>

#define WEB "{'instance': 'web'}"
#define A "11111111-22a7-4067-a566-7e0ca8386133"
#define A_ID "disk-11111111-22a7-4067"
#define B "22222222-22a7-4067-a566-7e0ca8386133"
#define B_ID "disk-22222222-22a7-4067"
#define MAC "52:54:00:3a:91:03"

static const char *images; /* their directory */

static inline void set_with(const char *fault, const char *words)
{
	char sector[513];

	stage_set("%s", fault);
	memset(sector, 'x', sizeof(sector));
	sector[sizeof(sector) - 1] = '\0';
	stage_write("one", sector);
	stage_write("two", sector);
	stage_write("three", sector);
	stage_define("web", "%s", words);
	json_object_put(client_ok(stage.c, "instance-start", "{'instance': 'web'}"));
	images = stage.r->root;
}

static inline void set(const char *words)
{
	set_with("", words);
}

/* Words with the directory of the images for "@". The caller's. */
static inline char *filled(const char *text)
{
	char *all = xstrdup("");

	for (const char *p = text; *p;) {
		size_t n = strcspn(p, "@");
		_cleanup_free_ char *old = all;

		all = xasprintf("%s%.*s%s", old, (int)n, p, p[n] ? images : "");
		p += n + (p[n] == '@');
	}
	return all;
}

static inline struct json_object *done(const char *command, const char *args)
{
	_cleanup_free_ char *text = filled(args);

	return client_ok(stage.c, command, "{'instance': 'web', %s}", text);
}

static inline struct json_object *fails(const char *class, const char *command, const char *args)
{
	_cleanup_free_ char *text = filled(args);

	return client_error(stage.c, class, command, "{'instance': 'web', %s}", text);
}

/* One that runs and one that is stored, by their uuids, or NULL. */
static inline void check_first(const char *running, const char *stored)
{
	_cleanup_json_ struct json_object *o = stage_show("web");

	ck_assert_str_eq(has(o, "runtime.disks.0") ? str_at(o, "runtime.disks.0.uuid") : "", running ? running : "");
	ck_assert_str_eq(has(o, "definition.disks.0") ? str_at(o, "definition.disks.0.uuid") : "",
			 stored ? stored : "");
}

#endif
