/* SPDX-License-Identifier: Apache-2.0 */
/* test_steady.c - the steady driver through a host for tests. */
#include <dray/ipam.h>
#include <dray/testhost.h>

#define CHECK(what)                                                                                \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #what, err.text);              \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

static struct dray_testhost t;
static const struct dray_ipam_ops *ops;
static struct dray_err err;
static char got[24];

static int pool(const char *subnet, const char *range, const char *avoid, const char **id)
{
    const char *const avoids[] = {avoid};
    const struct dray_pool_spec spec = {
        sizeof spec, 4, subnet, range, {avoids, avoid ? 1 : 0}, {NULL, 0}};
    const char *cidr = "";
    int rc = ops->pool_request(t.self, &t.call, &spec, id, &cidr, &err);
    snprintf(got, sizeof got, "%s", cidr);
    return rc;
}

static int addr(const char *id, const char *want, const char *name)
{
    const struct dray_addr_spec spec = {sizeof spec, 0, want, "", name};
    const char *cidr = "";
    int rc = ops->addr_request(t.self, &t.call, id, &spec, &cidr, &err);
    snprintf(got, sizeof got, "%.*s", (int)strcspn(cidr, "/"), cidr);
    return rc;
}

int main(int argc, char **argv)
{
    const char *a = NULL, *b = NULL, *c = NULL;
    char web[24], db[24];
    CHECK(argc == 2);
    CHECK(dray_testhost_open(&t, argv[1], "base=10.9.0.0/22,spare=15", &err) == 0);
    ops = (const struct dray_ipam_ops *)dray_testhost_ops(&t, DRAY_KIND_IPAM);
    CHECK(ops);

    /* Subnets: named, overlapping, chosen around what is in use. */
    CHECK(pool("10.50.0.0/24", "", NULL, &a) == 0 && strcmp(got, "10.50.0.0/24") == 0);
    CHECK(pool("10.50.0.128/25", "", NULL, &b) == DRAY_E_CONFLICT);
    CHECK(pool("10.50.0.0/8", "", NULL, &b) == DRAY_E_INVAL);
    CHECK(pool("", "", "10.9.0.0/23", &b) == 0 && strcmp(got, "10.9.2.0/24") == 0);

    /* A name has its place, also when it comes again; the spare ones are left alone. */
    CHECK(addr(a, "", "") == 0 && strcmp(got, "10.50.0.1") == 0);
    CHECK(addr(a, "", "web") == 0);
    memcpy(web, got, sizeof web);
    CHECK(addr(a, "", "db") == 0 && strcmp(got, web) != 0);
    memcpy(db, got, sizeof db);
    CHECK(atoi(strrchr(web, '.') + 1) >= 16 && atoi(strrchr(db, '.') + 1) >= 16);
    CHECK(ops->addr_release(t.self, &t.call, a, web, &err) == 0);
    CHECK(addr(a, "", "web") == 0 && strcmp(got, web) == 0);

    /* By value, once; and again after a restart. */
    CHECK(addr(a, web, "other") == DRAY_E_CONFLICT);
    CHECK(addr(a, "10.51.0.1", "other") == DRAY_E_INVAL);
    t.call.flags = DRAY_CALL_REPLAY;
    CHECK(addr(a, web, "web") == 0 && strcmp(got, web) == 0);
    t.call.flags = 0;

    /* All of a range, then no more. */
    CHECK(pool("10.60.0.0/24", "10.60.0.16/30", NULL, &c) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(addr(c, "", "x") == 0 && strncmp(got, "10.60.0.1", 9) == 0);
    CHECK(addr(c, "", "x") == DRAY_E_NOSPACE);

    /* What the host does not name is dropped; dropping twice is no error. */
    CHECK(ops->collect(t.self, &t.call, (struct dray_strs){&a, 1}, &err) == 0);
    CHECK(addr(c, "", "x") == DRAY_E_NOTFOUND);
    CHECK(ops->pool_release(t.self, &t.call, a, &err) == 0);
    CHECK(ops->pool_release(t.self, &t.call, a, &err) == 0);
    dray_testhost_close(&t);
    CHECK(rmdir(t.dir) == 0);
    puts("ok");
    return 0;
}
