/* SPDX-License-Identifier: Apache-2.0 */
/* test_family.c - drivers that a plugin opens by names that it does not list. */
#include "plugins/bench.h"

#include <pthread.h>
#include <time.h>

static void nap_ms(long ms)
{
    const struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&ts, NULL);
}

static void claims_when_it_is_asked(void)
{
    BENCH(b);
    struct dray_err err = {0};
    bench_add(&b, "good", "good.so");
    bench_add(&b, "family", "family.so");
    CU_ASSERT_EQUAL_FATAL(bench_open(&b), 0);
    /* Only the ordinary one is there, and looking for a name opens nothing. */
    CU_ASSERT_PTR_NULL(dray_drivers_at(b.drivers, DRAY_KIND_VOLUME, 1));
    CU_ASSERT_PTR_NULL(dray_drivers_find(b.drivers, DRAY_KIND_VOLUME, "hello-1"));
    CU_ASSERT_PTR_NULL(dray_drivers_find(b.drivers, DRAY_KIND_VOLUME, "kin"));
    struct dray_driver *d = dray_drivers_get(b.drivers, DRAY_KIND_VOLUME, "hello-1", &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(d);
    CU_ASSERT_STRING_EQUAL(dray_driver_name(d), "hello-1");
    CU_ASSERT_PTR_EQUAL(dray_drivers_get(b.drivers, DRAY_KIND_VOLUME, "hello-1", &err), d);
    CU_ASSERT_PTR_EQUAL(dray_drivers_find(b.drivers, DRAY_KIND_VOLUME, "hello-1"), d);
    CU_ASSERT_PTR_EQUAL(dray_drivers_at(b.drivers, DRAY_KIND_VOLUME, 1), d);
    CU_ASSERT_EQUAL(
        dray_driver_call(d, volume, DRAY_CLASS_QUICK, &err, create, "v", (struct dray_kvs){0}), 0);
    /* Each name has an instance of its own. */
    struct dray_driver *e = dray_drivers_get(b.drivers, DRAY_KIND_VOLUME, "hello_2.x", &err);
    CU_ASSERT_PTR_NOT_NULL(e);
    CU_ASSERT_PTR_NOT_EQUAL(e, d);
    CU_ASSERT_STRING_EQUAL(
        dray_driver_name(dray_drivers_get(b.drivers, DRAY_KIND_VOLUME, "specimen", &err)),
        "specimen");
}

static void refuses_what_is_not_its_own(void)
{
    static const struct {
        const char *name;
        int code;
        const char *text;
    } t[] = {
        {"other", DRAY_E_NOTFOUND, "volume plugin \"other\" not found"},
        {"kin", DRAY_E_NOTFOUND, "volume plugin \"kin\" not found"},
        {"hello/../x", DRAY_E_NOTFOUND, "not found"},
        {"", DRAY_E_NOTFOUND, "not found"},
        {"bad-claim", DRAY_E_INVAL, "the file of bad-claim makes no sense"},
        {"bad-open", DRAY_E_UNAVAIL, "bad-open: nobody at home"},
    };
    BENCH(b);
    bench_add(&b, "family", "family.so");
    CU_ASSERT_EQUAL_FATAL(bench_open(&b), 0);
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct dray_err err = {0};
        CU_ASSERT_PTR_NULL(dray_drivers_get(b.drivers, DRAY_KIND_VOLUME, t[i].name, &err));
        CU_ASSERT_EQUAL(err.code, t[i].code);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, t[i].text));
    }
    struct dray_err err = {0};
    CU_ASSERT_PTR_NULL(dray_drivers_get(b.drivers, DRAY_KIND_NETWORK, "hello-1", &err));
    CU_ASSERT_EQUAL(err.code, DRAY_E_NOTFOUND);
}

static void has_the_options_of_its_entry(void)
{
    BENCH(b);
    dray_autojson *options = json_tokener_parse("{\"text\":\"abc\",\"health\":\"ill\"}");
    dray_autojson *changed = json_tokener_parse("{\"text\":\"xyz\",\"health\":\"ill\"}");
    struct dray_plugin_config entry = {.name = "kin", .options = options};
    b.config.plugins = &entry;
    b.config.n_plugins = 1;
    struct dray_err err = {0};
    bench_add(&b, "family", "family.so");
    CU_ASSERT_EQUAL_FATAL(bench_open(&b), 0);
    CU_ASSERT_PTR_NULL(dray_drivers_get(b.drivers, DRAY_KIND_VOLUME, "hello-1", &err));
    CU_ASSERT_PTR_NOT_NULL(dray_drivers_get(b.drivers, DRAY_KIND_VOLUME, "abc-1", &err));
    entry.options = changed;
    CU_ASSERT_EQUAL(dray_drivers_reload(b.drivers, &entry, 1, &err), 0);
    CU_ASSERT_PTR_NOT_NULL(dray_drivers_get(b.drivers, DRAY_KIND_VOLUME, "xyz-1", &err));
    CU_ASSERT_PTR_NULL(dray_drivers_get(b.drivers, DRAY_KIND_VOLUME, "abc-2", &err));
    dray_autojson *list = dray_drivers_list(b.drivers);
    CU_ASSERT_EQUAL(dray_json_len(list), 3);
    for (size_t i = 0; i < dray_json_len(list); i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        CU_ASSERT_STRING_EQUAL(dray_json_str(o, "State", ""), "ready");
        CU_ASSERT_STRING_EQUAL(dray_json_str(o, "Options.text", ""), "xyz");
        CU_ASSERT_EQUAL(dray_json_bool(o, "Family", false),
                        strcmp(dray_json_str(o, "Name", ""), "kin") == 0);
    }
}

static void refuses_half_a_family(void)
{
    BENCH(b);
    struct dray_err err = {0};
    bench_add(&b, "family-no-claim", "x.so");
    CU_ASSERT_EQUAL_FATAL(bench_open(&b), 0);
    CU_ASSERT_PTR_NULL(dray_drivers_get(b.drivers, DRAY_KIND_VOLUME, "hello-1", &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "a family and its descriptor has no claim()"));
}

struct asker {
    struct bench *b;
    const char *name;
    struct dray_driver *got;
    struct dray_err err;
};

static void *ask(void *arg)
{
    struct asker *a = arg;
    a->got = dray_drivers_get(a->b->drivers, DRAY_KIND_VOLUME, a->name, &a->err);
    return NULL;
}

static void many_who_ask_get_one(void)
{
    enum { N = 8 };
    BENCH(b);
    struct asker a[N] = {0};
    pthread_t t[N];
    bench_add(&b, "family", "family.so");
    CU_ASSERT_EQUAL_FATAL(bench_open(&b), 0);
    for (int i = 0; i < N; i++) {
        a[i] = (struct asker){.b = &b, .name = i % 2 ? "slow-open" : "hello-x"};
        CU_ASSERT_EQUAL_FATAL(pthread_create(&t[i], NULL, ask, &a[i]), 0);
    }
    for (int i = 0; i < N; i++)
        pthread_join(t[i], NULL);
    for (int i = 0; i < N; i++) {
        CU_ASSERT_PTR_NOT_NULL(a[i].got);
        CU_ASSERT_PTR_EQUAL(a[i].got, a[i % 2].got);
    }
}

static void one_that_hangs_is_told_at_once(void)
{
    BENCH(b);
    struct dray_err err = {0};
    bench_add(&b, "family", "family.so");
    b.config.open_timeout_ms = 50;
    CU_ASSERT_EQUAL_FATAL(bench_open(&b), 0);
    CU_ASSERT_PTR_NULL(dray_drivers_get(b.drivers, DRAY_KIND_VOLUME, "slow-open", &err));
    CU_ASSERT_EQUAL(err.code, DRAY_E_TIMEOUT);
    CU_ASSERT_PTR_NULL(dray_drivers_get(b.drivers, DRAY_KIND_VOLUME, "slow-open", &err));
    CU_ASSERT_EQUAL(err.code, DRAY_E_UNAVAIL);
    CU_ASSERT_PTR_NOT_NULL(dray_drivers_get(b.drivers, DRAY_KIND_VOLUME, "hello-1", &err));
    /* When it comes back, it is forgotten, and the registry can be freed. */
    nap_ms(600);
}

static const struct check_case cases[] = {
    {"claims when it is asked", claims_when_it_is_asked},
    {"refuses what is not its own", refuses_what_is_not_its_own},
    {"has the options of its entry", has_the_options_of_its_entry},
    {"refuses half a family", refuses_half_a_family},
    {"many who ask get one", many_who_ask_get_one},
    {"one that hangs is told at once", one_that_hangs_is_told_at_once},
};
CHECK_MAIN("family", cases)
