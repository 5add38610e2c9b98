/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - dray-proxy: published ports for connections of the other family of addresses. */
#include "base/helper.h"
#include "base/logging.h"
#include "proxy/protocol.h"
#include "proxy/proxy.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

#define DRAY_LOG_AREA "proxy"
#define IDLE_MS 60000 /* without endpoints */
#define PAUSE_MS 1000 /* until paused ports are tried again */

int64_t proxy_now(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Strangers talk to it: of root's rights it keeps that to bind ports below 1024. */
static int drop_rights(struct dray_err *err)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};
    data[0].effective = data[0].permitted = 1u << CAP_NET_BIND_SERVICE;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_capset, &head, data))
        return dray_fail_errno(err, "drop capabilities");
    return 0;
}

static int wait_ms(struct proxy *p)
{
    int ms = proxy_udp_expire(p);
    if (p->any_paused && (ms < 0 || ms > PAUSE_MS))
        ms = PAUSE_MS;
    if (!p->groups && !p->leaving && (ms < 0 || ms > IDLE_MS))
        ms = IDLE_MS;
    return p->again ? 0 : ms;
}

static int loop(struct proxy *p)
{
    while (!p->leaving || p->conns) {
        int n = epoll_wait(p->epoll, p->events, PROXY_EVENTS, wait_ms(p));
        if (n < 0 && errno != EINTR)
            return 1;
        if (n == 0 && !p->again && !p->groups && !p->leaving)
            return 0;
        if (n == 0 && p->any_paused)
            proxy_ports_resume(p);
        p->n_events = n < 0 ? 0 : n;
        for (int i = 0; i < p->n_events; i++) {
            struct proxy_item *item = p->events[i].data.ptr;
            if (item)
                item->ready(p, item, p->events[i].events);
        }
        p->n_events = 0;
        proxy_tcp_again(p);
    }
    return 0;
}

int main(int argc, char **argv)
{
    static struct proxy p;
    struct dray_err err = {0};
    int status = 0;
    if (argc != 2) {
        (void)fputs("usage: dray-proxy EXEC_ROOT\nIt is started by drayd.\n", stderr);
        return 2;
    }
    dray_log_setup(DRAY_LOG_INFO, true);
    p.control.ready = proxy_control_accept;
    p.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (p.epoll < 0 ||
        dray_helper_open(argv[1], DRAY_PROXY_DIR, DRAY_PROXY_SOCKET, &p.dir, &p.control.fd, &err) ||
        proxy_watch(&p, &p.control, EPOLLIN)) {
        dray_error("it cannot begin: %s", err.text[0] ? err.text : strerror(errno));
        return 1;
    }
    p.most_fds = dray_helper_raise_limit();
    if (drop_rights(&err)) {
        dray_error("%s", err.text);
        return 1;
    }
    proxy_load(&p);
    /* Whoever started us may connect now; we go on without it. */
    return dray_helper_detach(&status) ? loop(&p) : status;
}
