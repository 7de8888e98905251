/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/accel_firmware.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SIZE = 64 << 10, RESET = SIZE - 16 };

/* Real mode, as the processor begins; the image is the segment f000. */
static const unsigned char code[] = {
	0xfa, /* cli */
	0x66, 0xb9,
	0x20, 0xa1,
	0x07, 0x00,                       /* mov ecx, 500000 */
	0x66, 0x49,                       /* again: dec ecx */
	0x75, 0xfc,                       /* jnz again */
	0xb0, ACCEL_FIRMWARE_STATUS >> 1, /* mov al, half of it */
	0xe6, ACCEL_FIRMWARE_PORT,        /* out port, al: QEMU exits with al * 2 + 1 */
	0xf4,                             /* hlt */
	0xeb, 0xfd,                       /* jmp to the hlt */
};
static_assert(ACCEL_FIRMWARE_STATUS % 2 == 1, "isa-debug-exit gives odd numbers only");

/* Where the processor begins, 16 bytes before the end. */
static const unsigned char reset[] = { 0xe9, 0x10000 - RESET - 3, 0x00 }; /* jmp to the first byte */

int accel_firmware(struct err **e)
{
	_cleanup_close_ int fd = memfd_create("drover-accel", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, SIZE) < 0 || pwrite(fd, code, sizeof(code), 0) != (ssize_t)sizeof(code) ||
	    pwrite(fd, reset, sizeof(reset), RESET) != (ssize_t)sizeof(reset) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		err_set_errno(e, ERR_GENERIC, errno, "cannot make a firmware");
		return -1;
	}
	return TAKE_FD(fd);
}
