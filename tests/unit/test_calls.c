/* SPDX-License-Identifier: Apache-2.0 */
/* test_calls.c - turns, deadlines, suspicion, memory, records and the cost of a call. */
#include "plugins/bench.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

#define MS UINT64_C(1000000)

static struct dray_driver *open_one(struct bench *b, const char *specimen)
{
    bench_add(b, specimen, "x.so");
    CU_ASSERT_EQUAL_FATAL(bench_open(b), 0);
    return dray_drivers_at(b->drivers, DRAY_KIND_VOLUME, 0);
}

/* create() of a volume, by default of the test's own short deadline. */
struct job {
    struct dray_driver *driver;
    const char *name;
    uint64_t deadline_ms;
    int rc;
    struct dray_err err;
    uint64_t took_ms;
    pthread_t thread;
};

static int create_volume(struct job *j)
{
    struct dray_call_scope s = {0};
    uint64_t start = (uint64_t)dray_clock_mono();
    dray_call_object(&s, j->name);
    dray_call_deadline(&s, start + (j->deadline_ms ? j->deadline_ms : 5000) * MS);
    j->rc = dray_call_enter(&s, j->driver, DRAY_CLASS_QUICK, -1, &j->err);
    if (!j->rc)
        j->rc = ((const struct dray_volume_ops *)s.ops)
                    ->create(s.self, &s.call, j->name, (struct dray_kvs){0}, &j->err);
    dray_call_leave(&s);
    j->took_ms = ((uint64_t)dray_clock_mono() - start) / MS;
    return j->rc;
}

static void *run_job(void *arg)
{
    (void)create_volume(arg);
    return NULL;
}

static void start(struct job *j)
{
    CU_ASSERT_EQUAL_FATAL(pthread_create(&j->thread, NULL, run_job, j), 0);
}

static void sleep_ms(long ms)
{
    struct timespec ts = {ms / 1000, ms % 1000 * 1000000};
    (void)nanosleep(&ts, NULL);
}

/* The most calls that were inside the plugin at one time. */
static int most_inside(struct dray_driver *d)
{
    DRAY_AUTO(dray_call_scope) s = {0};
    struct dray_volume_info info = {.size = sizeof info};
    CU_ASSERT_EQUAL_FATAL(dray_call_enter(&s, d, DRAY_CLASS_QUICK, -1, NULL), 0);
    CU_ASSERT_EQUAL(
        ((const struct dray_volume_ops *)s.ops)->inspect(s.self, &s.call, "v", &info, NULL), 0);
    return atoi(dray_kvs_get(info.status, "most", "0"));
}

/* Eight calls of 20 ms at once, on n objects. */
static int overlap(const char *specimen, size_t n_objects)
{
    static const char *const names[] = {"a-sleep-20", "b-sleep-20", "c-sleep-20", "d-sleep-20"};
    BENCH(b);
    struct dray_driver *d = open_one(&b, specimen);
    struct job jobs[8];
    for (size_t i = 0; i < 8; i++) {
        jobs[i] = (struct job){.driver = d, .name = names[i % n_objects]};
        start(&jobs[i]);
    }
    for (size_t i = 0; i < 8; i++) {
        pthread_join(jobs[i].thread, NULL);
        CU_ASSERT_EQUAL(jobs[i].rc, 0);
    }
    return most_inside(d);
}

static void threading_is_enforced(void)
{
    CU_ASSERT_EQUAL(overlap("serial", 4), 1);
    CU_ASSERT_EQUAL(overlap("per-object", 1), 1);
    int most = overlap("per-object", 4);
    CU_ASSERT(most >= 2 && most <= 4);
    CU_ASSERT(overlap("good", 1) >= 5);
}

static void reload_takes_its_turn(void)
{
    BENCH(b);
    struct dray_driver *d = open_one(&b, "serial");
    struct job slow = {.driver = d, .name = "sleep-300"};
    start(&slow);
    sleep_ms(50);
    CU_ASSERT_EQUAL(dray_drivers_reload(b.drivers, NULL, 0, NULL), 0);
    CU_ASSERT_EQUAL(most_inside(d), 1);
    pthread_join(slow.thread, NULL);
}

static void waiting_has_an_end(void)
{
    BENCH(b);
    struct dray_driver *d = open_one(&b, "serial");
    struct job slow = {.driver = d, .name = "sleep-300"};
    struct job other = {.driver = d, .name = "v", .deadline_ms = 50};
    start(&slow);
    sleep_ms(50);
    CU_ASSERT_EQUAL(create_volume(&other), DRAY_E_BUSY);
    CU_ASSERT_EQUAL(other.err.flags, DRAY_ERR_TRANSIENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(other.err.text, "volume/serial is busy with another call"));
    CU_ASSERT(other.took_ms < 150);
    CU_ASSERT_FALSE(dray_driver_suspect(d));
    pthread_join(slow.thread, NULL);
}

static void waiting_can_be_canceled(void)
{
    BENCH(b);
    struct dray_driver *d = open_one(&b, "serial");
    struct job slow = {.driver = d, .name = "sleep-600"};
    start(&slow);
    sleep_ms(50);
    dray_autofd int cancel = eventfd(1, EFD_CLOEXEC);
    struct dray_call_scope s = {0};
    CU_ASSERT_EQUAL(dray_call_enter(&s, d, DRAY_CLASS_DATA, cancel, NULL), DRAY_E_CANCELED);
    pthread_join(slow.thread, NULL);
}

struct heard {
    _Atomic int suspect, recover;
};

static void hear(void *ctx, const char *plugin, const char *action)
{
    struct heard *h = ctx;
    (void)plugin;
    h->suspect += strcmp(action, "suspect") == 0;
    h->recover += strcmp(action, "recover") == 0;
}

/* health() says "ill" here, so that only the return of the call heals. */
static void overdue_makes_suspect(void)
{
    BENCH(b);
    struct heard h = {0};
    b.config.on_event = hear;
    b.config.ctx = &h;
    dray_autojson *o = NULL;
    CU_ASSERT_EQUAL(dray_json_parse("{\"health\":\"ill\"}", 16, &o, NULL), 0);
    const struct dray_plugin_config p = {.name = "specimen", .options = o};
    b.config.plugins = &p;
    b.config.n_plugins = 1;
    struct dray_driver *d = open_one(&b, "good");

    struct job slow = {.driver = d, .name = "sleep-900", .deadline_ms = 50};
    struct job other = {.driver = d, .name = "v"};
    start(&slow);
    sleep_ms(100);
    /* The first call that comes notices, without a look of the watchdog. */
    CU_ASSERT_EQUAL(create_volume(&other), DRAY_E_UNAVAIL);
    CU_ASSERT_EQUAL(other.err.flags, DRAY_ERR_TRANSIENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(other.err.text, "the driver volume/specimen does not answer"));
    CU_ASSERT(other.took_ms < 20);
    CU_ASSERT_TRUE(dray_driver_suspect(d));
    CU_ASSERT_EQUAL(h.suspect, 1);
    CU_ASSERT_PTR_EQUAL(dray_drivers_find(b.drivers, DRAY_KIND_VOLUME, "specimen"), d);
    dray_autojson *list = dray_drivers_list(b.drivers);
    CU_ASSERT_STRING_EQUAL(dray_json_str(json_object_array_get_idx(list, 0), "State", ""),
                           "suspect");
    sleep_ms(400);
    CU_ASSERT_TRUE(dray_driver_suspect(d));
    pthread_join(slow.thread, NULL);
    CU_ASSERT_EQUAL(slow.rc, 0);
    CU_ASSERT_FALSE(dray_driver_suspect(d));
    CU_ASSERT_EQUAL(h.recover, 1);
    CU_ASSERT_EQUAL(create_volume(&other), 0);
}

static void watchdog_notices_alone(void)
{
    BENCH(b);
    struct heard h = {0};
    b.config.on_event = hear;
    b.config.ctx = &h;
    struct dray_driver *d = open_one(&b, "serial");
    sleep_ms(2600); /* long enough that it sleeps */
    struct job slow = {.driver = d, .name = "sleep-900", .deadline_ms = 50};
    struct job waiting = {.driver = d, .name = "v"};
    start(&slow);
    sleep_ms(20);
    start(&waiting); /* takes its place in the queue before anything is overdue */
    pthread_join(waiting.thread, NULL);
    CU_ASSERT_EQUAL(waiting.rc, DRAY_E_UNAVAIL);
    CU_ASSERT(waiting.took_ms < 500);
    CU_ASSERT_EQUAL(h.suspect, 1);
    pthread_join(slow.thread, NULL);
    CU_ASSERT_EQUAL(h.recover, 1);
}

static void health_clears_suspicion(void)
{
    BENCH(b);
    struct heard h = {0};
    b.config.on_event = hear;
    b.config.ctx = &h;
    struct dray_driver *d = open_one(&b, "per-object");
    struct job slow = {.driver = d, .name = "sleep-1500", .deadline_ms = 50};
    struct job other = {.driver = d, .name = "v"};
    struct job same = {.driver = d, .name = "sleep-1500"};
    start(&slow);
    for (int i = 0; i < 120 && !h.recover; i++)
        sleep_ms(10);
    CU_ASSERT_EQUAL(h.suspect, 1);
    CU_ASSERT_EQUAL(h.recover, 1);
    /* Other objects are served; the one that hangs is refused at once. */
    CU_ASSERT_EQUAL(create_volume(&other), 0);
    CU_ASSERT_EQUAL(create_volume(&same), DRAY_E_UNAVAIL);
    CU_ASSERT_PTR_NOT_NULL(strstr(same.err.text, "held up by a call that does not return"));
    pthread_join(slow.thread, NULL);
    CU_ASSERT_EQUAL(h.suspect, 1);
}

static void default_deadlines(void)
{
    static const struct {
        uint32_t klass;
        uint64_t ms;
    } t[] = {{DRAY_CLASS_QUICK, 10000}, {DRAY_CLASS_MOUNT, 60000}, {DRAY_CLASS_DATA, 0}};
    BENCH(b);
    struct dray_driver *d = open_one(&b, "good");
    for (size_t i = 0; i < 3; i++) {
        struct dray_call_scope s = {0};
        uint64_t now = (uint64_t)dray_clock_mono();
        CU_ASSERT_EQUAL(dray_call_enter(&s, d, t[i].klass, -1, NULL), 0);
        uint64_t end = s.call.deadline_ns;
        CU_ASSERT_EQUAL(t[i].ms ? (end - now) / MS / 100 : end, t[i].ms / 100);
        CU_ASSERT_EQUAL(s.call.size, sizeof s.call);
        CU_ASSERT_EQUAL(s.call.klass, t[i].klass);
        CU_ASSERT_EQUAL(s.call.cancel_fd, -1);
        CU_ASSERT_PTR_NOT_NULL(s.call.request_id);
        dray_call_leave(&s);
        dray_call_leave(&s);
    }
}

static void outputs_live_until_leave(void)
{
    BENCH(b);
    struct dray_driver *d = open_one(&b, "good");
    DRAY_AUTO(dray_call_scope) s = {0};
    dray_call_replay(&s);
    CU_ASSERT_EQUAL_FATAL(dray_call_enter(&s, d, DRAY_CLASS_MOUNT, -1, NULL), 0);
    CU_ASSERT_EQUAL(s.call.flags, DRAY_CALL_REPLAY);
    CU_ASSERT_PTR_NOT_NULL(s.call.request_id);
    const struct dray_volume_ops *ops = s.ops;
    const char *paths[10];
    for (int i = 0; i < 10; i++)
        CU_ASSERT_EQUAL(ops->mount(s.self, &s.call, "name", "user", &paths[i], NULL), 0);
    for (int i = 0; i < 10; i++)
        CU_ASSERT_EQUAL(strlen(paths[i]), 5 + 4 + 1 + 200);
}

struct seen {
    int n, stop_at;
};

static int32_t see(void *ctx, const struct dray_record *rec)
{
    struct seen *seen = ctx;
    char expect[8];
    (void)snprintf(expect, sizeof expect, "v%d", seen->n % 10);
    CU_ASSERT_STRING_EQUAL(dray_kvs_get(rec->fields, "name", ""), expect);
    return ++seen->n == seen->stop_at ? DRAY_E_CANCELED : 0;
}

static int list_into(struct dray_driver *d, struct seen *seen)
{
    DRAY_AUTO(dray_call_scope) s = {0};
    if (seen)
        dray_call_emit_to(&s, see, seen);
    CU_ASSERT_EQUAL_FATAL(dray_call_enter(&s, d, DRAY_CLASS_QUICK, -1, NULL), 0);
    return ((const struct dray_volume_ops *)s.ops)->list(s.self, &s.call, NULL);
}

static void records_are_handed_over(void)
{
    BENCH(b);
    struct dray_driver *d = open_one(&b, "good");
    struct seen all = {0, 0}, some = {0, 3};
    CU_ASSERT_EQUAL(list_into(d, &all), 0);
    CU_ASSERT_EQUAL(all.n, 5);
    CU_ASSERT_EQUAL(list_into(d, &some), DRAY_E_CANCELED);
    CU_ASSERT_EQUAL(some.n, 3);
    CU_ASSERT_EQUAL(list_into(d, NULL), 0);
}

static void errors_pass_through(void)
{
    BENCH(b);
    struct dray_driver *d = open_one(&b, "good");
    struct dray_err err = {0};
    CU_ASSERT_EQUAL(
        dray_driver_call(d, volume, DRAY_CLASS_QUICK, &err, create, "fail", (struct dray_kvs){0}),
        DRAY_E_CONFLICT);
    CU_ASSERT_STRING_EQUAL(err.text, "volume fail exists");
    CU_ASSERT_STRING_EQUAL(err.op, "volume/specimen.create");
    err = (struct dray_err){0};
    CU_ASSERT_EQUAL(
        dray_driver_call(d, volume, DRAY_CLASS_QUICK, &err, create, "mute", (struct dray_kvs){0}),
        DRAY_E_BUSY);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "failed in create and did not say why (-11)"));
    CU_ASSERT_EQUAL(dray_driver_call(d, volume, DRAY_CLASS_QUICK, &err, create, "positive",
                                     (struct dray_kvs){0}),
                    DRAY_E_INTERNAL);
    CU_ASSERT_EQUAL(dray_driver_call(d, volume, DRAY_CLASS_QUICK, NULL, remove, "v"), 0);
}

static void a_call_is_cheap(void)
{
    enum { N = 200000 };
    BENCH(b);
    struct dray_driver *d = open_one(&b, "serial");
    int64_t start = dray_clock_mono();
    for (int i = 0; i < N; i++)
        (void)dray_driver_call(d, volume, DRAY_CLASS_QUICK, NULL, remove, "v");
    int64_t each = (dray_clock_mono() - start) / N;
    printf(" (%lld ns a call) ", (long long)each);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    CU_ASSERT(each < 5000); /* some hundred ns on an idle machine */
#endif
}

static const struct check_case cases[] = {
    {"threading is enforced", threading_is_enforced},
    {"reload takes its turn", reload_takes_its_turn},
    {"waiting has an end", waiting_has_an_end},
    {"waiting can be canceled", waiting_can_be_canceled},
    {"overdue makes suspect", overdue_makes_suspect},
    {"watchdog notices alone", watchdog_notices_alone},
    {"health clears suspicion", health_clears_suspicion},
    {"default deadlines", default_deadlines},
    {"outputs live until leave", outputs_live_until_leave},
    {"records are handed over", records_are_handed_over},
    {"errors pass through", errors_pass_through},
    {"a call is cheap", a_call_is_cheap},
};
CHECK_MAIN("calls", cases)
