/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/remote.h"

#include "runtime/media.h"

#include <string.h>

/* A layer with a uri. */
struct remote {
	char *name;       /* "disks[0].uri" */
	char *file, *top; /* names of its nodes: protocol, format */
	const char *uri;
	bool qcow2, lone; /* nothing is given for it to lie on */
};

static void remote_clear(struct remote *r)
{
	free(r->name);
	free(r->file);
	free(r->top);
}

/* LAYER 0 is the one on top. False: it has no uri. */
static bool remote_get(const struct definition *def, size_t disk, size_t layer, struct remote *ret)
{
	const struct disk *d = definition_disk(def, disk);
	const struct backing *below = layer ? (const struct backing *)d->backing.items + layer - 1 : NULL;
	const char *uri = below ? below->uri : d->uri, *id = d->hvinfo.id;

	if (!uri)
		return false;
	*ret = (struct remote){ .uri = uri,
				.qcow2 = (below ? below->format : d->format) == FORMAT_QCOW2,
				.lone = layer == d->backing.n };
	if (below) {
		ret->name = xasprintf("disks[%zu].backing[%zu].uri", disk, layer - 1);
		ret->file = xasprintf("%s.q%zu", id, layer - 1);
		ret->top = xasprintf("%s.b%zu", id, layer - 1);
	} else {
		ret->name = media_param(def, disk) ? xstrdup(media_param(def, disk)) :
						     xasprintf("disks[%zu].uri", disk);
		ret->file = disk_is_passed_through(d, &def->hvparams) ? xstrdup(id) : xasprintf("%s.p0", id);
		ret->top = xasprintf("%s.f0", id);
	}
	return true;
}

/* Calls FN for all of them until it says true. */
static bool remote_any(const struct definition *def, bool (*fn)(const struct remote *r, void *data), void *data)
{
	for (size_t i = 0; i < def->disks.n; i++)
		for (size_t layer = 0; layer <= definition_disk(def, i)->backing.n; layer++) {
			struct remote r;
			bool found;

			if (!remote_get(def, i, layer, &r))
				continue;
			found = fn(&r, data);
			remote_clear(&r);
			if (found)
				return true;
		}
	return false;
}

/* ---- what is in it ---- */

struct inspection {
	struct json_object *nodes;
	struct err **e;
};

static struct json_object *image_of(struct json_object *nodes, const char *name)
{
	for (size_t i = 0; i < json_object_array_length(nodes); i++) {
		struct json_object *node = json_object_array_get_idx(nodes, i);

		if (str_eq(json_get_str(node, "node-name"), name))
			return json_get_typed(node, "image", json_type_object);
	}
	return NULL;
}

static bool is_unfit(const struct remote *r, void *data)
{
	const struct inspection *look = data;
	struct json_object *image = r->qcow2 ? image_of(look->nodes, r->top) : NULL;
	struct json_object *format = json_get_typed(image, "format-specific", json_type_object);
	const char *below = json_get_str(image, "backing-filename");
	const char *beside = json_get_str(json_get_typed(format, "data", json_type_object), "data-file");

	if (r->lone && below)
		err_set(look->e, ERR_STORAGE, "%s: '%s': its header names a backing file, '%s'; give it in 'backing'",
			r->name, r->uri, below);
	else if (beside)
		err_set(look->e, ERR_STORAGE, "%s: '%s': has an external data file, '%s'", r->name, r->uri, beside);
	else
		return false;
	return !err_name_param(look->e, r->name);
}

bool remote_check(const struct definition *def, struct json_object *nodes, struct err **e)
{
	struct inspection look = { nodes, e };

	return !json_object_is_type(nodes, json_type_array) || !remote_any(def, is_unfit, &look);
}

/* ---- what is wrong with it ---- */

struct complaint {
	const char *node;
	char **name;
	const char **uri;
};

static bool is_meant(const struct remote *r, void *data)
{
	struct complaint *c = data;

	if (!str_eq(r->file, c->node) && !str_eq(r->top, c->node))
		return false;
	*c->name = xstrdup(r->name);
	*c->uri = r->uri;
	return true;
}

bool remote_is_node(const struct definition *def, const char *node, char **name, const char **uri)
{
	struct complaint c = { node, name, uri };

	return remote_any(def, is_meant, &c);
}

char *remote_named(const struct definition *def, const char *log)
{
	static const char option[] = "-blockdev {", name[] = "\"node-name\":\"";
	_cleanup_free_ char *node = NULL, *parameter = NULL;
	const char *last = NULL, *uri;

	for (const char *p = log; p && (p = strstr(p, option)); p++)
		last = p;
	last = last ? strstr(last, name) : NULL;
	if (!last)
		return NULL;
	last += strlen(name);
	node = xstrndup(last, strcspn(last, "\""));
	return remote_is_node(def, node, &parameter, &uri) ? xasprintf("%s: '%s'", parameter, uri) : NULL;
}

static const char *const no_driver[] = { ": Unknown driver '", ": Parameter 'driver' does not accept value '" };

bool remote_lacks_driver(const char *log)
{
	for (size_t i = 0; i < ARRAY_SIZE(no_driver); i++) {
		_cleanup_free_ char *behind_option = xasprintf("}%s", no_driver[i]);

		if (strstr(log, behind_option))
			return true;
	}
	return false;
}

bool remote_says_no_driver(const char *desc)
{
	for (size_t i = 0; i < ARRAY_SIZE(no_driver); i++)
		if (strstr(desc, no_driver[i]))
			return true;
	return false;
}

static bool has_scheme(const struct remote *r, void *data)
{
	return str_starts(r->uri, data);
}

bool remote_uses(const struct definition *def, const char *scheme)
{
	return remote_any(def, has_scheme, (void *)scheme);
}

struct listing {
	remote_fn *fn;
	void *data;
};

static bool list_one(const struct remote *r, void *data)
{
	const struct listing *l = data;

	l->fn(r->name, r->uri, r->file, l->data);
	return false;
}

void remote_list(const struct definition *def, remote_fn *fn, void *data)
{
	struct listing l = { fn, data };

	remote_any(def, list_one, &l);
}
