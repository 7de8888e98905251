/* SPDX-License-Identifier: BSD-2-Clause */
/* The verbs for devices: their command lines, what people read of results and errors, the map of places. */
#include "cli/shapes.h"
#include "cli/verbs.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static struct json_object *parse(const char *text)
{
	struct json_object *o = NULL;

	ck_assert_msg(json_parse(text, strlen(text), &json_limits_request, &o, NULL), "%s", text);
	return o;
}

/* ---- the command line ---- */

static const struct {
	const char *argv[8];
	const char *verb, *request; /* of a proper one */
	const char *error, *hint;   /* parts of them */
} lines[] = {
	{ { "disk", "attach", "web1", "path=/d.raw" }, "disk attach", "{}", NULL, NULL },
	{ { "nic", "attach", "web1", "mode=user", "--no-live" }, "nic attach", "{}", NULL, NULL },
	{ { "disk", "detach", "web1", "disk1", "--timeout", "5" }, "disk detach", "{\"timeout\":5}", NULL, NULL },
	{ { "nic", "--json", "detach", "web1", "nic0" }, NULL, NULL, "unknown verb 'nic'", "drover help nic" },
	{ { "nic", "detach", "web1", "nic0" }, "nic detach", "{}", NULL, NULL },
	{ { "disk", "resize", "web1", "disk1", "20G" }, "disk resize", "{}", NULL, NULL },
	{ { "disk", "resize", "web1", "disk1" }, NULL, NULL, "needs NAME DISK SIZE", "usage: drover disk resize" },
	{ { "show", "web1", "--slots" }, "show", "{}", NULL, NULL },
	{ { "disk", "attach", "web1" }, NULL, NULL, "needs NAME KEY=VALUE...", "usage: drover disk attach" },
	{ { "disk", "detach", "web1" }, NULL, NULL, "needs NAME DISK", "usage: drover disk detach" },
	{ { "nic", "detach", "web1", "nic0", "nic1" }, NULL, NULL, "'nic1' is one word too many", NULL },
	{ { "disk", "attach", "web1", "path=/d.raw", "--timeout", "5" },
	  NULL,
	  NULL,
	  "unknown option '--timeout'",
	  NULL },
	{ { "disk", "detach", "web1", "disk1", "--timeout", "1m" }, NULL, NULL, "takes seconds", NULL },
	{ { "disk", "atach", "web1" }, NULL, NULL, "unknown verb", "disk attach" },
};

START_TEST(test_lines)
{
	const char *argv[ARRAY_SIZE(lines[0].argv) + 2] = { "drover" };
	_cleanup_json_ struct json_object *request = NULL;
	_cleanup_free_ char *text = NULL;
	_cleanup_err_ struct err *e = NULL;
	struct args args;
	int argc = 1;
	bool ok;

	for (size_t i = 0; i < ARRAY_SIZE(lines[_i].argv) && lines[_i].argv[i]; i++)
		argv[argc++] = lines[_i].argv[i];
	ok = args_parse(cli_verbs, argc, (char **)(uintptr_t)argv, &args, &e);
	if (lines[_i].error) {
		const char *hint;

		ck_assert(!ok);
		hint = json_get_str(e->extra, "hint");
		ck_assert_int_eq(e->class, ERR_INVALID_PARAMETER);
		ck_assert_msg(strstr(e->desc, lines[_i].error), "%s", e->desc);
		ck_assert_msg(!lines[_i].hint || strstr(hint ? hint : "", lines[_i].hint), "%s", hint);
		ck_assert_msg(strlen(e->desc) <= 80, "%s", e->desc);
		ck_assert_msg(!hint || strlen(hint) + strlen("hint: ") <= 80, "%s", hint);
		args_clear(&args);
		return;
	}
	ck_assert_msg(ok, "%s", e ? e->desc : "");
	ck_assert_str_eq(args.verb->name, lines[_i].verb);
	request = args_request(&args);
	text = json_print(request);
	ck_assert_str_eq(text, lines[_i].request);
	args_clear(&args);
}
END_TEST

/* ---- results ---- */

#define DISK                                                                                             \
	"\"disk\":{\"name\":\"disk1\",\"hvinfo\":{\"id\":\"disk-932df160-7a22-4067\",\"bus\":\"pci.0\"," \
	"\"addr\":\"0xd\"}}"
#define NIC                                                                                           \
	"\"nic\":{\"name\":\"nic0\",\"hvinfo\":{\"id\":\"nic-003fc157-66a8-4e6d\",\"bus\":\"pci.0\"," \
	"\"addr\":\"0xe\"}}"

static const struct {
	const char *verb, *result, *said;
} outcomes[] = {
	{ "disk attach", "{\"changed\":true,\"live\":true," DISK "}",
	  "attached disk1 (disk-932df160-7a22-4067) at pci.0 0xd" },
	{ "disk attach", "{\"changed\":true,\"live\":false," DISK "}",
	  "attached disk1 (disk-932df160-7a22-4067) at pci.0 0xd, in the definition only" },
	{ "disk attach", "{\"changed\":false,\"live\":true," DISK "}",
	  "unchanged: disk1 (disk-932df160-7a22-4067) is there, at pci.0 0xd" },
	{ "disk detach", "{\"changed\":true,\"live\":true," DISK "}",
	  "detached disk1 (disk-932df160-7a22-4067) from pci.0 0xd" },
	{ "nic attach", "{\"changed\":true,\"live\":true," NIC "}",
	  "attached nic0 (nic-003fc157-66a8-4e6d) at pci.0 0xe" },
	{ "nic detach", "{\"changed\":true,\"live\":false," NIC "}",
	  "detached nic0 (nic-003fc157-66a8-4e6d) from pci.0 0xe, in the definition only" },
	{ "disk resize", "{\"changed\":true,\"live\":true," DISK "}", "resized disk1 (disk-932df160-7a22-4067)" },
	{ "disk resize", "{\"changed\":false,\"live\":false," DISK "}",
	  "unchanged: disk1 (disk-932df160-7a22-4067) has that size" },
	/* of a daemon that says less */
	{ "nic detach", "{\"changed\":true,\"live\":true}", "detached nic" },
	{ "disk attach", "{\"changed\":false,\"disk\":7}", "unchanged: disk is there" },
	{ "disk attach", "7", "attached disk, in the definition only" },
};

START_TEST(test_outcomes)
{
	_cleanup_json_ struct json_object *result = parse(outcomes[_i].result);
	_cleanup_free_ char *said = device_outcome(verb_find(cli_verbs, outcomes[_i].verb), result);

	ck_assert_str_eq(said, outcomes[_i].said);
}
END_TEST

static const struct {
	const char *verb, *error, *hint;
} hints[] = {
	/* hint NULL: none */
	{ "disk detach", "{\"class\":\"Timeout\"}", "goes by itself" },
	{ "nic detach", "{\"class\":\"Timeout\"}", "'drover show w'" },
	{ "disk detach", "{\"class\":\"Timeout\",\"stalled\":true}", "drover stop w" },
	{ "disk attach", "{\"class\":\"NoSlot\"}", "drover show w --slots" },
	{ "disk attach", "{\"class\":\"Busy\",\"parameter\":\"disk\"}", "detach-pending" },
	{ "disk attach", "{\"class\":\"Busy\"}", "drover jobs" },
	{ "disk detach", "{\"class\":\"NotFound\",\"parameter\":\"disk\"}", "drover show w" },
	{ "disk resize", "{\"class\":\"NotFound\",\"parameter\":\"disk\"}", "drover show w" },
	{ "nic detach", "{\"class\":\"NotFound\"}", "drover list" },
	{ "disk attach", "{\"class\":\"NotFound\",\"step\":\"open the images\"}", "droverd opens it" },
	{ "nic attach",
	  "{\"class\":\"Unsupported\",\"parameter\":\"nic\",\"desc\":\"'nic': cannot be plugged while the machine "
	  "runs; stop it first\"}",
	  "--no-live" },
	{ "nic attach",
	  "{\"class\":\"Unsupported\",\"parameter\":\"nic.mode\",\"desc\":\"'nic.mode': must not be 'network': not in "
	  "this version\"}",
	  "drover help nic" },
	{ "disk detach", "{\"class\":\"WrongState\"}", "drover show w" },
	{ "disk detach",
	  "{\"class\":\"WrongState\",\"desc\":\"'w' is shutdown (guest), which takes no change of devices\"}",
	  "--no-live" },
	{ "nic detach", "{\"class\":\"GuestRefused\"}", "nothing was changed" },
	{ "disk attach", "{\"class\":\"StorageError\",\"desc\":\"it is in use: Failed to get \\\"write\\\" lock\"}",
	  "fuser" },
	{ "start", "{\"class\":\"StorageError\",\"desc\":\"it is in use: QEMU ended\"}", "fuser" },
	{ "disk attach", "{\"class\":\"StorageError\",\"desc\":\"QEMU refused 'blockdev-add': no medium\"}",
	  "drover log w" },
	{ "disk attach", "{\"class\":\"InvalidParameter\",\"parameter\":\"disk.path\"}", "drover help disk" },
	{ "nic attach", "{\"class\":\"InvalidParameter\",\"parameter\":\"nic.mode\"}", "drover help nic" },
};

START_TEST(test_hints)
{
	_cleanup_json_ struct json_object *o = parse(hints[_i].error);
	_cleanup_err_ struct err *e = err_from_json(o);
	_cleanup_free_ char *hint = cli_hint(hints[_i].verb, "w", e);

	ck_assert_msg(!hint == !hints[_i].hint, "%s", hint);
	if (hint)
		ck_assert_msg(strstr(hint, hints[_i].hint), "%s", hint);
}
END_TEST

/* ---- the map ---- */

static char *map_of(const char *instance, unsigned width)
{
	const struct screen screen = { .width = width };
	_cleanup_json_ struct json_object *o = parse(instance);
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	shape_slots(f, &screen, o);
	fclose(f);
	return text;
}

#define AT(name, id, more) "{\"name\":\"" name "\",\"hvinfo\":{\"id\":\"" id "\"}" more "}"
#define SLOTS                                                                                             \
	"\"slots\":[{\"bus\":\"pci.0\",\"first\":12,\"last\":31,\"free\":17,\"used\":{"                   \
	"\"0xc\":\"disk-932df160-7a22-4067\",\"0xd\":\"disk-5a0e2b7c-19d4-4e0b\","                        \
	"\"0xe\":\"nic-003fc157-66a8-4e6d\"}},{\"bus\":\"scsi.0\",\"first\":0,\"last\":255,\"free\":256," \
	"\"used\":{}}]"
#define DISKS AT("disk0", "disk-932df160-7a22-4067", "") "," AT("disk1", "disk-5a0e2b7c-19d4-4e0b", "")

START_TEST(test_map)
{
	_cleanup_free_ char *runs = map_of(
		"{" SLOTS ",\"definition\":{\"disks\":[" DISKS
		"],\"nics\":[" AT("nic0", "nic-003fc157-66a8-4e6d", "") "]},\"runtime\":{\"disks\":[" AT(
			"disk0", "disk-932df160-7a22-4067",
			",\"state\":\"attached\"") "," AT("disk1", "disk-5a0e2b7c-19d4-4e0b",
							  ",\"state\":\"detach-pending\"") "],\"nics\":[]}}",
		80);

	ck_assert_str_eq(runs, "BUS     PLACE       DEVICE                   NAME   STATE\n"
			       "pci.0   0xc         disk-932df160-7a22-4067  disk0  attached\n"
			       "pci.0   0xd         disk-5a0e2b7c-19d4-4e0b  disk1  detach-pending\n"
			       "pci.0   0xe         nic-003fc157-66a8-4e6d   nic0   -\n"
			       "pci.0   17 of 20    free                     -      -\n"
			       "scsi.0  256 of 256  free                     -      -\n");
}
END_TEST

/* Names may be long; the map stays in the terminal, and places and ids stay whole. */
START_TEST(test_map_fits)
{
	_cleanup_free_ char *text = map_of("{" SLOTS ",\"runtime\":{\"disks\":[" AT(
						   "a-disk-with-a-name-of-sixty-three-characters-which-is-the-most-x",
						   "disk-932df160-7a22-4067", ",\"state\":\"detach-pending\"") "]}}",
					   80);

	for (const char *line = text; *line; line = strchr(line, '\n') + 1)
		ck_assert_msg(strcspn(line, "\n") <= 80, "%s", text);
	ck_assert_ptr_nonnull(strstr(text, "0xc         disk-932df160-7a22-4067"));
	ck_assert_ptr_nonnull(strstr(text, "detach-pending"));
}
END_TEST

START_TEST(test_map_of_nothing)
{
	static const char *const odd[] = { "{}", "7", "{\"slots\":[]}",
					   "{\"slots\":[7,null,{\"used\":{\"0xc\":null}}]}" };

	for (size_t i = 0; i < ARRAY_SIZE(odd); i++)
		free(map_of(odd[i], 80));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cli devices");
	TCase *t = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(t, test_lines, 0, ARRAY_SIZE(lines));
	tcase_add_loop_test(t, test_outcomes, 0, ARRAY_SIZE(outcomes));
	tcase_add_loop_test(t, test_hints, 0, ARRAY_SIZE(hints));
	tcase_add_test(t, test_map);
	tcase_add_test(t, test_map_fits);
	tcase_add_test(t, test_map_of_nothing);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
