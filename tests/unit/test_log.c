/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/log.h"

#include <check.h>
#include <endian.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* A journal that reads when it is told to. -1: this host does not let us have one. */
static int journal_new(void)
{
	static const struct sockaddr_un addr = { AF_UNIX, "/run/systemd/journal/socket" };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("run", "/run", "tmpfs", 0, NULL) < 0)
		return -1;
	ck_assert_int_eq(mkdir("/run/systemd", 0755), 0);
	ck_assert_int_eq(mkdir("/run/systemd/journal", 0755), 0);
	ck_assert_int_eq(bind(fd, (const struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void log_to_journal(void)
{
	char stream[64];
	struct stat st;

	ck_assert_int_eq(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_init("droverd", LOG_INFO);
}

static void expect(int fd, const char *message, const char *fields)
{
	char found[256] = "", wanted[256];
	uint64_t len = htole64(strlen(message));
	size_t n = (size_t)snprintf(wanted, sizeof(wanted), "MESSAGE\n12345678%s\n%s", message, fields);
	ssize_t got = recv(fd, found, sizeof(found), MSG_DONTWAIT);

	memcpy(wanted + strlen("MESSAGE\n"), &len, sizeof(len));
	ck_assert_msg(got == (ssize_t)n && memcmp(found, wanted, n) == 0, "%zd: %s", got, found);
}

/* One that stands still holds up nobody: droverd has guests to look after. */
START_TEST(test_journal)
{
	enum { MANY = 10000 }; /* more than any queue has room for */
	int fd = journal_new();

	if (fd < 0) {
		puts("only root can have a journal of its own");
		return;
	}
	log_to_journal();
	log_write(LOG_WARNING, "web1", "two\nlines, \033");
	log_info("%d", 2);
	log_debug("not this");
	for (int i = 0; i < MANY; i++)
		log_info("many");
	expect(fd, "two\nlines, \\x1b", "PRIORITY=4\nSYSLOG_IDENTIFIER=droverd\nDROVER_INSTANCE=web1\n");
	expect(fd, "2", "PRIORITY=6\nSYSLOG_IDENTIFIER=droverd\n");
	expect(fd, "many", "PRIORITY=6\nSYSLOG_IDENTIFIER=droverd\n");
	close(fd);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("log");
	TCase *tc = tcase_create("log");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, test_journal);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(s, tc);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
