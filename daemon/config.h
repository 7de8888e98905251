/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's configuration: droverd.json in etc, which may be absent. It is read once, at the start; a member that is unknown or
 * wrong is an error that names it, and droverd does not start.
 */
#ifndef DROVER_DAEMON_CONFIG_H
#define DROVER_DAEMON_CONFIG_H

#include "base/param.h"

#include <sys/types.h>

struct config {
	struct json_object *hvparams;   /* NULL: none */
	uid_t uid_first, uid_last;      /* both included */
	unsigned port_first, port_last; /* of displays; the same */
};

extern const struct param config_rows[];

/* ETC: the directory. What *C held is not freed. */
bool config_read(struct config *c, const char *etc, struct err **e);
/* Adds to a definition the hvparams that it does not say. */
void config_complete(const struct config *c, struct json_object *given);

#endif
