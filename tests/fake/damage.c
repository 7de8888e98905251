/* SPDX-License-Identifier: BSD-2-Clause */
#include "damage.h"

#include "base/file.h"

#include <check.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BIG = 10 << 20, DEEP = 1000, DEPTH_MAX = 3 };

static struct damage *add(struct damages *d, const char *what, char *text)
{
	struct damage *item;

	d->items = xrealloc(d->items, d->n + 1, sizeof(*d->items));
	item = &d->items[d->n++];
	*item = (struct damage){ .what = xstrdup(what), .text = text, .len = text ? strlen(text) : 0 };
	return item;
}

static void add_whole(struct damages *d, const char *what, char *text)
{
	add(d, what, text)->whole = true;
}

/* "[[[…]]]" */
static char *nested(size_t depth)
{
	char *text = xcalloc(2 * depth + 1, 1);

	memset(text, '[', depth);
	memset(text + depth, ']', depth);
	return text;
}

static void add_texts(struct damages *d, const char *good)
{
	static const char nul[] = "{\"version\": 1, \"name\": \"a\0b\"}";
	size_t len = strlen(good);
	char *deep = nested(DEEP);
	struct damage *item;

	add_whole(d, "empty", xstrdup(""));
	add_whole(d, "half", xstrndup(good, len / 2));
	add_whole(d, "all but the end", xstrndup(good, len > 2 ? len - 2 : 0));
	add_whole(d, "garbage",
		  xstrdup("\x7f"
			  "ELF\xff\xfe not JSON\n"));
	add_whole(d, "an array", xstrdup("[]"));
	add_whole(d, "a number", xstrdup("7"));
	add_whole(d, "nothing", xstrdup("null"));
	add_whole(d, "twice", xasprintf("%s%s", good, good));
	add_whole(d, "deep", xasprintf("{\"version\": 1, \"name\": %s}", deep));
	add_whole(d, "NUL", NULL);
	item = &d->items[d->n - 1];
	item->text = memcpy(xcalloc(sizeof(nul), 1), nul, sizeof(nul));
	item->len = sizeof(nul) - 1;
	free(deep);
}

static void add_things(struct damages *d)
{
	static const struct {
		const char *what;
		int how;
		bool whole;
	} rows[] = {
		{ "10 MiB of garbage", DAMAGE_BIG_GARBAGE, true },
		{ "10 MiB of JSON", DAMAGE_BIG_JSON, true },
		{ "a directory", DAMAGE_DIRECTORY, true },
		{ "a FIFO", DAMAGE_FIFO, true },
		{ "a link", DAMAGE_LINK, true },
		{ "a link to nothing", DAMAGE_DANGLING, true },
		{ "unreadable", DAMAGE_MODE, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct damage *item = add(d, rows[i].what, NULL);

		item->how = rows[i].how;
		item->whole = rows[i].whole;
	}
}

/* The member KEY of O, which lies within ROOT at PATH, is another value, or is not. */
static void add_member(struct damages *d, struct json_object *root, struct json_object *o, const char *key,
		       const char *path)
{
	static const char *const values[] = { "\"x\"", "\"\"",
					      "-1",    "0",
					      "1e300", "true",
					      "false", "[]",
					      "{}",    "9223372036854775807",
					      "null",  "[[[[[[[[[[1]]]]]]]]]]" };
	_cleanup_free_ char *absent = xasprintf("%s%s: absent", path, key);
	struct json_object *was = json_object_get(json_object_object_get(o, key));

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		_cleanup_free_ char *what = xasprintf("%s%s: %s", path, key, values[i]);

		json_object_object_add(o, key, json_tokener_parse(values[i]));
		add(d, what, json_print(root));
	}
	json_object_object_del(o, key);
	add(d, absent, json_print(root));
	json_object_object_add(o, key, was);
}

static void add_members(struct damages *d, struct json_object *root, struct json_object *o, const char *path, int depth)
{
	_cleanup_free_ char *keys = xstrdup("");
	char *save = NULL;

	if (json_object_is_type(o, json_type_array) && json_object_array_length(o) > 0)
		add_members(d, root, json_object_array_get_idx(o, 0), path, depth);
	if (!json_object_is_type(o, json_type_object) || depth > DEPTH_MAX)
		return;
	json_object_object_foreach(o, name, value) {
		char *more = xasprintf("%s%s\n", keys, name);

		(void)value;
		free(keys);
		keys = more;
	}
	for (char *key = strtok_r(keys, "\n", &save); key; key = strtok_r(NULL, "\n", &save)) {
		_cleanup_free_ char *below = xasprintf("%s%s.", path, key);

		add_member(d, root, o, key, path);
		add_members(d, root, json_object_object_get(o, key), below, depth + 1);
	}
}

void damages_make(struct damages *d, const char *good, bool members)
{
	_cleanup_json_ struct json_object *root = members ? json_tokener_parse(good) : NULL;

	*d = (struct damages){ NULL };
	add_texts(d, good);
	add_things(d);
	if (!members)
		return;
	ck_assert(json_object_is_type(root, json_type_object));
	json_object_object_add(root, "from-the-future", json_object_new_int(1));
	add(d, "an unknown member", json_print(root));
	json_object_object_del(root, "from-the-future");
	add_members(d, root, root, "", 0);
}

void damages_clear(struct damages *d)
{
	for (size_t i = 0; i < d->n; i++) {
		free(d->items[i].what);
		free(d->items[i].text);
	}
	free(d->items);
	*d = (struct damages){ NULL };
}

static void put_text(const char *path, const char *text, size_t len, mode_t mode)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, len), (ssize_t)len);
}

static void put_big(const char *path, const char *good)
{
	_cleanup_free_ char *junk = xcalloc(BIG + 1, 1), *text = NULL;

	memset(junk, 'x', BIG);
	if (good && *good == '{')
		text = xasprintf("{\"junk\": \"%s\", %s", junk, good + 1);
	else
		text = TAKE_PTR(junk);
	put_text(path, text, strlen(text), 0600);
}

void damage_put(const struct damage *d, const char *path, const char *good)
{
	_cleanup_free_ char *copy = xasprintf("%.*s/.copy", (int)(strrchr(path, '/') - path), path);
	_cleanup_free_ char *inside = xasprintf("%s/inside", path);

	file_remove_tree(AT_FDCWD, path, NULL);
	file_remove_tree(AT_FDCWD, copy, NULL);
	if (!d) {
		if (good)
			put_text(path, good, strlen(good), 0600);
		return;
	}
	switch (d->how) {
	case DAMAGE_TEXT:
		put_text(path, d->text, d->len, 0600);
		break;
	case DAMAGE_BIG_GARBAGE:
		put_big(path, NULL);
		break;
	case DAMAGE_BIG_JSON:
		put_big(path, good);
		break;
	case DAMAGE_DIRECTORY:
		ck_assert_int_eq(mkdir(path, 0700), 0);
		put_text(inside, "", 0, 0600);
		break;
	case DAMAGE_FIFO:
		ck_assert_int_eq(mkfifo(path, 0600), 0);
		break;
	case DAMAGE_LINK:
		put_text(copy, good, strlen(good), 0600);
		ck_assert_int_eq(symlink(copy, path), 0);
		break;
	case DAMAGE_DANGLING:
		ck_assert_int_eq(symlink("/nowhere/at/all", path), 0);
		break;
	case DAMAGE_MODE:
		put_text(path, good, strlen(good), 0000);
		break;
	}
}
