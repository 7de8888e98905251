/* SPDX-License-Identifier: BSD-2-Clause */
/* base64: the vectors of RFC 4648, and what is none. */
#include "base/base64.h"

#include "base/cleanup.h"

#include <check.h>
#include <string.h>

static const struct {
	const char *plain, *text;
} vectors[] = {
	{ "", "" },
	{ "f", "Zg==" },
	{ "fo", "Zm8=" },
	{ "foo", "Zm9v" },
	{ "foob", "Zm9vYg==" },
	{ "fooba", "Zm9vYmE=" },
	{ "foobar", "Zm9vYmFy" },
};

START_TEST(test_vectors)
{
	_cleanup_free_ char *text = base64_encode(vectors[_i].plain, strlen(vectors[_i].plain)), *plain = NULL;
	size_t n = 99;

	ck_assert_str_eq(text, vectors[_i].text);
	plain = base64_decode(text, &n);
	ck_assert_ptr_nonnull(plain);
	ck_assert_uint_eq(n, strlen(vectors[_i].plain));
	ck_assert_mem_eq(plain, vectors[_i].plain, n);
}
END_TEST

START_TEST(test_all_bytes)
{
	unsigned char bytes[256];
	_cleanup_free_ char *text = NULL, *back = NULL;
	size_t n;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(255 - i);
	text = base64_encode(bytes, sizeof(bytes));
	back = base64_decode(text, &n);
	ck_assert_uint_eq(n, sizeof(bytes));
	ck_assert_mem_eq(back, bytes, n);
}
END_TEST

static const char *const bad[] = { "Z", "Zg=", "Z===", "====", "Zg=a", "Zm 9", "Zm9\n", "Zm9-", "=Zg=" };

START_TEST(test_bad)
{
	size_t n;

	ck_assert_ptr_null(base64_decode(bad[_i], &n));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base64");
	TCase *t = tcase_create("base64");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(t, test_vectors, 0, ARRAY_SIZE(vectors));
	tcase_add_test(t, test_all_bytes);
	tcase_add_loop_test(t, test_bad, 0, ARRAY_SIZE(bad));
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
