/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hvparams and a real QEMU: with every valid value it starts, many of them at once; and what the host lacks is refused
 * at the start, by the name of the parameter, before anything is left of it.
 */
#include "bare.h"
#include "definitions.h"
#include "guest.h"
#include "one_rig.h"
#include "param_cases.h"

#include <stdio.h>
#include <unistd.h>

/* ---- every value ---- */

/* One value of one parameter. */
struct pair {
	const struct param_case *c;
	struct json_object *value; /* NULL: it was in a definition that started */
};

enum { PAIRS_MAX = 512 };

static size_t list_pairs(struct pair pairs[static PAIRS_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(param_cases); i++) {
		const struct param_case *c = &param_cases[i];
		_cleanup_json_ struct json_object *values = case_values(c, param_find(hvparam_rows, c->name));

		for (size_t k = 0; k < json_object_array_length(values) && !c->seen; k++) {
			ck_assert_uint_lt(n, PAIRS_MAX);
			pairs[n++] = (struct pair){ c, json_object_get(json_object_array_get_idx(values, k)) };
		}
	}
	return n;
}

static bool is_accepted(struct json_object *definition)
{
	_cleanup_json_ struct json_object *stored = definition_store(definition, &(struct definition_context){ 0 },
								     NULL);

	return stored != NULL;
}

/* Whether all members of MORE can be in HV. */
static bool agrees(struct json_object *hv, struct json_object *more)
{
	json_object_object_foreach(more, key, value) {
		struct json_object *there;

		if (json_object_object_get_ex(hv, key, &there) && !json_object_equal(there, value))
			return false;
	}
	return true;
}

/* DEFINITION with the value as well; NULL if that does not go together. The caller's. */
static struct json_object *with_pair(struct json_object *definition, const struct pair *p)
{
	_cleanup_json_ struct json_object *own = case_definition(p->c), *copy = NULL;
	struct json_object *hv = json_object_object_get(own, "hvparams");
	static const char *const lists[] = { "disks", "nics" };

	json_add(hv, p->c->name, json_object_get(p->value));
	if (!definition)
		return TAKE_PTR(own);
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		if (!json_object_equal(json_object_object_get(definition, lists[i]),
				       json_object_object_get(own, lists[i])))
			return NULL;
	if (!agrees(json_object_object_get(definition, "hvparams"), hv))
		return NULL;
	json_object_deep_copy(definition, &copy, NULL);
	json_object_object_foreach(hv, key, value)
		json_add(json_object_object_get(copy, "hvparams"), key, json_object_get(value));
	return is_accepted(copy) ? TAKE_PTR(copy) : NULL;
}

/* A definition with as many of the values that are left as go together; NULL: none is left. The caller's. */
static struct json_object *pack(struct pair *pairs, size_t n)
{
	struct json_object *definition = NULL;

	for (size_t i = 0; i < n; i++) {
		struct json_object *more = pairs[i].value ? with_pair(definition, &pairs[i]) : NULL;

		if (!more)
			continue;
		json_object_put(definition);
		definition = more;
		json_object_put(pairs[i].value);
		pairs[i].value = NULL;
	}
	return definition;
}

START_TEST(test_values)
{
	struct pair pairs[PAIRS_MAX];
	size_t n = list_pairs(pairs), machines = 0;

	ck_assert_uint_gt(n, 100);
	for (;;) {
		_cleanup_json_ struct json_object *definition = pack(pairs, n), *status = NULL;
		_cleanup_free_ char *json = definition ? json_print(definition) : NULL;
		struct bare *b;

		if (!definition)
			break;
		fprintf(stderr, "%s\n", json);
		b = bare_start(json);
		status = bare_ask(b, "query-status", NULL, -1);
		ck_assert_str_eq(str_at(status, "status"), "prelaunch");
		bare_free(b);
		machines++;
	}
	fprintf(stderr, "%zu values in %zu machines\n", n, machines);
}
END_TEST

/* ---- what the host lacks ---- */

static const struct {
	const char *hvparams, *class, *parameter;
} lacking[] = {
	{ "'kvm_path': '/nonexistent/qemu'", "NotFound", "hvparams.kvm_path" },
	{ "'kvm_path': '/bin/true'", "Unsupported", "hvparams.kvm_path" },
	{ "'kvm_path': '/etc/passwd'", "PermissionDenied", "hvparams.kvm_path" },
	{ "'kvm_path': '/etc'", "PermissionDenied", "hvparams.kvm_path" },
	{ "'machine_version': 'pc-i440fx-0.1'", "Unsupported", "hvparams.machine_version" },
	{ "'machine_version': 'pc-q35-99.0'", "Unsupported", "hvparams.machine_version" },
	{ "'kernel_path': '/nonexistent'", "NotFound", "hvparams.kernel_path" },
	{ "'kernel_path': '/etc'", "StorageError", "hvparams.kernel_path" },
	{ "'kernel_path': '/dev/null'", "StorageError", "hvparams.kernel_path" },
	{ "'kernel_path': '/etc/passwd', 'initrd_path': '/nonexistent'", "NotFound", "hvparams.initrd_path" },
	{ "'security_model': 'user', 'security_domain': 'no such user'", "NotFound", "hvparams.security_domain" },
};

/* Refused before there is a process, and nothing of it stays. */
START_TEST(test_lacking)
{
	for (size_t i = 0; i < ARRAY_SIZE(lacking); i++) {
		_cleanup_json_ struct json_object *e = NULL;
		_cleanup_free_ char *run = NULL;

		client_define(client, "web1", "'memory': '16M', 'hvparams': {'accel': 'tcg', %s}", lacking[i].hvparams);
		e = client_error(client, lacking[i].class, "instance-start", "{'instance': 'web1'}");
		ck_assert_msg(str_eq(json_get_str(e, "parameter"), lacking[i].parameter), "%s: %s", lacking[i].hvparams,
			      json_object_to_json_string(e));
		ck_assert(json_get_bool(e, "undone", false));
		ck_assert(!has(e, "log"));
		guest_expect(client, "web1", "shutoff", "failed");
		json_object_put(client_ok(client, "instance-undefine", "{'instance': 'web1'}"));
		run = rig_file(rig, "run/instances/web1/runtime.json");
		ck_assert_ptr_null(run);
	}
}
END_TEST

/* Where KVM can be used, it is; where it cannot, the error names who asked for it. */
START_TEST(test_kvm)
{
	static const char *const words[][2] = { { "'accel': 'kvm'", "hvparams.accel" },
						{ "'kvm_flag': 'enabled'", "hvparams.kvm_flag" } };
	_cleanup_json_ struct json_object *reply = NULL;

	client_define(client, "web1", "'memory': '16M', 'hvparams': {%s}", words[_i][0]);
	reply = client_reply(client, client_send(client, "instance-start", "{'instance': 'web1', 'paused': true}"));
	if (has(reply, "error")) {
		ck_assert_str_eq(str_at(reply, "error.parameter"), words[_i][1]);
		ck_assert_str_ne(str_at(reply, "error.class"), "QemuError");
		ck_assert_ptr_nonnull(strstr(str_at(reply, "error.desc"), words[_i][1]));
	} else {
		_cleanup_json_ struct json_object *shown = guest_query(client, "web1");

		ck_assert_str_eq(str_at(shown, "runtime.hvparams.accel"), "kvm");
		json_object_put(client_ok(client, "instance-stop", "{'instance': 'web1'}"));
	}
}
END_TEST

START_TEST(test_no_kvm)
{
	_cleanup_json_ struct json_object *shown = NULL;

	client_define(client, "web1", "'memory': '16M', 'hvparams': {'kvm_flag': 'disabled'}");
	json_object_put(client_ok(client, "instance-start", "{'instance': 'web1', 'paused': true}"));
	shown = guest_query(client, "web1");
	ck_assert_str_eq(str_at(shown, "runtime.hvparams.accel"), "tcg");
	json_object_put(client_ok(client, "instance-stop", "{'instance': 'web1'}"));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("parameters, real");
	TCase *tc = tcase_create("values"), *host = tcase_create("host");

	tcase_set_timeout(tc, 600);
	tcase_add_test(tc, test_values);
	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(host, set_up, tear_down);
	tcase_set_timeout(host, 300);
	tcase_add_test(host, test_lacking);
	tcase_add_loop_test(host, test_kvm, 0, 2);
	tcase_add_test(host, test_no_kvm);
	suite_add_tcase(s, host);
	return s;
}

int main(void)
{
	return guest_main(suite);
}
