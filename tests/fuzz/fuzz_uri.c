/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * URIs of disks. Beside memory errors these are found:
 *
 * - an answer that is neither a node nor an InvalidParameter with its name;
 * - a node that QEMU could not be told of: its print is no JSON, or not the same value when it is read;
 * - a node of a driver, or with members, that no URI should reach; text in it with control characters;
 * - a password that got through.
 */
#include "runtime/uri.h"

#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok, const char *what, const char *text)
{
	if (ok)
		return;
	fprintf(stderr, "%s: %s\n", what, text);
	abort();
}

static bool is_among(const char *word, const char *const *words)
{
	for (; *words; words++)
		if (str_eq(word, *words))
			return true;
	return false;
}

static void check_text(const char *text)
{
	must(*text, "an empty text", "");
	for (const char *c = text; *c; c++)
		must((unsigned char)*c >= ' ' && *c != 0x7f, "a control character", text);
}

static void check_members(struct json_object *o)
{
	static const char *const known[] = { "driver", "server",    "export", "type",     "host", "port", "path",
					     "pool",   "namespace", "image",  "snapshot", "conf", "user", "transport",
					     "portal", "target",    "lun",    "volume",   "url",  NULL };

	json_object_object_foreach(o, key, value) {
		must(is_among(key, known), "an unknown member", key);
		if (json_object_is_type(value, json_type_string))
			check_text(json_object_get_string(value));
		else if (json_object_is_type(value, json_type_object))
			check_members(value);
		else if (json_object_is_type(value, json_type_array))
			check_members(json_object_array_get_idx(value, 0));
		else
			must(str_eq(key, "lun"), "a member of another type", key);
	}
}

static void check_node(struct json_object *node, const char *uri)
{
	static const char *const drivers[] = { "nbd", "rbd", "iscsi", "gluster", "http", "https", NULL };
	_cleanup_json_ struct json_object *back = NULL;
	_cleanup_free_ char *text = json_print(node);
	const char *driver = json_get_str(node, "driver"), *path = uri_host_path(node);
	const char *authority = str_eq(driver, "rbd") ? NULL : strstr(uri, "://"),
		   *at = authority ? strchr(authority + 3, '@') : NULL;

	must(is_among(driver, drivers), "an unknown driver", driver);
	check_members(node);
	must(json_parse(text, strlen(text), &json_limits_qemu, &back, NULL), "QEMU would not read it", text);
	must(json_object_equal(node, back), "QEMU would read another value", text);
	must(!path || *path == '/', "a relative path", path);
	must(!at || (size_t)(at - authority - 3) > strcspn(authority + 3, "/?"), "a user got through", uri);
	must(!uri_is_read_only(node) || !str_eq(driver, "nbd"), "nbd can be written", uri);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *uri = xcalloc(size + 1, 1);
	_cleanup_json_ struct json_object *node = NULL;
	_cleanup_err_ struct err *e = NULL;

	if (size)
		memcpy(uri, data, size);
	node = uri_parse(uri, "disks[0].uri", &e);
	must(!node == !!e, "neither a node nor an error", uri);
	if (node)
		check_node(node, uri);
	else
		must(e->class == ERR_INVALID_PARAMETER && str_eq(json_get_str(e->extra, "parameter"), "disks[0].uri"),
		     "an error of another kind", e->desc);
	return 0;
}
