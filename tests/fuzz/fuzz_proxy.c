/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_proxy.c - libFuzzer target: requests that dray-proxy gets, with lines "--" between them,
 * each as a document that it reads at start as well. Runs as root, in a network namespace of its
 * own.
 */
#include "base/fs.h"
#include "base/json.h"
#include "base/logging.h"
#include "base/sockmsg.h"
#include "fuzz.h"
#include "proxy/proxy.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

static char folder[] = "/dev/shm/dray-fuzz-proxy-XXXXXX";

static void drop_folder(void)
{
    (void)dray_fs_remove_tree(AT_FDCWD, folder, NULL);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    dray_log_setup(DRAY_LOG_ERROR, false);
    (void)signal(SIGPIPE, SIG_IGN);
    need(unshare(CLONE_NEWNET) == 0 && mkdtemp(folder) != NULL);
    return atexit(drop_folder);
}

/* main.c's. */
int64_t proxy_now(void)
{
    return 1000;
}

static void turn(struct proxy *p)
{
    p->n_events = epoll_wait(p->epoll, p->events, PROXY_EVENTS, 0);
    for (int i = 0; i < p->n_events; i++) {
        struct proxy_item *item = p->events[i].data.ptr;
        if (item)
            item->ready(p, item, p->events[i].events);
    }
    p->n_events = 0;
    proxy_tcp_again(p);
}

static void ask(struct proxy *p, const char *text)
{
    struct dray_err err = {0};
    dray_autojson *body = NULL;
    dray_autofd int sock = -EBADF;
    if (dray_sock_connect_at(p->dir, "socket", SOCK_SEQPACKET, &sock, NULL))
        return; /* it has left */
    if (dray_json_parse(text, strlen(text), &body, NULL) == 0 && body)
        need(dray_sockmsg_send(sock, body, NULL, 0, NULL) == 0);
    else
        (void)send(sock, text, strlen(text), MSG_DONTWAIT);
    for (int i = 0; i < 3; i++)
        turn(p);
    DRAY_AUTO(dray_sockmsg) answer = {0};
    int rc = dray_sockmsg_recv(sock, 0, &answer, &err);
    need(rc == 0 || rc == DRAY_E_UNAVAIL);
    need(rc != 0 || dray_json_get(answer.body, "code"));
}

static void load(struct proxy *p, const char *text)
{
    dray_autofd int fd = openat(p->dir, "x.json", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    need(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    proxy_load(p);
    while (p->groups)
        proxy_group_close(p, p->groups);
    (void)unlinkat(p->dir, "x.json", 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct proxy p;
    p = (struct proxy){.most_fds = 1024, .control = {.ready = proxy_control_accept}};
    p.epoll = epoll_create1(EPOLL_CLOEXEC);
    p.dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    need(p.epoll >= 0 &&
         dray_sock_listen_at(p.dir, "socket", SOCK_SEQPACKET, &p.control.fd, NULL) == 0);
    need(proxy_watch(&p, &p.control, EPOLLIN) == 0);
    for (int i = 0; size > 0 && i < 8; i++) {
        dray_autofree char *text = fuzz_part(&data, &size);
        if (i == 0)
            load(&p, text);
        ask(&p, text);
    }
    while (p.groups)
        proxy_group_close(&p, p.groups);
    turn(&p);
    proxy_unwatch(&p, &p.control);
    while (p.n_pipes > 0) {
        p.n_pipes--;
        (void)close(p.pipes[p.n_pipes][0]);
        (void)close(p.pipes[p.n_pipes][1]);
    }
    (void)close(p.epoll);
    (void)close(p.dir);
    return 0;
}
