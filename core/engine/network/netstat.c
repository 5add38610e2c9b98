/* SPDX-License-Identifier: Apache-2.0 */
/* netstat.c - what the kernel tells about processes: network counters and the ps table. */
#include "engine/network/netstat.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"

#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#define PROC_MOST (4 << 20)

/* Counters. */

static void add_interface(struct json_object *out, const char *line)
{
    static const struct {
        const char *key;
        int field;
    } v[] = {{"rx_bytes", 0}, {"rx_packets", 1}, {"rx_errors", 2},  {"rx_dropped", 3},
             {"tx_bytes", 8}, {"tx_packets", 9}, {"tx_errors", 10}, {"tx_dropped", 11}};
    char name[32];
    unsigned long long n[16] = {0};
    const char *colon = strchr(line, ':');
    if (!colon || sscanf(line, " %31[^:]", name) != 1 || strcmp(name, "lo") == 0)
        return;
    const char *p = colon + 1;
    for (int i = 0; i < 16; i++) {
        char *end;
        n[i] = strtoull(p, &end, 10);
        p = end;
    }
    struct json_object *o = json_object_new_object();
    for (size_t i = 0; i < sizeof v / sizeof v[0]; i++)
        dray_json_add(o, v[i].key, json_object_new_uint64(n[v[i].field]));
    dray_json_add(out, name, o);
}

struct json_object *dray_netstat(int pid)
{
    char path[48];
    (void)snprintf(path, sizeof path, "/proc/%d/net/dev", pid);
    DRAY_AUTO(dray_buf) b = {0};
    if (dray_fs_read(AT_FDCWD, path, PROC_MOST, &b, NULL) != 0 || !b.data)
        return NULL;
    struct json_object *out = json_object_new_object();
    char *save = NULL;
    for (char *line = strtok_r(b.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        add_interface(out, line);
    if (json_object_object_length(out) > 0)
        return out;
    json_object_put(out);
    return NULL;
}

/* Processes. */

/** One process, read from /proc. */
struct proc {
    int pid, ppid, pgrp, session, tty, nice, threads;
    char state, comm[64];
    unsigned long long utime, stime, start, vsize, rss_pages;
    uid_t uid;
    gid_t gid;
    struct dray_buf args;
};

static bool read_proc(int pid, struct proc *p)
{
    char path[48];
    struct stat st;
    DRAY_AUTO(dray_buf) b = {0};
    (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (stat(path, &st) != 0 || dray_fs_read(AT_FDCWD, path, PROC_MOST, &b, NULL) != 0)
        return false;
    const char *open = strchr(b.data, '('), *close = strrchr(b.data, ')');
    if (!open || !close)
        return false;
    *p = (struct proc){.pid = pid, .uid = st.st_uid, .gid = st.st_gid};
    (void)snprintf(p->comm, sizeof p->comm, "%.*s", (int)(close - open - 1), open + 1);
    if (sscanf(close + 2,
               "%c %d %d %d %d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %d %d %*d %llu %llu "
               "%llu",
               &p->state, &p->ppid, &p->pgrp, &p->session, &p->tty, &p->utime, &p->stime, &p->nice,
               &p->threads, &p->start, &p->vsize, &p->rss_pages) < 10)
        return false;
    (void)snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
    (void)dray_fs_read(AT_FDCWD, path, PROC_MOST, &p->args, NULL);
    for (size_t i = 0; i + 1 < p->args.len; i++)
        if (!p->args.data[i])
            p->args.data[i] = ' ';
    return true;
}

static char *show_user(const struct proc *p)
{
    struct passwd pw, *found = NULL;
    char buf[1024];
    if (getpwuid_r(p->uid, &pw, buf, sizeof buf, &found) == 0 && found)
        return strdup(found->pw_name);
    return dray_strf("%u", p->uid);
}

static char *show_uid(const struct proc *p)
{
    return dray_strf("%u", p->uid);
}

static char *show_gid(const struct proc *p)
{
    return dray_strf("%u", p->gid);
}

static char *show_pid(const struct proc *p)
{
    return dray_strf("%d", p->pid);
}

static char *show_ppid(const struct proc *p)
{
    return dray_strf("%d", p->ppid);
}

static char *show_pgid(const struct proc *p)
{
    return dray_strf("%d", p->pgrp);
}

static char *show_sid(const struct proc *p)
{
    return dray_strf("%d", p->session);
}

static char *show_nice(const struct proc *p)
{
    return dray_strf("%d", p->nice);
}

static char *show_threads(const struct proc *p)
{
    return dray_strf("%d", p->threads);
}

static char *show_state(const struct proc *p)
{
    return dray_strf("%c", p->state);
}

static char *show_stat(const struct proc *p)
{
    return dray_strf("%c%s%s", p->state, p->session == p->pid ? "s" : "",
                     p->threads > 1 ? "l" : "");
}

static char *show_tty(const struct proc *p)
{
    unsigned maj = major((dev_t)p->tty), min = minor((dev_t)p->tty);
    if (p->tty == 0)
        return strdup("?");
    return maj >= 136 && maj <= 143 ? dray_strf("pts/%u", min) : dray_strf("tty%u", min);
}

static unsigned long long ticks_to_s(unsigned long long t)
{
    return t / (unsigned long long)sysconf(_SC_CLK_TCK);
}

static char *show_time(const struct proc *p)
{
    unsigned long long s = ticks_to_s(p->utime + p->stime);
    return dray_strf("%02llu:%02llu:%02llu", s / 3600, s / 60 % 60, s % 60);
}

static int64_t started_s(const struct proc *p)
{
    struct timespec up;
    clock_gettime(CLOCK_BOOTTIME, &up);
    return dray_clock_now() / DRAY_NS_PER_S - up.tv_sec + (int64_t)ticks_to_s(p->start);
}

static double cpu_share(const struct proc *p)
{
    int64_t lived = dray_clock_now() / DRAY_NS_PER_S - started_s(p);
    return lived > 0 ? 100.0 * (double)ticks_to_s(p->utime + p->stime) / (double)lived : 0.0;
}

static char *show_c(const struct proc *p)
{
    return dray_strf("%d", (int)cpu_share(p));
}

static char *show_pcpu(const struct proc *p)
{
    return dray_strf("%.1f", cpu_share(p));
}

static char *show_start(const struct proc *p)
{
    time_t t = (time_t)started_s(p), now = time(NULL);
    struct tm tm, today;
    char text[16];
    localtime_r(&t, &tm);
    localtime_r(&now, &today);
    bool same_day = tm.tm_yday == today.tm_yday && tm.tm_year == today.tm_year;
    (void)strftime(text, sizeof text, same_day ? "%H:%M" : "%b%d", &tm);
    return strdup(text);
}

static char *show_etime(const struct proc *p)
{
    int64_t s = dray_clock_now() / DRAY_NS_PER_S - started_s(p);
    if (s < 3600)
        return dray_strf("%02d:%02d", (int)(s / 60), (int)(s % 60));
    return dray_strf("%02d:%02d:%02d", (int)(s / 3600), (int)(s / 60 % 60), (int)(s % 60));
}

static char *show_vsz(const struct proc *p)
{
    return dray_strf("%llu", p->vsize / 1024);
}

static unsigned long long rss_kib(const struct proc *p)
{
    return p->rss_pages * (unsigned long long)sysconf(_SC_PAGESIZE) / 1024;
}

static char *show_rss(const struct proc *p)
{
    return dray_strf("%llu", rss_kib(p));
}

static char *show_pmem(const struct proc *p)
{
    double total = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) / 1024;
    return dray_strf("%.1f", 100.0 * (double)rss_kib(p) / total);
}

static char *show_comm(const struct proc *p)
{
    return strdup(p->comm);
}

static char *show_args(const struct proc *p)
{
    return p->args.len > 0 ? strdup(p->args.data) : dray_strf("[%s]", p->comm);
}

struct column {
    const char *name, *title;
    char *(*show)(const struct proc *);
};

/* ps(1) "STANDARD FORMAT SPECIFIERS" */
static const struct column columns[] = {
    {"pid", "PID", show_pid},
    {"ppid", "PPID", show_ppid},
    {"user", "USER", show_user},
    {"euser", "EUSER", show_user},
    {"ruser", "RUSER", show_user},
    {"uname", "USER", show_user},
    {"uid", "UID", show_uid},
    {"euid", "EUID", show_uid},
    {"gid", "GID", show_gid},
    {"egid", "EGID", show_gid},
    {"pgid", "PGID", show_pgid},
    {"pgrp", "PGRP", show_pgid},
    {"sid", "SID", show_sid},
    {"sess", "SESS", show_sid},
    {"ni", "NI", show_nice},
    {"nice", "NI", show_nice},
    {"nlwp", "NLWP", show_threads},
    {"thcount", "THCNT", show_threads},
    {"s", "S", show_state},
    {"state", "S", show_state},
    {"stat", "STAT", show_stat},
    {"tty", "TT", show_tty},
    {"tt", "TT", show_tty},
    {"tname", "TTY", show_tty},
    {"time", "TIME", show_time},
    {"cputime", "TIME", show_time},
    {"c", "C", show_c},
    {"pcpu", "%CPU", show_pcpu},
    {"%cpu", "%CPU", show_pcpu},
    {"pmem", "%MEM", show_pmem},
    {"%mem", "%MEM", show_pmem},
    {"vsz", "VSZ", show_vsz},
    {"vsize", "VSZ", show_vsz},
    {"rss", "RSS", show_rss},
    {"rsz", "RSZ", show_rss},
    {"stime", "STIME", show_start},
    {"start", "STARTED", show_start},
    {"start_time", "START", show_start},
    {"etime", "ELAPSED", show_etime},
    {"comm", "COMMAND", show_comm},
    {"ucmd", "CMD", show_comm},
    {"args", "COMMAND", show_args},
    {"command", "COMMAND", show_args},
    {"cmd", "CMD", show_args},
};

static const struct column full_format[] = {
    {"user", "UID", show_user},  {"pid", "PID", show_pid},       {"ppid", "PPID", show_ppid},
    {"c", "C", show_c},          {"stime", "STIME", show_start}, {"tname", "TTY", show_tty},
    {"time", "TIME", show_time}, {"cmd", "CMD", show_args},
};

static const struct column bsd_format[] = {
    {"user", "USER", show_user},
    {"pid", "PID", show_pid},
    {"pcpu", "%CPU", show_pcpu},
    {"pmem", "%MEM", show_pmem},
    {"vsz", "VSZ", show_vsz},
    {"rss", "RSS", show_rss},
    {"tname", "TTY", show_tty},
    {"stat", "STAT", show_stat},
    {"start_time", "START", show_start},
    {"time", "TIME", show_time},
    {"args", "COMMAND", show_args},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define COLUMNS_MOST 64

struct format {
    struct column v[COLUMNS_MOST];
    size_t n;
};

static int add_named(struct format *f, const char *list, struct dray_err *err)
{
    DRAY_AUTO(dray_strlist) names = {0};
    dray_strlist_split(&names, list, ',');
    for (size_t i = 0; i < names.n; i++) {
        char *title = strchr(names.v[i], '=');
        if (title)
            *title++ = '\0';
        const struct column *found = NULL;
        for (size_t k = 0; k < COUNT(columns) && !found; k++)
            if (strcmp(columns[k].name, names.v[i]) == 0)
                found = &columns[k];
        if (!found || f->n == COLUMNS_MOST)
            return dray_fail(err, DRAY_E_INVAL,
                             "ps: error: unknown user-defined format specifier \"%s\"", names.v[i]);
        f->v[f->n++] = *found;
    }
    return 0;
}

static void add_fixed(struct format *f, const struct column *v, size_t n)
{
    for (size_t i = 0; i < n && f->n < COLUMNS_MOST; i++)
        f->v[f->n++] = v[i];
}

/** The subset of ps's options that choose columns: -ef, -f, aux, u, -o LIST, -eo LIST. */
static int parse_args(const char *text, struct format *f, struct dray_err *err)
{
    if (!text || !*text)
        text = "-ef";
    DRAY_AUTO(dray_strlist) words = {0};
    dray_strlist_split(&words, text, ' ');
    bool bsd = false;
    for (size_t i = 0; i < words.n; i++) {
        const char *w = words.v[i];
        size_t n = strlen(w);
        const char *o = dray_str_prefix(w, "--") ? NULL : strchr(w, 'o');
        if (n == 0)
            continue;
        if (dray_str_prefix(w, "--format="))
            o = w + 8;
        else if (w[0] != '-')
            bsd = bsd || strchr(w, 'u');
        if (!o)
            continue;
        const char *list = o[1] ? o + 1 : i + 1 < words.n ? words.v[++i] : "";
        int rc = add_named(f, list, err);
        if (rc != 0)
            return rc;
    }
    if (f->n == 0 && bsd)
        add_fixed(f, bsd_format, COUNT(bsd_format));
    else if (f->n == 0)
        add_fixed(f, full_format, COUNT(full_format));
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->v[i].name, "pid") == 0)
            return 0;
    return dray_fail(err, DRAY_E_INVAL, "Couldn't find PID field in ps output");
}

int dray_ps_table(const int *pids, size_t n, const char *ps_args, struct json_object **out,
                  struct dray_err *err)
{
    struct format f = {.n = 0};
    int rc = parse_args(ps_args, &f, err);
    if (rc != 0)
        return rc;
    struct json_object *titles = json_object_new_array(), *rows = json_object_new_array();
    for (size_t i = 0; i < f.n; i++)
        json_object_array_add(titles, json_object_new_string(f.v[i].title));
    for (size_t i = 0; i < n; i++) {
        struct proc p = {0};
        if (!read_proc(pids[i], &p))
            continue;
        struct json_object *row = json_object_new_array();
        for (size_t k = 0; k < f.n; k++) {
            dray_autofree char *cell = f.v[k].show(&p);
            json_object_array_add(row, json_object_new_string(cell ? cell : ""));
        }
        json_object_array_add(rows, row);
        dray_buf_free(&p.args);
    }
    *out = json_object_new_object();
    dray_json_add(*out, "Titles", titles);
    dray_json_add(*out, "Processes", rows);
    return 0;
}
