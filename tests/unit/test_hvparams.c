/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The whole table of hvparams, by its rows: every invalid value is refused by the name of its parameter, every valid one is
 * taken, and so do the rules over several.
 */
#include "definitions.h"
#include "param_cases.h"
#include "runtime/vhost.h"
#include "runtime/warnings.h"

#include <unistd.h>

static const struct param *row_of(const struct param_case *c)
{
	const struct param *row = param_find(hvparam_rows, c->name);

	ck_assert_msg(row, "there is no parameter '%s'", c->name);
	return row;
}

static struct json_object *with_value(const struct param_case *c, struct json_object *value)
{
	struct json_object *o = case_definition(c);

	json_add(json_object_object_get(o, "hvparams"), c->name, json_object_get(value));
	return o;
}

static void expect_refused(const struct param_case *c, struct json_object *value)
{
	_cleanup_json_ struct json_object *o = with_value(c, value), *stored = NULL;
	_cleanup_free_ char *name = xasprintf("hvparams.%s", c->name), *text = json_print(value);
	_cleanup_err_ struct err *e = NULL;

	stored = definition_store(o, &(struct definition_context){ 0 }, &e);
	ck_assert_msg(!stored, "%s: %.200s was taken", name, text);
	ck_assert_msg(e->class == ERR_INVALID_PARAMETER, "%s: %.200s: %s", name, text, e->desc);
	ck_assert_msg(str_eq(json_get_str(e->extra, "parameter"), name), "%s: %.200s: %s", name, text, e->desc);
	ck_assert_msg(strstr(e->desc, c->name), "%s", e->desc);
	json_object_put(value);
}

/* ---- each row ---- */

static size_t cases_of(const struct param *row)
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(param_cases); i++)
		n += str_eq(param_cases[i].name, row->name);
	return n;
}

/* Nobody adds a parameter, or a choice, and forgets it here. */
START_TEST(test_complete)
{
	for (const struct param *row = hvparam_rows; row->name; row++)
		ck_assert_msg(cases_of(row) > 0, "'%s' has no case in param_cases.h", row->name);
	for (const struct param *row = hvparam_rows; row->name; row++) {
		_cleanup_json_ struct json_object *all = json_object_new_object();

		for (size_t i = 0; i < ARRAY_SIZE(param_cases); i++) {
			_cleanup_json_ struct json_object *values = NULL;

			if (!str_eq(param_cases[i].name, row->name))
				continue;
			values = case_values(&param_cases[i], row);
			for (size_t k = 0; k < json_object_array_length(values); k++)
				json_add_bool(all, json_object_get_string(json_object_array_get_idx(values, k)), true);
		}
		for (const char *const *choice = row->type == PARAM_CHOICE ? row->choices : NULL; choice && *choice;
		     choice++)
			ck_assert_msg(json_get_bool(all, *choice, false), "%s: '%s' is in no case", row->name, *choice);
	}
}
END_TEST

/* Completion and the reference know all words of those which have few. */
static const struct {
	const char *name, *type, *choices;
} listed[] = {
	{ "serial_speed", "int",
	  "[75,110,300,600,1200,1800,2400,4800,9600,14400,19200,28800,38400,57600,115200,230400,345600,460800]" },
	{ "spice_ip_version", "int", "[0,4,6]" },
	{ "vhost_net", "any", "[true,false,\"auto\"]" },
	{ "watchdog", "choice",
	  "[\"\",\"reset\",\"shutdown\",\"poweroff\",\"pause\",\"debug\",\"none\",\"inject-nmi\"]" },
	{ "keymap", "text",
	  "[\"\",\"ar\",\"bepo\",\"cz\",\"da\",\"de\",\"de-ch\",\"en-gb\",\"en-us\",\"es\",\"et\",\"fi\",\"fo\",\"fr\","
	  "\"fr-be\","
	  "\"fr-ca\",\"fr-ch\",\"hr\",\"hu\",\"is\",\"it\",\"ja\",\"lt\",\"lv\",\"mk\",\"nl\",\"no\",\"pl\",\"pt\","
	  "\"pt-br\","
	  "\"ru\",\"sl\",\"sv\",\"th\",\"tr\"]" },
};

START_TEST(test_listed)
{
	_cleanup_json_ struct json_object *rows = param_describe(hvparam_rows);
	struct json_object *row;
	size_t i = 0;

	while (!str_eq(json_get_str(json_object_array_get_idx(rows, i), "name"), listed[_i].name))
		ck_assert_uint_lt(++i, json_object_array_length(rows));
	row = json_object_array_get_idx(rows, i);
	ck_assert_str_eq(json_get_str(row, "type"), listed[_i].type);
	ck_assert_str_eq(json_object_to_json_string_ext(json_object_object_get(row, "choices"), JSON_C_TO_STRING_PLAIN),
			 listed[_i].choices);
}
END_TEST

/* What pages print of each. */
START_TEST(test_rows)
{
	for (const struct param *row = hvparam_rows; row->name; row++) {
		size_t len = row->doc ? strlen(row->doc) : 0;

		ck_assert_msg(len > 0 && row->doc[len - 1] == '.', "%s: no sentence", row->name);
		ck_assert_msg(row->since && row->change != CHANGE_NONE, "%s: since when, and what a change needs",
			      row->name);
		ck_assert_msg(row->def || str_eq(row->name, "security_model"), "%s: no default", row->name);
	}
}
END_TEST

START_TEST(test_valid)
{
	const struct param_case *c = &param_cases[_i];
	_cleanup_json_ struct json_object *values = case_values(c, row_of(c));

	for (size_t i = 0; i < json_object_array_length(values) && (!c->root || geteuid() == 0); i++) {
		struct json_object *value = json_object_array_get_idx(values, i);
		_cleanup_json_ struct json_object *o = with_value(c, value), *stored = NULL;
		_cleanup_err_ struct err *e = NULL;

		stored = definition_store(o, &(struct definition_context){ 0 }, &e);
		ck_assert_msg(stored, "%s: %s", json_object_to_json_string(value), e ? e->desc : "");
		/* As given. */
		ck_assert(json_object_equal(json_object_object_get(json_object_object_get(stored, "hvparams"), c->name),
					    value));
	}
}
END_TEST

static char *letters(size_t n, char first)
{
	char *text = xcalloc(n + 1, 1);

	memset(text, 'a', n);
	text[0] = first;
	return text;
}

/* There is a shorter way to write each of them. */
static const char *const crooked[] = { "//a",   "/a//b", "/a/",     "/./a",  "/a/./b",     "/a/.",
				       "/../a", "/..",   "/a/../b", "/a/..", "/boot//../x" };

static void refuse_text(const struct param_case *c, const struct param *row)
{
	size_t max = row->type == PARAM_PATH ? 4095 : row->max > 0 ? (size_t)row->max : 4096;
	_cleanup_free_ char *longer = letters(max + 1, '/');
	bool is_path = row->type == PARAM_PATH || str_starts(row->name, "cdrom") ||
		       str_eq(row->name, "vnc_bind_address");

	expect_refused(c, json_object_new_int(1));
	expect_refused(c, json_object_new_boolean(true));
	expect_refused(c, json_object_new_array());
	expect_refused(c, json_object_new_string(longer));
	if (row->type == PARAM_PATH) {
		expect_refused(c, json_object_new_string("relative"));
		expect_refused(c, json_object_new_string("./relative"));
	}
	for (size_t i = 0; i < ARRAY_SIZE(crooked) && is_path; i++)
		expect_refused(c, json_object_new_string(crooked[i]));
}

static void refuse_number(const struct param_case *c, const struct param *row)
{
	expect_refused(c, json_object_new_int64(row->min - 1));
	expect_refused(c, json_object_new_int64(row->max + 1));
	expect_refused(c, json_object_new_double_s(1.5, "1.5"));
	expect_refused(c, json_object_new_string("1"));
	expect_refused(c, json_object_new_boolean(true));
}

static void refuse_choice(const struct param_case *c, const struct param *row)
{
	expect_refused(c, json_object_new_string("nonsense"));
	expect_refused(c, json_object_new_int(0));
	expect_refused(c, json_object_new_boolean(true));
	for (const char *const *choice = row->choices; *choice; choice++) {
		_cleanup_free_ char *other = xstrdup(*choice), *longer = xasprintf("%s ", *choice);

		for (char *p = other; *p; p++)
			if (*p >= 'a' && *p <= 'z')
				*p = (char)(*p - 'a' + 'A');
		if (!str_eq(other, *choice))
			expect_refused(c, json_object_new_string(other));
		expect_refused(c, json_object_new_string(longer));
	}
}

START_TEST(test_invalid)
{
	const struct param_case *c = &param_cases[_i];
	const struct param *row = row_of(c);
	_cleanup_free_ char *text = quoted(c->invalid ? c->invalid : "[]");
	_cleanup_json_ struct json_object *more = parse(text);

	expect_refused(c, NULL);
	for (size_t i = 0; i < json_object_array_length(more); i++)
		expect_refused(c, json_object_get(json_object_array_get_idx(more, i)));
	if (row->type == PARAM_TEXT || row->type == PARAM_PATH)
		refuse_text(c, row);
	else if (row->type == PARAM_INT)
		refuse_number(c, row);
	else if (row->type == PARAM_CHOICE)
		refuse_choice(c, row);
	else if (row->type == PARAM_BOOL) {
		expect_refused(c, json_object_new_string("true"));
		expect_refused(c, json_object_new_string(""));
		expect_refused(c, json_object_new_int(1));
	} else
		ck_assert_msg(c->invalid, "%s: of what is invalid its case says nothing", c->name);
}
END_TEST

/* ---- several together ---- */

#define MICROVM "'machine_version': 'microvm', 'kernel_path': '/k'"

static const struct {
	const char *hvparams, *more, *refusal; /* refusal NULL: taken */
} rules[] = {
	{ "'kvm_flag': 'enabled', 'accel': 'tcg'", "", "InvalidParameter hvparams.kvm_flag" },
	{ "'kvm_flag': 'disabled', 'accel': 'kvm'", "", "InvalidParameter hvparams.kvm_flag" },
	{ "'kvm_flag': 'enabled', 'accel': 'kvm'", "", NULL },
	{ "'kvm_flag': 'disabled', 'accel': 'tcg'", "", NULL },
	{ "'kvm_flag': 'enabled', 'accel': 'auto'", "", NULL },
	{ "'kvm_flag': '', 'accel': 'tcg'", "", NULL },
	{ "'reboot_behavior': 'exit', 'on_reboot': 'restart'", "", "InvalidParameter hvparams.reboot_behavior" },
	{ "'reboot_behavior': 'exit', 'on_reboot': 'reset'", "", NULL },
	{ "'reboot_behavior': 'exit', 'on_reboot': 'stop'", "", NULL },
	{ "'reboot_behavior': 'reboot', 'on_reboot': 'restart'", "", NULL },
	{ "'disk_aio': 'native'", "", "InvalidParameter hvparams.disk_aio" },
	{ "'disk_aio': 'native', 'disk_cache': 'writeback'", "", "InvalidParameter hvparams.disk_aio" },
	{ "'disk_aio': 'native', 'disk_cache': 'none'", ", 'disks': [{'path': '/a', 'cache': 'default'}]",
	  "InvalidParameter disks[0].aio" },
	{ "'disk_aio': 'native', 'disk_cache': 'none'",
	  ", 'disks': [{'path': '/a', 'cache': 'default', 'aio': 'threads'}]", NULL },
	{ "", ", 'disks': [{'path': '/a'}, {'path': '/b', 'type': 'scsi'}]", "InvalidParameter disks[1].type" },
	{ "", ", 'disks': [{'path': '/a', 'type': 'pflash'}]", "InvalidParameter disks[0].type" },
	{ "", ", 'disks': [7]", "InvalidParameter disks[0]" },
	{ "'initrd_path': '/i'", "", "InvalidParameter hvparams.initrd_path" },
	{ "'security_model': 'user'", "", "InvalidParameter hvparams.security_domain" },
	{ "'security_model': 'none', 'security_domain': 'nobody'", "", "InvalidParameter hvparams.security_domain" },
	{ "'security_domain': 'nobody'", "", "InvalidParameter hvparams.security_domain" },
	{ "'machine_version': 'none'", "", "Unsupported hvparams.machine_version" },
	{ "'machine_version': 'isapc'", "", "Unsupported hvparams.machine_version" },
	{ "'machine_version': 'microvm-1.0'", "", "Unsupported hvparams.machine_version" },
	{ "'machine_version': 'microvm'", "", "InvalidParameter hvparams.kernel_path" },
	{ "'acpi': false, 'firmware': 'uefi'", "", "InvalidParameter hvparams.acpi" },
	{ "'acpi': false, 'firmware': 'uefi', 'machine_version': 'q35'", "", NULL },
	{ "'acpi': false", "", NULL },
	{ MICROVM, "", NULL },
	{ MICROVM ", 'acpi': false", "", "InvalidParameter hvparams.acpi" },
	{ MICROVM ", 'tpm': true", "", "InvalidParameter hvparams.tpm" },
	{ MICROVM ", 'numa_nodes': 1", "", "InvalidParameter hvparams.numa_nodes" },
	{ MICROVM ", 'firmware': 'uefi'", "", "InvalidParameter hvparams.firmware" },
	{ MICROVM ", 'firmware': 'uefi-secure'", "", "InvalidParameter hvparams.firmware" },
	{ MICROVM ", 'disk_type': 'ide'", "", "InvalidParameter hvparams.disk_type" },
	{ MICROVM ", 'disk_type': 'scsi-hd'", ", 'disks': [{'path': '/a'}, {'media': 'cdrom'}]", NULL },
	{ MICROVM ", 'cdrom_disk_type': 'ide'", "", "InvalidParameter hvparams.cdrom_disk_type" },
	{ MICROVM ", 'cdrom_disk_type': 'paravirtual'", "", NULL },
	{ MICROVM ", 'floppy_image_path': '/f'", "", "InvalidParameter hvparams.floppy_image_path" },
	{ MICROVM ", 'cdrom_image_path': '/c'", "", NULL },
	{ MICROVM ", 'nic_type': 'ne2k_isa'", "", "InvalidParameter hvparams.nic_type" },
	{ MICROVM ", 'nic_type': 'ne2k_pci'", "", "InvalidParameter hvparams.nic_type" },
	{ MICROVM ", 'nic_type': 'rtl8139'", "", NULL },
	{ MICROVM ", 'scsi_controller_type': 'dc390'", "", "InvalidParameter hvparams.scsi_controller_type" },
	{ MICROVM ", 'scsi_controller_type': 'megasas'", "", NULL },
	{ MICROVM ", 'soundhw': 'ac97'", "", "InvalidParameter hvparams.soundhw" },
	{ MICROVM ", 'soundhw': 'adlib'", "", "InvalidParameter hvparams.soundhw" },
	{ MICROVM ", 'soundhw': 'cs4231a'", "", "InvalidParameter hvparams.soundhw" },
	{ MICROVM ", 'soundhw': 'es1370'", "", "InvalidParameter hvparams.soundhw" },
	{ MICROVM ", 'soundhw': 'gus'", "", "InvalidParameter hvparams.soundhw" },
	{ MICROVM ", 'soundhw': 'pcspk'", "", "InvalidParameter hvparams.soundhw" },
	{ MICROVM ", 'soundhw': 'sb16'", "", "InvalidParameter hvparams.soundhw" },
	{ MICROVM ", 'soundhw': 'hda'", "", NULL },
	{ MICROVM ", 'soundhw': 'virtio'", "", NULL },
	{ MICROVM ", 'vga': 'qxl'", "", "InvalidParameter hvparams.vga" },
	{ MICROVM ", 'vga': 'vmware'", "", "InvalidParameter hvparams.vga" },
	{ MICROVM ", 'vga': 'virtio', 'spice_bind': '127.0.0.1'", "", NULL },
	{ MICROVM, ", 'disks': [{'path': '/a'}, {'path': '/b', 'type': 'ide'}]", "InvalidParameter disks[1].type" },
	{ MICROVM, ", 'disks': [{'media': 'cdrom', 'type': 'ide'}]", "InvalidParameter disks[0].type" },
	{ MICROVM, ", 'disks': [{'media': 'cdrom'}, {'path': '/b'}]", NULL },
	{ MICROVM, ", 'disks': [{'path': '/a', 'media': 'floppy'}]", "InvalidParameter disks[0].media" },
	{ MICROVM, ", 'nics': [{}, {'type': 'ne2k_isa'}]", "InvalidParameter nics[1].type" },
	{ MICROVM, ", 'nics': [{'type': 'ne2k_pci'}]", "InvalidParameter nics[0].type" },
	{ MICROVM ", 'panic_device': true, 'watchdog': 'reset', 'usb_mouse': 'tablet'", "", NULL },
	{ "'machine_version': 'isapc'", "", "Unsupported hvparams.machine_version" },
	{ "'machine_version': 'x-remote'", "", "Unsupported hvparams.machine_version" },
	{ "'cpu_sockets': 2, 'cpu_cores': 2, 'cpu_threads': 2", "", "InvalidParameter hvparams.cpu_cores" },
	{ "'cpu_sockets': 3", "", "InvalidParameter hvparams.cpu_sockets" },
	{ "'cpu_threads': 3", "", "InvalidParameter hvparams.cpu_threads" },
	{ "'cpu_sockets': 3, 'cpu_threads': 3", "", "InvalidParameter hvparams.cpu_sockets" },
	{ "'disk_type': 'scsi-cd'", ", 'disks': [{'path': '/a', 'media': 'cdrom'}, {'path': '/b'}]",
	  "InvalidParameter hvparams.disk_type" },
	{ "'disk_type': 'scsi-cd'", ", 'disks': [{'path': '/b', 'type': 'scsi-cd'}]",
	  "InvalidParameter disks[0].type" },
	{ "'disk_type': 'scsi-cd'", ", 'disks': [{'path': '/b', 'type': 'ide'}]", NULL },
	{ "'scsi_controller_type': 'dc390', 'disk_type': 'scsi-hd'",
	  ", 'disks': [{'path': '/a', 'hvinfo': {'scsi-id': 6}}]", NULL },
	{ "'scsi_controller_type': 'dc390', 'disk_type': 'scsi-hd'",
	  ", 'disks': [{'path': '/a', 'hvinfo': {'scsi-id': 7}}]", "InvalidParameter disks[0].hvinfo.scsi-id" },
	{ "'kvm_pci_reservations': 32", ", 'disks': [{'path': '/a'}]", "NoSlot disks[0]" },
	{ "", ", 'disks': [{'path': '/a', 'disk_iops': '1M', 'throttle': {'bps_total': '2M'}}]",
	  "InvalidParameter disks[0].disk_iops" },
	{ "", ", 'disks': [{'path': '/a', 'disk_iops': '1M', 'throttle': {'bps_total': '1M'}}]", NULL },
	{ "", ", 'disks': [{'path': '/a', 'disk_iops': '1M', 'throttle': {'bps_read': '1M'}}]",
	  "InvalidParameter disks[0].throttle" },
};

START_TEST(test_rules)
{
	_cleanup_free_ char *json = xasprintf("{'name': 'web1', 'hvparams': {%s}%s}", rules[_i].hvparams,
					      rules[_i].more);
	_cleanup_free_ char *text = quoted(json), *refusal = NULL;
	_cleanup_json_ struct json_object *o = parse(text), *stored = NULL;
	_cleanup_err_ struct err *e = NULL;

	stored = definition_store(o, &(struct definition_context){ 0 }, &e);
	if (e)
		refusal = xasprintf("%s %s", err_class_info(e->class)->name, json_get_str(e->extra, "parameter"));
	ck_assert_msg(str_eq(refusal, rules[_i].refusal), "%s: %s: %s, not %s", text, refusal, e ? e->desc : "",
		      rules[_i].refusal);
	if (e)
		ck_assert_ptr_nonnull(strstr(e->desc, json_get_str(e->extra, "parameter")));
}
END_TEST

/* The reason, not a list of choices. */
START_TEST(test_reasons)
{
	static const char *const words[][2] = {
		{ "{\"name\": \"a\", \"hvparams\": {\"disk_type\": \"scsi\"}}", "a disk is scsi-hd" },
		{ "{\"name\": \"a\", \"hvparams\": {\"disk_type\": \"sd\"}}", "a PC has no place" },
		{ "{\"name\": \"a\", \"disks\": [{\"path\": \"/a\", \"type\": \"mtd\"}]}", "flash memory of a board" },
		{ "{\"name\": \"a\", \"hvparams\": {\"machine_version\": \"microvm\"}}", "firmware of a microvm" },
	};
	_cleanup_json_ struct json_object *o = parse(words[_i][0]);
	_cleanup_err_ struct err *e = NULL;
	struct definition def;

	ck_assert(!definition_decode(o, &def, &e));
	ck_assert_msg(strstr(e->desc, words[_i][1]), "%s", e->desc);
}
END_TEST

/* ---- what counts ---- */

static struct hvparams hv_of(const char *members, struct definition *def)
{
	_cleanup_free_ char *json = xasprintf("{'name': 'a', 'hvparams': {%s}}", members), *text = quoted(json);

	decode(text, def);
	return def->hvparams;
}

START_TEST(test_aliases)
{
	static const struct {
		const char *members;
		enum accel accel;
		enum on_reboot on_reboot;
	} all[] = {
		{ "", ACCEL_AUTO, ON_REBOOT_RESET },
		{ "'accel': 'tcg', 'on_reboot': 'restart'", ACCEL_TCG, ON_REBOOT_RESTART },
		{ "'kvm_flag': 'enabled'", ACCEL_KVM, ON_REBOOT_RESET },
		{ "'kvm_flag': 'disabled', 'reboot_behavior': 'exit'", ACCEL_TCG, ON_REBOOT_STOP },
		{ "'reboot_behavior': 'reboot', 'on_reboot': 'stop'", ACCEL_AUTO, ON_REBOOT_STOP },
	};
	struct definition def;
	struct hvparams hv = hv_of(all[_i].members, &def);

	ck_assert_int_eq(accel_of(&hv), all[_i].accel);
	ck_assert_int_eq(on_reboot_of(&hv), all[_i].on_reboot);
	definition_clear(&def);
}
END_TEST

START_TEST(test_cards)
{
	static const struct {
		const char *hvparams, *nic;
		unsigned taps, vhost;
		bool vnet_hdr;
	} cards[] = {
		{ "", "'mode': 'user'", 0, 0, true },
		{ "'virtio_net_queues': 3", "'mode': 'user'", 0, 0, true },
		{ "", "'mode': 'bridged', 'link': 'br0'", 1, 1, true },
		{ "'virtio_net_queues': 3", "'mode': 'bridged', 'link': 'br0'", 3, 3, true },
		{ "'virtio_net_queues': 3", "'mode': 'bridged', 'link': 'br0', 'queues': 1", 1, 1, true },
		{ "'virtio_net_queues': 3", "'mode': 'bridged', 'link': 'br0', 'type': 'e1000'", 1, 0, false },
		{ "'nic_type': 'e1000'", "'mode': 'bridged', 'link': 'br0', 'type': 'paravirtual'", 1, 1, true },
		{ "'vnet_hdr': false", "'mode': 'bridged', 'link': 'br0'", 1, 1, false },
	};
	_cleanup_free_ char *json = xasprintf("{'name': 'a', 'hvparams': {%s}, 'nics': [{%s}]}", cards[_i].hvparams,
					      cards[_i].nic);
	_cleanup_free_ char *text = quoted(json);
	struct definition def;
	const struct nic *n;

	decode(text, &def);
	n = definition_nic(&def, 0);
	ck_assert_uint_eq(nic_taps(n, &def.hvparams), cards[_i].taps);
	ck_assert_uint_eq(vhost_queues(n, &def.hvparams), cards[_i].vhost);
	ck_assert(nic_vnet_hdr(n, &def.hvparams) == cards[_i].vnet_hdr);
	definition_clear(&def);
}
END_TEST

/* ---- warnings ---- */

/* Each definition has a model and a version, so that it has no more warnings than those that are listed. */
#define CALM "'cpu_type': 'Skylake-Server', 'machine_version': 'pc-i440fx-7.2'"

static const struct {
	const char *json, *parameters; /* parted by blanks */
} warned[] = {
	{ "{'name': 'a'}", "hvparams.cpu_type hvparams.machine_version" },
	{ "{'name': 'a', 'hvparams': {" CALM "}}", "" },
	{ "{'name': 'a', 'hvparams': {'cpu_type': 'host,-hle', 'machine_version': 'q35'}}",
	  "hvparams.cpu_type hvparams.machine_version" },
	{ "{'name': 'a', 'hvparams': {'cpu_type': 'qemu64,+ssse3', 'machine_version': 'pc-q35-7.2'}}",
	  "hvparams.cpu_type" },
	{ "{'name': 'a', 'hvparams': {'cpu_type': 'qemu64x', 'machine_version': 'pc-q35-7.2'}}", "" },
	{ "{'name': 'a', 'hvparams': {'cpu_type': 'Skylake-Server', " MICROVM "}}", "hvparams.machine_version" },
	{ "{'name': 'a', 'hvparams': {'cpu_type': 'Skylake-Server', " MICROVM ", 'accel': 'tcg'}}",
	  "hvparams.machine_version hvparams.accel" },
	{ "{'name': 'a', 'hvparams': {" CALM ", 'vhost_net': false}}", "hvparams.vhost_net" },
	{ "{'name': 'a', 'hvparams': {" CALM ", 'vhost_net': true}}", "" },
	{ "{'name': 'a', 'hvparams': {" CALM ", 'disk_type': 'ide', 'nic_type': 'e1000'}}",
	  "hvparams.disk_type hvparams.nic_type" },
	{ "{'name': 'a', 'hvparams': {" CALM
	  "}, 'disks': [{'path': '/a'}, {'path': '/b', 'type': 'ide'}, {'path': '/c', "
	  "'media': 'cdrom', 'type': 'ide'}], 'nics': [{}, {'type': 'rtl8139'}]}",
	  "disks[1].type nics[1].type" },
	{ "{'name': 'a', 'hvparams': {" CALM ", 'scsi_controller_type': 'lsi'}}", "" },
	{ "{'name': 'a', 'hvparams': {" CALM ", 'scsi_controller_type': 'dc390'}, 'disks': [{'path': '/a', 'type': "
	  "'scsi-hd', 'hvinfo': {'bus': 'scsi.0'}}]}",
	  "hvparams.scsi_controller_type" },
	{ "{'name': 'a', 'hvparams': {" CALM "}, 'disks': [{'path': '/a', 'disk_iops': 500}]}", "disks[0].disk_iops" },
	{ "{'name': 'a', 'hvparams': {" CALM ", 'kernel_path': '/k', 'boot_order': 'network', 'root_path': '/r'}}",
	  "hvparams.boot_order" },
	{ "{'name': 'a', 'hvparams': {" CALM ", 'root_path': '/r'}}", "hvparams.root_path" },
	{ "{'name': 'a', 'hvparams': {" CALM ", 'virtio_net_queues': 2}}", "" },
	{ "{'name': 'a', 'hvparams': {" CALM ", 'virtio_net_queues': 2}, 'nics': [{'mode': 'user'}]}",
	  "hvparams.virtio_net_queues" },
	{ "{'name': 'a', 'hvparams': {" CALM ", 'virtio_net_queues': 2}, 'nics': [{'mode': 'bridged', 'link': 'b'}]}",
	  "" },
	{ "{'name': 'a', 'hvparams': {" CALM ", 'vnc_bind_address': '0.0.0.0', 'display_without_password': true}}",
	  "hvparams.vnc_bind_address" },
	{ "{'name': 'a', 'hvparams': {" CALM ", 'vnc_bind_address': 'eth0'}}", "hvparams.vnc_bind_address" },
	{ "{'name': 'a', 'hvparams': {" CALM ", 'vnc_bind_address': '127.3.0.1'}}", "" },
	{ "{'name': 'a', 'hvparams': {" CALM ", 'vnc_bind_address': '::1'}}", "" },
	{ "{'name': 'a', 'hvparams': {" CALM ", 'vnc_bind_address': '/run/vnc'}}", "" },
	{ "{'name': 'a', 'hvparams': {" CALM ", 'vnc_bind_address': '::', 'vnc_tls': true}}", "" },
	{ "{'name': 'a', 'hvparams': {" CALM ", 'spice_bind': '192.0.2.1'}}", "hvparams.spice_bind" },
	{ "{'name': 'a', 'hvparams': {" CALM ", 'spice_bind': '192.0.2.1', 'spice_use_tls': true}}", "" },
	{ "{'name': 7}", "" },
};

static char *parameters_of(struct json_object *list)
{
	char *all = xstrdup("");

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		_cleanup_free_ char *before = all;

		ck_assert_ptr_nonnull(strstr(json_get_str(o, "desc"), json_get_str(o, "parameter")));
		all = xasprintf("%s%s%s", before, *before ? " " : "", json_get_str(o, "parameter"));
	}
	return all;
}

START_TEST(test_warnings)
{
	_cleanup_free_ char *text = quoted(warned[_i].json), *found = NULL;
	_cleanup_json_ struct json_object *o = parse(text), *list = warnings_list(o);

	found = parameters_of(list);
	ck_assert_msg(str_eq(found, warned[_i].parameters), "%s: %s", text, found);
}
END_TEST

/* Of a change those that it brings; another text of the same parameter is another one. */
START_TEST(test_new_warnings)
{
	_cleanup_json_ struct json_object *before = parse("{\"name\": \"a\"}");
	_cleanup_json_ struct json_object *after = parse(
		"{\"name\": \"a\", \"hvparams\": {\"cpu_type\": \"host\", \"vhost_net\": false}}");
	_cleanup_json_ struct json_object *list = warnings_new(after, before), *same = warnings_new(before, before);
	_cleanup_json_ struct json_object *all = warnings_new(after, NULL);
	_cleanup_free_ char *found = parameters_of(list), *every = parameters_of(all);

	ck_assert_str_eq(found, "hvparams.cpu_type hvparams.vhost_net");
	ck_assert_str_eq(every, "hvparams.cpu_type hvparams.machine_version hvparams.vhost_net");
	ck_assert_int_eq(json_object_array_length(same), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hvparams");
	TCase *tc = tcase_create("hvparams");
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, tc);
	tcase_add_test(tc, test_complete);
	tcase_add_test(tc, test_rows);
	tcase_add_loop_test(tc, test_listed, 0, ARRAY_SIZE(listed));
	tcase_add_loop_test(tc, test_valid, 0, ARRAY_SIZE(param_cases));
	tcase_add_loop_test(tc, test_invalid, 0, ARRAY_SIZE(param_cases));
	tcase_add_loop_test(tc, test_rules, 0, ARRAY_SIZE(rules));
	tcase_add_loop_test(tc, test_reasons, 0, 3);
	tcase_add_loop_test(tc, test_aliases, 0, 5);
	tcase_add_loop_test(tc, test_cards, 0, 8);
	tcase_add_loop_test(tc, test_warnings, 0, ARRAY_SIZE(warned));
	tcase_add_test(tc, test_new_warnings);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
