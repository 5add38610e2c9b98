/* SPDX-License-Identifier: Apache-2.0 */
/* test_client_specs.c - the little languages of run's flags. */
#include "client/spec/specs.h"

#include "base/fs.h"
#include "base/json.h"
#include "check.h"

#include <fcntl.h>

static void expect_publish(const char *value, const char *exposed, const char *bindings)
{
    dray_autojson *e = json_object_new_object(), *b = json_object_new_object();
    struct dray_err err = {0};
    int rc = spec_publish(value, e, b, &err);
    if (!bindings) {
        CU_ASSERT_NOT_EQUAL(rc, 0);
        CU_ASSERT_STRING_EQUAL(err.text, exposed);
        return;
    }
    CU_ASSERT_EQUAL(rc, 0);
    CU_ASSERT_STRING_EQUAL(dray_json_text(e), exposed);
    CU_ASSERT_STRING_EQUAL(dray_json_text(b), bindings);
}

static void publish(void)
{
    expect_publish("80", "{\"80/tcp\":{}}", "{\"80/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"\"}]}");
    expect_publish("8080:80/udp", "{\"80/udp\":{}}",
                   "{\"80/udp\":[{\"HostIp\":\"\",\"HostPort\":\"8080\"}]}");
    expect_publish("127.0.0.1::80", "{\"80/tcp\":{}}",
                   "{\"80/tcp\":[{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"\"}]}");
    expect_publish("[::1]:8080:80", "{\"80/tcp\":{}}",
                   "{\"80/tcp\":[{\"HostIp\":\"::1\",\"HostPort\":\"8080\"}]}");
    expect_publish("8000-8001:90-91", "{\"90/tcp\":{},\"91/tcp\":{}}",
                   "{\"90/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"8000\"}],"
                   "\"91/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"8001\"}]}");
    expect_publish("8000-8010:90", "{\"90/tcp\":{}}",
                   "{\"90/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"8000-8010\"}]}");
    expect_publish("foo", "invalid containerPort: foo", NULL);
    expect_publish("x:80", "invalid hostPort: x", NULL);
    expect_publish("1.2.3:80:80", "invalid IP address: 1.2.3", NULL);
    expect_publish("80/foo", "invalid proto: foo", NULL);
    expect_publish("80:", "no port specified: 80:<empty>", NULL);
    expect_publish("70000", "invalid containerPort: 70000", NULL);
    expect_publish("80-81:90-95",
                   "invalid ranges specified for container and host Ports: 90-95 and 80-81", NULL);
}

static void volumes(void)
{
    char *bind = NULL, *path = NULL;
    struct dray_err err = {0};
    CU_ASSERT_EQUAL(spec_volume("/data", &bind, &path, &err), 0);
    CU_ASSERT_PTR_NULL(bind);
    CU_ASSERT_STRING_EQUAL(path, "/data");
    free(path);
    path = NULL;
    CU_ASSERT_EQUAL(spec_volume("name:/data:ro", &bind, &path, &err), 0);
    CU_ASSERT_STRING_EQUAL(bind, "name:/data:ro");
    free(bind);
    dray_autofree char *cwd = getcwd(NULL, 0);
    dray_autofree char *want = dray_strf("%s/sub:/data", cwd);
    CU_ASSERT_EQUAL(spec_volume("./sub:/data", &bind, &path, &err), 0);
    CU_ASSERT_STRING_EQUAL(bind, want);
    free(bind);
    CU_ASSERT_NOT_EQUAL(spec_volume("a::b", &bind, &path, &err), 0);
}

static void expect_mount(const char *value, const char *want, bool ok)
{
    dray_autojson *m = NULL;
    struct dray_err err = {0};
    int rc = spec_mount(value, &m, &err);
    CU_ASSERT_EQUAL(rc == 0, ok);
    const char *got = ok && m ? dray_json_text(m) : err.text;
    if (strcmp(got, want) != 0)
        (void)printf("\n%s gives %s\n", value, got);
    CU_ASSERT_STRING_EQUAL(got, want);
}

static void mounts(void)
{
    expect_mount("type=bind,src=/a,dst=/b,ro",
                 "{\"Type\":\"bind\",\"Source\":\"/a\",\"Target\":\"/b\",\"ReadOnly\":true}", true);
    expect_mount(
        "source=v,target=/b,volume-nocopy,volume-opt=type=nfs,\"volume-opt=o=a,b\"",
        "{\"Type\":\"volume\",\"Source\":\"v\",\"Target\":\"/b\",\"VolumeOptions\":{"
        "\"NoCopy\":true,\"DriverConfig\":{\"Options\":{\"type\":\"nfs\",\"o\":\"a,b\"}}}}",
        true);
    expect_mount("type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1770",
                 "{\"Type\":\"tmpfs\",\"Target\":\"/t\",\"TmpfsOptions\":{\"SizeBytes\":1048576,"
                 "\"Mode\":1016}}",
                 true);
    expect_mount("type=bind,src=/a,dst=/b,bind-recursive=disabled",
                 "{\"Type\":\"bind\",\"Source\":\"/a\",\"Target\":\"/b\",\"BindOptions\":{"
                 "\"NonRecursive\":true}}",
                 true);
    expect_mount("type=bind,src=/a", "target is required", false);
    expect_mount("type=bind,dst=/a,volume-nocopy",
                 "cannot mix 'volume-*' options with mount type 'bind'", false);
    expect_mount("type=bind,foo", "invalid field 'foo' must be a key=value pair", false);
    expect_mount("type=bind,dst=/a,ro=maybe", "invalid value for ro: maybe", false);
}

static void networks(void)
{
    char *name = NULL;
    struct json_object *ep = NULL;
    struct dray_err err = {0};
    CU_ASSERT_EQUAL(spec_network("mynet", &name, &ep, &err), 0);
    CU_ASSERT_STRING_EQUAL(name, "mynet");
    CU_ASSERT_STRING_EQUAL(dray_json_text(ep), "{}");
    free(name);
    json_object_put(ep);
    CU_ASSERT_EQUAL(
        spec_network("name=n,alias=a,alias=b,ip=10.0.0.2,gw-priority=5", &name, &ep, &err), 0);
    CU_ASSERT_STRING_EQUAL(name, "n");
    CU_ASSERT_STRING_EQUAL(dray_json_text(ep),
                           "{\"Aliases\":[\"a\",\"b\"],\"IPAMConfig\":{\"IPv4Address\":"
                           "\"10.0.0.2\"},\"GwPriority\":5}");
    free(name);
    json_object_put(ep);
    CU_ASSERT_NOT_EQUAL(spec_network("alias=a", &name, &ep, &err), 0);
    CU_ASSERT_STRING_EQUAL(err.text, "network name/id is not specified");
    CU_ASSERT_NOT_EQUAL(spec_network("name=a,foo=b", &name, &ep, &err), 0);
}

static void limits(void)
{
    dray_autojson *u = NULL, *r = NULL, *d = NULL;
    struct dray_err err = {0};
    CU_ASSERT_EQUAL(spec_ulimit("nofile=1024:2048", &u, &err), 0);
    CU_ASSERT_STRING_EQUAL(dray_json_text(u), "{\"Name\":\"nofile\",\"Soft\":1024,\"Hard\":2048}");
    CU_ASSERT_NOT_EQUAL(spec_ulimit_check("x", &err), 0);
    CU_ASSERT_STRING_EQUAL(err.text, "invalid ulimit argument: x");
    CU_ASSERT_NOT_EQUAL(spec_ulimit_check("foo=1", &err), 0);
    CU_ASSERT_NOT_EQUAL(spec_ulimit_check("nofile=5:1", &err), 0);
    CU_ASSERT_EQUAL(spec_restart("on-failure:3", &r, &err), 0);
    CU_ASSERT_STRING_EQUAL(dray_json_text(r), "{\"Name\":\"on-failure\",\"MaximumRetryCount\":3}");
    CU_ASSERT_EQUAL(spec_device("/dev/null:/dev/x:r", &d, &err), 0);
    CU_ASSERT_STRING_EQUAL(dray_json_text(d), "{\"PathOnHost\":\"/dev/null\",\"PathInContainer\":"
                                              "\"/dev/x\",\"CgroupPermissions\":\"r\"}");
    CU_ASSERT_EQUAL(spec_device_rule_check("c 1:* rwm", &err), 0);
    CU_ASSERT_NOT_EQUAL(spec_device_rule_check("c 1 rwm", &err), 0);
    CU_ASSERT_EQUAL(spec_throttle_check("/dev/sda:1mb", &err), 0);
    CU_ASSERT_NOT_EQUAL(spec_throttle_check("sda:1mb", &err), 0);
    CU_ASSERT_EQUAL(spec_host_check("db:10.0.0.1", &err), 0);
    CU_ASSERT_EQUAL(spec_host_check("db:::1", &err), 0);
    CU_ASSERT_EQUAL(spec_host_check("db=host-gateway", &err), 0);
    CU_ASSERT_NOT_EQUAL(spec_host_check("foo", &err), 0);
}

static void env_files(void)
{
    char path[] = "/tmp/dray-test-env-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);
    const char *text = "# note\nA=1\n\nB=two words\r\nDRAY_TEST_FROM_ENV\nNOT_SET_ANYWHERE\n";
    CU_ASSERT_FATAL(fd >= 0);
    (void)dray_fs_write_all(fd, text, strlen(text), NULL);
    (void)close(fd);
    (void)setenv("DRAY_TEST_FROM_ENV", "here", 1);
    DRAY_AUTO(dray_strlist) l = {0};
    struct dray_err err = {0};
    CU_ASSERT_EQUAL(spec_env_file(path, true, &l, &err), 0);
    CU_ASSERT_EQUAL_FATAL(l.n, 3);
    CU_ASSERT_STRING_EQUAL(l.v[0], "A=1");
    CU_ASSERT_STRING_EQUAL(l.v[1], "B=two words");
    CU_ASSERT_STRING_EQUAL(l.v[2], "DRAY_TEST_FROM_ENV=here");
    (void)unlink(path);
    CU_ASSERT_NOT_EQUAL(spec_env_file(path, true, &l, &err), 0);
}

static void security(void)
{
    char *out = NULL;
    struct dray_err err = {0};
    CU_ASSERT_EQUAL(spec_security("no-new-privileges", &out, &err), 0);
    CU_ASSERT_STRING_EQUAL(out, "no-new-privileges");
    free(out);
    CU_ASSERT_EQUAL(spec_security("label:disable", &out, &err), 0);
    CU_ASSERT_STRING_EQUAL(out, "label=disable");
    free(out);
    CU_ASSERT_NOT_EQUAL(spec_security("foo", &out, &err), 0);
    CU_ASSERT_NOT_EQUAL(spec_security("seccomp=/nonexistent", &out, &err), 0);
}

static const struct check_case cases[] = {
    {"publish", publish}, {"volumes", volumes},     {"mounts", mounts},     {"networks", networks},
    {"limits", limits},   {"env files", env_files}, {"security", security},
};
CHECK_MAIN("client specs", cases)
