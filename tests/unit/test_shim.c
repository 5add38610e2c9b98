/* SPDX-License-Identifier: Apache-2.0 */
/* test_shim.c - the real dray-shim, with a runtime that starts processes of the host. */
#include "shim_harness.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/sockmsg.h"
#include "shim/protocol.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

/* Run and exit. */

static void test_run(void)
{
    HARNESS(h);
    BOX(b, h, "run1", "echo out; echo err >&2; exit 3");
    box_run(&b, "l");
    CU_ASSERT_EQUAL(box_wait(&b), 3);
    dray_autojson *file = NULL;
    CU_ASSERT_EQUAL(dray_json_load(AT_FDCWD, b.exit_file, &file, NULL), 0);
    CU_ASSERT_EQUAL(dray_json_int(file, "code", -1), 3);
    CU_ASSERT_TRUE(dray_json_int(file, "at_ns", 0) > 0);
    CU_ASSERT_FALSE(dray_json_bool(file, "oom", true));
    CU_ASSERT_PTR_NULL(dray_json_get(file, "event"));
    dray_autofree char *log = box_log(&b);
    CU_ASSERT_PTR_NOT_NULL(strstr(log, "{\"log\":\"out\\n\",\"stream\":\"stdout\",\"time\":\""));
    CU_ASSERT_PTR_NOT_NULL(strstr(log, "{\"log\":\"err\\n\",\"stream\":\"stderr\",\"time\":\""));
    CU_ASSERT_TRUE(box_gone(&b));
    if (!h.native)
        CU_ASSERT_TRUE(box_has(&b, "removed"));
}

static void test_signal_code(void)
{
    HARNESS(h);
    BOX(b, h, "sig", "touch \"$0\" 2>/dev/null; sleep 100");
    box_run(&b, "");
    dray_autofree char *mark = dray_strf("%s/oom", b.bundle);
    CU_ASSERT_EQUAL(dray_fs_replace(AT_FDCWD, mark, "", 0, 0600, DRAY_FS_PLAIN, NULL), 0);
    struct json_object *kill = request("kill");
    dray_json_add_int(kill, "signal", 9);
    dray_json_add_bool(kill, "all", true);
    box_ok(&b, kill, NULL, 0);
    dray_autojson *e = box_event(&b, "exit");
    CU_ASSERT_EQUAL(dray_json_int(e, "code", -1), 137);
    if (!h.native)
        CU_ASSERT_TRUE(dray_json_bool(e, "oom", false));
}

static void test_refused(void)
{
    HARNESS(h);
    BOX(b, h, "bad", "true");
    struct json_object *run = box_run_body(&b, "l");
    dray_json_add_str(run, "runtime", "nowhere");
    CU_ASSERT_EQUAL(box_code(&b, run, NULL, 0), DRAY_E_NOTFOUND);
    CU_ASSERT_TRUE(box_gone(&b));
    CU_ASSERT_FALSE(box_has(&b, "exit.json"));

    BOX(c, h, "bad2", "true");
    dray_autofree char *path = dray_strf("%s/config.json", c.bundle);
    const char *text = "{\"refuse\":true}";
    CU_ASSERT_EQUAL(dray_fs_replace(AT_FDCWD, path, text, strlen(text), 0600, DRAY_FS_PLAIN, NULL),
                    0);
    CU_ASSERT_EQUAL(box_code(&c, box_run_body(&c, "l"), NULL, 0), DRAY_E_INVAL);
    CU_ASSERT_TRUE(box_gone(&c));

    BOX(d, h, "bad3", "true");
    const char *nothing[] = {"/nonexistent/command", NULL};
    box_command(&d, nothing);
    struct client waiting;
    client_attach(&waiting, &d, "oe", NULL);
    CU_ASSERT_EQUAL(box_code(&d, box_run_body(&d, "l"), NULL, 0), DRAY_E_NOCMD);
    CU_ASSERT_EQUAL(client_done(&waiting), 0);
    client_end(&waiting);
    CU_ASSERT_TRUE(box_gone(&d));
    if (!h.native)
        CU_ASSERT_TRUE(box_has(&d, "removed"));
}

/* Sessions. */

static void test_attach_before_run(void)
{
    HARNESS(h);
    BOX(b, h, "before", "echo one; echo two >&2");
    struct client raw, framed;
    client_attach(&raw, &b, "o", NULL);
    client_attach(&framed, &b, "oef", NULL);
    box_run(&b, "");
    client_reads(&raw, "one\n");
    DRAY_AUTO(dray_buf) got = {0};
    client_read(&framed, &got);
    CU_ASSERT_EQUAL(got.len, 24);
    CU_ASSERT_EQUAL(memcmp(got.data, "\1\0\0\0\0\0\0\4one\n", 12), 0);
    CU_ASSERT_EQUAL(memcmp(got.data + 12, "\2\0\0\0\0\0\0\4two\n", 12), 0);
    CU_ASSERT_EQUAL(client_done(&raw), 0);
    CU_ASSERT_EQUAL(client_done(&framed), 0);
    CU_ASSERT_EQUAL(box_wait(&b), 0);
    client_end(&raw);
    client_end(&framed);
}

static void test_half_close(void)
{
    HARNESS(h);
    BOX(b, h, "sort", "sort; echo end");
    struct client c;
    client_attach(&c, &b, "io", NULL);
    box_run(&b, "io");
    client_say(&c, "b\na\n");
    (void)shutdown(c.sock, SHUT_WR);
    client_reads(&c, "a\nb\nend\n");
    CU_ASSERT_EQUAL(box_wait(&b), 0);
    client_end(&c);
}

static void test_stdin_stays_open(void)
{
    HARNESS(h);
    BOX(b, h, "open", "while read x; do echo got $x; done; echo eof");
    struct client c, d;
    client_attach(&c, &b, "io", NULL);
    box_run(&b, "i"); /* not once: another client may go on */
    client_say(&c, "1\n");
    CU_ASSERT_TRUE(client_sees(&c, "got 1"));
    (void)shutdown(c.sock, SHUT_WR);
    client_attach(&d, &b, "io", NULL);
    client_say(&d, "2\n");
    CU_ASSERT_TRUE(client_sees(&d, "got 2"));
    CU_ASSERT_TRUE(client_sees(&c, "got 2"));
    box_ok(&b, request("close_stdin"), NULL, 0);
    CU_ASSERT_TRUE(client_sees(&d, "eof"));
    CU_ASSERT_EQUAL(box_wait(&b), 0);
    client_end(&c);
    client_end(&d);
}

static void test_stdin_ignored(void)
{
    HARNESS(h);
    BOX(b, h, "ignored", "cat; echo done");
    struct client c;
    client_attach(&c, &b, "io", NULL);
    box_run(&b, "");
    (void)send(c.sock, "nobody reads this\n", 18, MSG_NOSIGNAL);
    client_reads(&c, "done\n");
    CU_ASSERT_EQUAL(box_wait(&b), 0);
    client_end(&c);
}

static void test_input_then_gone(void)
{
    HARNESS(h);
    BOX(b, h, "gone", "sleep 0.2; wc -c");
    struct client c;
    client_attach(&c, &b, "i", NULL);
    static char zeros[200000];
    CU_ASSERT_EQUAL(write(c.sock, zeros, 100000), 100000);
    client_end(&c); /* before the container even runs */
    box_run(&b, "iol");
    CU_ASSERT_EQUAL(box_wait(&b), 0);
    dray_autofree char *log = box_log(&b);
    CU_ASSERT_PTR_NOT_NULL(strstr(log, "{\"log\":\"100000\\n\""));
}

static void test_terminal(void)
{
    HARNESS(h);
    BOX(b, h, "tty", "stty size; stty -echo; echo ready; read x; echo \"[$x]\"; stty size");
    struct client c;
    client_attach(&c, &b, "ioe", "\x10\x11");
    struct json_object *size = request("resize"); /* before there is a terminal */
    dray_json_add_int(size, "rows", 33);
    dray_json_add_int(size, "cols", 111);
    box_ok(&b, size, NULL, 0);
    box_run(&b, "til");
    CU_ASSERT_TRUE(client_sees(&c, "33 111\r\nready\r\n"));
    size = request("resize");
    dray_json_add_int(size, "rows", 44);
    dray_json_add_int(size, "cols", 99);
    box_ok(&b, size, NULL, 0);
    client_say(&c, "in\x10put\n"); /* the first of the keys alone is input */
    CU_ASSERT_TRUE(client_sees(&c, "[in\x10put]\r\n44 99"));
    CU_ASSERT_EQUAL(box_wait(&b), 0);
    client_end(&c);
    dray_autofree char *log = box_log(&b);
    CU_ASSERT_PTR_NOT_NULL(strstr(log, "{\"log\":\"44 99\\r\\n\",\"stream\":\"stdout\""));
}

static void test_detach(void)
{
    HARNESS(h);
    BOX(b, h, "detach", "stty -echo; echo ready; read x; exit 5");
    struct client c, d;
    client_attach(&c, &b, "io", "\x10\x11");
    box_run(&b, "ti");
    CU_ASSERT_TRUE(client_sees(&c, "ready"));
    client_say(&c, "\x10");
    client_say(&c, "\x11");
    CU_ASSERT_EQUAL(client_done(&c), 'd');
    client_end(&c);
    client_attach(&d, &b, "io", "\x10\x11");
    client_say(&d, "go\n");
    CU_ASSERT_EQUAL(box_wait(&b), 5);
    CU_ASSERT_EQUAL(client_done(&d), 0);
    client_end(&d);
}

static void test_detach_keys_in_pipe(void)
{
    HARNESS(h);
    BOX(b, h, "binary", "od -An -tx1");
    struct client c;
    client_attach(&c, &b, "io", "\x10\x11");
    box_run(&b, "io");
    client_say(&c, "\x10\x11");
    (void)shutdown(c.sock, SHUT_WR);
    client_reads(&c, " 10 11\n");
    client_end(&c);
}

static void test_slow_reader(void)
{
    HARNESS(h);
    BOX(b, h, "slow", "head -c 3000000 /dev/zero; echo end >&2");
    struct client slow, quick;
    client_attach(&slow, &b, "o", NULL);
    client_attach(&quick, &b, "e", NULL);
    box_run(&b, "l");
    nap(100); /* the container is stalled by the full pipe */
    CU_ASSERT_FALSE(readable(quick.done, 0));
    box_ok(&b, request("state"), NULL, 0); /* the shim is not */
    DRAY_AUTO(dray_buf) got = {0};
    client_read(&slow, &got);
    CU_ASSERT_EQUAL(got.len, 3000000);
    client_reads(&quick, "end\n");
    CU_ASSERT_EQUAL(box_wait(&b), 0);
    client_end(&slow);
    client_end(&quick);
}

static void test_late_reader(void)
{
    HARNESS(h);
    BOX(b, h, "late", "head -c 700000 /dev/zero");
    struct client c;
    client_attach(&c, &b, "o", NULL);
    box_run(&b, "");
    nap(50);
    DRAY_AUTO(dray_buf) got = {0};
    char *room = dray_buf_room(&got, 400000);
    while (got.len < 400000) {
        ssize_t n = read(c.sock, room + got.len, 400000 - got.len);
        if (n <= 0)
            break;
        got.len += (size_t)n;
    }
    CU_ASSERT_EQUAL(box_wait(&b), 0); /* the exit does not wait for the client */
    nap(300);
    client_read(&c, &got);
    CU_ASSERT_EQUAL(got.len, 700000);
    CU_ASSERT_TRUE(box_gone(&b));
    client_end(&c);
}

static void test_vanished_reader(void)
{
    HARNESS(h);
    BOX(b, h, "vanished", "head -c 3000000 /dev/zero; echo end >&2");
    struct client c;
    client_attach(&c, &b, "o", NULL);
    box_run(&b, "");
    nap(50);
    client_end(&c);
    CU_ASSERT_EQUAL(box_wait(&b), 0);
}

static void *count_bytes(void *arg)
{
    struct client *c = arg;
    static char buf[1 << 18];
    size_t sum = 0;
    for (;;) {
        ssize_t n = read(c->sock, buf, sizeof buf);
        if (n <= 0)
            return (void *)sum;
        sum += (size_t)n;
    }
}

static void test_gigabyte(void)
{
    HARNESS(h);
    BOX(b, h, "gig", "dd if=/dev/zero bs=65536 count=16384 2>/dev/null");
    struct client c;
    client_attach(&c, &b, "oef", NULL);
    int64_t begin = dray_clock_mono();
    pthread_t reader;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&reader, NULL, count_bytes, &c), 0);
    box_run(&b, "");
    void *sum = NULL;
    (void)pthread_join(reader, &sum);
    double s = (double)(dray_clock_mono() - begin) / 1e9;
    CU_ASSERT_TRUE((size_t)sum > 1073741824);
    printf(" [1 GiB in %.2f s: %.2f GB/s] ", s, 1.073741824 / s);
    CU_ASSERT_EQUAL(box_wait(&b), 0);
    client_end(&c);
}

static void test_two_connections(void)
{
    HARNESS(h);
    BOX(b, h, "two", "sleep 100");
    box_run(&b, "");
    struct box other = b;
    other.events = json_object_new_array();
    CU_ASSERT_TRUE(box_connect(&b, &other.conn));
    struct json_object *kill = request("kill");
    dray_json_add_int(kill, "signal", 9);
    box_ok(&other, kill, NULL, 0);
    CU_ASSERT_EQUAL(box_wait(&b), 137);
    CU_ASSERT_EQUAL(box_wait(&other), 137);
    box_end(&other);
}

static void test_daemon_gone(void)
{
    HARNESS(h);
    BOX(b, h, "orphan", "read x; exit 4");
    struct client c;
    client_attach(&c, &b, "i", NULL);
    box_run(&b, "io");
    (void)close(b.conn);
    nap(20);
    CU_ASSERT_TRUE(box_connect(&b, &b.conn));
    dray_autojson *state = box_call(&b, request("state"), NULL, 0);
    CU_ASSERT_TRUE(dray_json_bool(state, "running", false));
    CU_ASSERT_TRUE(dray_json_int(state, "pid", 0) > 1);
    CU_ASSERT_TRUE(dray_json_int(state, "started_ns", 0) > 1);
    (void)close(dray_steal_fd(&b.conn));
    client_end(&c); /* end of its input: the container ends, and nobody listens */
    CU_ASSERT_TRUE(box_gone(&b));
    dray_autojson *file = NULL;
    CU_ASSERT_EQUAL(dray_json_load(AT_FDCWD, b.exit_file, &file, NULL), 0);
    CU_ASSERT_EQUAL(dray_json_int(file, "code", -1), 4);
}

static void test_zygote_gone(void)
{
    HARNESS(h);
    BOX(b, h, "survivor", "read x; exit 6");
    struct client c;
    client_attach(&c, &b, "i", NULL);
    box_run(&b, "io");
    CU_ASSERT_EQUAL(kill(h.zygote_pid, SIGKILL), 0);
    int status = 0;
    CU_ASSERT_EQUAL(waitpid(h.zygote_pid, &status, 0), h.zygote_pid);
    h.zygote_pid = 0;
    client_say(&c, "go\n");
    CU_ASSERT_EQUAL(box_wait(&b), 6);
    client_end(&c);
}

static void test_never_run(void)
{
    HARNESS(h);
    BOX(b, h, "idle", "true");
    box_ok(&b, request("state"), NULL, 0);
    (void)close(dray_steal_fd(&b.conn)); /* the daemon died before it asked for anything */
    CU_ASSERT_TRUE(box_gone(&b));

    BOX(q, h, "quit", "true");
    box_ok(&q, request("quit"), NULL, 0);
    CU_ASSERT_TRUE(box_gone(&q));
}

static void test_run_again(void)
{
    HARNESS(h);
    for (int i = 0; i < 20; i++) { /* the same container: the last shim may still be leaving */
        BOX(b, h, "again", "exit 2");
        box_run(&b, "l");
        CU_ASSERT_EQUAL(box_wait(&b), 2);
    }
}

static void test_malformed(void)
{
    HARNESS(h);
    BOX(b, h, "malformed", "sleep 100");
    CU_ASSERT_EQUAL(send(b.conn, "Jnot json", 9, 0), 9);
    CU_ASSERT_EQUAL(send(b.conn, "?", 1, 0), 1);
    CU_ASSERT_EQUAL(box_code(&b, request("dance"), NULL, 0), DRAY_E_INVAL);
    CU_ASSERT_EQUAL(box_code(&b, request("run"), NULL, 0), DRAY_E_INVAL);
    CU_ASSERT_TRUE(box_gone(&b));
    BOX(c, h, "malformed2", "exit 1");
    CU_ASSERT_EQUAL(box_code(&c, request("attach"), NULL, 0), DRAY_E_INVAL);
    int pair[2];
    CU_ASSERT_EQUAL(pipe2(pair, O_CLOEXEC), 0);
    CU_ASSERT_EQUAL(box_code(&c, request("attach"), pair, 2), DRAY_E_INVAL);
    (void)close(pair[0]);
    (void)close(pair[1]);
    CU_ASSERT_EQUAL(box_code(&c, request("exec"), NULL, 0), DRAY_E_INVAL);
    CU_ASSERT_EQUAL(box_code(&c, request("kill"), NULL, 0), DRAY_E_CONFLICT);
    box_run(&c, "");
    CU_ASSERT_EQUAL(box_wait(&c), 1);
}

/* Figures. */

static long pss_kb(int pid)
{
    dray_autofree char *path = dray_strf("/proc/%d/smaps_rollup", pid);
    DRAY_AUTO(dray_buf) text = {0};
    if (dray_fs_read(AT_FDCWD, path, 65536, &text, NULL) != 0)
        return -1;
    const char *at = strstr(text.data, "\nPss:");
    return at ? strtol(at + 5, NULL, 10) : -1;
}

static int shim_pid(const struct box *b)
{
    dray_autofree char *path = dray_strf("%s/%s", b->dir, DRAY_SHIM_PIDFILE);
    DRAY_AUTO(dray_buf) text = {0};
    return dray_fs_read(AT_FDCWD, path, 64, &text, NULL) == 0 ? atoi(text.data) : 0;
}

static void test_figures(void)
{
    enum { N = 20 };
    HARNESS(h);
    int64_t begin = dray_clock_mono();
    for (int i = 0; i < 50; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "t%d", i);
        BOX(b, h, id, "exit 0");
        box_run(&b, "l");
        CU_ASSERT_EQUAL(box_wait(&b), 0);
    }
    double ms = (double)(dray_clock_mono() - begin) / 50e6;
    struct box b[N];
    for (int i = 0; i < N; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "m%d", i);
        box_begin(&b[i], &h, id, "echo hello; sleep 100");
        box_run(&b[i], "l");
    }
    nap(300);
    long sum = 0;
    for (int i = 0; i < N; i++)
        sum += pss_kb(shim_pid(&b[i]));
    printf(" [spawn+run+exit %.2f ms; %d shims, PSS %ld kB each, zygote %ld kB] ", ms, N, sum / N,
           pss_kb(h.zygote_pid));
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    CU_ASSERT_TRUE(sum / N < 300);
#endif
    for (int i = 0; i < N; i++) {
        struct json_object *kill = request("kill");
        dray_json_add_int(kill, "signal", 9);
        dray_json_add_bool(kill, "all", true);
        box_ok(&b[i], kill, NULL, 0);
        CU_ASSERT_EQUAL(box_wait(&b[i]), 137);
        box_end(&b[i]);
    }
}

static const struct check_case cases[] = {
    {"run", test_run},
    {"code after a signal, oom", test_signal_code},
    {"refused", test_refused},
    {"attach before run", test_attach_before_run},
    {"half-close", test_half_close},
    {"stdin stays open", test_stdin_stays_open},
    {"stdin ignored", test_stdin_ignored},
    {"input, then gone", test_input_then_gone},
    {"terminal", test_terminal},
    {"detach", test_detach},
    {"detach keys in a pipe", test_detach_keys_in_pipe},
    {"slow reader", test_slow_reader},
    {"late reader", test_late_reader},
    {"vanished reader", test_vanished_reader},
    {"1 GiB", test_gigabyte},
    {"two connections", test_two_connections},
    {"daemon gone", test_daemon_gone},
    {"zygote gone", test_zygote_gone},
    {"never run", test_never_run},
    {"run again", test_run_again},
    {"malformed", test_malformed},
    {"figures", test_figures},
};

int main(void)
{
    if (!harness_possible())
        return 0;
    return check_main("shim, with runtime " SHIM_RUNTIME, cases, sizeof cases / sizeof cases[0]);
}
