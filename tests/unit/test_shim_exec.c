/* SPDX-License-Identifier: Apache-2.0 */
/* test_shim_exec.c - execs in a container of a real dray-shim. */
#include "shim_harness.h"

#include "base/clock.h"

#include <signal.h>
#include <sys/socket.h>

static void test_exec(void)
{
    HARNESS(h);
    BOX(b, h, "exec", "trap 'exit 11' INT; sleep 100 & wait");
    box_run(&b, "");
    struct client c;
    CU_ASSERT_EQUAL(client_exec(&c, &b, "e1", "echo hi; cat; echo err >&2; exit 7", "ioef"), 0);
    client_say(&c, "x\n");
    (void)shutdown(c.sock, SHUT_WR);
    DRAY_AUTO(dray_buf) got = {0};
    client_read(&c, &got);
    dray_autofree char *out = unframe(&got, 1), *err = unframe(&got, 2);
    CU_ASSERT_STRING_EQUAL(out, "hi\nx\n");
    CU_ASSERT_STRING_EQUAL(err, "err\n");
    CU_ASSERT_EQUAL(client_done(&c), 0);
    client_end(&c);
    dray_autojson *e = box_event(&b, "exec-exit");
    CU_ASSERT_STRING_EQUAL(dray_json_str(e, "exec", ""), "e1");
    CU_ASSERT_EQUAL(dray_json_int(e, "code", -1), 7);

    CU_ASSERT_EQUAL(client_exec(&c, &b, "e2", "stty size; test -t 0 && echo tty", "iot"), 0);
    CU_ASSERT_TRUE(client_sees(&c, "tty\r\n"));
    client_end(&c);
    dray_autojson *state = box_call(&b, request("state"), NULL, 0);
    CU_ASSERT_TRUE(dray_json_bool(state, "running", false));
    struct json_object *kill = request("kill");
    dray_json_add_int(kill, "signal", 2);
    box_ok(&b, kill, NULL, 0);
    CU_ASSERT_EQUAL(box_wait(&b), 11);
}

static void exec_of(struct box *b, const char *exec, const char *arg0, const char *arg1,
                    const char *arg2, int expect)
{
    const char *args[] = {arg0, arg1, arg2, NULL};
    struct json_object *body = request("exec");
    dray_json_add_str(body, "exec", exec);
    dray_json_add(body, "process", process_with(args));
    CU_ASSERT_EQUAL(box_code(b, body, NULL, 0), expect);
}

static void test_exec_failures(void)
{
    HARNESS(h);
    BOX(b, h, "execfail", "sleep 100");
    exec_of(&b, "e", "true", NULL, NULL, DRAY_E_CONFLICT);
    box_run(&b, "");
    exec_of(&b, "e", "/nonexistent", NULL, NULL, DRAY_E_NOCMD);
    exec_of(&b, "e", "/etc", NULL, NULL, DRAY_E_NOEXEC);
    exec_of(&b, "e", "sh", "-c", "exit 9", 0); /* detached: no session */
    dray_autojson *e = box_event(&b, "exec-exit");
    CU_ASSERT_EQUAL(dray_json_int(e, "code", -1), 9);
    exec_of(&b, "e3", "sleep", "100", NULL, 0);
    exec_of(&b, "e3", "sleep", "100", NULL, DRAY_E_CONFLICT);
    struct json_object *sig = request("signal");
    dray_json_add_str(sig, "exec", "e3");
    dray_json_add_int(sig, "signal", 9);
    box_ok(&b, sig, NULL, 0);
    dray_autojson *e3 = box_event(&b, "exec-exit");
    CU_ASSERT_EQUAL(dray_json_int(e3, "code", -1), 137);
    sig = request("signal");
    dray_json_add_str(sig, "exec", "unknown");
    CU_ASSERT_EQUAL(box_code(&b, sig, NULL, 0), DRAY_E_NOTFOUND);
    struct json_object *kill = request("kill");
    dray_json_add_int(kill, "signal", 9);
    box_ok(&b, kill, NULL, 0);
    CU_ASSERT_EQUAL(box_wait(&b), 137);
}

static void test_exec_leaves_writer(void)
{
    HARNESS(h);
    BOX(b, h, "leaves", "sleep 100");
    box_run(&b, "");
    struct client c;
    CU_ASSERT_EQUAL(client_exec(&c, &b, "e", "sleep 600 & echo $!", "oe"), 0);
    DRAY_AUTO(dray_buf) got = {0};
    client_read(&c, &got); /* ends although a process left behind holds the pipe */
    client_end(&c);
    char script[64];
    CU_ASSERT_TRUE_FATAL(got.len > 1 && atoi(got.data) > 1);
    (void)snprintf(script, sizeof script, "kill -9 %d && echo killed", atoi(got.data));
    CU_ASSERT_EQUAL(client_exec(&c, &b, "k", script, "oe"), 0); /* the number is the container's */
    client_reads(&c, "killed\n");
    client_end(&c);
    struct json_object *end = request("kill");
    dray_json_add_int(end, "signal", 9);
    box_ok(&b, end, NULL, 0);
    CU_ASSERT_EQUAL(box_wait(&b), 137);
}

static void test_hundred_execs(void)
{
    HARNESS(h);
    BOX(b, h, "hundred", "sleep 100");
    box_run(&b, "");
    struct client c[100];
    for (int i = 0; i < 100; i++) {
        char id[16], script[64];
        (void)snprintf(id, sizeof id, "e%d", i);
        (void)snprintf(script, sizeof script, "read x; echo %d $x; exit %d", i, i);
        CU_ASSERT_EQUAL(client_exec(&c[i], &b, id, script, "io"), 0);
    }
    dray_autojson *state = box_call(&b, request("state"), NULL, 0);
    CU_ASSERT_EQUAL(dray_json_len(dray_json_arr(state, "execs")), 100);
    for (int i = 0; i < 100; i++)
        client_say(&c[i], "yes\n");
    for (int i = 0; i < 100; i++) {
        char want[32];
        (void)snprintf(want, sizeof want, "%d yes\n", i);
        client_reads(&c[i], want);
        client_end(&c[i]);
        dray_autojson *e = box_event(&b, "exec-exit");
        const char *id = dray_json_str(e, "exec", "e-1");
        CU_ASSERT_EQUAL(dray_json_int(e, "code", -1), atoi(id + 1));
    }
    struct json_object *kill = request("kill");
    dray_json_add_int(kill, "signal", 9);
    box_ok(&b, kill, NULL, 0);
    CU_ASSERT_EQUAL(box_wait(&b), 137);
}

/* The daemon. */

static int by_size(const void *a, const void *b)
{
    return *(const double *)a < *(const double *)b ? -1 : 1;
}

static void test_exec_figures(void)
{
    enum { N = 101 };
    HARNESS(h);
    BOX(b, h, "execs", "sleep 100");
    box_run(&b, "");
    double ms[N];
    for (int i = 0; i < N; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "x%d", i);
        struct client c;
        int64_t begin = dray_clock_mono();
        CU_ASSERT_EQUAL(client_exec(&c, &b, id, "echo hi", "o"), 0);
        client_reads(&c, "hi\n");
        ms[i] = (double)(dray_clock_mono() - begin) / 1e6;
        client_end(&c);
    }
    qsort(ms, N, sizeof ms[0], by_size);
    printf(" [exec p50 %.2f ms, p99 %.2f ms] ", ms[N / 2], ms[N - 2]);
    struct json_object *kill = request("kill");
    dray_json_add_int(kill, "signal", 9);
    box_ok(&b, kill, NULL, 0);
    CU_ASSERT_EQUAL(box_wait(&b), 137);
}

static const struct check_case cases[] = {
    {"exec", test_exec},
    {"exec failures", test_exec_failures},
    {"exec leaves a writer", test_exec_leaves_writer},
    {"100 execs", test_hundred_execs},
    {"execs in a row", test_exec_figures},
};

int main(void)
{
    if (!harness_possible())
        return 0;
    return check_main("execs of the shim, with runtime " SHIM_RUNTIME, cases,
                      sizeof cases / sizeof cases[0]);
}
