/* SPDX-License-Identifier: Apache-2.0 */
/* test_ptp.c - two "containers" that are namespaces, wired by the driver, and traffic between. */
#include <dray/network.h>
#include <dray/testhost.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define CHECK(what)                                                                                \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #what, err.text);              \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

static int open_netns(void)
{
    return open("/proc/self/task/../ns/net", O_RDONLY | O_CLOEXEC);
}

/* A fresh network namespace; this process stays where it is. */
static int new_netns(int home)
{
    int fd = -1;
    if (unshare(CLONE_NEWNET) == 0)
        fd = open_netns();
    return setns(home, CLONE_NEWNET) == 0 ? fd : -1;
}

static int udp_socket(int netns, int home, const char *addr)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(5353)};
    const struct timeval wait = {.tv_sec = 2};
    inet_pton(AF_INET, addr, &a.sin_addr);
    setns(netns, CLONE_NEWNET);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    setns(home, CLONE_NEWNET);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) != 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    return fd;
}

/* Does a datagram arrive? */
static int says(int from, int to, const char *addr)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(5353)};
    char text[8] = "";
    inet_pton(AF_INET, addr, &a.sin_addr);
    return sendto(from, "hello", 5, 0, (struct sockaddr *)&a, sizeof a) == 5 &&
           recv(to, text, sizeof text, 0) == 5 && strcmp(text, "hello") == 0;
}

int main(int argc, char **argv)
{
    static struct dray_testhost t;
    struct dray_err err = {0};
    CHECK(argc == 2);
    /* All of it happens in a namespace of its own, so nothing is left behind. */
    if (unshare(CLONE_NEWNET) != 0) {
        printf("skipped: no network namespaces: %s\n", strerror(errno));
        return 77;
    }
    int home = open_netns();
    CHECK(dray_testhost_open(&t, argv[1], NULL, &err) == 0);
    const struct dray_network_ops *ops = dray_testhost_ops(&t, DRAY_KIND_NETWORK);

    const struct dray_net_pool pool = {sizeof pool, 4, "10.77.0.0/24", "10.77.0.1"};
    struct dray_net_spec spec = {.size = sizeof spec, .name = "n", .pools = &pool, .n_pools = 1};
    const struct dray_kv wrong = {"mtu", "7"};
    spec.options = (struct dray_kvs){&wrong, 1};
    CHECK(ops->net_create(t.self, &t.call, "net1", &spec, &err) == DRAY_E_INVAL);
    spec.options.n = 0;
    CHECK(ops->net_create(t.self, &t.call, "net1", &spec, &err) == 0);
    CHECK(ops->net_create(t.self, &t.call, "net1", &spec, &err) == 0);

    static const char *const ids[] = {"ep1aaaaaaaaaaaaaaaa", "ep2bbbbbbbbbbbbbbbb"};
    static const char *const addrs[] = {"10.77.0.2", "10.77.0.3"};
    int ns[2], socks[2];
    for (int i = 0; i < 2; i++) {
        char cidr[32];
        const char *mac = NULL;
        snprintf(cidr, sizeof cidr, "%s/24", addrs[i]);
        struct dray_ep_spec ep = {
            .size = sizeof ep, .mac = "", .ipv4 = cidr, .ipv6 = "", .hostname = "h"};
        struct dray_ep_join joined = {.size = sizeof joined};
        ns[i] = new_netns(home);
        CHECK(ns[i] >= 0);
        struct dray_fd_borrow netns = {ns[i]};
        CHECK(ops->ep_create(t.self, &t.call, "net1", ids[i], &ep, &mac, &err) == 0);
        for (int twice = 0; twice < 2; twice++)
            CHECK(ops->join(t.self, &t.call, "net1", ids[i], netns, "eth0", 1, &joined, &err) == 0);
        CHECK(strcmp(joined.gateway4, "10.77.0.1") == 0 && strcmp(joined.mac, mac) == 0);
        socks[i] = udp_socket(ns[i], home, addrs[i]);
        CHECK(socks[i] >= 0);
    }
    int host = udp_socket(home, home, "10.77.0.1");
    CHECK(host >= 0);
    CHECK(says(socks[0], host, "10.77.0.1"));
    CHECK(says(host, socks[1], addrs[1]));
    CHECK(says(socks[0], socks[1], addrs[1]));
    CHECK(says(socks[1], socks[0], addrs[0]));

    CHECK(ops->net_remove(t.self, &t.call, "net1", &err) == DRAY_E_CONFLICT);
    CHECK(ops->leave(t.self, &t.call, "net1", ids[0], (struct dray_fd_borrow){ns[0]}, &err) == 0);
    CHECK(!says(host, socks[0], addrs[0]));
    CHECK(ops->ep_remove(t.self, &t.call, "net1", ids[0], &err) == 0);
    CHECK(ops->collect(t.self, &t.call, (struct dray_strs){0}, (struct dray_strs){0}, &err) == 0);
    CHECK(ops->net_remove(t.self, &t.call, "net1", &err) == 0);
    dray_testhost_close(&t);
    rmdir(t.dir);
    puts("ok");
    return 0;
}
