/* SPDX-License-Identifier: BSD-2-Clause */
/* Layout 1: who sits where, who may not, and who stays. */
#include "runtime/slots.h"

#include "definitions.h"

#include <inttypes.h>
#include <stdio.h>

#define PC ""
#define Q35 "'machine_version': 'q35'"
#define MICROVM "'machine_version': 'microvm', 'kernel_path': '/k'"
#define BLK "{'path': '/a'}"
#define SCSI "{'path': '/a', 'type': 'scsi-hd'}"
#define IDE "{'path': '/a', 'type': 'ide'}"
#define CD "{'media': 'cdrom'}"
#define FLOPPY "{'media': 'floppy'}"
#define AT(what) "{'path': '/a', 'hvinfo': {" what "}}"
#define SCSI_AT(what) "{'path': '/a', 'type': 'scsi-hd', 'hvinfo': {" what "}}"
#define IDE_AT(what) "{'path': '/a', 'type': 'ide', 'hvinfo': {" what "}}"
#define FLOPPY_AT(what) "{'media': 'floppy', 'hvinfo': {" what "}}"

static char *definition_text(const char *hv, const char *disks, const char *nics)
{
	_cleanup_free_ char *plain = xasprintf("{'name': 'a', 'hvparams': {%s}, 'disks': [%s], 'nics': [%s]}", hv,
					       disks, nics);

	return quoted(plain);
}

static void print_place(FILE *f, const struct hvinfo *h)
{
	fprintf(f, "%s%s", ftell(f) > 0 ? ", " : "", h->bus ? h->bus : h->driver);
	if (h->addr)
		fprintf(f, " %s", h->addr);
	if (h->scsi_id != PARAM_INT_NONE)
		fprintf(f, " %" PRId64 ":%" PRId64 ":%" PRId64, h->channel, h->scsi_id, h->lun);
	if (h->unit != PARAM_INT_NONE)
		fprintf(f, " %" PRId64, h->unit);
}

/* Where all of a stored definition sit, disks and then cards. */
static char *places_of(struct json_object *stored)
{
	struct definition def;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	ck_assert_ptr_nonnull(f);
	ck_assert(definition_decode(stored, &def, NULL));
	for (size_t i = 0; i < def.disks.n; i++)
		print_place(f, &definition_disk(&def, i)->hvinfo);
	for (size_t i = 0; i < def.nics.n; i++)
		print_place(f, &definition_nic(&def, i)->hvinfo);
	definition_clear(&def);
	ck_assert_int_eq(fclose(f), 0);
	return text;
}

/* ---- places ---- */

static const struct {
	const char *hv, *disks, *nics, *places;
} places[] = {
	{ PC, BLK ", " BLK, "{}, {}", "pci.0 0xc, pci.0 0xd, pci.0 0xe, pci.0 0xf" },
	{ Q35, BLK ", " BLK, "{}, {}", "rp0 0x0, rp1 0x0, rp2 0x0, rp3 0x0" },
	{ "'kvm_pci_reservations': 0", BLK ", " BLK, "", "pci.0 0xb, pci.0 0xc" },
	{ "'kvm_pci_reservations': 11", BLK, "", "pci.0 0xb" },
	{ "'kvm_pci_reservations': 20", BLK, "{}", "pci.0 0x14, pci.0 0x15" },
	{ "'kvm_pci_reservations': 31", BLK, "", "pci.0 0x1f" },
	{ MICROVM, BLK ", " BLK, "{}, {}", "pcie.0 0xc, pcie.0 0xd, pcie.0 0xe, pcie.0 0xf" },
	{ MICROVM, SCSI ", " CD ", " BLK, "{'type': 'pcnet'}", "scsi.0 0:0:0, scsi.0 0:1:0, pcie.0 0xc, pcie.0 0xd" },
	{ MICROVM ", 'kvm_pci_reservations': 20", BLK ", " AT("'addr': '11'"), "{'hvinfo': {'bus': 'pcie.0'}}",
	  "pcie.0 0x14, pcie.0 0xb, pcie.0 0xc" },
	/* cards that QEMU has on PCI, also behind a root port */
	{ Q35, "", "{'type': 'e1000'}, {'type': 'ne2k_isa'}, {'type': 'rtl8139'}", "rp0 0x0, isa.0, rp1 0x0" },
	{ PC, SCSI ", " CD ", " SCSI, "", "scsi.0 0:0:0, ide.0 0, scsi.0 0:1:0" },
	{ "'disk_type': 'scsi-hd'", BLK ", " CD ", " BLK, "", "scsi.0 0:0:0, scsi.0 0:1:0, scsi.0 0:2:0" },
	{ PC, IDE ", " IDE ", " CD ", " CD, "", "ide.0 0, ide.0 1, ide.1 0, ide.1 1" },
	{ Q35, IDE ", " IDE ", " CD, "", "ide.0 0, ide.1 0, ide.2 0" },
	{ PC, FLOPPY ", " FLOPPY, "", "floppy 0, floppy 1" },
	/* given places come before chosen ones */
	{ PC, BLK ", " AT("'addr': '0xc'") ", " AT("'addr': '0x1f'") ", " AT("'addr': '0xb'"), "{}",
	  "pci.0 0xd, pci.0 0xc, pci.0 0x1f, pci.0 0xb, pci.0 0xe" },
	{ Q35, BLK ", " AT("'bus': 'rp0'") ", " AT("'bus': 'rp23', 'addr': '0x0'"), "", "rp1 0x0, rp0 0x0, rp23 0x0" },
	{ PC, SCSI ", " SCSI_AT("'scsi-id': 255") ", " SCSI_AT("'scsi-id': 0, 'lun': 0, 'channel': 0"), "",
	  "scsi.0 0:1:0, scsi.0 0:255:0, scsi.0 0:0:0" },
	/* half a place */
	{ PC, IDE ", " IDE_AT("'unit': 1") ", " IDE_AT("'bus': 'ide.1'") ", " IDE_AT("'bus': 'ide.1'"), "",
	  "ide.0 0, ide.0 1, ide.1 0, ide.1 1" },
	{ PC, IDE_AT("'unit': 1") ", " IDE_AT("'unit': 1"), "", "ide.0 1, ide.1 1" },
	{ PC, AT("'bus': 'pci.0'") ", " SCSI_AT("'lun': 0"), "", "pci.0 0xb, scsi.0 0:0:0" },
	{ PC, FLOPPY_AT("'unit': 1") ", " FLOPPY, "", "floppy 1, floppy 0" },
	/* spellings */
	{ PC, AT("'addr': '0x0C'") ", " AT("'addr': '13'") ", " AT("'addr': '0XE.0'") ", " AT("'addr': '15.0x0'"), "",
	  "pci.0 0xc, pci.0 0xd, pci.0 0xe, pci.0 0xf" },
};

START_TEST(test_places)
{
	_cleanup_free_ char *text = definition_text(places[_i].hv, places[_i].disks, places[_i].nics);
	_cleanup_json_ struct json_object *stored = stored_over(text, NULL), *again = NULL;
	_cleanup_free_ char *seen = places_of(stored), *once = json_print(stored), *twice = NULL;

	ck_assert_str_eq(seen, places[_i].places);
	/* What is stored may be given again. */
	again = stored_over(once, NULL);
	twice = json_print(again);
	ck_assert_str_eq(once, twice);
}
END_TEST

/* ---- refusals ---- */

#define INVALID "InvalidParameter "

static const struct {
	const char *hv, *disks, *nics, *refusal;
} refusals[] = {
	{ PC, AT("'driver': 'scsi-hd'"), "", INVALID "disks[0].hvinfo.driver" },
	{ PC, AT("'id': 'disk-0'"), "", INVALID "disks[0].hvinfo.id" },
	{ PC, "{'uuid': '" UUID0 "', 'path': '/a', 'hvinfo': {'id': '" DISK1 "'}}", "", INVALID "disks[0].hvinfo.id" },
	{ PC, AT("'bus': 'pcie.0'"), "", INVALID "disks[0].hvinfo.bus" },
	{ PC, AT("'bus': 'rp0'"), "", INVALID "disks[0].hvinfo.bus" },
	{ PC, AT("'addr': '0x20'"), "", INVALID "disks[0].hvinfo.addr" },
	{ PC, AT("'addr': '32'"), "", INVALID "disks[0].hvinfo.addr" },
	{ PC, AT("'addr': '0c'"), "", INVALID "disks[0].hvinfo.addr" },
	{ PC, AT("'addr': '0xc.1'"), "", INVALID "disks[0].hvinfo.addr" },
	{ PC, AT("'addr': '-1'"), "", INVALID "disks[0].hvinfo.addr" },
	{ PC, AT("'addr': ' 12'"), "", INVALID "disks[0].hvinfo.addr" },
	{ PC, AT("'addr': '0x'"), "", INVALID "disks[0].hvinfo.addr" },
	/* the machine's own, there or not */
	{ PC, AT("'addr': '0x0'"), "", INVALID "disks[0].hvinfo.addr" },
	{ PC, AT("'addr': '0x8'"), "", INVALID "disks[0].hvinfo.addr" },
	{ "'kvm_pci_reservations': 0", AT("'addr': '0xa'"), "", INVALID "disks[0].hvinfo.addr" },
	{ PC, AT("'unit': 0"), "", INVALID "disks[0].hvinfo.unit" },
	{ PC, AT("'scsi-id': 0"), "", INVALID "disks[0].hvinfo.scsi-id" },
	{ PC, SCSI_AT("'addr': '0xc'"), "", INVALID "disks[0].hvinfo.addr" },
	{ PC, SCSI_AT("'bus': 'scsi.1'"), "", INVALID "disks[0].hvinfo.bus" },
	{ PC, SCSI_AT("'lun': 1"), "", INVALID "disks[0].hvinfo.lun" },
	{ PC, SCSI_AT("'channel': 1"), "", INVALID "disks[0].hvinfo.channel" },
	{ "'scsi_controller_type': 'lsi'", SCSI_AT("'scsi-id': 7"), "", INVALID "disks[0].hvinfo.scsi-id" },
	{ "'scsi_controller_type': 'megasas'", SCSI_AT("'scsi-id': 64"), "", INVALID "disks[0].hvinfo.scsi-id" },
	{ PC, IDE_AT("'bus': 'ide.2'"), "", INVALID "disks[0].hvinfo.bus" },
	{ Q35, IDE_AT("'bus': 'ide.6'"), "", INVALID "disks[0].hvinfo.bus" },
	{ Q35, IDE_AT("'unit': 1"), "", INVALID "disks[0].hvinfo.unit" },
	{ PC, FLOPPY_AT("'bus': 'floppy-bus.0'"), "", INVALID "disks[0].hvinfo.bus" },
	{ Q35, AT("'bus': 'rp24'"), "", INVALID "disks[0].hvinfo.bus" },
	{ Q35 ", 'pcie_root_ports': 2", AT("'bus': 'rp2'"), "", INVALID "disks[0].hvinfo.bus" },
	{ Q35, AT("'bus': 'rp0', 'addr': '0x1'"), "", INVALID "disks[0].hvinfo.addr" },
	{ Q35, AT("'bus': 'pcie.0', 'addr': '0x1'"), "", INVALID "disks[0].hvinfo.bus" },
	{ MICROVM, AT("'bus': 'pci.0'"), "", INVALID "disks[0].hvinfo.bus" },
	{ MICROVM, AT("'bus': 'pcie.0', 'addr': '0x8'"), "", INVALID "disks[0].hvinfo.addr" },
	{ MICROVM, AT("'bus': 'rp0'"), "", INVALID "disks[0].hvinfo.bus" },
	{ PC, "", "{'hvinfo': {'addr': '0x5'}}", INVALID "nics[0].hvinfo.addr" },
	{ PC, "", "{'type': 'ne2k_isa', 'hvinfo': {'addr': '0xc'}}", INVALID "nics[0].hvinfo.addr" },
	/* taken */
	{ PC, AT("'addr': '0xc'") ", " AT("'addr': '12'"), "", INVALID "disks[1].hvinfo.addr" },
	{ PC, AT("'addr': '0xc'"), "{'hvinfo': {'bus': 'pci.0', 'addr': '0xc'}}", INVALID "nics[0].hvinfo.addr" },
	{ Q35, AT("'bus': 'rp1'"), "{'hvinfo': {'bus': 'rp1', 'addr': '0x0'}}", INVALID "nics[0].hvinfo.bus" },
	{ PC, SCSI_AT("'scsi-id': 3") ", " SCSI_AT("'scsi-id': 3, 'lun': 0"), "", INVALID "disks[1].hvinfo.scsi-id" },
	{ PC, IDE_AT("'bus': 'ide.0', 'unit': 1") ", " IDE_AT("'bus': 'ide.0', 'unit': 1"), "",
	  INVALID "disks[1].hvinfo.unit" },
	{ PC, FLOPPY_AT("'unit': 1") ", " FLOPPY_AT("'unit': 1"), "", INVALID "disks[1].hvinfo.unit" },
	/* full */
	{ PC, IDE_AT("'unit': 1") ", " IDE_AT("'unit': 1") ", " IDE_AT("'unit': 1"), "", "NoSlot disks[2]" },
	{ "'kvm_pci_reservations': 32", BLK, "", "NoSlot disks[0]" },
	{ Q35 ", 'pcie_root_ports': 0", "", "{}", "NoSlot nics[0]" },
	{ PC, "", "{'type': 'ne2k_isa'}, {'type': 'ne2k_isa'}", "NoSlot nics[1]" },
	{ PC, FLOPPY ", " FLOPPY ", " FLOPPY, "", "NoSlot disks[2]" },
};

START_TEST(test_refusals)
{
	_cleanup_free_ char *text = definition_text(refusals[_i].hv, refusals[_i].disks, refusals[_i].nics);
	_cleanup_free_ char *refusal = refusal_over(text, NULL);

	ck_assert_msg(str_eq(refusal, refusals[_i].refusal), "%s: %s", text, refusal);
}
END_TEST

/* ---- as many as there are ---- */

static const struct {
	const char *hv, *disk;
	int count;
	const char *last;
} capacities[] = {
	{ PC, BLK, 20, "pci.0 0x1f" },
	{ "'kvm_pci_reservations': 0", BLK, 21, "pci.0 0x1f" },
	{ MICROVM, BLK, 20, "pcie.0 0x1f" },
	{ Q35, BLK, 24, "rp23 0x0" },
	{ Q35 ", 'pcie_root_ports': 104", BLK, 104, "rp103 0x0" },
	{ PC, SCSI, 256, "scsi.0 0:255:0" },
	{ "'scsi_controller_type': 'lsi'", SCSI, 7, "scsi.0 0:6:0" },
	{ Q35 ", 'scsi_controller_type': 'megasas'", SCSI, 64, "scsi.0 0:63:0" },
	{ PC, IDE, 4, "ide.1 1" },
	{ Q35, IDE, 6, "ide.5 0" },
};

START_TEST(test_capacity)
{
	_cleanup_free_ char *list = xstrdup(capacities[_i].disk), *text = NULL, *seen = NULL, *expected = NULL;
	_cleanup_free_ char *more = NULL, *refusal = NULL;
	_cleanup_json_ struct json_object *stored = NULL;

	for (int i = 1; i < capacities[_i].count; i++) {
		_cleanup_free_ char *shorter = list;

		list = xasprintf("%s, %s", shorter, capacities[_i].disk);
	}
	text = definition_text(capacities[_i].hv, list, "");
	stored = stored_over(text, NULL);
	seen = places_of(stored);
	ck_assert_str_eq(seen + strlen(seen) - strlen(capacities[_i].last), capacities[_i].last);
	free(TAKE_PTR(text));
	more = xasprintf("%s, %s", list, capacities[_i].disk);
	text = definition_text(capacities[_i].hv, more, "");
	refusal = refusal_over(text, NULL);
	expected = xasprintf("NoSlot disks[%d]", capacities[_i].count);
	ck_assert_str_eq(refusal, expected);
}
END_TEST

/* ---- who stays ---- */

#define A "'path': '/a', 'uuid': '" UUID0 "'"
#define B "'path': '/b', 'uuid': '" UUID1 "'"
#define C "'path': '/c', 'uuid': '" UUID2 "'"
#define D "'path': '/d'"

static const struct {
	const char *old_hv, *old_disks, *hv, *disks, *places;
} stays[] = {
	/* others go, one comes */
	{ PC, "{" A "}, {" B "}", PC, "{" B "}", "pci.0 0xd" },
	{ PC, "{" A "}, {" B "}", PC, "{" C "}, {" B "}", "pci.0 0xc, pci.0 0xd" },
	{ PC, "{" A "}, {" B "}", PC, "{" B "}, {" C "}, {" A "}", "pci.0 0xd, pci.0 0xe, pci.0 0xc" },
	{ PC, "{" A "}", "'kvm_pci_reservations': 20", "{" A "}, {" B "}", "pci.0 0xc, pci.0 0x14" },
	/* what it says of itself that is no place */
	{ PC, "{" A "}, {" B "}", PC, "{" B ", 'hvinfo': {'driver': 'virtio-blk-pci', 'id': '" DISK1 "'}}",
	  "pci.0 0xd" },
	/* a place that was asked for, once */
	{ PC, "{" A ", 'hvinfo': {'addr': '0x1e'}}", PC, "{" A "}", "pci.0 0x1e" },
	{ PC, "{" A "}", PC, "{" A ", 'hvinfo': {'addr': '0x1e'}}", "pci.0 0x1e" },
	/* another device, another machine */
	{ PC, "{" A "}, {" B "}", PC, "{" A "}, {" B ", 'type': 'scsi-hd'}", "pci.0 0xc, scsi.0 0:0:0" },
	{ PC, "{" A "}, {" B "}", Q35, "{" B "}, {" A "}", "rp0 0x0, rp1 0x0" },
	{ PC, "{" A "}, {" B "}", MICROVM, "{" B "}, {" A "}", "pcie.0 0xc, pcie.0 0xd" },
	{ MICROVM, "{" A "}, {" B "}", MICROVM, "{" B "}", "pcie.0 0xd" },
	{ Q35, "{" A "}, {" B "}", Q35 ", 'pcie_root_ports': 1", "{" B "}", "rp0 0x0" },
	{ PC, "{" A ", 'type': 'scsi-hd', 'hvinfo': {'scsi-id': 200}}", "'scsi_controller_type': 'lsi'",
	  "{" A ", 'type': 'scsi-hd'}", "scsi.0 0:0:0" },
	{ PC, "{" A ", 'type': 'scsi-hd', 'hvinfo': {'scsi-id': 5}}", "'scsi_controller_type': 'lsi'",
	  "{" A ", 'type': 'scsi-hd'}", "scsi.0 0:5:0" },
};

START_TEST(test_stays)
{
	_cleanup_free_ char *before = definition_text(stays[_i].old_hv, stays[_i].old_disks, "");
	_cleanup_free_ char *after = definition_text(stays[_i].hv, stays[_i].disks, ""), *seen = NULL;
	_cleanup_json_ struct json_object *old = stored_over(before, NULL), *stored = stored_over(after, old);

	seen = places_of(stored);
	ck_assert_str_eq(seen, stays[_i].places);
}
END_TEST

/* What runs was made of RUNNING, and is in the way of nobody's next start. */
static const struct {
	const char *running_hv, *running, *old_hv, *old, *hv, *disks, *places;
} returns[] = {
	/* back to the kind that runs, and to its place */
	{ PC, "{" A "}, {" B "}", "'disk_type': 'scsi-hd'", "{" A "}, {" B "}", PC, "{" B "}, {" A "}",
	  "pci.0 0xd, pci.0 0xc" },
	{ PC, "{" A ", 'hvinfo': {'addr': '0x1e'}}", Q35, "{" A "}", PC, "{" A "}", "pci.0 0x1e" },
	/* one that comes meanwhile does not take it, unless no other is free or it asks for it */
	{ PC, "{" A "}", "'disk_type': 'scsi-hd'", "{" A "}", "'disk_type': 'scsi-hd'",
	  "{" A "}, {" B ", 'type': 'paravirtual'}", "scsi.0 0:0:0, pci.0 0xd" },
	{ PC, "{" A "}", PC, "{" A "}", PC, "{" B "}", "pci.0 0xd" },
	{ "'kvm_pci_reservations': 31", "{" A "}", "'kvm_pci_reservations': 31", "{" A "}",
	  "'kvm_pci_reservations': 31", "{" B "}", "pci.0 0x1f" },
	{ PC, "{" A "}", PC, "{" A "}", PC, "{" B ", 'hvinfo': {'addr': '0xc'}}", "pci.0 0xc" },
	/* and then it is not free any more */
	{ PC, "{" A "}", PC, "{" B ", 'hvinfo': {'addr': '0xc'}}", PC, "{" A "}, {" B "}", "pci.0 0xd, pci.0 0xc" },
	/* another model of the same bus */
	{ PC, "{" A ", 'type': 'scsi-hd'}", PC, "{" A ", 'type': 'scsi-hd'}", PC,
	  "{" A ", 'type': 'scsi-cd', 'media': "
	  "'cdrom'}",
	  "scsi.0 0:0:0" },
};

START_TEST(test_returns)
{
	_cleanup_free_ char *runs = definition_text(returns[_i].running_hv, returns[_i].running, "");
	_cleanup_free_ char *before = definition_text(returns[_i].old_hv, returns[_i].old, "");
	_cleanup_free_ char *after = definition_text(returns[_i].hv, returns[_i].disks, ""), *seen = NULL;
	_cleanup_json_ struct json_object *running = stored_over(runs, NULL), *old = stored_over(before, NULL),
					  *given = parse(after), *stored = NULL;

	stored = definition_store(
		given, &(struct definition_context){ .old = old, .running = running, .next_start = true }, NULL);
	ck_assert_ptr_nonnull(stored);
	seen = places_of(stored);
	ck_assert_str_eq(seen, returns[_i].places);
}
END_TEST

/* What comes while it runs: a place of what runs is taken, also that of A, which is on SCSI the next time. Nobody in the
 * definition is blamed for its own: B was given the place of one that runs. */
static const struct {
	const char *disk, *places; /* or what it is refused for */
} comes[] = {
	{ "{" D "}", "scsi.0 0:0:0, pci.0 0xd, pci.0 0xe" },
	{ "{" D ", 'hvinfo': {'addr': '0x1f'}}", "scsi.0 0:0:0, pci.0 0xd, pci.0 0x1f" },
	{ "{" D ", 'hvinfo': {'addr': '0xc'}}", "InvalidParameter disks[2].hvinfo.addr" },
};

START_TEST(test_comes)
{
	_cleanup_free_ char *runs = definition_text(PC, "{" A "}, {" C "}", ""), *seen = NULL;
	_cleanup_free_ char *before = definition_text(
		PC, "{" A ", 'type': 'scsi-hd'}, {" B ", 'hvinfo': {'addr': '0xd'}}", "");
	_cleanup_free_ char *disk = quoted(comes[_i].disk);
	_cleanup_json_ struct json_object *running = stored_over(runs, NULL), *old = stored_over(before, NULL),
					  *given = NULL, *stored = NULL;
	_cleanup_err_ struct err *e = NULL;

	json_object_deep_copy(old, &given, NULL);
	json_object_array_add(json_object_object_get(given, "disks"), parse(disk));
	stored = definition_store(given, &(struct definition_context){ .old = old, .running = running }, &e);
	seen = stored ? places_of(stored) :
			xasprintf("%s %s", err_class_info(e->class)->name, json_get_str(e->extra, "parameter"));
	ck_assert_str_eq(seen, comes[_i].places);
}
END_TEST

static const char *id_of(struct json_object *stored)
{
	struct json_object *disk = json_object_array_get_idx(json_object_object_get(stored, "disks"), 0);

	return json_get_str(json_object_object_get(disk, "hvinfo"), "id");
}

/* A device that Ganeti named by its slot is called so as long as it is there. */
START_TEST(test_old_id)
{
	_cleanup_free_ char *before = definition_text(
		PC, "{" A ", 'hvinfo': {'id': 'hotdisk-932df160-pci-13', 'addr': '0xd'}}", "");
	_cleanup_free_ char *after = definition_text(PC, "{" A "}", ""), *moved = definition_text(Q35, "{" A "}", "");
	_cleanup_json_ struct json_object *old = stored_over(before, NULL), *same = stored_over(after, old),
					  *other = stored_over(moved, old);

	ck_assert_str_eq(id_of(same), "hotdisk-932df160-pci-13");
	ck_assert_str_eq(id_of(other), DISK0);
}
END_TEST

/* Nobody is moved for somebody who asks for his place. */
START_TEST(test_no_eviction)
{
	_cleanup_free_ char *before = definition_text(PC, "{" A "}", "");
	_cleanup_free_ char *after = definition_text(PC, "{" B ", 'hvinfo': {'addr': '0xc'}}, {" A "}", "");
	_cleanup_json_ struct json_object *old = stored_over(before, NULL);
	_cleanup_free_ char *refusal = refusal_over(after, old);

	ck_assert_str_eq(refusal, "InvalidParameter disks[0].hvinfo.addr");
}
END_TEST

/* ---- beside what runs ---- */

static const struct {
	const char *hv, *there, *next_hv, *disks, *places; /* THERE: of the machine that runs, and was defined last */
} beside[] = {
	{ PC, "{" A "}", PC, "{" C "}", "pci.0 0xd" },
	{ PC, "{" A "}", PC, "{" C "}, {" A "}", "pci.0 0xd, pci.0 0xc" },
	/* it moves, and has its place until it has */
	{ PC, "{" A "}", PC, "{" A ", 'type': 'scsi-hd'}, {" B "}", "scsi.0 0:0:0, pci.0 0xd" },
	{ PC, "{" A "}", PC, "{" A ", 'hvinfo': {'addr': '0xf'}}, {" B "}", "pci.0 0xf, pci.0 0xd" },
	/* where nothing is plugged */
	{ PC, "{" A ", 'type': 'ide'}", PC, "{" C ", 'type': 'ide'}", "ide.0 0" },
	{ MICROVM, "{" A "}", MICROVM, "{" C "}", "pcie.0 0xc" },
	/* another machine */
	{ Q35, "{" A "}", PC, "{" C "}", "pci.0 0xc" },
	{ Q35, "{" A ", 'type': 'scsi-hd'}", PC, "{" C ", 'type': 'scsi-hd'}", "scsi.0 0:1:0" },
};

START_TEST(test_beside)
{
	_cleanup_free_ char *before = definition_text(beside[_i].hv, beside[_i].there, ""), *seen = NULL;
	_cleanup_free_ char *after = definition_text(beside[_i].next_hv, beside[_i].disks, "");
	_cleanup_json_ struct json_object *there = stored_over(before, NULL), *given = parse(after), *stored = NULL;

	stored = definition_store(
		given, &(struct definition_context){ .old = there, .running = there, .next_start = true }, NULL);
	ck_assert_ptr_nonnull(stored);
	seen = places_of(stored);
	ck_assert_str_eq(seen, beside[_i].places);
}
END_TEST

START_TEST(test_driver_and_id)
{
	_cleanup_free_ char *text = definition_text(PC, "{" A "}", "{'uuid': '" UUID1 "'}");
	struct definition def;

	settle(text, &def);
	ck_assert_str_eq(definition_disk(&def, 0)->hvinfo.driver, "virtio-blk-pci");
	ck_assert_str_eq(definition_disk(&def, 0)->hvinfo.id, DISK0);
	ck_assert_str_eq(definition_nic(&def, 0)->hvinfo.driver, "virtio-net-pci");
	ck_assert_str_eq(definition_nic(&def, 0)->hvinfo.id, NIC1);
	definition_clear(&def);
}
END_TEST

/* ---- the map ---- */

static const struct {
	const char *hv, *disks, *nics, *map;
} maps[] = {
	{ PC, "{" A "}", "{'uuid': '" UUID1 "'}",
	  "[{'bus':'pci.0','first':12,'last':31,'free':18,'used':{'0xc':'" DISK0 "','0xd':'" NIC1 "'}}]" },
	{ MICROVM, "{" A ", 'hvinfo': {'addr': '0xb'}}", "{'uuid': '" UUID1 "'}",
	  "[{'bus':'pcie.0','first':12,'last':31,'free':19,'used':{'0xb':'" DISK0 "','0xc':'" NIC1 "'}}]" },
	{ "'kvm_pci_reservations': 2", "", "", "[{'bus':'pci.0','first':11,'last':31,'free':21,'used':{}}]" },
	/* a place before the first that is chosen does not make fewer of these */
	{ "'kvm_pci_reservations': 30", "{" A ", 'hvinfo': {'addr': '0xb'}}", "",
	  "[{'bus':'pci.0','first':30,'last':31,'free':2,'used':{'0xb':'" DISK0 "'}}]" },
	{ Q35 ", 'pcie_root_ports': 4", "{" A ", 'hvinfo': {'bus': 'rp3'}}", "",
	  "[{'bus':'rp','first':0,'last':3,'free':3,'used':{'rp3':'" DISK0 "'}},"
	  "{'bus':'scsi.0','first':0,'last':255,'free':256,'used':{}}]" },
	{ "'scsi_controller_type': 'lsi'",
	  "{" A ", 'type': 'scsi-hd'}, {" B ", 'type': 'ide'}, {'media': 'floppy', 'uuid': '" UUID2 "'}", "",
	  "[{'bus':'pci.0','first':12,'last':31,'free':20,'used':{}},"
	  "{'bus':'scsi.0','first':0,'last':6,'free':6,'used':{'0':'" DISK0 "'}},"
	  "{'bus':'ide.0','first':0,'last':1,'free':1,'used':{'0':'" DISK1 "'}},"
	  "{'bus':'floppy','first':0,'last':1,'free':1,'used':{'0':'" DISK2 "'}}]" },
	{ Q35 ", 'pcie_root_ports': 0", "{" A ", 'type': 'ide', 'hvinfo': {'bus': 'ide.5'}}", "",
	  "[{'bus':'rp','first':0,'last':-1,'free':0,'used':{}},"
	  "{'bus':'scsi.0','first':0,'last':255,'free':256,'used':{}},"
	  "{'bus':'ide.5','first':0,'last':0,'free':0,'used':{'0':'" DISK0 "'}}]" },
	{ "'kvm_pci_reservations': 32", "", "{'type': 'ne2k_isa', 'uuid': '" UUID0 "'}",
	  "[{'bus':'pci.0','first':32,'last':31,'free':0,'used':{}},"
	  "{'bus':'isa.0','first':0,'last':0,'free':0,'used':{'0':'" NIC0 "'}}]" },
};

START_TEST(test_map)
{
	_cleanup_free_ char *text = definition_text(maps[_i].hv, maps[_i].disks, maps[_i].nics);
	_cleanup_free_ char *expected = quoted(maps[_i].map), *seen = NULL;
	_cleanup_json_ struct json_object *map = NULL;
	struct definition def;

	settle(text, &def);
	map = slots_describe(&def, NULL);
	seen = json_print(map);
	ck_assert_str_eq(seen, expected);
	definition_clear(&def);
}
END_TEST

/* A device that has another place the next time has two; and one of Ganeti's oldest is called as it is. */
START_TEST(test_map_of_two)
{
	_cleanup_free_ char *next = definition_text(PC, "{" A ", 'type': 'scsi-hd'}", "");
	_cleanup_free_ char *now = definition_text(
		PC, "{" A "}, {" B ", 'hvinfo': {'id': 'hotdisk-932df161-pci-31', 'addr': '0x1f'}}", "");
	_cleanup_free_ char *expected = quoted("[{'bus':'pci.0','first':12,'last':31,'free':18,'used':{'0xc':'" DISK0
					       "','0x1f':'hotdisk-932df161-pci-31'}},"
					       "{'bus':'scsi.0','first':0,'last':255,'free':255,'used':{'0':'" DISK0
					       "'}}]");
	_cleanup_free_ char *seen = NULL;
	_cleanup_json_ struct json_object *map = NULL;
	struct definition def, running;

	settle(next, &def);
	settle(now, &running);
	map = slots_describe(&def, &running);
	seen = json_print(map);
	ck_assert_str_eq(seen, expected);
	definition_clear(&def);
	definition_clear(&running);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("slots");
	TCase *tc = tcase_create("slots");
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, tc);
	tcase_add_loop_test(tc, test_places, 0, ARRAY_SIZE(places));
	tcase_add_loop_test(tc, test_refusals, 0, ARRAY_SIZE(refusals));
	tcase_add_loop_test(tc, test_capacity, 0, ARRAY_SIZE(capacities));
	tcase_add_loop_test(tc, test_stays, 0, ARRAY_SIZE(stays));
	tcase_add_loop_test(tc, test_returns, 0, ARRAY_SIZE(returns));
	tcase_add_loop_test(tc, test_comes, 0, ARRAY_SIZE(comes));
	tcase_add_test(tc, test_old_id);
	tcase_add_test(tc, test_no_eviction);
	tcase_add_loop_test(tc, test_beside, 0, ARRAY_SIZE(beside));
	tcase_add_test(tc, test_driver_and_id);
	tcase_add_loop_test(tc, test_map, 0, ARRAY_SIZE(maps));
	tcase_add_test(tc, test_map_of_two);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
