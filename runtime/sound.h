/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * soundhw: a sound card, heard by a SPICE client where there can be one, else by nobody. Pure.
 */
#ifndef DROVER_RUNTIME_SOUND_H
#define DROVER_RUNTIME_SOUND_H

#include "runtime/device.h"

/* Unsupported: the binary has no such card. */
bool sound_fits(const struct definition *def, const struct argv_env *env, struct err **e);
/* What -audiodev says, as JSON; NULL: there is no card. The caller's. */
struct json_object *sound_audiodev(const struct hvparams *hv);
/* What -machine says of it: "" or ",pcspk-audiodev=audio0". */
const char *sound_machine(const struct hvparams *hv);
void sound_parts(const struct definition *def, const struct argv_env *env, struct parts *parts);

#endif
