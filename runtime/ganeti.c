/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/ganeti_private.h"

#include "base/param.h"
#include "runtime/warnings.h"

#include <stdarg.h>
#include <string.h>

enum { WORDS_MAX = 4096, WORD_MAX = 64 << 10 };

bool ganeti_bad(struct err **e, const char *why, const char *place, ...)
{
	_cleanup_free_ char *text = NULL, *name = NULL;
	va_list ap;

	va_start(ap, place);
	text = xvasprintf(place, ap);
	va_end(ap);
	name = xasprintf("document%s", text);
	return err_set_param(e, name, "%s", why);
}

/* ---- the command ---- */

static bool check_words(struct json_object *cmd, struct err **e)
{
	size_t n = json_object_array_length(cmd);

	if (n < 3 || n > WORDS_MAX)
		return ganeti_bad(e, "must be the command of a QEMU", "[0]");
	for (size_t i = 0; i < n; i++) {
		struct json_object *o = json_object_array_get_idx(cmd, i);

		if (!json_object_is_type(o, json_type_string) && !json_object_is_type(o, json_type_int))
			return ganeti_bad(e, "must be text, or a number", "[0][%zu]", i);
		if (strlen(json_object_get_string(o)) > WORD_MAX)
			return ganeti_bad(e, "is too long", "[0][%zu]", i);
	}
	return true;
}

/* "1024" MiB, "1G,slots=2", "size=1G". */
static bool parse_memory(const char *text, uint64_t *ret)
{
	_cleanup_free_ char *size = ganeti_member(text, "size"), *first = ganeti_member(text, NULL);
	const char *word = size ? size : first;
	_cleanup_free_ char *mib = NULL;
	size_t digits = strspn(word, "0123456789");

	if (!word[digits])
		mib = xasprintf("%sM", word);
	return digits > 0 && param_parse_size(mib ? mib : word, ret);
}

static bool parse_count(const char *text, int64_t *ret)
{
	_cleanup_free_ char *cpus = ganeti_member(text, "cpus"), *first = ganeti_member(text, NULL);
	const char *word = cpus ? cpus : first;
	size_t digits = strspn(word, "0123456789");

	*ret = strtoll(word, NULL, 10);
	return digits > 0 && digits < 6 && !word[digits];
}

/* The directory of the monitors: that of "unix:DIR/NAME.monitor,server,nowait". */
static char *control_of(const char *monitor, const char *name)
{
	_cleanup_free_ char *head = ganeti_member(monitor, NULL), *file = xasprintf("/%s.monitor", name);
	size_t len = strlen(head), end = strlen(file);

	if (!str_starts(head, "unix:/") || len <= strlen("unix:") + end || !str_eq(head + len - end, file))
		return NULL;
	return xstrndup(head + strlen("unix:"), len - strlen("unix:") - end);
}

static void take_paths(struct ganeti *g, struct json_object *cmd, const char *name)
{
	size_t pid = ganeti_find(cmd, "-pidfile", false), monitor = ganeti_find(cmd, "-monitor", false);

	if (monitor)
		g->control = control_of(ganeti_word(cmd, monitor), name);
	if (pid && ganeti_word(cmd, pid)[0] == '/')
		g->pidfile = xstrdup(ganeti_word(cmd, pid));
}

static bool take_identity(struct ganeti *g, struct json_object *cmd, struct err **e)
{
	_cleanup_free_ char *name = NULL;

	g->at_name = ganeti_find(cmd, "-name", false);
	if (!g->at_name)
		return ganeti_bad(e, "has no -name", "[0]");
	name = ganeti_member(ganeti_word(cmd, g->at_name), NULL);
	if (!param_is_name(name))
		return ganeti_bad(
			e,
			"must be an instance's name: 1 to 63 letters, digits, '.', '_' and '-', the first a letter "
			"or a digit",
			"[0][%zu]", g->at_name);
	json_add_str(g->definition, "name", name);
	g->at_uuid = ganeti_find(cmd, "-uuid", false);
	if (g->at_uuid)
		json_add_str(g->definition, "uuid", ganeti_word(cmd, g->at_uuid));
	take_paths(g, cmd, name);
	return true;
}

/* Of those that are given twice (in kvm_extra) the last counts for QEMU. */
static bool take_sizes(struct ganeti *g, struct json_object *cmd, struct err **e)
{
	uint64_t memory = 128 << 20;
	int64_t vcpus = 1;

	g->at_memory = ganeti_find(cmd, "-m", true);
	g->at_vcpus = ganeti_find(cmd, "-smp", true);
	if (g->at_memory && !parse_memory(ganeti_word(cmd, g->at_memory), &memory))
		return ganeti_bad(e, "must be the size of a memory, such as 1024", "[0][%zu]", g->at_memory);
	if (g->at_vcpus && !parse_count(ganeti_word(cmd, g->at_vcpus), &vcpus))
		return ganeti_bad(e, "must be a number of processors", "[0][%zu]", g->at_vcpus);
	json_add_uint(g->definition, "memory", memory);
	json_add_int(g->definition, "vcpus", vcpus);
	return true;
}

/* ---- the whole ---- */

static void warn_of_start(struct ganeti *g)
{
	static const char *const displays[] = { "vnc_bind_address", "spice_bind" };
	struct json_object *hv = json_get_typed(g->definition, "hvparams", json_type_object);

	warnings_add(g->warnings, "document",
		     "at the next start disks and cards stay where they are; the machine's own devices (graphics, "
		     "balloon, USB) move to drover's places");
	for (size_t i = 0; i < ARRAY_SIZE(displays); i++) {
		_cleanup_free_ char *place = xasprintf("document[2].%s", displays[i]);

		if (json_get_str(hv, displays[i]))
			warnings_add(g->warnings, place,
				     "the port of the display is in no runtime file: drover chooses one at the next "
				     "start");
	}
}

static bool check_shape(struct json_object *document, struct err **e)
{
	static const struct {
		enum json_type type;
		const char *why;
	} elements[GANETI_ELEMENTS] = { [GANETI_CMD] = { json_type_array, "must be an array: the command" },
					[GANETI_NICS] = { json_type_array, "must be an array: the cards" },
					[GANETI_HVPARAMS] = { json_type_object, "must be an object: the hvparams" },
					[GANETI_DISKS] = { json_type_array, "must be an array: the disks" } };
	size_t n = json_length(document);

	if (n != GANETI_ELEMENTS && n != GANETI_ELEMENTS - 1)
		return ganeti_bad(e, "must be the array of a runtime file: [kvm_cmd, nics, hvparams, disks]", "%s", "");
	for (size_t i = 0; i < n; i++)
		if (!json_object_is_type(json_object_array_get_idx(document, i), elements[i].type))
			return ganeti_bad(e, elements[i].why, "[%zu]", i);
	return check_words(json_object_array_get_idx(document, GANETI_CMD), e);
}

static bool parse(struct json_object *document, struct ganeti *g, struct err **e)
{
	struct json_object *cmd = json_object_array_get_idx(document, GANETI_CMD);

	if (!take_identity(g, cmd, e) || !take_sizes(g, cmd, e) ||
	    !ganeti_take_hvparams(g, cmd, json_object_array_get_idx(document, GANETI_HVPARAMS), e))
		return false;
	g->has_disks = json_object_array_length(document) == GANETI_ELEMENTS;
	if (!ganeti_take_disks(g, g->has_disks ? json_object_array_get_idx(document, GANETI_DISKS) : NULL, cmd, e) ||
	    !ganeti_take_nics(g, json_object_array_get_idx(document, GANETI_NICS), e))
		return false;
	ganeti_loosen(g, cmd);
	warn_of_start(g);
	return true;
}

bool ganeti_parse(struct json_object *document, struct ganeti *g, struct err **e)
{
	*g = (struct ganeti){ .definition = json_object_new_object(),
			      .warnings = json_object_new_array(),
			      .unnamed = json_object_new_array(),
			      .moved = json_object_new_array() };
	if (check_shape(document, e) && parse(document, g, e))
		return true;
	ganeti_clear(g);
	return false;
}

void ganeti_clear(struct ganeti *g)
{
	json_object_put(g->definition);
	json_object_put(g->warnings);
	json_object_put(g->unnamed);
	json_object_put(g->moved);
	free(g->pidfile);
	free(g->control);
	*g = (struct ganeti){ 0 };
}
