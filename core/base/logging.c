/* SPDX-License-Identifier: Apache-2.0 */
/* logging.c - the program's own log on stderr. */
#include "base/logging.h"

#include "base/clock.h"

#include <dray/util.h>

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>

#define LINE_MAX_BYTES 4096
#define REPEAT_TELL_NS (30 * DRAY_NS_PER_S)

static const char *const level_names[] = {"ERROR", "WARN", "INFO", "DEBUG"};

/* The log sink: the one mutable thing of this library. */
static struct {
    _Atomic uint32_t level;
    _Atomic bool with_time;
    pthread_mutex_t lock; /* guards the rest. order: last of all */
    uint32_t last_level;
    char last_area[32];
    char last[LINE_MAX_BYTES];
    uint64_t repeats;
    int64_t told_ns;
} sink = {.level = DRAY_LOG_INFO, .with_time = true, .lock = PTHREAD_MUTEX_INITIALIZER};

void dray_log_setup(uint32_t level, bool with_time)
{
    atomic_store(&sink.level, level);
    atomic_store(&sink.with_time, with_time);
}

void dray_log_level_set(uint32_t level)
{
    atomic_store(&sink.level, level);
}

bool dray_log_on(uint32_t level)
{
    return level <= atomic_load_explicit(&sink.level, memory_order_relaxed);
}

int dray_log_level_parse(const char *text)
{
    static const struct {
        const char *name;
        int level;
    } names[] = {
        {"debug", DRAY_LOG_DEBUG}, {"info", DRAY_LOG_INFO},   {"warn", DRAY_LOG_WARN},
        {"error", DRAY_LOG_ERROR}, {"fatal", DRAY_LOG_ERROR},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(text, names[i].name) == 0)
            return names[i].level;
    return -1;
}

/* One line is one write, so that lines of several processes never mix. */
static void emit(uint32_t level, const char *area, const char *text)
{
    char line[LINE_MAX_BYTES + 128];
    char when[DRAY_TIME_LEN + 1] = "";
    if (atomic_load(&sink.with_time)) {
        dray_time_format_fixed(dray_clock_now(), when);
        memcpy(when + 23, "Z ", 3); /* milliseconds are enough */
    }
    int n = snprintf(line, sizeof line, "%s%-5s %s: %s\n", when, level_names[level], area, text);
    if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0)
        return; /* there is nobody left to tell */
}

static void tell_repeats(void)
{
    if (sink.repeats == 0)
        return;
    char text[64];
    (void)snprintf(text, sizeof text, "(the line before came %llu times more)",
                   (unsigned long long)sink.repeats);
    emit(sink.last_level, sink.last_area, text);
    sink.repeats = 0;
}

/* Text from outside must not forge lines or talk to the terminal. */
static void defang(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p; p++)
        if ((*p < 0x20 && *p != '\t') || *p == 0x7f)
            *p = *p == '\n' ? ' ' : '?';
}

void dray_log_line(uint32_t level, const char *area, const char *fmt, ...)
{
    if (!dray_log_on(level) || level > DRAY_LOG_DEBUG)
        return;
    int saved = errno;
    char text[LINE_MAX_BYTES];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    defang(text);

    pthread_mutex_lock(&sink.lock);
    int64_t now = dray_clock_mono();
    bool same = sink.last_level == level && strcmp(sink.last, text) == 0 &&
                strncmp(sink.last_area, area, sizeof sink.last_area - 1) == 0;
    if (same) {
        sink.repeats++;
        if (now - sink.told_ns >= REPEAT_TELL_NS) {
            tell_repeats();
            sink.told_ns = now;
        }
    } else {
        tell_repeats();
        emit(level, area, text);
        sink.last_level = level;
        (void)snprintf(sink.last_area, sizeof sink.last_area, "%s", area);
        memcpy(sink.last, text, strlen(text) + 1);
        sink.told_ns = now;
    }
    pthread_mutex_unlock(&sink.lock);
    errno = saved;
}
