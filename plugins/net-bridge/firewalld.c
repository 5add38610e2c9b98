/* SPDX-License-Identifier: Apache-2.0 */
/*
 * firewalld.c - puts our bridges into firewalld's zone "trusted".
 *
 * firewalld refuses what is forwarded from an interface that it knows nothing of, so containers
 * would reach nothing beyond this machine. Its rules are its own (newer versions let nobody else
 * change them): it is asked by D-Bus. What may reach containers is decided in our own table. A
 * bridge that the administrator put into a zone stays there.
 */
#include "bridge.h"

#include <dlfcn.h>
#include <systemd/sd-bus.h>

#define LIBRARY "libsystemd.so.0" /* loaded when it is needed: few machines have firewalld */
#define BUS_SOCKET "/run/dbus/system_bus_socket"
#define TABLE "firewalld"
#define ZONE "trusted"
#define CALL_USEC UINT64_C(5000000)
#define MOST_BRIDGES 2048

struct bus {
    void *library;
    sd_bus *bus;
    __typeof__(sd_bus_open_system) *open_system;
    __typeof__(sd_bus_call_method) *call_method;
    __typeof__(sd_bus_set_method_call_timeout) *set_timeout;
    __typeof__(sd_bus_message_read) *read;
    __typeof__(sd_bus_message_unref) *message_unref;
    __typeof__(sd_bus_flush_close_unref) *close;
    __typeof__(sd_bus_error_free) *error_free;
};

static int bus_open(struct bus *b, struct dray_err *err)
{
    const struct {
        const char *name;
        void **to;
    } calls[] = {
        {"sd_bus_open_system", (void **)&b->open_system},
        {"sd_bus_call_method", (void **)&b->call_method},
        {"sd_bus_set_method_call_timeout", (void **)&b->set_timeout},
        {"sd_bus_message_read", (void **)&b->read},
        {"sd_bus_message_unref", (void **)&b->message_unref},
        {"sd_bus_flush_close_unref", (void **)&b->close},
        {"sd_bus_error_free", (void **)&b->error_free},
    };
    b->library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        if (!b->library || !(*calls[i].to = dlsym(b->library, calls[i].name)))
            return dray_fail(err, DRAY_E_NOTSUP, "firewalld is asked by " LIBRARY);
    int rc = b->open_system(&b->bus);
    if (rc >= 0)
        rc = b->set_timeout(b->bus, CALL_USEC);
    return rc < 0 ? dray_fail(err, DRAY_E_UNAVAIL, "connect to D-Bus: %s", strerror(-rc)) : 0;
}

static void bus_close(struct bus *b)
{
    if (b->bus)
        (void)b->close(b->bus);
    if (b->library)
        (void)dlclose(b->library);
}

/* A method of firewalld's zones. zone NULL: it takes the bridge alone. answer: a name, or "". */
static int ask_zone(struct bus *b, const char *method, const char *zone, const char *bridge,
                    char answer[64], struct dray_err *err)
{
    static const char name[] = "org.fedoraproject.FirewallD1";
    static const char path[] = "/org/fedoraproject/FirewallD1";
    static const char iface[] = "org.fedoraproject.FirewallD1.zone";
    sd_bus_error why = SD_BUS_ERROR_NULL;
    sd_bus_message *reply = NULL;
    const char *text = "";
    int rc =
        zone ? b->call_method(b->bus, name, path, iface, method, &why, &reply, "ss", zone, bridge)
             : b->call_method(b->bus, name, path, iface, method, &why, &reply, "s", bridge);
    if (rc >= 0)
        rc = b->read(reply, "s", &text);
    if (rc < 0)
        (void)dray_fail(err, DRAY_E_UNAVAIL, "firewalld: %s of %s: %s", method, bridge,
                        why.message ? why.message : strerror(-rc));
    else
        (void)snprintf(answer, 64, "%s", text);
    b->error_free(&why);
    if (reply)
        (void)b->message_unref(reply);
    return rc < 0 ? DRAY_E_UNAVAIL : 0;
}

struct bridges {
    char (*v)[IFNAMSIZ];
    size_t n;
};

static void note(struct network *n, void *ctx)
{
    struct bridges *l = ctx;
    void *v = l->n < MOST_BRIDGES ? reallocarray(l->v, l->n + 1, sizeof *l->v) : NULL;
    if (!v)
        return;
    l->v = v;
    (void)snprintf(l->v[l->n++], IFNAMSIZ, "%s", n->bridge);
}

static int settle(const struct bridges *l, struct dray_err *err)
{
    struct bus b = {0};
    int rc = bus_open(&b, err);
    for (size_t i = 0; !rc && i < l->n; i++) {
        char zone[64] = "";
        rc = ask_zone(&b, "getZoneOfInterface", NULL, l->v[i], zone, err);
        if (!rc && !zone[0])
            rc = ask_zone(&b, "addInterface", ZONE, l->v[i], zone, err);
    }
    bus_close(&b);
    return rc;
}

/* Is it there, and has anything changed since it was asked last? */
static bool is_due(struct dray_self *self)
{
    unsigned rules = 0;
    if (self->no_rules || self->hostrules.on || access(BUS_SOCKET, F_OK) != 0)
        return false;
    pthread_mutex_lock(&self->rules.lock);
    int fd = rules_socket(&self->rules);
    uint32_t generation = fd < 0 ? 0 : rules_generation(fd);
    bool due = generation && generation != self->firewalld_generation &&
               rules_count(fd, TABLE, &rules) && rules > 0;
    pthread_mutex_unlock(&self->rules.lock);
    return due;
}

static void note_settled(struct dray_self *self)
{
    pthread_mutex_lock(&self->rules.lock);
    int fd = rules_socket(&self->rules);
    self->firewalld_generation = fd < 0 ? 0 : rules_generation(fd);
    pthread_mutex_unlock(&self->rules.lock);
}

void firewalld_settle(struct dray_self *self)
{
    struct bridges l = {0};
    struct dray_err why = {0};
    if (!is_due(self))
        return;
    store_each_network(&self->store, note, &l);
    if (settle(&l, &why))
        dray_host_logf(self->host, DRAY_LOG_WARN,
                       "%s: containers may reach nothing beyond this machine", why.text);
    else
        note_settled(self);
    free(l.v);
}

void firewalld_forget(struct dray_self *self, const char *bridge)
{
    struct bus b = {0};
    char zone[64] = "";
    if (!is_due(self))
        return;
    if (!bus_open(&b, NULL) && !ask_zone(&b, "getZoneOfInterface", NULL, bridge, zone, NULL) &&
        strcmp(zone, ZONE) == 0)
        (void)ask_zone(&b, "removeInterface", ZONE, bridge, zone, NULL);
    bus_close(&b);
}
