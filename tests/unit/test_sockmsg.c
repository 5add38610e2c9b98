/* SPDX-License-Identifier: Apache-2.0 */
/* test_sockmsg.c - messages with descriptors, small and large, from friends and from others. */
#include "check.h"

#include "base/json.h"
#include "base/sockmsg.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

static void pair(int s[2])
{
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s), 0);
}

static size_t open_fds(void)
{
    size_t n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void send_text(int sock, size_t len, const int *fds, size_t n_fds)
{
    dray_autojson *o = json_object_new_object();
    char *text = malloc(len + 1);
    memset(text, 'x', len);
    text[len] = '\0';
    dray_json_add_str(o, "text", text);
    free(text);
    CU_ASSERT_EQUAL(dray_sockmsg_send(sock, o, fds, n_fds, NULL), 0);
}

static void carries_all_sizes(void)
{
    static const size_t sizes[] = {0, 1, 100, 16000, 16371, 16372, 16373, 20000, 300000, 5000000};
    size_t before = open_fds();
    int s[2];
    pair(s);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (size_t n_fds = 0; n_fds <= DRAY_SOCKMSG_FDS; n_fds += DRAY_SOCKMSG_FDS) {
            const int fds[DRAY_SOCKMSG_FDS] = {0, 1, 2, 0, 1, 2, 0, 1};
            send_text(s[0], sizes[i], fds, n_fds);
            DRAY_AUTO(dray_sockmsg) m = {0};
            CU_ASSERT_EQUAL(dray_sockmsg_recv(s[1], 1000, &m, NULL), 0);
            CU_ASSERT_EQUAL(strlen(dray_json_str(m.body, "text", "")), sizes[i]);
            CU_ASSERT_EQUAL(m.n_fds, n_fds);
            for (size_t k = 0; k < m.n_fds; k++)
                CU_ASSERT(fcntl(m.fds[k], F_GETFD) & FD_CLOEXEC);
        }
    }
    (void)close(s[0]);
    (void)close(s[1]);
    CU_ASSERT_EQUAL(open_fds(), before);
}

static void hands_over_descriptors(void)
{
    int s[2], p[2];
    pair(s);
    CU_ASSERT_EQUAL_FATAL(pipe2(p, O_CLOEXEC), 0);
    send_text(s[0], 1, &p[1], 1);
    DRAY_AUTO(dray_sockmsg) m = {0};
    CU_ASSERT_EQUAL(dray_sockmsg_recv(s[1], -1, &m, NULL), 0);
    dray_autofd int fd = dray_sockmsg_take_fd(&m, 0);
    CU_ASSERT_EQUAL(dray_sockmsg_take_fd(&m, 0), -EBADF);
    CU_ASSERT_EQUAL(dray_sockmsg_take_fd(&m, 1), -EBADF);
    CU_ASSERT_EQUAL(write(fd, "x", 1), 1);
    char c = 0;
    CU_ASSERT_EQUAL(read(p[0], &c, 1), 1);
    CU_ASSERT_EQUAL(c, 'x');
    for (int i = 0; i < 2; i++) {
        (void)close(s[i]);
        (void)close(p[i]);
    }
}

static void tells_of_the_end(void)
{
    int s[2];
    pair(s);
    DRAY_AUTO(dray_sockmsg) m = {0};
    CU_ASSERT_EQUAL(dray_sockmsg_recv(s[1], 20, &m, NULL), DRAY_E_TIMEOUT);
    (void)close(s[0]);
    CU_ASSERT_EQUAL(dray_sockmsg_recv(s[1], -1, &m, NULL), DRAY_E_UNAVAIL);
    dray_autojson *o = json_object_new_object();
    CU_ASSERT_EQUAL(dray_sockmsg_send(s[1], o, NULL, 0, NULL), DRAY_E_UNAVAIL);
    (void)close(s[1]);
}

/* A raw packet with perhaps a descriptor. */
static void send_raw(int sock, const char *data, size_t len, int fd)
{
    struct iovec io = {(void *)(uintptr_t)data, len};
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr msg = {.msg_iov = &io, .msg_iovlen = 1};
    if (fd >= 0) {
        msg.msg_control = &control;
        msg.msg_controllen = sizeof control;
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    CU_ASSERT(sendmsg(sock, &msg, 0) >= 0);
}

static void refuses_strangers(void)
{
    size_t before = open_fds();
    int s[2];
    pair(s);
    static char large[20000];
    memset(large, 'J', sizeof large);
    dray_autofd int loose = memfd_create("loose", MFD_CLOEXEC);
    CU_ASSERT_EQUAL(write(loose, "{}", 2), 2);
    DRAY_AUTO(dray_sockmsg) m = {0};
    send_raw(s[0], "X{}", 3, -1);
    CU_ASSERT_EQUAL(dray_sockmsg_recv(s[1], 1000, &m, NULL), DRAY_E_CORRUPT);
    send_raw(s[0], "J{", 2, -1);
    CU_ASSERT_EQUAL(dray_sockmsg_recv(s[1], 1000, &m, NULL), DRAY_E_INVAL);
    send_raw(s[0], "J", 1, loose);
    CU_ASSERT_EQUAL(dray_sockmsg_recv(s[1], 1000, &m, NULL), DRAY_E_INVAL);
    send_raw(s[0], large, sizeof large, loose);
    CU_ASSERT_EQUAL(dray_sockmsg_recv(s[1], 1000, &m, NULL), DRAY_E_CORRUPT);
    send_raw(s[0], "M", 1, -1);
    CU_ASSERT_EQUAL(dray_sockmsg_recv(s[1], 1000, &m, NULL), DRAY_E_CORRUPT);
    send_raw(s[0], "M", 1, loose); /* not sealed: it could change while it is read */
    CU_ASSERT_EQUAL(dray_sockmsg_recv(s[1], 1000, &m, NULL), DRAY_E_CORRUPT);
    send_raw(s[0], "M", 1, s[0]);
    CU_ASSERT_EQUAL(dray_sockmsg_recv(s[1], 1000, &m, NULL), DRAY_E_CORRUPT);
    (void)close(s[0]);
    (void)close(s[1]);
    (void)close(dray_steal_fd(&loose));
    CU_ASSERT_EQUAL(open_fds(), before);
}

static void listens_in_long_folders(void)
{
    char dir[] = "/tmp/dray-test-sockmsg-XXXXXX";
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
    dray_autofd int top = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char name[201];
    memset(name, 'd', 200);
    name[200] = '\0';
    CU_ASSERT_EQUAL(mkdirat(top, name, 0700), 0);
    dray_autofd int sub = openat(top, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int l = -1, c = -1;
    CU_ASSERT_EQUAL(dray_sock_connect_at(sub, "s", SOCK_SEQPACKET, &c, NULL), DRAY_E_UNAVAIL);
    CU_ASSERT_EQUAL(dray_sock_listen_at(sub, "s", SOCK_SEQPACKET, &l, NULL), 0);
    struct stat st;
    CU_ASSERT_EQUAL(fstatat(sub, "s", &st, 0), 0);
    CU_ASSERT_EQUAL(st.st_mode & 07777, 0600);
    CU_ASSERT_EQUAL(dray_sock_connect_at(sub, "s", SOCK_SEQPACKET, &c, NULL), 0);
    (void)close(c);
    (void)close(l);
    CU_ASSERT_EQUAL(dray_sock_connect_at(sub, "s", SOCK_SEQPACKET, &c, NULL), DRAY_E_UNAVAIL);
    /* What a crash left behind does not stand in the way. */
    CU_ASSERT_EQUAL(dray_sock_listen_at(sub, "s", SOCK_STREAM, &l, NULL), 0);
    (void)close(l);
    CU_ASSERT_EQUAL(unlinkat(sub, "s", 0), 0);
    CU_ASSERT_EQUAL(unlinkat(top, name, AT_REMOVEDIR), 0);
    CU_ASSERT_EQUAL(rmdir(dir), 0);
}

static const struct check_case cases[] = {
    {"carries all sizes", carries_all_sizes},
    {"hands over descriptors", hands_over_descriptors},
    {"tells of the end", tells_of_the_end},
    {"refuses strangers", refuses_strangers},
    {"listens in long folders", listens_in_long_folders},
};
CHECK_MAIN("sockmsg", cases)
