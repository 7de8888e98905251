/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A QEMU that somebody else started, as Ganeti does: finding it, and the run directory by which adopt() finds it from then on.
 *
 * It has no lock and no keeper (process.h: adopted.json has their place), and its monitors listen in another directory:
 * qmp.sock, qmp2.sock and serial.sock of the run directory are links to them. Its block nodes are called as their devices
 * are, with nothing above or below them that has a name; its taps are its own.
 */
#ifndef DROVER_RUNTIME_FOREIGN_H
#define DROVER_RUNTIME_FOREIGN_H

#include "base/file_work.h"
#include "runtime/instance.h"

/* What is looked for. */
struct foreign_wanted {
	const char *name, *uuid; /* UUID NULL: any */
	const char *pidfile;     /* or NULL */
	const char *control;     /* where NAME.qmp, NAME.kvmd and NAME.serial are */
};

struct foreign {
	pid_t pid;               /* 0: it does not run */
	uint64_t start_time;     /* with the pid: who it is */
	char *binary;            /* what it runs, by a path that can be run again */
	struct json_object *cmd; /* its argv */
	char *control;           /* the directory, by a path without links */
	int monitors[2];         /* connected; -1: taken, or it does not run */
};
#define FOREIGN_NONE                   \
	{                              \
		.monitors = { -1, -1 } \
	}

/* Finds it, and connects its monitors. Reads what the wanted names, so only in file_look(). False: it cannot be told,
 * or is another machine of that name; its monitors are not there, somebody else's, or others have them; or they lie
 * where droverd might wait for somebody who has died when it connects them again. */
bool foreign_find(const struct foreign_wanted *wanted, struct foreign *f, struct err **e);
/* Its monitor WHICH does not answer: Busy. */
bool foreign_refuse_busy(const struct foreign *f, const char *name, unsigned which, struct err **e);
void foreign_clear(struct foreign *f);

/* What QEMU said of itself, each NULL if it did not. */
struct foreign_answers {
	struct json_object *version; /* query-version */
	struct json_object *nodes;   /* query-named-block-nodes */
	struct json_object *kvm;     /* query-kvm */
	struct json_object *vnc;     /* query-vnc */
	struct json_object *spice;   /* query-spice */
};
/* runtime.json of STORED run by F; the caller's. */
struct json_object *foreign_record(struct json_object *stored, const struct foreign *f, const struct foreign_answers *a,
				   struct err **e);
/* Makes the run directory of NAME, whole. WrongState if there is one. */
bool foreign_put(struct runtime *rt, const char *name, struct json_object *record, const struct foreign *f,
		 struct err **e);
/* Whether there is one, which names this process. */
bool foreign_is_put(const struct runtime *rt, const char *name, pid_t pid, uint64_t start_time);
/* Removes it, if it names this process; the process goes on. */
void foreign_put_undo(struct runtime *rt, const char *name, pid_t pid, uint64_t start_time);

#endif
