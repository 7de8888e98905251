/* SPDX-License-Identifier: BSD-2-Clause */
/* Displays: what may be defined, and what QEMU is told. */
#include "runtime/display.h"

#include "definitions.h"

#include <stdio.h>

/* ---- rules ---- */

#define TWENTY "12345678901234567890"
#define HUNDRED TWENTY TWENTY TWENTY TWENTY TWENTY

static const struct {
	const char *hv, *parameter; /* NULL: it may be */
} rules[] = {
	{ "'vnc_bind_address': '127.0.0.1'", NULL },
	{ "'vnc_bind_address': 'eth0.5'", NULL },
	{ "'vnc_bind_address': 'fe80::1'", NULL },
	{ "'vnc_bind_address': '/srv/vnc'", NULL },
	{ "'vnc_bind_address': '/srv/vnc', 'vnc_tls': true, 'vnc_x509_path': '/x', 'vnc_x509_verify': true", NULL },
	{ "'vnc_bind_address': '0.0.0.0', 'vnc_password_file': '/p'", NULL },
	{ "'vnc_bind_address': '::', 'display_without_password': true", NULL },
	{ "'vnc_bind_address': '0.0.0.0'", "hvparams.vnc_bind_address" },
	{ "'vnc_bind_address': '::'", "hvparams.vnc_bind_address" },
	{ "'vnc_bind_address': '0:0:0:0:0:0:0:0'", "hvparams.vnc_bind_address" },
	{ "'vnc_bind_address': '::ffff:0.0.0.0'", "hvparams.vnc_bind_address" },
	{ "'vnc_bind_address': '0.0.0.0', 'vnc_tls': true, 'vnc_x509_path': '/x', 'vnc_x509_verify': true",
	  "hvparams.vnc_bind_address" },
	{ "'vnc_bind_address': '300.1.1.1'", "hvparams.vnc_bind_address" },
	{ "'vnc_bind_address': '127.0.0.1:5901'", "hvparams.vnc_bind_address" },
	{ "'vnc_bind_address': 'a b'", "hvparams.vnc_bind_address" },
	{ "'vnc_bind_address': 'srv/vnc'", "hvparams.vnc_bind_address" },
	{ "'vnc_bind_address': '/srv/../vnc'", "hvparams.vnc_bind_address" },
	{ "'vnc_bind_address': 'aninterfacelonger'", "hvparams.vnc_bind_address" },
	/* "/a.vnc" is behind them. */
	{ "'vnc_bind_address': '/" HUNDRED "'", NULL },
	{ "'vnc_bind_address': '/" HUNDRED "1'", "hvparams.vnc_bind_address" },
	{ "'vnc_x509_path': '/x'", "hvparams.vnc_x509_path" },
	{ "'vnc_tls': true, 'vnc_x509_verify': true", "hvparams.vnc_x509_verify" },
	{ "'spice_bind': 'lo', 'spice_ip_version': 6", NULL },
	{ "'spice_bind': '::1', 'spice_ip_version': 6", NULL },
	{ "'spice_bind': '0.0.0.0', 'spice_password_file': '/p'", NULL },
	{ "'spice_bind': '0.0.0.0'", "hvparams.spice_bind" },
	{ "'spice_bind': '/srv'", "hvparams.spice_bind" },
	{ "'spice_bind': 'lo', 'vnc_bind_address': 'lo'", "hvparams.spice_bind" },
	{ "'spice_bind': '::1', 'spice_ip_version': 4", "hvparams.spice_ip_version" },
	{ "'spice_bind': 'lo', 'spice_ip_version': 5", "hvparams.spice_ip_version" },
	{ "'spice_bind': 'lo', 'spice_tls_ciphers': 'a b'", "hvparams.spice_tls_ciphers" },
	{ "'spice_ip_version': 4", "hvparams.spice_ip_version" },
	{ "'spice_password_file': '/p'", "hvparams.spice_password_file" },
	{ "'spice_image_compression': 'lz'", "hvparams.spice_image_compression" },
	{ "'spice_jpeg_wan_compression': 'auto'", "hvparams.spice_jpeg_wan_compression" },
	{ "'spice_zlib_glz_wan_compression': 'auto'", "hvparams.spice_zlib_glz_wan_compression" },
	{ "'spice_streaming_video': 'all'", "hvparams.spice_streaming_video" },
	{ "'spice_use_tls': true", "hvparams.spice_use_tls" },
	{ "'keymap': 'de-ch'", NULL },
	{ "'keymap': '../de'", "hvparams.keymap" },
	{ "'keymap': 'xx'", "hvparams.keymap" },
	{ "'vga': 'none', 'vnc_bind_address': 'lo'", NULL },
};

START_TEST(test_rules)
{
	_cleanup_free_ char *text = xasprintf("{'name': 'a', 'uuid': '%s', 'hvparams': {%s}}", UUID, rules[_i].hv);
	_cleanup_free_ char *json = quoted(text);
	_cleanup_json_ struct json_object *given = parse(json);
	_cleanup_err_ struct err *e = NULL;
	struct definition def;

	if (definition_decode(given, &def, &e)) {
		definition_clear(&def);
		ck_assert_msg(!rules[_i].parameter, "%s was taken", rules[_i].hv);
		return;
	}
	ck_assert_msg(rules[_i].parameter != NULL, "%s: %s", rules[_i].hv, e->desc);
	ck_assert_str_eq(json_get_str(e->extra, "parameter"), rules[_i].parameter);
}
END_TEST

/* ---- words ---- */

static const struct {
	const char *hv, *vnc, *spice;
	enum vga vga;
} words[] = {
	{ "'vga': ''", NULL, NULL, VGA_NONE },
	{ "'vnc_bind_address': 'lo'", "none", NULL, VGA_STD },
	{ "'vnc_bind_address': 'lo', 'vga': 'none'", "none", NULL, VGA_NONE },
	{ "'vnc_bind_address': 'lo', 'vnc_password_file': '/p', 'vnc_tls': true", "none,password=on,tls-creds=vnctls0",
	  NULL, VGA_STD },
	{ "'spice_bind': '::1', 'spice_password_file': '/p'", NULL, "addr=192.0.2.1,port=5907", VGA_QXL },
	{ "'spice_bind': 'lo', 'spice_use_tls': true, 'spice_tls_ciphers': 'A,B'", NULL,
	  "addr=192.0.2.1,tls-port=5907,x509-cacert-file=ca-cert.pem,x509-cert-file=server-cert.pem,"
	  "x509-key-file=server-key.pem,tls-ciphers=A,,B,disable-ticketing=on",
	  VGA_QXL },
	{ "'spice_bind': 'lo', 'spice_use_vdagent': false, 'vga': 'cirrus'", NULL,
	  "addr=192.0.2.1,port=5907,disable-ticketing=on,agent-mouse=off", VGA_CIRRUS },
};

START_TEST(test_words)
{
	_cleanup_free_ char *text = xasprintf("{'name': 'a', 'uuid': '%s', 'hvparams': {%s}}", UUID, words[_i].hv);
	_cleanup_free_ char *json = quoted(text), *vnc = NULL, *spice = NULL;
	_cleanup_json_ struct json_object *given = parse(json);
	const struct display_place place = { "192.0.2.1", 5907 };
	struct definition def;

	ck_assert(definition_decode(given, &def, NULL));
	vnc = display_vnc_option(&def.hvparams);
	spice = display_spice_option(&def.hvparams, &place);
	ck_assert_pstr_eq(vnc, words[_i].vnc);
	ck_assert_pstr_eq(spice, words[_i].spice);
	ck_assert_int_eq(display_vga(&def.hvparams), words[_i].vga);
	definition_clear(&def);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("display");
	TCase *t = tcase_create("display");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(t, test_rules, 0, ARRAY_SIZE(rules));
	tcase_add_loop_test(t, test_words, 0, ARRAY_SIZE(words));
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
