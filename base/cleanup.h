/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ownership made visible, and the few helpers that C lacks.
 *
 * A variable marked _cleanup_(f) is released when its scope ends; TAKE_PTR and TAKE_FD hand it
 * on and leave NULL or -1 behind. x_free() functions accept NULL and return NULL. The x-allocators
 * never fail: out of memory ends the process (the guests do not depend on it).
 */
#ifndef DROVER_BASE_CLEANUP_H
#define DROVER_BASE_CLEANUP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _unused_ __attribute__((unused))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* The member of that type at an offset, of a table's row. */
#define MEMBER_AT(ptr, type, offset) (*(type const *)(const void *)((const char *)(ptr) + (offset)))

#define TAKE_PTR(p)                     \
	({                              \
		__typeof__(p) _p = (p); \
		(p) = NULL;             \
		_p;                     \
	})
#define TAKE_FD(fd)             \
	({                      \
		int _fd = (fd); \
		(fd) = -1;      \
		_fd;            \
	})

/* Defines NAMEp(), the _cleanup_ function of a type whose destructor is FREE. */
#define DEFINE_CLEANUP(type, free_fn, name) \
	static inline void name(type *p)    \
	{                                   \
		if (*p)                     \
			free_fn(*p);        \
	}

static inline void freep(void *p)
{
	free(*(void **)p);
}
#define _cleanup_free_ _cleanup_(freep)

void closep(int *fd);
#define _cleanup_close_ _cleanup_(closep)

/* Closes fd if it is one, keeps errno, returns -1. */
int fd_close(int fd);

void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n, size_t size);
char *xstrdup(const char *s); /* NULL gives NULL */
char *xstrndup(const char *s, size_t n);
void *xmemdup(const void *p, size_t n);
char *xasprintf(const char *fmt, ...) _printf_(1, 2);
char *xvasprintf(const char *fmt, va_list ap) _printf_(1, 0);
/* The strings of a list that ends with NULL, as an argv does, and the list. */
char **argv_free(char **argv);
DEFINE_CLEANUP(char **, argv_free, argv_freep)

/* Seconds since the epoch, fractional: the wire's points in time. */
double time_now(void);

static inline bool str_empty(const char *s)
{
	return !s || !*s;
}
bool str_eq(const char *a, const char *b); /* NULL equals NULL only */
bool str_starts(const char *s, const char *prefix);

#endif
