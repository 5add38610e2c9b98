/* SPDX-License-Identifier: Apache-2.0 */
/* image_progress.c - progress lines of many threads on their way to one client, in Docker's form.
 */
#include "engine/image/image_pull.h"

#include "base/clock.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>

#define TICK_MS 100
#define BAR_WIDTH 50

int img_progress_init(struct img_progress *p, struct dray_err *err)
{
    *p = (struct img_progress){.lines = json_object_new_array()};
    p->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    p->abort_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&p->lock, NULL);
    if (p->wake_fd >= 0 && p->abort_fd >= 0)
        return 0;
    int rc = dray_fail_errno(err, "make an eventfd");
    img_progress_fini(p);
    return rc;
}

void img_progress_fini(struct img_progress *p)
{
    json_object_put(p->lines);
    dray_cleanup_fd(&p->wake_fd);
    dray_cleanup_fd(&p->abort_fd);
    pthread_mutex_destroy(&p->lock);
}

static void signal_fd(int fd)
{
    uint64_t one = 1;
    ssize_t n = write(fd, &one, sizeof one);
    (void)n;
}

void img_progress_add(struct img_progress *p, struct json_object *line /* takes */)
{
    pthread_mutex_lock(&p->lock);
    json_object_array_add(p->lines, line);
    pthread_mutex_unlock(&p->lock);
    signal_fd(p->wake_fd);
}

void img_progress_say(struct img_progress *p, const char *id, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    struct json_object *line = json_object_new_object();
    dray_json_add_str(line, "status", text);
    if (id) {
        if (strlen(id) == 12 && strncmp(text, "Pulling from", 12) != 0)
            dray_json_add(line, "progressDetail", json_object_new_object());
        dray_json_add_str(line, "id", id);
    }
    img_progress_add(p, line);
}

/* "1.234MB", as Docker's units.HumanSize. */
static void human_size(uint64_t bytes, char out[24])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    double size = (double)bytes;
    size_t i = 0;
    while (size >= 1000 && i + 1 < sizeof units / sizeof *units) {
        size /= 1000;
        i++;
    }
    (void)snprintf(out, 24, "%.4g%s", size, units[i]);
}

static void bar_text(uint64_t current, uint64_t total, char *out, size_t size)
{
    char now[24], all[24], bar[BAR_WIDTH + 2];
    human_size(current, now);
    human_size(total, all);
    if (total == 0) {
        (void)snprintf(out, size, "%8s", now);
        return;
    }
    size_t done = current >= total ? BAR_WIDTH : (size_t)(current * BAR_WIDTH / total);
    memset(bar, '=', done);
    bar[done] = '>';
    memset(bar + done + 1, ' ', BAR_WIDTH - done);
    (void)snprintf(out, size, "[%.*s] %8s/%s", BAR_WIDTH + 1, bar, now, all);
}

struct json_object *img_progress_bar(const char *id, const char *status, uint64_t current,
                                     uint64_t total)
{
    char text[128];
    struct json_object *line = json_object_new_object(), *detail = json_object_new_object();
    dray_json_add_str(line, "status", status);
    dray_json_add_int(detail, "current", (int64_t)current);
    if (total > 0)
        dray_json_add_int(detail, "total", (int64_t)total);
    dray_json_add(line, "progressDetail", detail);
    bar_text(current, total, text, sizeof text);
    dray_json_add_str(line, "progress", text);
    dray_json_add_str(line, "id", id);
    return line;
}

void img_progress_abort(struct img_progress *p)
{
    signal_fd(p->abort_fd);
}

void img_progress_rearm(struct img_progress *p)
{
    uint64_t count = 0;
    ssize_t n = p->gone ? 0 : read(p->abort_fd, &count, sizeof count);
    (void)n;
}

void img_progress_end(struct img_progress *p)
{
    pthread_mutex_lock(&p->lock);
    p->done = true;
    pthread_mutex_unlock(&p->lock);
    signal_fd(p->wake_fd);
}

/* Hand over what is there. False once the client takes no more. */
static bool drain(struct img_progress *p, dray_progress_fn fn, void *ctx, bool alive, bool *done)
{
    uint64_t count = 0;
    ssize_t got = read(p->wake_fd, &count, sizeof count);
    (void)got;
    pthread_mutex_lock(&p->lock);
    struct json_object *lines = p->lines;
    p->lines = json_object_new_array();
    *done = p->done;
    pthread_mutex_unlock(&p->lock);
    for (size_t i = 0; alive && i < dray_json_len(lines); i++)
        alive = fn(ctx, json_object_get(json_object_array_get_idx(lines, i))) == 0;
    json_object_put(lines);
    return alive;
}

void img_progress_pump(struct img_progress *p, int cancel_fd, dray_progress_fn fn, void *ctx,
                       void (*tick)(void *arg), void *arg)
{
    bool alive = true, done = false;
    int64_t last = dray_clock_mono();
    while (!done) {
        struct pollfd fds[2] = {{.fd = p->wake_fd, .events = POLLIN},
                                {.fd = alive ? cancel_fd : -1, .events = POLLIN}};
        (void)poll(fds, 2, TICK_MS);
        int64_t now = dray_clock_mono();
        if (tick && now - last >= TICK_MS * (DRAY_NS_PER_S / 1000)) {
            last = now;
            tick(arg);
        }
        bool still = drain(p, fn, ctx, alive, &done) && !fds[1].revents;
        if (alive && !still) {
            p->gone = true;
            img_progress_abort(p);
        }
        alive = alive && still;
    }
}
