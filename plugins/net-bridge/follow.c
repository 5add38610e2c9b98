/* SPDX-License-Identifier: Apache-2.0 */
/*
 * follow.c - hears of changes that others make to the machine's rules, and mends ours at once.
 *
 * A firewall that loads its rules anew drops ours, or refuses what it let through before. The
 * host's check every few seconds finds that too; this is for the time until then.
 */
#include "bridge.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>

#define SETTLE_MS 50            /* firewalls change many rules in a row */
#define LATEST_MS 300           /* also while they go on */
#define PAUSE_MS 500            /* between two times, lest we and another quarrel without end */
#define STACK_SIZE (256 * 1024) /* libnftables takes 100 kB of it */

/** What has been heard of; milliseconds of the monotonic clock. */
struct news {
    bool dirty;
    int64_t first, last; /* changes since the rules were last in order */
    int64_t mended;
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000;
}

static int listen_socket(void)
{
    int group = NFNLGRP_NFTABLES;
    struct sockaddr_nl me = {.nl_family = AF_NETLINK}; /* groups reach bound sockets only */
    dray_autofd int fd = dray_nl_socket(NETLINK_NETFILTER);
    if (fd < 0 || bind(fd, (struct sockaddr *)&me, sizeof me) < 0 ||
        setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) < 0)
        return -1;
    return dray_steal_fd(&fd);
}

/* We never take these from a table of ours, but when it is written anew. */
static bool takes_away(int type)
{
    return type == NFT_MSG_DELTABLE || type == NFT_MSG_DELCHAIN || type == NFT_MSG_DELRULE ||
           type == NFT_MSG_DELSET;
}

/* Does a message tell of somebody else's table, or of damage to ours? The table's name is
 * attribute 1 of all of them. */
static bool concerns(const struct dray_self *self, const char *buf, ssize_t n)
{
    int left = (int)n;
    for (struct nlmsghdr *h = (void *)(uintptr_t)buf; nlmsg_ok(h, left); h = nlmsg_next(h, &left)) {
        int type = h->nlmsg_type & 0xff;
        if (h->nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES || type == NFT_MSG_NEWGEN)
            continue;
        struct nlattr *table = nlmsg_find_attr(h, sizeof(struct nfgenmsg), 1);
        if (table && (!hostrules_own(self, nla_get_string(table)) || takes_away(type)))
            return true;
    }
    return false;
}

static void hear(const struct dray_self *self, int fd, char *buf, size_t size, struct news *news)
{
    ssize_t n = recv(fd, buf, size, MSG_DONTWAIT);
    if (!(n < 0 ? errno == ENOBUFS : concerns(self, buf, n)))
        return;
    news->last = now_ms();
    if (!news->dirty)
        news->first = news->last;
    news->dirty = true;
}

/* How long until the rules are to be looked at; -1: there is no need. */
static int wait_ms(const struct dray_self *self, const struct news *news)
{
    if (!news->dirty)
        return -1;
    int64_t due = news->last + SETTLE_MS;
    if (due > news->first + LATEST_MS)
        due = news->first + LATEST_MS;
    /* What the host's rules say of published ports holds without delay. */
    if (!self->hostrules.on && due < news->mended + PAUSE_MS)
        due = news->mended + PAUSE_MS;
    int64_t left = due - now_ms();
    return left > 0 ? (int)left : 0;
}

static void mend(struct dray_self *self, struct news *news)
{
    struct dray_err why = {0};
    news->dirty = false;
    if (bridge_rules_check(self, &why))
        dray_host_logf(self->host, DRAY_LOG_ERROR, "%s", why.text);
    news->mended = now_ms();
}

static void *follow(void *arg)
{
    struct dray_self *self = arg;
    dray_autofd int fd = listen_socket();
    const size_t size = 65536;
    dray_autofree char *buf = malloc(size);
    struct news news = {.mended = now_ms() - PAUSE_MS};
    while (fd >= 0 && buf) {
        struct pollfd p[] = {{.fd = fd, .events = POLLIN},
                             {.fd = self->follower.wake, .events = POLLIN}};
        int wait = wait_ms(self, &news);
        int ready = wait ? poll(p, 2, wait) : 0;
        if (p[1].revents || (ready < 0 && errno != EINTR))
            break;
        if (ready == 0)
            mend(self, &news);
        else if (p[0].revents)
            hear(self, fd, buf, size, &news);
    }
    return NULL;
}

int follow_open(struct dray_self *self, struct dray_err *err)
{
    struct follower *f = &self->follower;
    pthread_attr_t attr;
    if (self->no_rules)
        return 0;
    f->wake = eventfd(0, EFD_CLOEXEC);
    if (f->wake < 0)
        return dray_fail_errno(err, "make an eventfd");
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    int rc = pthread_create(&f->thread, &attr, follow, self);
    pthread_attr_destroy(&attr);
    if (rc)
        return dray_fail(err, DRAY_E_NOMEM, "start a thread: %s", strerror(rc));
    f->running = true;
    return 0;
}

void follow_close(struct dray_self *self)
{
    struct follower *f = &self->follower;
    if (f->running) {
        (void)eventfd_write(f->wake, 1);
        pthread_join(f->thread, NULL);
    }
    if (f->wake >= 0)
        (void)close(f->wake);
}
