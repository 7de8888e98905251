/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What some QEMUs do differently, by name. drover-probe sees a quirk in what a binary does or declares; no version is
 * ever compared, for distributions carry changes back.
 */
#ifndef DROVER_QMP_QUIRKS_H
#define DROVER_QMP_QUIRKS_H

enum quirk {
	QUIRK_REMOVE_FD_NEEDS_RUNNING,
	QUIRK_DEVICE_ADD_TAKES_TEXT,
	QUIRK_STREAM_STAYS_DOWN,
	QUIRK_COUNT,
	QUIRK_NONE = -1,
};

struct quirk_info {
	const char *name; /* in query-host, and in what drover-probe prints */
	const char *doc;
	const char *seen; /* how the probe tells */
};

const struct quirk_info *quirk_info(enum quirk q);
/* QUIRK_NONE for a name nobody knows. */
enum quirk quirk_from_name(const char *name);

#endif
