/* SPDX-License-Identifier: Apache-2.0 */
/* signals.c - signals as users write them. */
#include "engine/signals.h"

#include <signal.h>
#include <strings.h>

static int by_name(const char *name)
{
    for (int n = 1; n < SIGRTMIN; n++) {
        const char *abbrev = sigabbrev_np(n);
        if (abbrev && strcasecmp(abbrev, name) == 0)
            return n;
    }
    static const struct {
        const char *name;
        int number;
    } aliases[] = {{"CLD", SIGCHLD}, {"IOT", SIGABRT}, {"POLL", SIGIO}, {"IO", SIGIO}};
    for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++)
        if (strcasecmp(aliases[i].name, name) == 0)
            return aliases[i].number;
    return -1;
}

static int real_time(const char *name)
{
    int base = strncasecmp(name, "RTMIN", 5) == 0   ? 34
               : strncasecmp(name, "RTMAX", 5) == 0 ? 64
                                                    : -1;
    if (base < 0)
        return -1;
    int n = base + (name[5] ? atoi(name + 5) : 0);
    return n >= 34 && n <= 64 ? n : -1;
}

int dray_signal_parse(const char *text, int def, int *out, struct dray_err *err)
{
    if (!text || !*text) {
        *out = def;
        return 0;
    }
    int n = -1;
    char *end;
    long v = strtol(text, &end, 10);
    if (end != text && !*end) {
        if (v != 0 && (v < 1 || v > 64))
            return dray_fail(err, DRAY_E_INVAL, "the linux daemon does not support signal %ld", v);
        n = v == 0 ? -1 : (int)v;
    } else {
        const char *plain = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
        n = by_name(plain);
        if (n < 0)
            n = real_time(plain);
    }
    if (n < 0)
        return dray_fail(err, DRAY_E_INVAL, "invalid signal: %s", text);
    *out = n;
    return 0;
}
