/* SPDX-License-Identifier: BSD-2-Clause */
#include "tiny.h"

#include "base/cleanup.h"
#include "guest.h"
#include "runtime/dirs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* 32-bit code at LOAD, behind the header; there is no stack but where it is set up. */
enum { LOAD = 0x100000, HEADER = 32, IMAGE_MAX = 512 };

#define OUT_DX(port) 0x66, 0xba, (port)&0xff, (port) >> 8 /* mov dx, PORT */
#define SAY(c) OUT_DX(0x3f8), 0xb0, (c), 0xee             /* mov al, C; out dx, al */
/* SLP_EN and the type of sleep to the ACPI control port of the pc machine */
#define ACPI(value) OUT_DX(0x604), 0x66, 0xb8, (value)&0xff, (value) >> 8, 0x66, 0xef
#define PANIC OUT_DX(0x505), 0xb0, 0x01, 0xee /* pvpanic */
#define REBOOT 0xb0, 0xfe, 0xe6, 0x64         /* the keyboard controller's reset line */
#define HALT 0xf4, 0xeb, 0xfd                 /* hlt; again */
#define IF(c, size) 0x3c, (c), 0x75, (size)   /* cmp al, C; jne behind SIZE bytes */

static const unsigned char obeys[] = {
	SAY('B'),
	/* @7: until there is a byte */
	OUT_DX(0x3fd),
	0xec,
	0xa8,
	0x01,
	0x74,
	0xf7,
	OUT_DX(0x3f8),
	0xec,
	IF(TINY_POWER_OFF, 10),
	ACPI(0x2000),
	IF(TINY_SLEEP, 10),
	ACPI(0x2400),
	IF(TINY_PANIC, 7),
	PANIC,
	IF(TINY_REBOOT, 4),
	REBOOT,
	0xeb,
	0xc1,
};
static const unsigned char off[] = { SAY('B'), ACPI(0x2000), HALT };
static const unsigned char panics[] = { SAY('B'), PANIC, HALT };
static const unsigned char reboots[] = { SAY('B'), REBOOT, HALT };

static const unsigned char button[] = {
	/* the button's bit to the enabled events of ACPI */
	OUT_DX(0x602),
	0x66,
	0xb8,
	0x00,
	0x01,
	0x66,
	0xef,
	SAY('B'),
	OUT_DX(0x600),
	/* in ax, dx; test ah, 1; jz: until it is among those that have happened */
	0x66,
	0xed,
	0xf6,
	0xc4,
	0x01,
	0x74,
	0xf9,
	ACPI(0x2000),
	HALT,
};

/* A table of three interrupts, of which only the third is there. */
enum { NMI_HANDLER = LOAD + HEADER + 22, NMI_TABLE = NMI_HANDLER + 8, NMI_POINTER = NMI_TABLE + 24 };
static const unsigned char nmi[] = {
	0xbc,
	0x00,
	0x00,
	0x20,
	0x00, /* mov esp, 2 MiB */
	0x0f,
	0x01,
	0x1d,
	NMI_POINTER & 0xff,
	(NMI_POINTER >> 8) & 0xff,
	NMI_POINTER >> 16,
	0x00, /* lidt */
	SAY('B'),
	HALT,
	/* the handler */
	SAY('N'),
	0xcf,
	/* the table */
	0,
	0,
	0,
	0,
	0,
	0,
	0,
	0,
	0,
	0,
	0,
	0,
	0,
	0,
	0,
	0,
	NMI_HANDLER & 0xff,
	(NMI_HANDLER >> 8) & 0xff,
	0x08,
	0x00,
	0x00,
	0x8e,
	NMI_HANDLER >> 16,
	0x00,
	/* the pointer to it */
	23,
	0,
	NMI_TABLE & 0xff,
	(NMI_TABLE >> 8) & 0xff,
	NMI_TABLE >> 16,
	0x00,
};

static const struct {
	const unsigned char *code;
	size_t size;
} images[] = {
	[TINY_OBEYS] = { obeys, sizeof(obeys) },    [TINY_OFF] = { off, sizeof(off) },
	[TINY_PANICS] = { panics, sizeof(panics) }, [TINY_REBOOTS] = { reboots, sizeof(reboots) },
	[TINY_NMI] = { nmi, sizeof(nmi) },          [TINY_BUTTON] = { button, sizeof(button) },
};

void tiny_write(const char *path, enum tiny tiny)
{
	enum { MAGIC = 0x1badb002, ADDRESSES = 0x10000 };
	unsigned char image[IMAGE_MAX] = { 0 };
	uint32_t header[HEADER / 4] = { MAGIC, ADDRESSES, 0u - MAGIC - ADDRESSES, LOAD, LOAD, 0, 0, LOAD + HEADER };
	_cleanup_free_ char *fresh = xasprintf("%s.new", path);
	_cleanup_close_ int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	memcpy(image, header, HEADER);
	memcpy(image + HEADER, images[tiny].code, images[tiny].size);
	ck_assert_int_eq(write(fd, image, sizeof(image)), (ssize_t)sizeof(image));
	/* A QEMU may be about to read the one that is there. */
	ck_assert_int_eq(rename(fresh, path), 0);
}

void tiny_define(struct rig *r, struct client *c, const char *name, enum tiny tiny, const char *policies)
{
	_cleanup_free_ char *path = xasprintf("%s/tiny%d", r->root, (int)tiny);

	tiny_write(path, tiny);
	client_define(c, name, "'memory': '16M', 'hvparams': {'kernel_path': '%s', 'use_guest_agent': false%s}", path,
		      policies);
}

void tiny_tell(struct rig *r, const char *name, enum tiny_order order)
{
	_cleanup_free_ char *path = xasprintf("%s/run/instances/%s", r->root, name);
	_cleanup_close_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = dirs_connect(dir, "serial.sock", NULL);
	char byte = (char)order;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(send(fd, &byte, 1, MSG_NOSIGNAL), 1);
	/* Heard when the guest has answered by what it does; a hang-up before could take the byte along. */
	shutdown(fd, SHUT_WR);
	/* closed with the test's process */
}
