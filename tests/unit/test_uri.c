/* SPDX-License-Identifier: BSD-2-Clause */
/* URIs: what becomes of them for QEMU, to the last byte, and what is refused. */
#include "runtime/uri.h"

#include "definitions.h"
#include "runtime/remote.h"

#define INET(host, port) "{'type':'inet','host':'" host "','port':'" port "'}"
#define LOCAL(path) "{'type':'unix','path':'" path "'}"
#define NBD(server, more) "{'driver':'nbd','server':" server more "}"
#define ISCSI(portal, target, lun) \
	"{'driver':'iscsi','transport':'tcp','portal':'" portal "','target':'" target "','lun':" lun "}"
#define GLUSTER(volume, path, server) \
	"{'driver':'gluster','volume':'" volume "','path':'" path "','server':[" server "]}"

static const struct {
	const char *uri, *node;
} good[] = {
	{ "nbd://host/", NBD(INET("host", "10809"), "") },
	{ "nbd://10.0.0.1:10810/", NBD(INET("10.0.0.1", "10810"), "") },
	{ "nbd+tcp://a-b.c_d.example:1/x", NBD(INET("a-b.c_d.example", "1"), ",'export':'x'") },
	{ "nbd://[::1]/x", NBD(INET("::1", "10809"), ",'export':'x'") },
	{ "nbd://[2001:db8::1]:65535/x/y//z", NBD(INET("2001:db8::1", "65535"), ",'export':'x/y//z'") },
	{ "nbd://h/a%20b%2Fc%3f%23%25,d=e", NBD(INET("h", "10809"), ",'export':'a b/c?#%,d=e'") },
	{ "nbd://h/%c3%a4", NBD(INET("h", "10809"), ",'export':'\xc3\xa4'") },
	{ "nbd://h/%22%5c", NBD(INET("h", "10809"), ",'export':'\\\"\\\\'") },
	{ "nbd+unix:///?socket=/run/nbd.sock", NBD(LOCAL("/run/nbd.sock"), "") },
	{ "nbd+unix:///disk?socket=/run/a%2Cb%20c", NBD(LOCAL("/run/a,b c"), ",'export':'disk'") },
	{ "nbd+unix:///a/b?socket=/x=y", NBD(LOCAL("/x=y"), ",'export':'a/b'") },
	{ "rbd:pool/image", "{'driver':'rbd','pool':'pool','image':'image'}" },
	{ "rbd:my-pool/Image.1:id=drover", "{'driver':'rbd','pool':'my-pool','image':'Image.1','user':'drover'}" },
	{ "rbd:p/i:user=a", "{'driver':'rbd','pool':'p','image':'i','user':'a'}" },
	{ "rbd:p/n/i@s:conf=/etc/ceph/a.conf:id=b=c", "{'driver':'rbd','pool':'p','namespace':'n','image':'i','"
						      "snapshot':'s','conf':'/etc/ceph/a.conf','user':'b=c'}" },
	{ "rbd:p\\/q/i\\@j\\:k@s\\\\:id=a\\@b\\:c",
	  "{'driver':'rbd','pool':'p/q','image':'i@j:k','snapshot':'s\\\\','user':'a@b:c'}" },
	{ "rbd:p/i%20j", "{'driver':'rbd','pool':'p','image':'i%20j'}" },
	{ "iscsi://host/iqn.2001-04.com.example:disk/0", ISCSI("host:3260", "iqn.2001-04.com.example:disk", "0") },
	{ "iscsi://[fe80::1]:3261/iqn.a%2fb/16383", ISCSI("[fe80::1]:3261", "iqn.a/b", "16383") },
	{ "gluster://h/vol/a.img", GLUSTER("vol", "a.img", INET("h", "24007")) },
	{ "gluster+tcp://[::1]:24008/v/d/a%20b", GLUSTER("v", "d/a b", INET("::1", "24008")) },
	{ "gluster://node-1.example:24007/volume/ganeti/x.disk0",
	  GLUSTER("volume", "ganeti/x.disk0", INET("node-1.example", "24007")) },
	{ "gluster+unix:///v/p/q?socket=/run/g.sock", GLUSTER("v", "p/q", LOCAL("/run/g.sock")) },
	{ "http://h/", "{'driver':'http','url':'http://h/'}" },
	{ "https://[::1]:8443/a%20b/c.iso?x=1&y=%E4,z",
	  "{'driver':'https','url':'https://[::1]:8443/a%20b/c.iso?x=1&y=%E4,z'}" },
	{ "https://h/a@b", "{'driver':'https','url':'https://h/a@b'}" },
};

START_TEST(test_good)
{
	struct err *e = NULL;
	_cleanup_json_ struct json_object *node = uri_parse(good[_i].uri, "disks[0].uri", &e), *back = NULL;
	_cleanup_free_ char *expected = quoted(good[_i].node), *text = NULL;

	ck_assert_msg(node, "%s: %s", good[_i].uri, e ? e->desc : "");
	text = json_print(node);
	ck_assert_str_eq(text, expected);
	ck_assert(json_parse(text, strlen(text), &json_limits_qemu, &back, NULL));
}
END_TEST

#define LONG63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* With a word of the reason. */
static const struct {
	const char *uri, *why;
} bad[] = {
	{ "", "begin" },
	{ "/path", "begin" },
	{ "nbd", "begin" },
	{ "NBD://h/", "begin" },
	{ " nbd://h/", "begin" },
	{ "nbds://h/", "begin" },
	{ "file:///etc/shadow", "begin" },
	{ "json:{\"driver\":\"file\"}", "begin" },
	{ "ftp://h/x", "begin" },
	{ "ssh://h/x", "begin" },
	{ "gluster+rdma://h/v/p", "begin" },
	{ "nbd:localhost:10809:exportname=x", "old notation" },
	{ "nbd:unix:/run/nbd.sock", "old notation" },
	{ "nbd:", "old notation" },
	{ "nbd:///x", "host" },
	{ "nbd://", "host" },
	{ "nbd://h", "slash" },
	{ "nbd://h:10809", "slash" },
	{ "nbd://:1/x", "host" },
	{ "nbd://a b/x", "host" },
	{ "nbd://a%2eb/x", "host" },
	{ "nbd://\xc3\xa4/x", "host" },
	{ "nbd://::1/x", "host" },
	{ "nbd://[::1/x", "brackets" },
	{ "nbd://[::1]1/x", "brackets" },
	{ "nbd://[1.2.3.4]/x", "host" },
	{ "nbd://[]/x", "host" },
	{ "nbd://[fe80::1%25eth0]/x", "host" },
	{ "nbd://" LONG63 "." LONG63 "." LONG63 "." LONG63 "/x", "host" },
	{ "nbd://h:/x", "port" },
	{ "nbd://h:0/x", "port" },
	{ "nbd://h:65536/x", "port" },
	{ "nbd://h:100000000000000000000/x", "port" },
	{ "nbd://h:-1/x", "port" },
	{ "nbd://h:1:2/x", "port" },
	{ "nbd://h:http/x", "port" },
	{ "nbd://user@h/x", "password" },
	{ "nbd://h/x?socket=/y", "'?'" },
	{ "nbd://h/x#y", "'#'" },
	{ "nbd://h/%", "hexadecimal" },
	{ "nbd://h/%2", "hexadecimal" },
	{ "nbd://h/%g0", "hexadecimal" },
	{ "nbd://h/a%00b", "zero" },
	{ "nbd://h/%0a", "control" },
	{ "nbd://h/a\nb", "control" },
	{ "nbd://h/%7f", "control" },
	{ "nbd://h/%ff", "UTF-8" },
	{ "nbd://h/\xff", "UTF-8" },
	{ "nbd://h/%c0%af", "UTF-8" },
	{ "nbd+unix://h/x?socket=/y", "no host" },
	{ "nbd+unix:///x", "socket=" },
	{ "nbd+unix:///x?", "socket=" },
	{ "nbd+unix:///x?path=/y", "socket=" },
	{ "nbd+unix:///x?socket=", "absolute" },
	{ "nbd+unix:///x?socket=y", "absolute" },
	{ "nbd+unix:///x?socket=/y&tls=1", "nothing else" },
	{ "nbd+unix:///x?socket=/y&socket=/z", "nothing else" },
	{ "nbd+unix:///x?socket=/%00", "zero" },
	{ "nbd+unix:///x?socket=/" LONG63 LONG63, "107" },
	{ "nbd+unix://?socket=/y", "slash" },
	{ "rbd:", "rbd:POOL" },
	{ "rbd:pool", "rbd:POOL" },
	{ "rbd:/image", "empty" },
	{ "rbd:pool/", "empty" },
	{ "rbd:pool//image", "empty" },
	{ "rbd:a/b/c/d", "slashes" },
	{ "rbd:p/i@", "empty" },
	{ "rbd:p/i@a@b", "rbd:POOL" },
	{ "rbd:p@q/i", "rbd:POOL" },
	{ "rbd:p/i:", "options" },
	{ "rbd:p/i:id", "NAME=VALUE" },
	{ "rbd:p/i:id=", "empty" },
	{ "rbd:p/i:id=a@b", "'@'" },
	{ "rbd:p/i:id=a:user=b", "once" },
	{ "rbd:p/i:conf=/a:conf=/b", "once" },
	{ "rbd:p/i:conf=ceph.conf", "absolute" },
	{ "rbd:p/i:key=AQBx", "password" },
	{ "rbd:p/i:mon_host=10.0.0.1", "file that conf names" },
	{ "rbd:p/i:=x", "options" },
	{ "rbd:p/i\\", "backslash" },
	{ "rbd:p/i\n", "control" },
	{ "rbd:p/\xff", "UTF-8" },
	{ "iscsi://h/target", "LUN" },
	{ "iscsi://h/target/", "LUN" },
	{ "iscsi://h/target/x", "LUN" },
	{ "iscsi://h/target/-1", "LUN" },
	{ "iscsi://h/target/16384", "LUN" },
	{ "iscsi://h/target/1/2", "LUN" },
	{ "iscsi://h/target/99999999999", "LUN" },
	{ "iscsi://h//1", "target" },
	{ "iscsi://h/" LONG63 LONG63 LONG63 LONG63 "/1", "223" },
	{ "iscsi://user%secret@h/target/1", "password" },
	{ "iscsi://user@h/target/1", "password" },
	{ "iscsi://h/target/1?x", "'?'" },
	{ "gluster://h/v", "volume" },
	{ "gluster://h/v/", "volume" },
	{ "gluster://h//p", "volume" },
	{ "gluster:///v/p", "host" },
	{ "gluster://h/v/p?logfile=/x", "'?'" },
	{ "gluster+unix:///v/p", "socket=" },
	{ "gluster+unix://h/v/p?socket=/s", "no host" },
	{ "http://", "host" },
	{ "http://h", "slash" },
	{ "http:///x", "host" },
	{ "http://h?x", "slash" },
	{ "http://user:secret@h/x", "password" },
	{ "https://h/a b", "%XX" },
	{ "https://h/\xc3\xa4", "%XX" },
	{ "https://h/%zz", "%XX" },
	{ "https://h/a\"b", "%XX" },
	{ "https://h/x#y", "'#'" },
};

START_TEST(test_bad)
{
	_cleanup_err_ struct err *e = NULL;

	ck_assert_msg(!uri_parse(bad[_i].uri, "disks[7].uri", &e), "%s", bad[_i].uri);
	ck_assert_int_eq(e->class, ERR_INVALID_PARAMETER);
	ck_assert_str_eq(json_get_str(e->extra, "parameter"), "disks[7].uri");
	ck_assert_msg(strstr(e->desc, bad[_i].why) && strstr(e->desc, "disks[7].uri"), "%s: %s", bad[_i].uri, e->desc);
	/* a password does not go to the log that errors go to */
	ck_assert_ptr_null(strstr(e->desc, "secret"));
}
END_TEST

START_TEST(test_kinds)
{
	static const struct {
		const char *uri, *path;
		bool read_only;
	} rows[] = {
		{ "nbd://h/", NULL, false },        { "nbd+unix:///?socket=/s", "/s", false },
		{ "rbd:p/i", NULL, false },         { "rbd:p/i:conf=/c", "/c", false },
		{ "rbd:p/i@s", NULL, true },        { "iscsi://h/t/1", NULL, false },
		{ "gluster://h/v/p", NULL, false }, { "gluster+unix:///v/p?socket=/s", "/s", false },
		{ "http://h/", NULL, true },        { "https://h/", NULL, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_json_ struct json_object *node = uri_parse(rows[i].uri, "uri", NULL);

		ck_assert_int_eq(uri_is_read_only(node), rows[i].read_only);
		ck_assert(str_eq(uri_host_path(node), rows[i].path));
	}
}
END_TEST

START_TEST(test_server)
{
	static const struct {
		const char *uri, *server;
	} rows[] = {
		{ "nbd://h/", "h:10809" },
		{ "nbd+tcp://127.0.0.1:7/x", "127.0.0.1:7" },
		{ "nbd://[::1]/x", "[::1]:10809" },
		{ "nbd+unix:///x?socket=/run/a%20b", "/run/a b" },
		{ "iscsi://h/t/1", "h:3260" },
		{ "iscsi://[fe80::1]:7/t/1", "[fe80::1]:7" },
		{ "gluster://h/v/p", "h:24007" },
		{ "gluster+unix:///v/p?socket=/run/g", "/run/g" },
		{ "rbd:pool/image:conf=/etc/x", NULL },
		{ "http://h/x", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_json_ struct json_object *node = uri_parse(rows[i].uri, "uri", NULL);
		_cleanup_free_ char *server = uri_server(node);

		ck_assert_msg(str_eq(server, rows[i].server), "%s: %s", rows[i].uri, server);
	}
}
END_TEST

/* ---- in a definition ---- */

#define DISKS(disks) "{'name': 'a', 'disks': [" disks "]}"
#define CHROOT(disks) "{'name': 'a', 'hvparams': {'use_chroot': true}, 'disks': [" disks "]}"
#define NATIVE(disks) "{'name': 'a', 'hvparams': {'disk_aio': 'native', 'disk_cache': 'none'}, 'disks': [" disks "]}"

static const struct {
	const char *json, *refusal; /* NULL: taken */
} definitions[] = {
	{ DISKS("{'uri': 'nbd://h/'}"), NULL },
	{ DISKS("{'uri': 'nbd://h'}"), "InvalidParameter disks[0].uri" },
	{ DISKS("{'uri': ''}"), "InvalidParameter disks[0].uri" },
	{ DISKS("{'uri': 'nbd://h/', 'path': '/a'}"), "InvalidParameter disks[0].uri" },
	{ DISKS("{'uri': 'nbd://h/', 'pool': 'p', 'volume': 'v'}"), "InvalidParameter disks[0].uri" },
	{ DISKS("{'uri': 'nbd://h/', 'media': 'floppy'}, {'uri': 'nbd://i/', 'media': 'cdrom'}"), NULL },
	{ DISKS("{'path': '/a', 'format': 'qcow2', 'backing': [{'uri': 'nbd://h/'}]}"), NULL },
	{ DISKS("{'path': '/a', 'format': 'qcow2', 'backing': [{'uri': 'nbd://h/', 'path': '/b'}]}"),
	  "InvalidParameter disks[0].backing[0].uri" },
	{ DISKS("{'path': '/a', 'format': 'qcow2', 'backing': [{'uri': 'nbd:h:1'}]}"),
	  "InvalidParameter disks[0].backing[0].uri" },
	{ DISKS("{'path': '/a', 'format': 'qcow2', 'backing': [{}]}"), "InvalidParameter disks[0].backing[0].path" },
	/* what cannot be written */
	{ DISKS("{'uri': 'http://h/'}"), "InvalidParameter disks[0].mode" },
	{ DISKS("{'uri': 'https://h/', 'mode': 'ro'}, {'uri': 'https://h/', 'media': 'cdrom'}"), NULL },
	{ DISKS("{'uri': 'rbd:p/i@s'}"), "InvalidParameter disks[0].mode" },
	{ DISKS("{'path': '/a', 'format': 'qcow2', 'backing': [{'uri': 'https://h/'}]}"), NULL },
	/* what is this host's */
	{ DISKS("{'uri': 'nbd://h/', 'type': 'scsi-block'}"), "InvalidParameter disks[0].uri" },
	{ DISKS("{'uri': 'iscsi://h/t/1', 'type': 'scsi-block'}, {'uri': 'iscsi://h/t/2', 'type': 'scsi-generic'}"),
	  NULL },
	{ DISKS("{'uri': 'nbd://h/', 'aio': 'threads'}"), "InvalidParameter disks[0].aio" },
	{ DISKS("{'uri': 'nbd://h/', 'format': 'qcow2', 'aio': 'threads', 'backing': [{'path': '/b'}]}"), NULL },
	{ DISKS("{'path': '/a', 'format': 'qcow2', 'aio': 'threads', 'backing': [{'uri': 'nbd://h/'}]}"), NULL },
	{ NATIVE("{'uri': 'nbd://h/', 'cache': 'writeback'}"), NULL },
	{ NATIVE("{'path': '/a', 'cache': 'writeback'}"), "InvalidParameter disks[0].aio" },
	{ CHROOT("{'uri': 'nbd://h/'}, {'uri': 'rbd:p/i:conf=/etc/ceph/x.conf'}"), NULL },
	{ CHROOT("{'uri': 'nbd+unix:///?socket=/s'}"), "InvalidParameter disks[0].uri" },
	{ CHROOT("{'uri': 'rbd:p/i:conf=/etc/other/x.conf'}"), "InvalidParameter disks[0].uri" },
	{ CHROOT("{'path': '/a', 'format': 'qcow2', 'backing': [{'uri': 'nbd+unix:///?socket=/s'}]}"),
	  "InvalidParameter disks[0].backing[0].uri" },
	/* two of one guest */
	{ DISKS("{'uri': 'nbd://h/'}, {'uri': 'nbd://h/'}"), "InvalidParameter disks[1].uri" },
	{ DISKS("{'uri': 'nbd://h/', 'mode': 'ro'}, {'uri': 'nbd://h/'}"), "InvalidParameter disks[1].uri" },
	{ DISKS("{'uri': 'nbd://h/', 'shareable': true}, {'uri': 'nbd://h/', 'shareable': true}"), NULL },
	{ DISKS("{'uri': 'nbd://h/'}, {'uri': 'nbd://h/x'}"), NULL },
};

START_TEST(test_definition)
{
	_cleanup_free_ char *json = quoted(definitions[_i].json), *refusal = NULL;

	if (definitions[_i].refusal) {
		refusal = refusal_over(json, NULL);
		ck_assert_str_eq(refusal, definitions[_i].refusal);
	} else {
		json_object_put(stored_over(json, NULL));
	}
}
END_TEST

/* ---- what QEMU says of it ---- */

static const char layered[] =
	"{'name': 'a', 'disks': [{'uuid': '" UUID0 "', 'uri': 'nbd://h/0', 'format': 'qcow2'}, {'uuid': '" UUID1
	"', 'path': '/1', 'format': 'qcow2', 'backing': [{'path': '/b', 'format': 'qcow2'}, {'uri': 'nbd://h/1', "
	"'format': 'qcow2'}, {'uri': 'rbd:p/i'}]}]}";

#define SAID(node, words) \
	"warning: x\nqemu: -blockdev {\"driver\":\"d\",\"node-name\":\"" node "\",\"read-only\":false}: " words

static const struct {
	const char *log, *named; /* NULL: nobody */
} logs[] = {
	{ NULL, NULL },
	{ "", NULL },
	{ "qemu: -blockdev {", NULL },
	{ SAID(DISK0 ".p0", "Connection refused"), "disks[0].uri: 'nbd://h/0'" },
	{ SAID(DISK0 ".f0", "Image is not in qcow2 format"), "disks[0].uri: 'nbd://h/0'" },
	{ SAID(DISK1 ".q1", "x"), "disks[1].backing[1].uri: 'nbd://h/1'" },
	{ SAID(DISK1 ".b2", "x"), "disks[1].backing[2].uri: 'rbd:p/i'" },
	{ SAID(DISK1 ".p0", "x"), NULL },
	{ SAID(DISK1 ".q0", "x"), NULL },
	{ SAID(DISK0, "x"), NULL },
	{ SAID(DISK0 ".p0", "deprecated\n") SAID(DISK1 ".q1", "x"), "disks[1].backing[1].uri: 'nbd://h/1'" },
};

START_TEST(test_named)
{
	_cleanup_free_ char *json = quoted(layered), *named = NULL;
	struct definition def;

	settle(json, &def);
	named = remote_named(&def, logs[_i].log);
	ck_assert_msg(str_eq(named, logs[_i].named), "%s", named);
	definition_clear(&def);
}
END_TEST

START_TEST(test_lacks_driver)
{
	ck_assert(remote_lacks_driver(SAID(DISK0 ".p0", "Unknown driver 'rbd'\n")));
	ck_assert(remote_lacks_driver(SAID(DISK0 ".p0", "Parameter 'driver' does not accept value 'rbd'\n")));
	ck_assert(!remote_lacks_driver(SAID(DISK0 ".p0", "server reported: Unknown driver 'rbd'\n")));
}
END_TEST

#define IMAGE(node, more) "{'node-name': '" node "', 'image': {'format': 'qcow2'" more "}}"
#define BACKED ", 'backing-filename': 'x'"
#define BESIDE ", 'format-specific': {'type': 'qcow2', 'data': {'data-file': 'y'}}"

static const struct {
	const char *nodes, *words; /* of the error, or NULL */
} inspections[] = {
	{ "[]", NULL },
	{ "{}", NULL },
	{ "[5, {}, {'node-name': '" DISK0 ".f0'}]", NULL },
	{ "[" IMAGE(DISK0 ".f0", "") "]", NULL },
	{ "[" IMAGE(DISK0 ".f0", BACKED) "]", "disks[0].uri: 'nbd://h/0': its header names a backing file, 'x'" },
	{ "[" IMAGE(DISK0 ".f0", BESIDE) "]", "disks[0].uri: 'nbd://h/0': has an external data file, 'y'" },
	/* that one lies on what is given, but for its data */
	{ "[" IMAGE(DISK1 ".b1", BACKED) "]", NULL },
	{ "[" IMAGE(DISK1 ".b1", BACKED BESIDE) "]", "disks[1].backing[1].uri: 'nbd://h/1': has an external" },
	/* a file, which drover-open has looked at; a raw image, which has no header */
	{ "[" IMAGE(DISK1 ".f0", BACKED BESIDE) "]", NULL },
	{ "[" IMAGE(DISK1 ".b2", BACKED BESIDE) "]", NULL },
};

START_TEST(test_check)
{
	_cleanup_free_ char *json = quoted(layered), *text = quoted(inspections[_i].nodes);
	_cleanup_json_ struct json_object *nodes = parse(text);
	_cleanup_err_ struct err *e = NULL;
	struct definition def;

	settle(json, &def);
	ck_assert_int_eq(remote_check(&def, nodes, &e), !inspections[_i].words);
	ck_assert(!e == !inspections[_i].words);
	ck_assert_msg(!e || (e->class == ERR_STORAGE && strstr(e->desc, inspections[_i].words)), "%s",
		      e ? e->desc : "");
	ck_assert(remote_uses(&def, "") && remote_uses(&def, "rbd:") && !remote_uses(&def, "iscsi:"));
	definition_clear(&def);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("uri");
	TCase *tc = tcase_create("uri");
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, tc);
	tcase_add_loop_test(tc, test_good, 0, ARRAY_SIZE(good));
	tcase_add_loop_test(tc, test_bad, 0, ARRAY_SIZE(bad));
	tcase_add_test(tc, test_kinds);
	tcase_add_test(tc, test_server);
	tcase_add_loop_test(tc, test_definition, 0, ARRAY_SIZE(definitions));
	tcase_add_loop_test(tc, test_named, 0, ARRAY_SIZE(logs));
	tcase_add_test(tc, test_lacks_driver);
	tcase_add_loop_test(tc, test_check, 0, ARRAY_SIZE(inspections));
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
