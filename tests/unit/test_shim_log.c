/* SPDX-License-Identifier: Apache-2.0 */
/* test_shim_log.c - what a real dray-shim does with a container's output and its log driver. */
#include "shim_harness.h"

#include "base/fs.h"

#include <fcntl.h>

static void test_lines(void)
{
    HARNESS(h);
    BOX(b, h, "lines",
        "printf 'a\\n\\nb\\nunfinished'; head -c 40000 /dev/zero | tr '\\0' x >&2; echo >&2");
    box_run(&b, "l");
    CU_ASSERT_EQUAL(box_wait(&b), 0);
    dray_autofree char *log = box_log(&b);
    CU_ASSERT_PTR_NOT_NULL(strstr(log, "{\"log\":\"a\\n\""));
    CU_ASSERT_PTR_NOT_NULL(strstr(log, "{\"log\":\"\\n\""));
    CU_ASSERT_PTR_NOT_NULL(strstr(log, "{\"log\":\"unfinished\",\"stream\":\"stdout\""));
    size_t lines = 0, pieces = 0, x = 0;
    for (const char *p = log; *p; p++) {
        lines += *p == '\n';
        x += *p == 'x';
    }
    for (const char *p = log; (p = strstr(p, "x\",\"stream\":\"stderr\"")); p++)
        pieces++;
    CU_ASSERT_EQUAL(lines, 4 + 3);
    CU_ASSERT_EQUAL(pieces, 2); /* 16384, 16384, then the rest with its newline */
    CU_ASSERT_EQUAL(x, 40000);
}

static void test_bad_log(void)
{
    HARNESS(h);
    BOX(b, h, "badlog", "true");
    struct json_object *run = box_run_body(&b, "l");
    struct json_object *options = json_object_new_object();
    dray_json_add_str(options, "max-size", "plenty");
    dray_json_add(dray_json_obj(run, "log.info"), "options", options);
    CU_ASSERT_EQUAL(box_code(&b, run, NULL, 0), DRAY_E_INVAL);
    CU_ASSERT_TRUE(box_gone(&b));
}

static void test_non_blocking(void)
{
    HARNESS(h);
    BOX(b, h, "ring", "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done");
    struct json_object *run = box_run_body(&b, "l");
    dray_json_add_str(dray_json_obj(run, "log"), "mode", "non-blocking");
    box_ok(&b, run, NULL, 0);
    CU_ASSERT_EQUAL(box_wait(&b), 0);
    dray_autofree char *log = box_log(&b);
    CU_ASSERT_PTR_NOT_NULL(strstr(log, "\"line 0\\n\""));
    CU_ASSERT_PTR_NOT_NULL(strstr(log, "\"line 1999\\n\""));
}

/* A log driver that hangs. */

static void mark(const struct box *b, const char *name, bool there)
{
    dray_autofree char *path = dray_strf("%s/%s", b->bundle, name);
    int rc =
        there ? dray_fs_replace(AT_FDCWD, path, "", 0, 0600, DRAY_FS_PLAIN, NULL) : unlink(path);
    CU_ASSERT_EQUAL(rc, 0);
}

/* What the slow driver counted. A shim closes a driver that may hang after all else, so the number
 * may come when its socket has gone already. */
static long count(const struct box *b)
{
    dray_autofree char *path = dray_strf("%s/count", b->bundle);
    for (int ms = 0; ms < 10000; ms += 5) {
        DRAY_AUTO(dray_buf) text = {0};
        if (dray_fs_read(AT_FDCWD, path, 64, &text, NULL) == 0)
            return atol(text.data);
        nap(5);
    }
    return -1;
}

#define MANY_LINES "yes 0123456789012345678901234567890123456789 | head -n 100000; echo >&2"

static void run_slow(struct box *b, const char *mode)
{
    struct json_object *run = box_run_body(b, "l"), *log = dray_json_obj(run, "log");
    dray_json_add_str(log, "driver", "test-slow");
    dray_json_add_str(log, "mode", mode);
    box_ok(b, run, NULL, 0);
}

static void test_log_hangs(void)
{
    HARNESS(h);
    BOX(b, h, "hangs", MANY_LINES);
    struct client c;
    client_attach(&c, &b, "e", NULL);
    mark(&b, "hang", true);
    run_slow(&b, "blocking");
    nap(100);
    CU_ASSERT_FALSE(readable(c.sock, 0)); /* the container waits */
    box_ok(&b, request("state"), NULL, 0);
    struct client e;
    CU_ASSERT_EQUAL(client_exec(&e, &b, "e", "echo alive", "o"), 0);
    client_reads(&e, "alive\n");
    client_end(&e);
    mark(&b, "hang", false);
    client_reads(&c, "\n");
    client_end(&c);
    CU_ASSERT_EQUAL(box_wait(&b), 0);
    CU_ASSERT_TRUE(box_gone(&b));
    CU_ASSERT_EQUAL(count(&b), 100001);
}

static void test_log_drops(void)
{
    HARNESS(h);
    BOX(b, h, "drops", MANY_LINES "; sleep 0.2");
    struct client c;
    client_attach(&c, &b, "e", NULL);
    mark(&b, "hang", true);
    run_slow(&b, "non-blocking");
    CU_ASSERT_TRUE(client_sees(&c, "\n")); /* the container does not wait */
    mark(&b, "hang", false);
    client_end(&c);
    CU_ASSERT_EQUAL(box_wait(&b), 0);
    CU_ASSERT_TRUE(box_gone(&b));
    CU_ASSERT_TRUE(count(&b) > 5000 && count(&b) < 60000); /* what fits 1 MiB */
}

static void test_cache_driver(void)
{
    HARNESS(h);
    BOX(b, h, "dual", "echo both");
    struct json_object *run = box_run_body(&b, "l"), *log = dray_json_obj(run, "log");
    dray_json_add_str(log, "driver", "test-slow");
    dray_json_add_str(log, "cache_driver", "json-file");
    struct json_object *options = json_object_new_object();
    dray_json_add_str(options, "address", "tcp://nowhere"); /* not for the cache */
    dray_json_add_str(options, "cache-max-size", "1m");
    dray_json_add(dray_json_obj(log, "info"), "options", options);
    box_ok(&b, run, NULL, 0);
    CU_ASSERT_EQUAL(box_wait(&b), 0);
    CU_ASSERT_TRUE(box_gone(&b));
    dray_autofree char *text = box_log(&b);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"both\\n\""));
    CU_ASSERT_EQUAL(count(&b), 1);
}

static const struct check_case cases[] = {
    {"lines", test_lines},
    {"bad log options", test_bad_log},
    {"non-blocking log", test_non_blocking},
    {"log driver that hangs", test_log_hangs},
    {"log driver that hangs, lines dropped", test_log_drops},
    {"second log driver", test_cache_driver},
};

int main(void)
{
    if (!harness_possible())
        return 0;
    return check_main("logs of the shim, with runtime " SHIM_RUNTIME, cases,
                      sizeof cases / sizeof cases[0]);
}
