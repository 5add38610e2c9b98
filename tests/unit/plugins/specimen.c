/* SPDX-License-Identifier: Apache-2.0 */
/* specimen.c - one volume plugin in many sound and broken variants, chosen by -D, for the loader.
 */
#include <dray/plugin.h>
#include <dray/util.h>
#include <dray/volume.h>

#include <stdbool.h>
#include <time.h>

#ifndef NAME
#define NAME "specimen"
#endif
#ifndef CARD_NAME
#define CARD_NAME NAME
#endif
#ifndef CARD_ABI
#define CARD_ABI "0.1"
#endif
#define QUOTE_(x) "\"" #x "\""
#define QUOTE(x) QUOTE_(x)
#ifndef CARD_KIND
#define CARD_KIND volume
#endif
#if defined(CARD_NO_KINDS)
#define CARD_KINDS ""
#elif defined(CARD_MORE_KINDS)
#define CARD_KINDS QUOTE(CARD_KIND) ",\"log\""
#else
#define CARD_KINDS QUOTE(CARD_KIND)
#endif
#ifndef MAGIC
#define MAGIC DRAY_PLUGIN_MAGIC
#endif
#ifndef MAJOR
#define MAJOR DRAY_ABI_MAJOR
#endif
#ifndef MINOR
#define MINOR DRAY_ABI_MINOR
#endif
#ifndef TABLE_MAJOR
#define TABLE_MAJOR DRAY_ABI_MAJOR
#endif
#ifndef KIND
#define KIND DRAY_KIND_VOLUME
#endif
#ifndef THREADING
#define THREADING DRAY_THREAD_PARALLEL
#endif
#ifndef DESCRIPTOR_SIZE
#define DESCRIPTOR_SIZE sizeof(struct dray_plugin)
#endif

#ifdef CARD_FAMILY
#define CARD_MORE ",\"family\":true"
#else
#define CARD_MORE ""
#endif

#ifdef CARD_TEXT
DRAY_PLUGIN_CARD(CARD_TEXT);
#elif !defined(NO_CARD)
DRAY_PLUGIN_CARD("{\"name\":\"" CARD_NAME "\",\"version\":\"1.2.3\",\"abi\":\"" CARD_ABI "\","
                 "\"kinds\":[" CARD_KINDS "],\"license\":\"MIT\"" CARD_MORE "}");
#endif

struct dray_self {
    const struct dray_host *host;
    int busy; /* calls inside at this moment; serial drivers never see more than one */
    int most; /* the most there have been */
    int reloads;
    const char *first_text; /* the option as it was when the instance was opened */
};

#ifdef NEEDS_SYMBOL
int symbol_that_nobody_has(void);
#endif

static void nap(long ms)
{
    struct timespec ts = {ms / 1000, ms % 1000 * 1000000};
    (void)nanosleep(&ts, NULL);
}

/* "sleep-MS" as a name makes the call last that long. */
static void dawdle(struct dray_self *self, const char *name)
{
    int now = __atomic_add_fetch(&self->busy, 1, __ATOMIC_SEQ_CST);
    int most = __atomic_load_n(&self->most, __ATOMIC_SEQ_CST);
    while (now > most && !__atomic_compare_exchange_n(&self->most, &most, now, 0, __ATOMIC_SEQ_CST,
                                                      __ATOMIC_SEQ_CST))
        ;
    const char *at = strstr(name, "sleep-");
    if (at)
        nap(strtol(at + 6, NULL, 10));
    __atomic_sub_fetch(&self->busy, 1, __ATOMIC_SEQ_CST);
}

static int32_t create(struct dray_self *self, const struct dray_call *call, const char *name,
                      struct dray_kvs opts, struct dray_err *err)
{
    (void)call;
    (void)opts;
    dawdle(self, name);
    if (strcmp(name, "fail") == 0)
        return dray_fail(err, DRAY_E_CONFLICT, "volume fail exists");
    if (strcmp(name, "mute") == 0)
        return DRAY_E_BUSY;
    return strcmp(name, "positive") == 0 ? 42 : 0;
}

static int32_t remove_volume(struct dray_self *self, const struct dray_call *call, const char *name,
                             struct dray_err *err)
{
    (void)call;
    (void)err;
    dawdle(self, name);
    return 0;
}

/* Answers with what the tests want to know about the instance. */
static int32_t inspect(struct dray_self *self, const struct dray_call *call, const char *name,
                       struct dray_volume_info *out, struct dray_err *err)
{
    const struct dray_host *host = self->host;
    struct dray_kv *kv = host->alloc(call, 9 * sizeof *kv);
    if (!kv)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    (void)name;
    const char *text = host->opt_str(host, "text");
    struct dray_strs list = host->opt_list(host, "list");
    kv[0] = (struct dray_kv){"text", text ? text : "(none)"};
    kv[1] = (struct dray_kv){
        "size", dray_call_printf(host, call, "%lld", (long long)host->opt_int(host, "size"))};
    kv[2] = (struct dray_kv){"data", host->path(host, DRAY_PATH_DATA)};
    kv[3] = (struct dray_kv){"list", list.n ? list.v[list.n - 1] : ""};
    kv[4] = (struct dray_kv){"most", dray_call_printf(host, call, "%d", self->most)};
    kv[5] = (struct dray_kv){"reloads", dray_call_printf(host, call, "%d", self->reloads)};
    kv[6] = (struct dray_kv){"trace", host->iface(host, "dray.trace", 1) ? "yes" : "no"};
    kv[7] = (struct dray_kv){"request", dray_call_strdup(host, call, call->request_id)};
    kv[8] = (struct dray_kv){"first-text", self->first_text ? self->first_text : "(none)"};
    out->status = (struct dray_kvs){kv, 9};
    out->mountpoint = dray_call_strdup(host, call, "/m");
    return 0;
}

static int32_t list(struct dray_self *self, const struct dray_call *call, struct dray_err *err)
{
    (void)err;
    for (int i = 0; i < 5; i++) {
        struct dray_kv kv = {"name", dray_call_printf(self->host, call, "v%d", i)};
        struct dray_record rec = {sizeof rec, DRAY_REC_ITEM, {&kv, 1}};
        int32_t rc = self->host->emit(call, &rec);
        if (rc)
            return rc;
    }
    return 0;
}

static int32_t mount(struct dray_self *self, const struct dray_call *call, const char *name,
                     const char *user, const char **path_out, struct dray_err *err)
{
    (void)user;
    (void)err;
    dawdle(self, name);
    /* Large enough to need several pieces of memory. */
    for (int i = 0; i < 50; i++)
        *path_out = dray_call_printf(self->host, call, "/mnt/%s/%0200d", name, i);
    return *path_out ? 0 : DRAY_E_NOMEM;
}

static int32_t unmount(struct dray_self *self, const struct dray_call *call, const char *name,
                       const char *user, struct dray_err *err)
{
    (void)user;
    return remove_volume(self, call, name, err);
}

/* A table as an older or newer author would have compiled it. */
struct table {
    struct dray_volume_ops ops;
    void (*future[4])(void);
};

#ifdef LONG_TABLE
static void from_the_future(void)
{
    abort();
}
#endif

static const struct table table = {
    .ops =
        {
            .head =
                {
#if defined(TABLE_SIZE)
                    TABLE_SIZE,
#elif defined(LONG_TABLE)
                    sizeof(struct table),
#else
                    sizeof(struct dray_volume_ops),
#endif
                    TABLE_MAJOR, DRAY_ABI_MINOR, UINT64_C(1) << 40},
            .create = create,
            .remove = remove_volume,
            .inspect = inspect,
            .list = list,
#ifndef WITHOUT_MOUNT
            .mount = mount,
#endif
            .unmount = unmount,
        },
#ifdef LONG_TABLE
    .future = {from_the_future, from_the_future, from_the_future, from_the_future},
#endif
};

static const struct dray_iface ifaces[] = {
    {KIND, THREADING, &table.ops.head},
#ifdef TWICE
    {KIND, THREADING, &table.ops.head},
#endif
};

static const struct dray_option options[] = {
    {"text", DRAY_OPT_STRING, DRAY_OPT_F_RELOADABLE, "hello", 0, 0, NULL, "a text"},
    {"mode", DRAY_OPT_STRING, 0, "fast", 0, 0, "fast|slow", "how"},
    {"size", DRAY_OPT_SIZE, 0, "1m", 0, INT64_C(1) << 40, NULL, "how much"},
    {"list", DRAY_OPT_LIST, 0, "a,b", 0, 0, NULL, "which"},
    {"token", DRAY_OPT_STRING, DRAY_OPT_F_SECRET, NULL, 0, 0, NULL, "a secret"},
    {"health", DRAY_OPT_STRING, 0, "well", 0, 0, "well|ill", "what health() says"},
#ifdef BAD_OPTIONS
    {"broken", DRAY_OPT_INT, 0, "many", 0, 0, NULL, "its default is no number"},
#endif
#ifdef NEEDS_OPTION
    {"needed", DRAY_OPT_PATH, DRAY_OPT_F_REQUIRED, NULL, 0, 0, NULL, "where"},
#endif
};

static int32_t probe(const struct dray_host *host, struct dray_err *err)
{
    (void)host;
    (void)err;
#ifdef PROBE_FAILS
    return dray_fail(err, DRAY_E_NOTSUP, "the kernel has no frobnicator");
#else
    return 0;
#endif
}

static int32_t open_instance(const struct dray_host *host, const char *instance,
                             struct dray_self **out, struct dray_err *err)
{
    (void)instance;
#ifdef FAMILY
    if (strcmp(instance, "slow-open") == 0)
        nap(400);
    if (strcmp(instance, "bad-open") == 0)
        return dray_fail(err, DRAY_E_UNAVAIL, "%s: nobody at home", instance);
#endif
#ifdef OPEN_FAILS
    return dray_fail(err, DRAY_E_UNAVAIL, "the server at home is down");
#endif
#ifdef OPEN_HANGS
    nap(400);
#endif
#ifdef OPEN_FAILS_MUTE
    return -7;
#endif
#ifdef NEEDS_SYMBOL
    if (symbol_that_nobody_has())
        return -1;
#endif
    struct dray_self *self = calloc(1, sizeof *self);
    if (!self)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    self->host = host;
    self->first_text = host->opt_str(host, "text");
    *out = self;
    return 0;
}

static int32_t health(struct dray_self *self, struct dray_err *err)
{
    const char *say = self->host->opt_str(self->host, "health");
    return strcmp(say, "well") == 0 ? 0 : dray_fail(err, DRAY_E_UNAVAIL, "not at all well");
}

static int32_t reload(struct dray_self *self, struct dray_err *err)
{
    const char *text = self->host->opt_str(self->host, "text");
    self->reloads++;
    dawdle(self, text ? text : "");
    return text && strcmp(text, "bad") == 0 ? dray_fail(err, DRAY_E_INVAL, "bad text") : 0;
}

#ifdef FAMILY
/* Names that begin with the option "text" are its own, but for those that cannot be. */
static int32_t claim(const struct dray_host *host, uint32_t kind, const char *name,
                     struct dray_err *err)
{
    const char *prefix = host->opt_str(host, "text");
    if (strcmp(name, "bad-claim") == 0)
        return dray_fail(err, DRAY_E_INVAL, "the file of %s makes no sense", name);
    bool mine = strncmp(name, prefix, strlen(prefix)) == 0 || strstr(name, "-open");
    return kind == DRAY_KIND_VOLUME && mine ? 0 : DRAY_E_NOTFOUND;
}
#endif

static void close_instance(struct dray_self *self)
{
    free(self);
}

#ifdef NO_SYMBOL
#define dray_plugin_v1 some_other_name
#endif

DRAY_PLUGIN_EXPORT extern const struct dray_plugin dray_plugin_v1;
const struct dray_plugin dray_plugin_v1 = {
    .magic = MAGIC,
    .head = {DESCRIPTOR_SIZE, MAJOR, MINOR, 0},
    .name = NAME,
    .version = "1.2.3",
    .license = "MIT",
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .ifaces = ifaces,
    .n_ifaces = sizeof ifaces / sizeof ifaces[0],
    .probe = probe,
    .open = open_instance,
    .health = health,
    .reload = reload,
#ifndef WITHOUT_CLOSE
    .close = close_instance,
#endif
#ifdef FAMILY
    .claim = claim,
#endif
};
