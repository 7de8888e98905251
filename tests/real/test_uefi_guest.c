/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest that UEFI boots, with a TPM: what its kernel says of both, and what is kept of a variable. */
#include "guest.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* A variable that the firmware sets in each guest, and that is in no template, is in the image then, whatever comes. */
START_TEST(test_boot)
{
	struct rig *rig = rig_new("droverd");
	_cleanup_client_ struct client *client = NULL;
	_cleanup_free_ char *seen = NULL;
	pid_t pid;

	rig_start(rig);
	client = client_new(rig);
	client_define(
		client, "web1",
		"'memory': '256M', 'hvparams': {'machine_version': 'q35', 'firmware': 'uefi', 'tpm': true, "
		"'kernel_path': '%s/vmlinuz', 'initrd_path': '%s/initrd.gz', 'kernel_args': 't.net=none t.shell=1'}",
		rig_guest(), rig_guest());
	pid = guest_start(client, "web1");
	guest_await(rig, "web1", "GUEST-UP ", 1);
	ck_assert_uint_ge(guest_said(rig, "web1", "efi: EFI v2"), 1);
	ck_assert_uint_ge(guest_said(rig, "web1", ": 2.0 TPM (device-id"), 1);
	seen = guest_shell(rig, "web1",
			   "test -c /dev/tpm0 && cat /sys/class/tpm/tpm0/tpm_version_major && ls /sys/firmware/efi");
	ck_assert_msg(strstr(seen, "2") && strstr(seen, "efivars"), "%s", seen);
	/* The firmware has measured what it ran. */
	free(TAKE_PTR(seen));
	seen = guest_shell(rig, "web1", "cat /sys/class/tpm/tpm0/pcr-sha256/0");
	ck_assert_msg(strlen(seen) >= 64 && !strstr(seen, "00000000"), "%s", seen);
	kill(pid, SIGKILL);
	client_await_state(client, "web1", "crashed", "signal 9");
	json_object_put(guest_settle(client, "web1"));
	host_run("LC_ALL=C grep -aqP 'B\\x00o\\x00o\\x00t\\x00O\\x00r\\x00d\\x00e\\x00r' "
		 "'%s/lib/instances/web1/uefi/nvram.qcow2'",
		 rig->root);
	client_free(TAKE_PTR(client));
	rig_free(rig);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("UEFI guest");
	TCase *tc = tcase_create("boot");

	tcase_add_test(tc, test_boot);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	if (access("/usr/share/OVMF/OVMF_CODE_4M.fd", R_OK) < 0 || access("/usr/bin/swtpm", X_OK) < 0) {
		puts("SKIP: needs the packages ovmf and swtpm");
		return 77;
	}
	return guest_main(suite);
}
