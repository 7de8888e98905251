/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes in texts: base64 of RFC 4648, with padding.
 */
#ifndef DROVER_BASE_BASE64_H
#define DROVER_BASE_BASE64_H

#include <stddef.h>

/* The caller's. */
char *base64_encode(const void *bytes, size_t n);
/* NULL: it is none. What it says is the caller's, *N bytes. */
void *base64_decode(const char *text, size_t *n);

#endif
