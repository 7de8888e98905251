/* SPDX-License-Identifier: BSD-2-Clause */
#include "qmp/quirks.h"

#include "base/cleanup.h"

#include <assert.h>

static const struct quirk_info quirks[] = {
	[QUIRK_REMOVE_FD_NEEDS_RUNNING] = { "remove-fd-needs-running",
					    "remove-fd of a guest that does not run succeeds and keeps the descriptor.",
					    "A set that was filled and emptied before the start is still listed." },
	[QUIRK_DEVICE_ADD_TAKES_TEXT] = { "device_add-takes-text",
					  "device_add turns numbers and booleans into text and back, and drops lists.",
					  "A number as name of the driver is looked up as text." },
	[QUIRK_STREAM_STAYS_DOWN] = { "netdev-stream-stays-down",
				      "A network back end of type stream does not connect again when its peer has "
				      "died.",
				      "The schema has neither 'reconnect' nor 'reconnect-ms' there." },
};
static_assert(ARRAY_SIZE(quirks) == QUIRK_COUNT, "one row per quirk");

const struct quirk_info *quirk_info(enum quirk q)
{
	return &quirks[q];
}

enum quirk quirk_from_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(quirks); i++)
		if (str_eq(quirks[i].name, name))
			return (enum quirk)i;
	return QUIRK_NONE;
}
