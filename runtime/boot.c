/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/boot.h"

#include "runtime/media.h"

const char *const boot_orders[] = { "disk", "cdrom", "floppy", "network", NULL };

static const struct {
	enum disk_media media; /* of all but the network */
	const char *lacking, *what;
} kinds[] = {
	[BOOT_DISK] = { MEDIA_DISK, "has no disk", "needs a disk" },
	[BOOT_CDROM] = { MEDIA_CDROM, "has no CD-ROM to boot",
			 "needs a CD-ROM: 'cdrom_image_path', or a disk of media cdrom" },
	[BOOT_FLOPPY] = { MEDIA_FLOPPY, "has no floppy",
			  "needs a floppy: 'floppy_image_path', or a disk of media floppy" },
	[BOOT_NETWORK] = { .lacking = "has no network card", .what = "needs a network card in 'nics'" },
};

int boot_once_of(const char *word)
{
	for (int i = 0; word && boot_orders[i]; i++)
		if (str_eq(boot_orders[i], word))
			return 1 + i;
	return BOOT_AS_DEFINED;
}

/* Which disk or card it is that boots first; SIZE_MAX: there is none. */
static size_t first_of(const struct definition *def, enum boot_order order)
{
	if (order == BOOT_NETWORK)
		return def->nics.n ? 0 : SIZE_MAX;
	return media_first(def, kinds[order].media);
}

static bool is_first(const struct definition *def, enum boot_order order, bool nic, size_t i)
{
	return nic == (order == BOOT_NETWORK) && first_of(def, order) == i;
}

static bool has_bootindex(const struct definition *def)
{
	for (size_t i = 0; i < def->disks.n; i++)
		if (definition_disk(def, i)->bootindex != PARAM_INT_NONE)
			return true;
	return false;
}

/* By the definition alone. */
static int64_t index_of(const struct definition *def, bool nic, size_t i)
{
	if (!str_empty(def->hvparams.kernel_path))
		return PARAM_INT_NONE;
	if (has_bootindex(def))
		return nic ? PARAM_INT_NONE : definition_disk(def, i)->bootindex;
	return is_first(def, (enum boot_order)def->hvparams.boot_order, nic, i) ? 1 : PARAM_INT_NONE;
}

/* How many of the disks come before INDEX. */
static int64_t count_before(const struct definition *def, int64_t index)
{
	int64_t n = 0;

	for (size_t i = 0; i < def->disks.n; i++) {
		int64_t other = index_of(def, false, i);

		n += other != PARAM_INT_NONE && other < index;
	}
	return n;
}

/* In front of all, whose numbers may be as high as they get: so these are made anew. */
static int64_t index_once(const struct definition *def, int once, bool nic, size_t i)
{
	int64_t index = index_of(def, nic, i);

	if (once == BOOT_AS_DEFINED || !str_empty(def->hvparams.kernel_path))
		return index;
	if (is_first(def, (enum boot_order)(once - 1), nic, i))
		return 1;
	return index == PARAM_INT_NONE ? index : 2 + count_before(def, index);
}

int64_t boot_disk_index(const struct definition *def, int once, size_t disk)
{
	return index_once(def, once, false, disk);
}

int64_t boot_nic_index(const struct definition *def, int once, size_t nic)
{
	return index_once(def, once, true, nic);
}

bool boot_check(const struct definition *def, struct err **e)
{
	enum boot_order order = (enum boot_order)def->hvparams.boot_order;

	return order == BOOT_DISK || first_of(def, order) != SIZE_MAX ||
	       err_set_param(e, "hvparams.boot_order", "'%s' %s", boot_orders[order], kinds[order].what);
}

bool boot_check_once(const struct definition *def, int once, struct err **e)
{
	if (once == BOOT_AS_DEFINED)
		return true;
	if (!str_empty(def->hvparams.kernel_path))
		return err_set_param(e, "boot", "'%s' boots its kernel_path", def->name);
	return first_of(def, (enum boot_order)(once - 1)) != SIZE_MAX ||
	       err_set_param(e, "boot", "'%s' %s", def->name, kinds[once - 1].lacking);
}
