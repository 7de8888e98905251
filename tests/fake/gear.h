/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a command line gave fake-qemu besides its monitors: fd sets, block nodes, character devices; and what QEMU says of
 * them. Nothing is opened.
 */
#ifndef DROVER_TESTS_GEAR_H
#define DROVER_TESTS_GEAR_H

#include "base/json.h"

struct gear {
	struct json_object *sets, *nodes, *devices, *chardevs; /* arrays, in the order of the command line */
};

void gear_init(struct gear *g);
void gear_option(struct gear *g, const char *option, const char *value);

/* Replies; the caller's. FULL: of the disk that the guest cannot write to. */
struct json_object *gear_fdsets(const struct gear *g);
struct json_object *gear_nodes(const struct gear *g);
struct json_object *gear_block(const struct gear *g, const char *io_status);
struct json_object *gear_chardevs(const struct gear *g);
/* False: there is none of this number. */
bool gear_empty_set(struct gear *g, int64_t number);

#endif
