/* SPDX-License-Identifier: Apache-2.0 */
/* proc.c - a process's streams: pipes or a terminal, to the log and to sessions. */
#include "shim/shim.h"

#include "base/clock.h"
#include "shim/protocol.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

/* A writer that fills its pipe gets a larger one. */
#define PIPE_LARGE (1 << 20)
/* Reads of one source before others get their turn. */
#define READS_PER_TURN 8

/* Output. */

static void close_source(struct shim_source *src)
{
    shim_loop_close(&src->proc->shim->loop, &src->watch);
}

static bool stalls(const struct shim_session *s, const struct shim_source *src)
{
    if (!s->pend || s->proc != src->proc)
        return false;
    return src->stream == DRAY_FRAME_STDOUT ? s->want_out : s->want_err;
}

static bool stalled(const struct shim_source *src)
{
    const struct shim_proc *p = src->proc;
    struct shim_session *s = NULL;
    if (!p->id && p->shim->log && shim_logpipe_full(p->shim->log))
        return true;
    LIST_FOREACH(s, &p->shim->sessions, link)
    if (stalls(s, src))
        return true;
    return false;
}

static void pass_on(struct shim_source *src, const char *data, size_t n)
{
    struct shim_proc *p = src->proc;
    struct shim_session *next;
    for (struct shim_session *s = LIST_FIRST(&p->shim->sessions); s; s = next) {
        next = LIST_NEXT(s, link);
        if (s->proc == p)
            shim_session_output(s, src->stream, data, n);
    }
    if (!p->id && p->shim->log)
        shim_logpipe_feed(p->shim->log, src->stream, data, n);
}

static void enlarge(struct shim_source *src)
{
    src->grown = true;
    if (!src->proc->terminal)
        (void)fcntl(src->watch.fd, F_SETPIPE_SZ, PIPE_LARGE);
}

/* One read, at most max bytes. Returns what was read, 0 when there is nothing now; a source at its
 * end is closed. */
static size_t read_source(struct shim_source *src, size_t max)
{
    char *buffer = shim_buffer(src->proc->shim);
    ssize_t n = read(src->watch.fd, buffer, max < SHIM_BUFFER ? max : SHIM_BUFFER);
    if (n > 0) {
        if (!src->grown && n >= (64 << 10))
            enlarge(src);
        pass_on(src, buffer, (size_t)n);
        return (size_t)n;
    }
    /* EIO: the last descriptor of the terminal's other side has been closed. */
    if (n == 0 || (errno != EAGAIN && errno != EINTR))
        close_source(src);
    return 0;
}

static void read_turn(struct shim_source *src)
{
    for (int i = 0; i < READS_PER_TURN && src->watch.fd >= 0 && !stalled(src); i++)
        if (read_source(src, SHIM_BUFFER) == 0)
            break;
}

/* Has every stream ended? */
static bool silent(const struct shim_proc *p)
{
    return p->out[0].watch.fd < 0 && p->out[1].watch.fd < 0;
}

static void after_reading(struct shim_proc *p)
{
    shim_proc_update(p);
    if (p->exited && p->id && silent(p))
        shim_proc_finish(p);
}

static void on_output(struct shim_watch *w, uint32_t events)
{
    (void)events;
    struct shim_source *src = SHIM_OWNER(w, struct shim_source, watch);
    read_turn(src);
    after_reading(src->proc);
}

void shim_proc_poll(struct shim_proc *p)
{
    read_turn(&p->out[0]);
    read_turn(&p->out[1]);
    after_reading(p);
}

bool shim_proc_stalled(const struct shim_proc *p)
{
    return (p->out[0].watch.fd >= 0 && stalled(&p->out[0])) ||
           (p->out[1].watch.fd >= 0 && stalled(&p->out[1]));
}

void shim_proc_update(struct shim_proc *p)
{
    struct shim_loop *loop = &p->shim->loop;
    for (size_t i = 0; i < 2; i++)
        if (p->out[i].watch.fd >= 0)
            shim_loop_set(loop, &p->out[i].watch, stalled(&p->out[i]) ? 0 : EPOLLIN);
}

/* What is in the pipe now is all that the container wrote; what processes outside of it still
 * write is not waited for. */
static void drain_source(struct shim_source *src)
{
    int held = 0;
    bool pipe = !src->proc->terminal && ioctl(src->watch.fd, FIONREAD, &held) == 0;
    size_t left = pipe ? (size_t)held : PIPE_LARGE;
    while (src->watch.fd >= 0 && left > 0) {
        size_t n = read_source(src, left);
        if (n == 0)
            break;
        left -= n;
    }
    close_source(src);
}

void shim_proc_drain(struct shim_proc *p)
{
    for (size_t i = 0; i < 2; i++)
        if (p->out[i].watch.fd >= 0)
            drain_source(&p->out[i]);
}

void shim_proc_finish(struct shim_proc *p)
{
    if (p->finished)
        return;
    p->finished = true;
    shim_loop_close(&p->shim->loop, &p->in);
    for (size_t i = 0; i < 2; i++)
        close_source(&p->out[i]);
    struct shim_session *next;
    for (struct shim_session *s = LIST_FIRST(&p->shim->sessions); s; s = next) {
        next = LIST_NEXT(s, link);
        if (s->proc != p)
            continue;
        s->progress_mono = dray_clock_mono();
        if (!s->pend)
            shim_session_end(s, false);
    }
    p->shim->tick = true;
}

/* Input. */

static void update_sessions(struct shim_proc *p)
{
    struct shim_session *s = NULL;
    LIST_FOREACH(s, &p->shim->sessions, link)
    if (s->proc == p)
        shim_session_update(s);
}

static void close_in(struct shim_proc *p)
{
    free(dray_steal(p->in_buf));
    p->in_off = p->in_len = 0;
    shim_loop_close(&p->shim->loop, &p->in);
}

/* Returns what the process took; when it takes no more, ever, its input is closed. */
static size_t push_in(struct shim_proc *p, const char *data, size_t n)
{
    size_t done = 0;
    while (done < n) {
        ssize_t took = write(p->in.fd, data + done, n - done);
        if (took < 0 && errno == EINTR)
            continue;
        if (took < 0 && errno == EAGAIN)
            break;
        if (took < 0) {
            close_in(p);
            return n;
        }
        done += (size_t)took;
    }
    return done;
}

static void on_input(struct shim_watch *w, uint32_t events)
{
    (void)events;
    struct shim_proc *p = SHIM_OWNER(w, struct shim_proc, in);
    size_t left = p->in_len - p->in_off;
    size_t took = push_in(p, p->in_buf + p->in_off, left);
    if (p->in.fd >= 0 && took < left) {
        p->in_off += took;
        return;
    }
    free(dray_steal(p->in_buf));
    p->in_off = p->in_len = 0;
    shim_loop_set(&p->shim->loop, &p->in, 0);
    if (p->in_close)
        close_in(p);
    update_sessions(p);
}

void shim_proc_write(struct shim_proc *p, const void *data, size_t n)
{
    if (p->in.fd < 0 || n == 0 || !p->open_stdin)
        return;
    size_t took = p->in_len ? 0 : push_in(p, data, n);
    if (took == n)
        return;
    char *grown = realloc(p->in_buf, p->in_len + n - took);
    if (!grown)
        abort();
    p->in_buf = grown;
    memcpy(p->in_buf + p->in_len, (const char *)data + took, n - took);
    p->in_len += n - took;
    shim_loop_set(&p->shim->loop, &p->in, EPOLLOUT);
    update_sessions(p);
}

void shim_proc_close_in(struct shim_proc *p)
{
    p->in_close = true;
    if (p->in_len == 0)
        close_in(p);
}

int shim_proc_resize(struct shim_proc *p, uint16_t rows, uint16_t cols, struct dray_err *err)
{
    p->rows = rows;
    p->cols = cols;
    struct winsize size = {.ws_row = rows, .ws_col = cols};
    if (p->terminal && p->out[0].watch.fd >= 0 && ioctl(p->out[0].watch.fd, TIOCSWINSZ, &size) != 0)
        return dray_fail_errno(err, "resize the terminal");
    return 0;
}

/* Life. */

void shim_proc_init(struct shim_proc *p, struct shim *s)
{
    memset(p, 0, sizeof *p);
    p->shim = s;
    p->pidfd.fd = p->in.fd = -EBADF;
    p->in.fn = on_input;
    for (size_t i = 0; i < 2; i++)
        p->out[i] = (struct shim_source){
            .watch = {.fd = -EBADF, .fn = on_output},
            .proc = p,
            .stream = i ? DRAY_FRAME_STDERR : DRAY_FRAME_STDOUT,
        };
}

void shim_proc_fini(struct shim_proc *p)
{
    close_in(p);
    shim_loop_close(&p->shim->loop, &p->pidfd);
    close_source(&p->out[0]);
    close_source(&p->out[1]);
    free(dray_steal(p->id));
}

static int make_pipe(int *mine, int *theirs, bool i_write, struct dray_err *err)
{
    int fd[2];
    if (pipe2(fd, O_CLOEXEC) != 0)
        return dray_fail_errno(err, "make a pipe");
    *mine = fd[i_write];
    *theirs = fd[!i_write];
    (void)fcntl(*mine, F_SETFL, (i_write ? O_WRONLY : O_RDONLY) | O_NONBLOCK);
    return 0;
}

static int open_null(int *fd_out, struct dray_err *err)
{
    *fd_out = open("/dev/null", O_RDWR | O_CLOEXEC);
    return *fd_out < 0 ? dray_fail_errno(err, "open /dev/null") : 0;
}

int shim_proc_pipes(struct shim_proc *p, bool want_out, bool want_err, struct shim_ends *ends,
                    struct dray_err *err)
{
    int rc = p->open_stdin ? make_pipe(&p->in.fd, &ends->fd[0], true, err)
                           : open_null(&ends->fd[0], err);
    const bool want[2] = {want_out, want_err};
    for (size_t i = 0; i < 2 && rc == 0; i++)
        rc = want[i] ? make_pipe(&p->out[i].watch.fd, &ends->fd[i + 1], false, err)
                     : open_null(&ends->fd[i + 1], err);
    return rc;
}

static int take_terminal(struct shim_proc *p, int master, struct dray_err *err)
{
    if (master < 0)
        return dray_fail(err, DRAY_E_INTERNAL, "the runtime made no terminal");
    int flags = fcntl(master, F_GETFL);
    (void)fcntl(master, F_SETFL, flags | O_NONBLOCK);
    p->out[0].watch.fd = master;
    p->in.fd = fcntl(master, F_DUPFD_CLOEXEC, 0);
    if (p->in.fd < 0)
        return dray_fail_errno(err, "duplicate the terminal");
    return p->rows && p->cols ? shim_proc_resize(p, p->rows, p->cols, err) : 0;
}

int shim_proc_begin(struct shim_proc *p, struct dray_proc *made, struct dray_err *err)
{
    p->pid = made->pid;
    p->pidfd.fd = dray_steal_fd(&made->pidfd.fd);
    if (p->pidfd.fd < 0)
        p->pidfd.fd = (int)syscall(SYS_pidfd_open, p->pid, 0);
    int rc = p->terminal ? take_terminal(p, dray_steal_fd(&made->terminal.fd), err) : 0;
    shim_proc_update(p);
    update_sessions(p);
    return rc;
}
