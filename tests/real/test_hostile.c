/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each text that a definition takes, holding what somebody might try: either it is refused and the error says which
 * member, or a real QEMU starts and its command line has the same options as that of a harmless one.
 */
#include "guest.h"

#include "base/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static struct rig *rig;
static struct client *client;
static struct json_object *schema;

/* ---- the members that take text ---- */

struct field {
	const char *table;  /* of query-schema */
	char *name, *inner; /* and the member of a member, or NULL */
};

static struct field fields[128];
static size_t n_fields;

static bool takes_text(struct json_object *row)
{
	static const char *const types[] = { "text", "path", "map", "name", "uuid" };

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (str_eq(str_at(row, "type"), types[i]))
			return true;
	return false;
}

static void add_fields(const char *table, struct json_object *rows, const char *outer)
{
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i), *members = NULL;
		const char *name = str_at(row, "name");
		bool whole = str_eq(name, "disks") || str_eq(name, "nics") || str_eq(name, "hvparams");

		/* What kvm_extra means is not checked, as its row says: it is options. */
		if (str_eq(name, "kvm_extra") || (!outer && str_eq(table, "definition") && whole))
			continue;
		if (takes_text(row)) {
			ck_assert_uint_lt(n_fields, ARRAY_SIZE(fields));
			fields[n_fields++] = (struct field){ table, xstrdup(outer ? outer : name),
							     outer ? xstrdup(name) : NULL };
		} else if (str_eq(str_at(row, "type"), "object") && !outer &&
			   json_object_object_get_ex(row, "members", &members)) {
			add_fields(table, members, name);
		}
	}
}

static void find_fields(void)
{
	static const char *const tables[] = { "definition", "hvparams", "disk", "nic" };

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		add_fields(tables[i], at(schema, tables[i]), NULL);
	ck_assert_uint_gt(n_fields, 25);
}

static void forget_fields(void)
{
	while (n_fields > 0) {
		free(fields[--n_fields].name);
		free(fields[n_fields].inner);
	}
}

/* ---- definitions ---- */

/* With a disk and a card that work; as JSON, so that values need no quoting. */
static struct json_object *harmless(const char *image)
{
	static const char text[] = "{\"name\": \"web1\", \"memory\": \"16M\", \"description\": \"d\", \"hvparams\": "
				   "{\"accel\": \"tcg\", \"use_guest_agent\": false, \"kernel_path\": \"\"}, "
				   "\"disks\": [{\"serial\": \"s\"}], \"nics\": [{\"mode\": \"none\"}]}";
	struct json_object *o = NULL;

	ck_assert(json_parse(text, strlen(text), &json_limits_qemu, &o, NULL));
	json_add_str(at(o, "disks.0"), "path", image);
	return o;
}

static void put_value(struct json_object *definition, const struct field *f, const char *value)
{
	struct json_object *o = str_eq(f->table, "definition") ? definition :
				str_eq(f->table, "hvparams")   ? at(definition, "hvparams") :
				str_eq(f->table, "disk")       ? at(definition, "disks.0") :
								 at(definition, "nics.0");
	struct json_object *v = json_object_new_string(value);

	if (f->inner || str_eq(f->name, "metadata")) {
		struct json_object *outer = json_object_new_object();

		json_add(outer, f->inner ? f->inner : "key", v);
		v = outer;
	}
	json_add(o, f->name, v);
}

/* Sends {"execute": COMMAND, "arguments": ARGS}; the reply. Consumes ARGS. */
static struct json_object *ask(const char *command, struct json_object *args)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	static int id = 1 << 20;
	const char *printed;

	json_add_str(o, "execute", command);
	json_add(o, "arguments", args);
	json_add_int(o, "id", ++id);
	printed = json_object_to_json_string(o);
	client_write(client, printed, strlen(printed));
	return client_reply(client, id);
}

static struct json_object *define(struct json_object *definition)
{
	struct json_object *args = json_object_new_object();

	json_add(args, "definition", json_object_get(definition));
	return ask("instance-define", args);
}

/* The error says which member. */
static void expect_named(struct json_object *reply, const struct field *f)
{
	const char *desc = str_at(reply, "error.desc");
	const char *parameter = has(reply, "error.parameter") ? str_at(reply, "error.parameter") : desc;

	ck_assert_msg(strstr(parameter, f->inner ? f->inner : f->name), "%s.%s%s: %s", f->table, f->name,
		      f->inner ? f->inner : "", json_object_to_json_string(reply));
}

/* ---- what QEMU was started with ---- */

/* The options of a process, without their values, and the number of words. */
static char *options_of(pid_t pid)
{
	static const char *const lone[] = { "-nodefaults", "-no-user-config", "-S" };
	_cleanup_free_ char *path = xasprintf("/proc/%d/cmdline", pid), *words = xcalloc(1 << 17, 1);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text = xstrdup("");
	ssize_t n = 0, got;
	size_t count = 0;

	while ((got = read(fd, words + n, (1 << 17) - (size_t)n)) > 0)
		n += got;
	ck_assert_int_gt(n, 0);
	for (const char *p = words + strlen(words) + 1; p < words + n; p += strlen(p) + 1) {
		_cleanup_free_ char *old = text;
		bool alone = false;

		count++;
		for (size_t i = 0; i < ARRAY_SIZE(lone); i++)
			alone |= str_eq(p, lone[i]);
		ck_assert_msg(p[0] == '-', "'%s' is no option", p);
		text = xasprintf("%s%s\n", old, p);
		if (!alone) {
			p += strlen(p) + 1;
			count++;
		}
	}
	{
		_cleanup_free_ char *old = text;

		text = xasprintf("%s%zu words\n", old, count);
	}
	return text;
}

static struct json_object *start(void)
{
	struct json_object *args = json_object_new_object();

	json_add_str(args, "instance", "web1");
	json_add_bool(args, "paused", true);
	return ask("instance-start", args);
}

static void end(void)
{
	json_object_put(client_reply(client, client_send(client, "instance-stop", "{'instance': 'web1'}")));
	json_object_put(
		client_reply(client, client_send(client, "instance-undefine", "{'instance': 'web1', 'force': true}")));
}

/* ---- the values ---- */

static char *values[12];

static void make_values(void)
{
	static const char *const texts[] = { "a,b=c,readonly=on",
					     "it's \"quoted\"",
					     "two words -daemonize",
					     "one\nline\n-S",
					     "back\\slash\\",
					     "%s%n%d%%",
					     "gr\xc3\xbc\xc3\x9f \xe2\x82\xac",
					     "-daemonize",
					     "/dev/fdset/1,x" };
	size_t n = 0;

	for (; n < ARRAY_SIZE(texts); n++)
		values[n] = xstrdup(texts[n]);
	values[n] = xcalloc(4097, 1);
	memset(values[n], 'x', 4096);
}

static void free_values(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(values); i++)
		free(TAKE_PTR(values[i]));
}

static void set_up(void)
{
	rig = rig_new("droverd");
	rig_start(rig);
	client = client_new(rig);
	schema = client_ok(client, "query-schema", NULL);
}

static void tear_down(void)
{
	json_object_put(schema);
	forget_fields();
	free_values();
	client_free(client);
	rig_free(rig);
}

/* QEMU itself says what a CPU model is; its commas are its own, as in the row's words. */
static bool is_qemus(const struct field *f)
{
	return str_eq(f->name, "cpu_type");
}

/* Starts what was defined, which must have the options BENIGN, unless QEMU may refuse. Whether it started. */
static bool try_start(const struct field *f, const char *benign)
{
	_cleanup_json_ struct json_object *reply = start();
	_cleanup_free_ char *options = NULL;

	if (has(reply, "error")) {
		_cleanup_json_ struct json_object *shown = guest_settle(client, "web1");
		bool theirs = is_qemus(f) && str_eq(str_at(reply, "error.class"), "QemuError");

		if (!theirs)
			expect_named(reply, f);
		ck_assert(!has(shown, "pid"));
		return false;
	}
	options = options_of(guest_pid(client, "web1"));
	if (!is_qemus(f))
		ck_assert_msg(str_eq(options, benign), "%s.%s:\n%sand not\n%s", f->table, f->name, options, benign);
	return true;
}

/* One member at a time. */
START_TEST(test_values)
{
	_cleanup_free_ char *image = guest_image(rig, "disk", "", 1 << 20), *benign = NULL;
	_cleanup_json_ struct json_object *plain = harmless(image);
	unsigned refused = 0, started = 0;

	find_fields();
	make_values();
	json_object_put(define(plain));
	json_object_put(start());
	benign = options_of(guest_pid(client, "web1"));
	end();
	for (size_t i = 0; i < n_fields; i++) {
		for (size_t v = 0; v < ARRAY_SIZE(values) && values[v]; v++) {
			_cleanup_json_ struct json_object *o = harmless(image), *reply = NULL;

			put_value(o, &fields[i], values[v]);
			reply = define(o);
			if (has(reply, "error")) {
				expect_named(reply, &fields[i]);
				refused++;
				continue;
			}
			if (try_start(&fields[i], benign))
				started++;
			else
				refused++;
			end();
		}
	}
	ck_assert_uint_gt(refused, 100);
	ck_assert_uint_gt(started, 10);
}
END_TEST

/* What goes into options of a kernel, all at once; the guest's own command line is QEMU's -append, word for word. */
START_TEST(test_kernel_words)
{
	make_values();
	for (size_t v = 0; v < ARRAY_SIZE(values) && values[v]; v++) {
		_cleanup_free_ char *image = guest_image(rig, "disk", "", 1 << 20), *kernel = rig_shared("kernel");
		_cleanup_json_ struct json_object *o = harmless(image), *reply = NULL, *argv = NULL;
		struct json_object *hv = at(o, "hvparams"), *words;
		bool found = false;

		json_add_str(hv, "kernel_path", kernel);
		json_add_str(hv, "kernel_args", values[v]);
		json_add_str(hv, "root_path", values[v]);
		json_add_bool(hv, "serial_console", false);
		reply = define(o);
		ck_assert_msg(has(reply, "return"), "%s", json_object_to_json_string(reply));
		argv = client_ok(client, "instance-argv", "{'instance': 'web1'}");
		words = at(argv, "argv");
		for (size_t i = 0; i + 1 < json_object_array_length(words); i++) {
			_cleanup_free_ char *expected = xasprintf("root=%s %s", values[v], values[v]);

			found |= str_eq(json_object_get_string(json_object_array_get_idx(words, i)), "-append") &&
				 str_eq(json_object_get_string(json_object_array_get_idx(words, i + 1)), expected);
		}
		ck_assert_msg(found, "%s", json_object_to_json_string(argv));
		end();
	}
}
END_TEST

/* ---- names ---- */

START_TEST(test_names)
{
	static const char *const bad[] = { "a/b",
					   "../x",
					   "/etc/passwd",
					   ".",
					   "..",
					   "-x",
					   "a b",
					   "a\nb",
					   "a,b",
					   "",
					   "gr\xc3\xbc",
					   "12345678-1234-1234-1234-123456789abc",
					   "12345678-1234-1234-1234-123456789ABC" };
	_cleanup_free_ char *image = guest_image(rig, "disk", "", 1 << 20), *before = NULL, *after = NULL;
	_cleanup_json_ struct json_object *plain = harmless(image);

	find_fields();
	json_object_put(define(plain));
	before = rig_world(rig, true);
	for (size_t b = 0; b < ARRAY_SIZE(bad); b++) {
		_cleanup_json_ struct json_object *renamed = NULL;
		struct json_object *args = json_object_new_object(), *commands = at(schema, "commands");

		json_add_str(args, "instance", "web1");
		json_add_str(args, "name", bad[b]);
		renamed = ask("instance-rename", args);
		ck_assert_str_eq(str_at(renamed, "error.class"), "InvalidParameter");
		for (size_t i = 0; i < n_fields; i++) {
			_cleanup_json_ struct json_object *o = harmless(image), *reply = NULL;
			const char *last = fields[i].inner ? fields[i].inner : fields[i].name;

			if (!str_eq(last, "name") && !str_eq(last, "group") && !str_eq(last, "pool") &&
			    !str_eq(last, "volume"))
				continue;
			put_value(o, &fields[i], bad[b]);
			reply = define(o);
			ck_assert_msg(has(reply, "error"), "%s.%s takes '%s'", fields[i].table, last, bad[b]);
			ck_assert_str_eq(str_at(reply, "error.class"), "InvalidParameter");
			expect_named(reply, &fields[i]);
		}
		/* who is asked for by such a name is not there, whatever the command */
		for (size_t i = 0; i < json_object_array_length(commands); i++) {
			struct json_object *row = json_object_array_get_idx(commands, i);
			_cleanup_json_ struct json_object *reply = NULL;

			if (!strstr(json_object_to_json_string(at(row, "arguments")), "\"instance\", \"type\"") ||
			    str_eq(str_at(row, "name"), "instance-qmp") || str_eq(str_at(row, "name"), "query-jobs"))
				continue;
			args = json_object_new_object();
			json_add_str(args, "instance", bad[b]);
			reply = ask(str_at(row, "name"), args);
			ck_assert_msg(has(reply, "error"), "%s of '%s'", str_at(row, "name"), bad[b]);
		}
	}
	after = rig_world(rig, true);
	ck_assert_str_eq(before, after);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("hostile definitions");
	TCase *tc = tcase_create("values");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, test_values);
	tcase_add_test(tc, test_kernel_words);
	tcase_add_test(tc, test_names);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return guest_main(suite);
}
