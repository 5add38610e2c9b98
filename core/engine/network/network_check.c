/* SPDX-License-Identifier: Apache-2.0 */
/* network_check.c - asks network drivers now and then to mend what others broke. */
#include "engine/network/network_priv.h"

#include "base/logging.h"
#include "engine/network/dns.h"
#include "engine/network/proxy.h"

#include <time.h>

#define DRAY_LOG_AREA "net"

#define CHECK_EVERY_S 10
/* Drivers run in it, whatever they need: libnftables takes 100 kB. */
#define STACK_SIZE (256 * 1024)

static void check_driver(struct dray_driver *d)
{
    struct dray_err why = {0};
    if (!dray_driver_has(d, "check"))
        return;
    int rc = dray_driver_call(d, network, DRAY_CLASS_MOUNT, &why, check);
    if (rc && rc != DRAY_E_NOTSUP)
        dray_warn("network driver %s: %s", dray_driver_name(d), why.text);
}

static void *watch(void *arg)
{
    struct dray_networks *ns = arg;
    struct timespec next;
    clock_gettime(CLOCK_MONOTONIC, &next);
    pthread_mutex_lock(&ns->check_lock);
    while (!ns->closing) {
        next.tv_sec += CHECK_EVERY_S;
        while (!ns->closing &&
               pthread_cond_timedwait(&ns->check_wake, &ns->check_lock, &next) != ETIMEDOUT)
            ;
        if (ns->closing)
            break;
        pthread_mutex_unlock(&ns->check_lock);
        struct dray_driver *d;
        for (size_t i = 0; (d = dray_drivers_at(ns->engine->drivers, DRAY_KIND_NETWORK, i)); i++)
            check_driver(d);
        dray_dns_check(ns->engine->dns);
        dray_proxy_check(ns->engine->proxy);
        clock_gettime(CLOCK_MONOTONIC, &next);
        pthread_mutex_lock(&ns->check_lock);
    }
    pthread_mutex_unlock(&ns->check_lock);
    return NULL;
}

int dray_net_check_start(struct dray_networks *ns, struct dray_err *err)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    int rc = pthread_create(&ns->checker, &attr, watch, ns);
    pthread_attr_destroy(&attr);
    if (rc)
        return dray_fail(err, DRAY_E_NOMEM, "start a thread: %s", strerror(rc));
    ns->has_checker = true;
    return 0;
}

void dray_net_check_stop(struct dray_networks *ns)
{
    pthread_mutex_lock(&ns->check_lock);
    ns->closing = true;
    pthread_cond_broadcast(&ns->check_wake);
    pthread_mutex_unlock(&ns->check_lock);
    if (ns->has_checker)
        pthread_join(ns->checker, NULL);
}
