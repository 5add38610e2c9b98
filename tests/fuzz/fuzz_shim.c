/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_shim.c - libFuzzer target: packets that a shim gets on its control connection, with lines
 * "--" between them; the first byte of each says how many descriptors come along. What it answers
 * is read as the daemon reads it.
 */
#include "base/clock.h"
#include "base/json.h"
#include "base/logging.h"
#include "fuzz.h"
#include "shim/shim.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>

static struct shim_drivers *drivers;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const char none[] = "{\"plugin_dirs\": [], \"data_root\": \"/nowhere\", "
                               "\"exec_root\": \"/nowhere\", \"libexec_dir\": \"/nowhere\"}";
    dray_autojson *init = NULL;
    (void)argc, (void)argv;
    (void)signal(SIGPIPE, SIG_IGN);
    dray_log_setup(DRAY_LOG_ERROR, false);
    need(dray_json_parse(none, strlen(none), &init, NULL) == 0);
    need(shim_drivers_open(init, &drivers, NULL) == 0);
    return 0;
}

/* Not of this file's interest; they are the loop's in shim.c. */
void shim_signals_open(struct shim *s)
{
    (void)s;
}

void shim_signals_block(struct shim *s)
{
    (void)s;
}

char *shim_buffer(struct shim *s)
{
    if (!s->buffer) {
        s->buffer =
            mmap(NULL, SHIM_BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        need(s->buffer != MAP_FAILED);
    }
    return s->buffer;
}

static void send_packet(int to, const char *text)
{
    int stream[2], done[2];
    need(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream) == 0 &&
         pipe2(done, O_CLOEXEC) == 0);
    const int fds[] = {stream[0], done[1]};
    size_t n_fds = (size_t)(unsigned char)text[0] % 3;
    dray_autojson *body = NULL;
    if (*text && dray_json_parse(text + 1, strlen(text + 1), &body, NULL) == 0 && body)
        (void)dray_sockmsg_send(to, body, fds, n_fds, NULL); /* it may have hung up */
    else
        (void)send(to, text, strlen(text), MSG_DONTWAIT);
    (void)send(stream[1], "input\x10\x11", 7, MSG_DONTWAIT);
    for (size_t i = 0; i < 2; i++) {
        (void)close(stream[i]);
        (void)close(done[i]);
    }
}

static void read_answers(int from)
{
    int rc = 0;
    while (rc == 0) {
        DRAY_AUTO(dray_sockmsg) m = {0};
        rc = dray_sockmsg_recv(from, 0, &m, NULL);
        need(rc == 0 || rc == DRAY_E_TIMEOUT || rc == DRAY_E_UNAVAIL);
        if (rc == 0)
            need(dray_json_get(m.body, "re") && dray_json_int(m.body, "code", 0) <= 0);
    }
}

static void leave(struct shim *s)
{
    shim_session_end_all(s);
    shim_execs_sweep(s, INT64_MAX);
    shim_proc_fini(&s->init);
    shim_conn_close_all(s);
    shim_loop_fini(&s->loop);
    dray_cleanup_fd(&s->lock);
    if (s->buffer)
        (void)munmap(s->buffer, SHIM_BUFFER);
    for (size_t i = 0; i < SHIM_SIZES; i++)
        free(s->sizes[i].exec);
    free(s->exit_path);
    free(s->id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct shim s = {.drivers = drivers, .dirfd = -EBADF, .lock = -EBADF, .id = strdup("0123")};
    int sv[2];
    s.listener.fd = s.signals.fd = -EBADF;
    shim_proc_init(&s.init, &s);
    need(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) == 0);
    need(shim_loop_init(&s.loop, NULL) == 0 && shim_conn_new(&s, sv[0]) == 0);
    for (int i = 0; size > 0 && i < 16; i++) {
        dray_autofree char *text = fuzz_part(&data, &size);
        send_packet(sv[1], text);
        for (int turn = 0; turn < 8 && shim_loop_once(&s.loop, 0) > 0; turn++)
            shim_conn_sweep(&s);
        read_answers(sv[1]);
    }
    leave(&s);
    (void)close(sv[1]);
    return 0;
}
