/* SPDX-License-Identifier: BSD-2-Clause */
#include "matrix.h"

#include "base/file.h"
#include "runtime/confine.h"
#include "runtime/definition.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* ---- what there is ---- */

/* state.json is neither wanted nor running: it says what was last. */
static bool counts(const char *line)
{
	return *line && !strstr(line, "/state.json");
}

/* A QEMU without a machine ends with its droverd, a moment later. */
static char *still_world(void)
{
	char *files = rig_still_world(scene.r, false);

	for (int64_t end = look_until(); scene.p->apart && strstr(files, "process qemu-system") && look_again(end);) {
		free(files);
		files = rig_still_world(scene.r, false);
	}
	return files;
}

/* TEXT with "ROOT" in place of the root, which is another's; consumes it. */
static char *rootless(char *text)
{
	char *p;

	while ((p = strstr(text, scene.r->root))) {
		char *longer = xasprintf("%.*sROOT%s", (int)(p - text), text, p + strlen(scene.r->root));

		free(text);
		text = longer;
	}
	return text;
}

/* A definition, but for the name of the machine, which the first start gives (check_machine()). */
static char *definition_text(struct json_object *definition)
{
	_cleanup_json_ struct json_object *copy = NULL;
	struct json_object *hv;

	json_object_deep_copy(definition, &copy, NULL);
	hv = json_get_typed(copy, "hvparams", json_type_object);
	if (hv)
		json_object_object_del(hv, "machine_version");
	return rootless(json_print(copy));
}

static char *known_definition(const char *name)
{
	_cleanup_json_ struct json_object *o = client_ok(scene.c, "query-instance", "{'instance': '%s'}", name);
	struct json_object *definition = json_get_typed(o, "definition", json_type_object);

	return definition ? definition_text(definition) : xstrdup("broken");
}

static char *stored_definition(const char *name)
{
	_cleanup_free_ char *text = rig_file(scene.r, "lib/instances/%s/definition.json", name);
	_cleanup_json_ struct json_object *o = text ? json_tokener_parse(text) : NULL;

	return json_object_is_type(o, json_type_object) ? definition_text(o) : xstrdup("broken");
}

static char *instance_lines(struct json_object *o)
{
	const char *name = str_at(o, "name"), *state = str_at(o, "state");
	_cleanup_free_ char *known = known_definition(name), *stored = stored_definition(name), *qemu = NULL;

	if (scene.machine->describe && has(o, "pid"))
		qemu = rootless(scene.machine->describe((pid_t)int_at(o, "pid")));
	return xasprintf("%sstate %s: %s\ndefinition %s: %s, on disk %s\n", qemu ? qemu : "", name,
			 str_eq(state, "shutoff") || str_eq(state, "crashed") ? "off" : state, name, known,
			 str_eq(known, stored) ? "the same" : stored);
}

static long long image_size(void)
{
	_cleanup_free_ char *path = xasprintf("%s/raw", scene.r->root);
	struct stat st;

	ck_assert_int_eq(stat(path, &st), 0);
	return (long long)st.st_size;
}

char *world(void)
{
	_cleanup_free_ char *files = still_world();
	_cleanup_json_ struct json_object *list = client_ok(scene.c, "query-instances", "{'fields': ['state', 'pid']}");
	char *text = scene.p->apart ? xasprintf("image of %lld bytes\n", image_size()) : xstrdup(""), *save = NULL;

	for (char *line = strtok_r(files, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		_cleanup_free_ char *old = text;

		text = xasprintf("%s%s%s", old, counts(line) ? line : "", counts(line) ? "\n" : "");
	}
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		_cleanup_free_ char *old = text, *lines = instance_lines(json_object_array_get_idx(list, i));

		text = xasprintf("%s%s", old, lines);
	}
	return text;
}

/* ---- what must be ---- */

pid_t lock_holder(const char *name)
{
	return rig_lock_holder(scene.r, "web", name);
}

void settle(void)
{
	rig_settle(scene.r, scene.c);
}

void check_agreement(void)
{
	_cleanup_json_ struct json_object *list = client_ok(scene.c, "query-instances", NULL);

	if (json_object_array_length(list) == 0)
		ck_assert_int_eq(lock_holder("qemu.lock"), 0);
	else
		rig_check_agreement(scene.r, scene.c, str_at(json_object_array_get_idx(list, 0), "name"));
}

void check_strangers(void)
{
	rig_check_strangers(scene.r);
}

/* Nothing holds the uid that is given first, on this root. */
static void check_uid(void)
{
	enum { FIRST = 2130000, COUNT = 10000 };
	_cleanup_free_ char *run = xasprintf("%s/run", scene.r->root);
	_cleanup_json_ struct json_object *o = client_ok(scene.c, "query-instance", "{'instance': 'web'}");

	/* One that ended with its droverd holds it until whoever inherited it looks. */
	if (scene.p->apart || (scene.p->hvparams && strstr(scene.p->hvparams, "security_model")))
		return;
	ck_assert_int_eq(int_at(o, "runtime.process.uid"), FIRST + confine_tag(run) % COUNT);
}

static void end_what_is(void)
{
	_cleanup_json_ struct json_object *list = client_ok(scene.c, "query-instances", NULL);
	const char *name;

	if (json_object_array_length(list) == 0)
		return;
	name = str_at(json_object_array_get_idx(list, 0), "name");
	json_object_put(client_ok(scene.c, "instance-stop", "{'instance': '%s'}", name));
	if (!str_eq(name, "web"))
		json_object_put(client_ok(scene.c, "instance-rename", "{'instance': '%s', 'name': 'web'}", name));
}

void check_life_goes_on(void)
{
	_cleanup_free_ char *text = scene_definition(scene.p, "first"), *is = NULL;

	end_what_is();
	scene_shrink();
	json_object_put(client_ok(scene.c, "instance-define", "{'definition': %s}", text));
	json_object_put(client_ok(scene.c, "instance-start", "{'instance': '" UUID "'}"));
	check_agreement();
	check_uid();
	json_object_put(client_ok(scene.c, "instance-stop", "{'instance': '" UUID "'}"));
	check_agreement();
	is = world();
	ck_assert_msg(!scene.p->off || str_eq(is, scene.p->off), "a start and a stop leave\n%sinstead of\n%s", is,
		      scene.p->off);
	scene_check_fds();
}
