/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A QEMU without a droverd: started from the command line that a definition makes, over images made for it, and asked
 * by a QMP client that knows no better. The binary is the one in PATH.
 */
#ifndef DROVER_TESTS_BARE_H
#define DROVER_TESTS_BARE_H

#include "runtime/device.h"

#include <check.h>
#include <sys/types.h>

/* Where the package ovmf has its images. */
#define BARE_OVMF "/usr/share/OVMF/OVMF_"

struct bare {
	struct definition def; /* as stored */
	struct argv_files files;
	char *dir, *binary, **argv;
	pid_t pid, tpm_pid; /* tpm_pid 0: without a TPM */
	int tpm;
	int qmp, listeners[FD_COUNT]; /* -1: none */
	int *images;                  /* as files */
	int *taps;                    /* on bridges that were made for them, in our network namespace */
	size_t n_taps;
	int *memory; /* of its memory's files */
	size_t n_memory;
	struct json_reader *reader;
	struct json_object *types; /* device-list-properties, by type */
};

/* Starts it, stopped before its first instruction, and shakes hands. JSON: a definition; the paths in it are not
 * opened, and a kernel's are those of the test guest. */
struct bare *bare_start(const char *json);
/* Another definition of the same machine, for what is plugged later: its images are opened, sets counted on. */
void bare_redefine(struct bare *b, const char *json);
void bare_free(struct bare *b);
/* Its return; the caller's. ARGS is consumed and may be NULL. FD: sent with it, or -1. */
struct json_object *bare_ask(struct bare *b, const char *command, struct json_object *args, int fd);
/* The same, with ARGS as JSON with ', printf-like. */
struct json_object *bare_askf(struct bare *b, const char *command, const char *args, ...) _printf_(3, 4);
/* The environment of a binary that has what this one says. */
struct argv_env bare_env(struct bare *b, bool asked);
/* Its command line, in which files stand for what would be reached through a network. */
char **bare_argv(struct bare *b, bool asked);
/* Whether the binary in PATH has a device. */
bool bare_has(const char *driver);
/* A connection to one of the listening sockets. */
int bare_connect(struct bare *b, int fd_number);

#endif
