/* SPDX-License-Identifier: Apache-2.0 */
/* test_sqlite.c - the sqlite driver through a host for tests: what goes, what stays, what is asked
 * for. */
#include <dray/log.h>
#include <dray/testhost.h>

#include <fcntl.h>

#define CHECK(what)                                                                                \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #what, err.text);              \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

static struct dray_testhost t;
static struct dray_err err;

/* The lines that a query gives, with "|" behind each; + instead behind a piece. */
static const char *ask(const struct dray_log_ops *ops, const struct dray_log_info *info,
                       struct dray_log_query q)
{
    static char text[1024];
    int ends[2];
    size_t n = 0;
    struct dray_log_frame f;
    q.size = sizeof q;
    q.ended.fd = -1;
    if (pipe(ends) != 0 ||
        ops->read(t.self, &t.call, info, &q, (struct dray_fd_borrow){ends[1]}, &err))
        return "failed";
    (void)close(ends[1]);
    while (read(ends[0], &f, sizeof f) == sizeof f && n + f.len + 2 < sizeof text) {
        n += (size_t)read(ends[0], text + n, f.len);
        text[n++] = f.flags & DRAY_LOG_PARTIAL ? '+' : '|';
    }
    (void)close(ends[0]);
    text[n] = '\0';
    return text;
}

int main(int argc, char **argv)
{
    static const struct dray_log_record lines[] = {
        {1, "one", 3, DRAY_LOG_STDOUT, 0, 0},
        {2, "two", 3, DRAY_LOG_STDERR, 0, 0},
        {3, "thr", 3, DRAY_LOG_STDOUT, DRAY_LOG_PARTIAL, 0},
        {4, "ee", 2, DRAY_LOG_STDOUT, 0, 0},
    };
    const uint32_t both = DRAY_LOGQ_STDOUT | DRAY_LOGQ_STDERR;
    CHECK(argc == 2);
    CHECK(dray_testhost_open(&t, argv[1], "max-rows=4", &err) == 0);
    const struct dray_log_ops *ops = dray_testhost_ops(&t, DRAY_KIND_LOG);
    CHECK(ops);
    struct dray_log_info info = {.size = sizeof info, .container_id = "c", .dir = t.dir};
    CHECK(strcmp(ask(ops, &info, (struct dray_log_query){.flags = both, .tail = -1}), "") == 0);

    CHECK(ops->open(t.self, &t.call, &info, &err) == 0);
    CHECK(ops->open(t.self, &t.call, &info, &err) == 0);
    CHECK(ops->write(t.self, &t.call, "c", lines, 4, &err) == 0);
    CHECK(ops->write(t.self, &t.call, "d", lines, 4, &err) == DRAY_E_NOTFOUND);
    CHECK(strcmp(ask(ops, &info, (struct dray_log_query){.flags = both, .tail = -1}),
                 "one|two|thr+ee|") == 0);
    CHECK(strcmp(ask(ops, &info, (struct dray_log_query){.flags = both, .tail = 1}), "thr+ee|") ==
          0);
    CHECK(strcmp(ask(ops, &info, (struct dray_log_query){.flags = both, .tail = 0}), "") == 0);
    CHECK(strcmp(ask(ops, &info, (struct dray_log_query){.flags = DRAY_LOGQ_STDERR, .tail = 5}),
                 "two|") == 0);
    CHECK(strcmp(
              ask(ops, &info,
                  (struct dray_log_query){.flags = both, .tail = -1, .since_ns = 2, .until_ns = 2}),
              "two|") == 0);

    /* The oldest go. */
    CHECK(ops->write(t.self, &t.call, "c", lines, 2, &err) == 0);
    CHECK(strcmp(ask(ops, &info, (struct dray_log_query){.flags = both, .tail = -1}),
                 "thr+ee|one|two|") == 0);

    const struct dray_kv odd = {"max-rows", "none"};
    CHECK(ops->validate(t.self, &t.call, (struct dray_kvs){&odd, 1}, &err) == DRAY_E_INVAL);
    CHECK(ops->close(t.self, &t.call, "c", &err) == 0);
    CHECK(ops->close(t.self, &t.call, "c", &err) == 0);
    dray_testhost_close(&t);

    char path[400];
    (void)snprintf(path, sizeof path, "%s/log.sqlite", t.dir);
    CHECK(unlink(path) == 0 && rmdir(t.dir) == 0);
    puts("ok");
    return 0;
}
