/* SPDX-License-Identifier: BSD-2-Clause */
/* Definitions from text, for the tests of what is made of them. */
#ifndef DROVER_TESTS_DEFINITIONS_H
#define DROVER_TESTS_DEFINITIONS_H

#include "runtime/definition.h"

#include <check.h>
#include <string.h>

#define UUID "5f1c2f0e-8a55-4a6e-9f53-0c2b6a1d9e10"
#define UUID0 "932df160-7a22-4067-a566-7e0ca8386133"
#define UUID1 "932df161-7a22-4067-a566-7e0ca8386133"
#define UUID2 "932df162-7a22-4067-a566-7e0ca8386133"
#define DISK0 "disk-932df160-7a22-4067"
#define DISK1 "disk-932df161-7a22-4067"
#define DISK2 "disk-932df162-7a22-4067"
#define NIC0 "nic-932df160-7a22-4067"
#define NIC1 "nic-932df161-7a22-4067"

static inline struct json_object *parse(const char *text)
{
	struct json_object *o = NULL;
	struct err *e = NULL;

	ck_assert_msg(json_parse(text, strlen(text), &json_limits_request, &o, &e), "%s: %s", text, e ? e->desc : "");
	return o;
}

/* JSON text with ' for ". */
static inline char *quoted(const char *text)
{
	char *copy = xstrdup(text);

	for (char *p = copy; *p; p++)
		if (*p == '\'')
			*p = '"';
	return copy;
}

static inline void decode(const char *text, struct definition *def)
{
	_cleanup_json_ struct json_object *o = parse(text);
	struct err *e = NULL;

	ck_assert_msg(definition_decode(o, def, &e), "%s: %s", text, e ? e->desc : "");
}

/* What is stored of TEXT, over the stored form OLD (or NULL). The caller's. */
static inline struct json_object *stored_over(const char *text, struct json_object *old)
{
	_cleanup_json_ struct json_object *given = parse(text);
	struct json_object *o;
	struct err *e = NULL;

	o = definition_store(given, &(struct definition_context){ .old = old }, &e);
	ck_assert_msg(o, "%s: %s", text, e ? e->desc : "");
	return o;
}

/* The same, decoded: every device has its place. */
static inline void settle(const char *text, struct definition *def)
{
	_cleanup_json_ struct json_object *o = stored_over(text, NULL);

	ck_assert(definition_decode(o, def, NULL));
}

/* The class and the parameter that TEXT is refused for: "InvalidParameter disks[0].path". The caller's. */
static inline char *refusal_over(const char *text, struct json_object *old)
{
	_cleanup_json_ struct json_object *given = parse(text), *o = NULL;
	_cleanup_err_ struct err *e = NULL;
	const char *parameter;

	o = definition_store(given, &(struct definition_context){ .old = old }, &e);
	ck_assert_msg(!o, "%s", text);
	parameter = json_get_str(e->extra, "parameter");
	/* People are told, too. */
	ck_assert_msg(!parameter || strstr(e->desc, parameter), "%s", e->desc);
	return xasprintf("%s %s", err_class_info(e->class)->name, parameter ? parameter : "-");
}

#endif
