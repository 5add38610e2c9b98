/* SPDX-License-Identifier: Apache-2.0 */
/* extensions.c - asks extensions what they offer, matches routes, passes events on. */
#include "engine/extensions.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/logging.h"
#include "base/strlist.h"
#include "engine/engine.h"
#include "engine/events.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#define DRAY_LOG_AREA "extension"
#define STACK_SIZE ((size_t)256 << 10)
#define OFFER_WAIT_NS (5 * DRAY_NS_PER_S) /* of a request, for describe() */
#define CLOSE_WAIT_NS (2 * DRAY_NS_PER_S)
#define MAX_OFFERS 256

struct extension {
    struct extension *next;
    struct dray_engine *engine;
    struct dray_driver *driver;
    pthread_t thread;
    int stop_fd;          /* readable once it shall end */
    pthread_mutex_t lock; /* guards what follows, but for the offers once it has described. order:
                             alone */
    pthread_cond_t turn;
    bool described, ended, in_call, abandoned;
    int failed; /* what describe() gave */
    struct dray_strlist routes, topics;
    struct json_object *commands; /* array of {"Command", "Help", "Route"} */
    struct dray_event_reader *reader;
};

struct dray_extensions {
    struct extension *first;
};

/* ---- what it offers ---- */

static bool offers(const struct extension *x, const char *route)
{
    for (size_t i = 0; i < x->routes.n; i++)
        if (strcmp(x->routes.v[i], route) == 0)
            return true;
    return false;
}

static int32_t on_offer(void *ctx, const struct dray_record *rec)
{
    struct extension *x = ctx;
    const char *route = dray_kvs_get(rec->fields, "route", NULL);
    const char *topic = dray_kvs_get(rec->fields, "topic", NULL);
    const char *command = dray_kvs_get(rec->fields, "command", NULL);
    if (x->routes.n + x->topics.n + dray_json_len(x->commands) >= MAX_OFFERS)
        return DRAY_E_LIMIT;
    bool ok = true;
    if (command) {
        struct json_object *o = json_object_new_object();
        dray_json_add_str(o, "Command", command);
        dray_json_add_str(o, "Help", dray_kvs_get(rec->fields, "help", ""));
        dray_json_add_str(o, "Route", route ? route : "");
        json_object_array_add(x->commands, o);
    }
    if (topic)
        ok = dray_strlist_add(&x->topics, topic);
    if (route && !offers(x, route))
        ok = ok && dray_strlist_add(&x->routes, route);
    return ok ? 0 : DRAY_E_NOMEM;
}

/* Nobody reads the offers before it has ended. */
static void describe(struct extension *x)
{
    struct dray_err err = {0};
    struct dray_call_scope s = {0};
    dray_call_emit_to(&s, on_offer, x);
    int rc = dray_call_enter(&s, x->driver, DRAY_CLASS_QUICK, -1, &err);
    if (!rc) {
        rc = ((const struct dray_extension_ops *)s.ops)->describe(s.self, &s.call, &err);
        rc = dray_call_result(&s, rc, "describe", &err);
    }
    dray_call_leave(&s);
    if (rc)
        dray_error("extension %s: %s", dray_driver_name(x->driver), err.text);
    pthread_mutex_lock(&x->lock);
    x->described = true;
    x->failed = rc;
    pthread_cond_broadcast(&x->turn);
    pthread_mutex_unlock(&x->lock);
}

/* ---- events ---- */

static bool enter_call(struct extension *x)
{
    pthread_mutex_lock(&x->lock);
    x->in_call = true;
    bool go = !x->abandoned;
    pthread_mutex_unlock(&x->lock);
    return go;
}

/* False once nobody waits for this thread, and what it has is no longer its own. */
static bool leave_call(struct extension *x)
{
    pthread_mutex_lock(&x->lock);
    x->in_call = false;
    bool go = !x->abandoned;
    pthread_mutex_unlock(&x->lock);
    return go;
}

static bool pass_on(struct extension *x, struct json_object *ev)
{
    struct dray_err err = {0};
    const char *type = dray_json_str(ev, "Type", "");
    const char *text = dray_json_text(ev);
    if (!text || !dray_strlist_has(&x->topics, type) || dray_driver_suspect(x->driver))
        return true;
    dray_autofree char *own = strdup(text); /* the event is everybody's */
    if (!own || !enter_call(x))
        return false;
    int rc = dray_driver_call(x->driver, extension, DRAY_CLASS_QUICK, &err, event, own);
    if (rc)
        dray_warn("extension %s: event: %s", dray_driver_name(x->driver), err.text);
    return leave_call(x);
}

static void listen_to_events(struct extension *x)
{
    struct pollfd p[2] = {{.fd = dray_events_fd(x->reader), .events = POLLIN},
                          {.fd = x->stop_fd, .events = POLLIN}};
    for (;;) {
        struct json_object *next = NULL;
        int rc = dray_events_next(x->reader, 1, &next);
        dray_autojson *ev = next;
        if (!rc && !pass_on(x, ev))
            return;
        if (rc == DRAY_E_CANCELED)
            return;
        if (rc && poll(p, 2, -1) < 0 && errno != EINTR)
            return;
        if (p[1].revents)
            return;
    }
}

static void *extension_main(void *arg)
{
    struct extension *x = arg;
    struct dray_err err = {0};
    bool mine = enter_call(x);
    if (mine)
        describe(x);
    mine = mine && leave_call(x);
    if (mine && x->topics.n && dray_driver_has(x->driver, "event")) {
        if (dray_events_subscribe(x->engine->events, 0, &x->reader, &err))
            dray_error("extension %s: %s", dray_driver_name(x->driver), err.text);
        else
            listen_to_events(x);
    }
    pthread_mutex_lock(&x->lock);
    x->ended = true;
    pthread_cond_broadcast(&x->turn);
    pthread_mutex_unlock(&x->lock);
    return NULL;
}

/* ---- open and close ---- */

static void free_extension(struct extension *x)
{
    dray_events_unsubscribe(x->reader);
    dray_cleanup_fd(&x->stop_fd);
    dray_strlist_free(&x->routes);
    dray_strlist_free(&x->topics);
    json_object_put(x->commands);
    pthread_mutex_destroy(&x->lock);
    pthread_cond_destroy(&x->turn);
    free(x);
}

static int start_thread(struct extension *x)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    (void)pthread_attr_setstacksize(&attr, STACK_SIZE);
    int rc = pthread_create(&x->thread, &attr, extension_main, x);
    pthread_attr_destroy(&attr);
    return rc;
}

static int add(struct dray_extensions *xs, struct dray_engine *e, struct dray_driver *d,
               struct dray_err *err)
{
    struct extension *x = calloc(1, sizeof *x);
    if (!x)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    x->engine = e;
    x->driver = d;
    pthread_mutex_init(&x->lock, NULL);
    pthread_cond_init(&x->turn, NULL);
    x->commands = json_object_new_array();
    x->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (x->stop_fd < 0 || start_thread(x)) {
        free_extension(x);
        return dray_fail_errno(err, "start an extension");
    }
    x->next = xs->first;
    xs->first = x;
    return 0;
}

int dray_extensions_open(struct dray_engine *e, struct dray_extensions **out, struct dray_err *err)
{
    struct dray_extensions *xs = calloc(1, sizeof *xs);
    struct dray_driver *d = NULL;
    int rc = xs ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (size_t i = 0; !rc && (d = dray_drivers_at(e->drivers, DRAY_KIND_EXTENSION, i)); i++)
        rc = add(xs, e, d, err);
    if (rc)
        dray_extensions_close(xs);
    else
        *out = xs;
    return rc;
}

/* Wait for a sign of the thread. x->lock held; false when the time is up. */
static bool wait_turn(struct extension *x, int64_t end_ns)
{
    const struct timespec ts = {.tv_sec = end_ns / DRAY_NS_PER_S,
                                .tv_nsec = end_ns % DRAY_NS_PER_S};
    return pthread_cond_clockwait(&x->turn, &x->lock, CLOCK_MONOTONIC, &ts) != ETIMEDOUT;
}

/* A thread that a plugin holds up is left behind, without its reader of events. */
static void close_one(struct extension *x, int64_t end_ns)
{
    (void)eventfd_write(x->stop_fd, 1);
    pthread_mutex_lock(&x->lock);
    while (!x->ended && wait_turn(x, end_ns))
        ;
    x->abandoned = !x->ended && x->in_call;
    bool left = x->abandoned;
    struct dray_event_reader *reader = left ? dray_steal(x->reader) : NULL;
    pthread_mutex_unlock(&x->lock);
    dray_events_unsubscribe(reader);
    if (left) {
        (void)pthread_detach(x->thread);
        return;
    }
    pthread_join(x->thread, NULL);
    free_extension(x);
}

void dray_extensions_close(struct dray_extensions *xs)
{
    if (!xs)
        return;
    int64_t end = dray_clock_mono() + CLOSE_WAIT_NS;
    for (struct extension *x = xs->first, *next = NULL; x; x = next) {
        next = x->next;
        close_one(x, end);
    }
    free(xs);
}

/* ---- requests ---- */

/* "GET /path" or, with a star at its end, all that begins so. */
static bool route_matches(const char *route, const char *method, const char *path)
{
    size_t m = strcspn(route, " ");
    if (strlen(method) != m || strncmp(route, method, m) != 0)
        return false;
    const char *want = route + m + strspn(route + m, " ");
    size_t n = strlen(want);
    return n && want[n - 1] == '*' ? strncmp(path, want, n - 1) == 0 : strcmp(path, want) == 0;
}

static bool serves(const struct extension *x, const char *method, const char *path)
{
    for (size_t i = 0; i < x->routes.n; i++)
        if (route_matches(x->routes.v[i], method, path) ||
            (strcmp(method, "HEAD") == 0 && route_matches(x->routes.v[i], "GET", path)))
            return true;
    return false;
}

static int await_offer(struct extension *x, int64_t wait_ns, struct dray_err *err)
{
    int64_t end = dray_clock_mono() + wait_ns;
    pthread_mutex_lock(&x->lock);
    while (!x->described && wait_turn(x, end))
        ;
    bool ok = x->described && !x->failed;
    pthread_mutex_unlock(&x->lock);
    return ok ? 0
              : dray_fail(err, DRAY_E_UNAVAIL, "the extension %s has not told what it offers",
                          dray_driver_name(x->driver));
}

int dray_extensions_find(struct dray_extensions *xs, const char *name, const char *method,
                         const char *path, struct dray_driver **out, struct dray_err *err)
{
    struct extension *x = xs->first;
    while (x && strcmp(dray_driver_name(x->driver), name) != 0)
        x = x->next;
    if (!x)
        return dray_fail(err, DRAY_E_NOTFOUND, "No such extension: %s", name);
    int rc = await_offer(x, OFFER_WAIT_NS, err);
    if (rc)
        return rc;
    if (!serves(x, method, path))
        return dray_fail(err, DRAY_E_NOTFOUND, "page not found");
    *out = x->driver;
    return 0;
}

static struct json_object *strings(const struct dray_strlist *l)
{
    struct json_object *a = json_object_new_array();
    for (size_t i = 0; i < l->n; i++)
        json_object_array_add(a, json_object_new_string(l->v[i]));
    return a;
}

int dray_extensions_list(struct dray_extensions *xs, struct json_object **out, struct dray_err *err)
{
    struct json_object *list = json_object_new_array();
    for (struct extension *x = xs->first; list && x; x = x->next) {
        if (await_offer(x, 0, NULL))
            continue;
        struct json_object *o = json_object_new_object();
        dray_json_add_str(o, "Name", dray_driver_name(x->driver));
        dray_json_add(o, "Routes", strings(&x->routes));
        dray_json_add(o, "Topics", strings(&x->topics));
        dray_json_add(o, "Commands", dray_json_copy(x->commands));
        json_object_array_add(list, o);
    }
    *out = list;
    return list ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}
