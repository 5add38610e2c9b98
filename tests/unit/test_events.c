/* SPDX-License-Identifier: Apache-2.0 */
/* test_events.c - the event bus: shape, replay, slow readers, many threads, closing. */
#include "engine/events.h"

#include "base/clock.h"
#include "base/json.h"
#include "check.h"

#include <poll.h>
#include <pthread.h>

static struct json_object *attrs(const char *key, const char *value)
{
    struct json_object *o = json_object_new_object();
    dray_json_add_str(o, key, value);
    return o;
}

static bool readable(const struct dray_event_reader *r)
{
    struct pollfd p = {.fd = dray_events_fd(r), .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

static void test_shape(void)
{
    struct dray_events *ev = NULL;
    struct dray_event_reader *r = NULL;
    CU_ASSERT_EQUAL_FATAL(dray_events_open(&ev, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(dray_events_subscribe(ev, 0, &r, NULL), 0);
    CU_ASSERT_FALSE(readable(r));
    dray_events_emit(ev, "container", "start", "abc", attrs("image", "busybox"));
    CU_ASSERT_TRUE(readable(r));
    dray_autojson *e = NULL;
    CU_ASSERT_EQUAL_FATAL(dray_events_next(r, 0, &e), 0);
    CU_ASSERT_STRING_EQUAL(dray_json_str(e, "Type", ""), "container");
    CU_ASSERT_STRING_EQUAL(dray_json_str(e, "Action", ""), "start");
    CU_ASSERT_STRING_EQUAL(dray_json_str(e, "Actor.ID", ""), "abc");
    CU_ASSERT_STRING_EQUAL(dray_json_str(e, "Actor.Attributes.image", ""), "busybox");
    CU_ASSERT_STRING_EQUAL(dray_json_str(e, "scope", ""), "local");
    CU_ASSERT_STRING_EQUAL(dray_json_str(e, "status", ""), "start");
    CU_ASSERT_STRING_EQUAL(dray_json_str(e, "id", ""), "abc");
    CU_ASSERT_STRING_EQUAL(dray_json_str(e, "from", ""), "busybox");
    CU_ASSERT_EQUAL(dray_json_int(e, "time", 0), dray_json_int(e, "timeNano", 0) / DRAY_NS_PER_S);
    CU_ASSERT_FALSE(readable(r));
    dray_events_emit(ev, "network", "create", "n", NULL);
    dray_autojson *n = NULL;
    CU_ASSERT_EQUAL_FATAL(dray_events_next(r, 0, &n), 0);
    CU_ASSERT_PTR_NULL(dray_json_get(n, "status"));
    CU_ASSERT_PTR_NOT_NULL(dray_json_obj(n, "Actor.Attributes"));
    dray_events_unsubscribe(r);
    dray_events_close(ev);
}

static void test_replay(void)
{
    struct dray_events *ev = NULL;
    CU_ASSERT_EQUAL_FATAL(dray_events_open(&ev, NULL), 0);
    dray_events_emit(ev, "volume", "create", "one", NULL);
    (void)usleep(2000);
    int64_t middle = dray_clock_now();
    (void)usleep(2000);
    dray_events_emit(ev, "volume", "create", "two", NULL);
    struct dray_event_reader *all = NULL, *late = NULL, *live = NULL;
    CU_ASSERT_EQUAL_FATAL(dray_events_subscribe(ev, 1, &all, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(dray_events_subscribe(ev, middle, &late, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(dray_events_subscribe(ev, 0, &live, NULL), 0);
    CU_ASSERT_TRUE(readable(all));
    dray_autojson *a = NULL, *b = NULL;
    CU_ASSERT_EQUAL(dray_events_next(all, 0, &a), 0);
    CU_ASSERT_STRING_EQUAL(dray_json_str(a, "Actor.ID", ""), "one");
    CU_ASSERT_EQUAL(dray_events_next(late, 0, &b), 0);
    CU_ASSERT_STRING_EQUAL(dray_json_str(b, "Actor.ID", ""), "two");
    struct json_object *none = NULL;
    CU_ASSERT_EQUAL(dray_events_next(late, 1, &none), DRAY_E_TIMEOUT);
    CU_ASSERT_FALSE(readable(live));
    int64_t start = dray_clock_mono();
    CU_ASSERT_EQUAL(dray_events_next(live, start + 30000000, &none), DRAY_E_TIMEOUT);
    CU_ASSERT(dray_clock_mono() - start >= 30000000);
    dray_events_unsubscribe(all);
    dray_events_unsubscribe(late);
    dray_events_unsubscribe(live);
    dray_events_close(ev);
}

static void test_slow_reader(void)
{
    struct dray_events *ev = NULL;
    struct dray_event_reader *r = NULL;
    CU_ASSERT_EQUAL_FATAL(dray_events_open(&ev, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(dray_events_subscribe(ev, 0, &r, NULL), 0);
    for (int i = 0; i < 10000; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "%d", i);
        dray_events_emit(ev, "volume", "create", id, NULL);
    }
    int got = 0, last = -1;
    for (;;) {
        dray_autojson *e = NULL;
        if (dray_events_next(r, 1, &e))
            break;
        int id = atoi(dray_json_str(e, "Actor.ID", "-1"));
        CU_ASSERT(id > last);
        last = id;
        got++;
    }
    CU_ASSERT(got >= 1024 && got < 10000);
    CU_ASSERT_EQUAL(last, 9999);
    dray_events_unsubscribe(r);
    dray_events_close(ev);
}

#define WRITERS 4
#define EACH 300

static void *writer(void *arg)
{
    for (int i = 0; i < EACH; i++)
        dray_events_emit(arg, "container", "exec_start", "x", attrs("n", "1"));
    return NULL;
}

static void *reader(void *arg)
{
    size_t got = 0;
    struct json_object *e = NULL;
    while (dray_events_next(arg, 0, &e) == 0) {
        got++;
        json_object_put(e);
    }
    dray_events_unsubscribe(arg);
    return (void *)got;
}

static void test_threads(void)
{
    struct dray_events *ev = NULL;
    CU_ASSERT_EQUAL_FATAL(dray_events_open(&ev, NULL), 0);
    pthread_t readers[3], writers[WRITERS];
    for (size_t i = 0; i < 3; i++) {
        struct dray_event_reader *r = NULL;
        CU_ASSERT_EQUAL_FATAL(dray_events_subscribe(ev, 0, &r, NULL), 0);
        CU_ASSERT_EQUAL_FATAL(pthread_create(&readers[i], NULL, reader, r), 0);
    }
    for (size_t i = 0; i < WRITERS; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&writers[i], NULL, writer, ev), 0);
    for (size_t i = 0; i < WRITERS; i++)
        pthread_join(writers[i], NULL);
    dray_events_close(ev); /* returns once the readers have left */
    for (size_t i = 0; i < 3; i++) {
        void *got = NULL;
        pthread_join(readers[i], &got);
        CU_ASSERT_EQUAL((size_t)got, (size_t)WRITERS * EACH);
    }
}

static const struct check_case cases[] = {
    {"events have Docker's shape", test_shape},
    {"replay, deadlines, live readers", test_replay},
    {"a slow reader loses the oldest", test_slow_reader},
    {"many threads; closing ends readers after the last event", test_threads},
};

CHECK_MAIN("events", cases)
