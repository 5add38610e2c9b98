/* SPDX-License-Identifier: Apache-2.0 */
/* check.c - loads one plugin as drayd does and puts its drivers through the suites of their kinds.
 */
#include "check.h"

#include "base/clock.h"
#include "plugin/card.h"

#include <stdarg.h>
#include <stdatomic.h>

/* --- the verdict, line by line -----------------------------------------------------------------*/

static void line(const char *word, const struct ck *c, const char *text)
{
    (void)printf("  %-5s %s%s%s\n", word, c->kind ? c->kind : "", c->kind ? ": " : "", text);
    (void)fflush(stdout);
}

__attribute__((format(printf, 3, 0))) static void vline(const char *word, const struct ck *c,
                                                        const char *fmt, va_list ap)
{
    char text[900];
    (void)vsnprintf(text, sizeof text, fmt, ap);
    line(word, c, text);
}

void ck_fail(struct ck *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vline("FAIL", c, fmt, ap);
    va_end(ap);
    c->shared->failed++;
}

void ck_warn(struct ck *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vline("warn", c, fmt, ap);
    va_end(ap);
    c->shared->warned++;
}

void ck_skip(struct ck *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vline("skip", c, fmt, ap);
    va_end(ap);
    c->shared->skipped++;
}

bool ck_true(struct ck *c, bool ok, const char *what)
{
    if (ok) {
        line("ok", c, what);
        c->shared->passed++;
    } else {
        ck_fail(c, "%s: it is not so", what);
    }
    return ok;
}

bool ck_expect(struct ck *c, int want, const char *what)
{
    if (c->rc == want)
        return ck_true(c, true, what);
    ck_fail(c, "%s: %s gave %s instead of %s%s%s", what, c->op, ck_code_name(c->rc),
            ck_code_name(want), c->rc ? ": " : "", c->rc ? c->err.text : "");
    return false;
}

/* --- calls -------------------------------------------------------------------------------------*/

static int32_t collect_record(void *ctx, const struct dray_record *rec)
{
    struct ck *c = ctx;
    for (uint64_t i = 0; i < rec->fields.n; i++) {
        const struct dray_kv *f = &rec->fields.v[i];
        if (!f->key || !f->value) {
            ck_fail(c, "%s emitted a record with a NULL in it", c->op);
            return DRAY_E_INTERNAL;
        }
        dray_buf_addf(&c->emitted, "%s%s=%s", i ? "\t" : "", f->key, f->value);
    }
    dray_buf_adds(&c->emitted, "\n");
    return 0;
}

/* End the last call. */
static void leave(struct ck *c)
{
    dray_call_leave(&c->scope);
    c->scope = (struct dray_call_scope){0};
}

uint64_t ck_deadline(const struct ck *c)
{
    return (uint64_t)dray_clock_mono() + c->want->timeout_s * (uint64_t)DRAY_NS_PER_S;
}

int ck_enter(struct ck *c, const char *op, const char *object, bool replay)
{
    leave(c);
    dray_buf_free(&c->emitted);
    c->emitted = (struct dray_buf){0};
    c->op = op;
    c->err = (struct dray_err){0};
    (void)snprintf(c->shared->step, sizeof c->shared->step, "%s.%s", c->kind, op);
    atomic_store(&c->shared->since_ns, (uint64_t)dray_clock_mono());
    dray_call_emit_to(&c->scope, collect_record, c);
    if (object)
        dray_call_object(&c->scope, object);
    if (replay)
        dray_call_replay(&c->scope);
    dray_call_deadline(&c->scope, ck_deadline(c));
    return dray_call_enter(&c->scope, c->driver, DRAY_CLASS_MOUNT, -1, &c->err);
}

int ck_result(struct ck *c, int rc)
{
    atomic_store(&c->shared->since_ns, 0);
    c->rc = rc;
    if (rc > 0 || rc < DRAY_E_AGAIN)
        ck_fail(c, "%s gave %d, which is none of DRAY_E_*", c->op, rc);
    else if (rc && (c->err.code != rc || !c->err.text[0]))
        ck_fail(c, "%s gave %s and did not fill the error; return dray_fail(err, ...)", c->op,
                ck_code_name(rc));
    return rc;
}

bool ck_has(const struct ck *c, const char *op)
{
    return dray_driver_has(c->driver, op);
}

bool ck_emitted(const struct ck *c, const char *field)
{
    size_t n = strlen(field);
    const char *text = c->emitted.data ? c->emitted.data : "";
    for (const char *p = text; (p = strstr(p, field)); p++)
        if ((p == text || strchr("\t\n", p[-1])) && strchr("\t\n", p[n]))
            return true;
    return false;
}

/* --- loading -----------------------------------------------------------------------------------*/

static const struct {
    uint32_t kind;
    void (*run)(struct ck *c);
} suites[] = {
    {DRAY_KIND_STORAGE, ck_storage},   {DRAY_KIND_NETWORK, ck_network},
    {DRAY_KIND_IPAM, ck_ipam},         {DRAY_KIND_VOLUME, ck_volume},
    {DRAY_KIND_REGISTRY, ck_registry}, {DRAY_KIND_RUNTIME, ck_runtime},
    {DRAY_KIND_LOG, ck_log},           {DRAY_KIND_BUILDER, ck_builder},
    {DRAY_KIND_AUTHZ, ck_authz},       {DRAY_KIND_EXTENSION, ck_extension},
};

static bool read_file(struct ck *c, struct dray_card *card)
{
    char text[DRAY_CARD_MAX + 1];
    dray_autofd int fd = -EBADF;
    struct dray_err err = {0};
    int rc = dray_card_open_file(c->want->file, false, &fd, &err);
    if (rc == DRAY_E_DENIED) {
        ck_warn(c, "drayd would refuse it where it lies: %s", err.text);
        rc = dray_card_open_file(c->want->file, true, &fd, &err);
    }
    rc = rc ? rc : dray_card_read_note(fd, text, sizeof text, &err);
    rc = rc ? rc : dray_card_parse(text, card, &err);
    if (rc) {
        ck_fail(c, "the file is refused: %s", err.text);
        return false;
    }
    (void)printf("  %s %s, ABI %u.%u, licence %s\n", card->name, card->version, card->major,
                 card->minor, card->license[0] ? card->license : "unknown");
    (void)ck_true(c, true, "the card can be read before any code runs");
    ck_object(c, fd);
    return true;
}

static bool open_plugin(struct ck *c, const struct dray_card *card)
{
    struct dray_err err = {0};
    (void)snprintf(c->shared->step, sizeof c->shared->step, "open");
    atomic_store(&c->shared->since_ns, (uint64_t)dray_clock_mono());
    int rc = ck_open(c->want, card, c->work, &c->drivers, &err);
    atomic_store(&c->shared->since_ns, 0);
    if (rc) {
        ck_fail(c, "%s", err.text);
        return false;
    }
    return ck_true(c, true,
                   card->family ? "it loads: tables, options"
                                : "it loads and opens: tables, options, probe, open");
}

static void run_suites(struct ck *c, const struct dray_card *card)
{
    for (size_t i = 0; i < sizeof suites / sizeof suites[0]; i++) {
        struct dray_err err = {0};
        if (!(card->kinds & 1u << suites[i].kind))
            continue;
        c->kind = dray_kind_name(suites[i].kind);
        if (card->family && !c->want->instance) {
            ck_skip(c, "it is a family; name one of its drivers with --instance");
            continue;
        }
        c->driver = dray_drivers_get(c->drivers, suites[i].kind, ck_instance(c->want, card), &err);
        if (c->driver)
            suites[i].run(c);
        else
            ck_fail(c, "%s", err.text);
        leave(c);
    }
    c->kind = NULL;
}

void ck_run(const struct ck_request *want, struct ck_shared *shared, const char *work)
{
    struct ck c = {.want = want, .shared = shared, .work = work, .root = geteuid() == 0};
    struct dray_card card = {0};
    if (!read_file(&c, &card) || !open_plugin(&c, &card)) {
        dray_drivers_close(c.drivers);
        return;
    }
    if (!want->load_only)
        run_suites(&c, &card);
    (void)snprintf(shared->step, sizeof shared->step, "close");
    atomic_store(&shared->since_ns, (uint64_t)dray_clock_mono());
    dray_drivers_close(c.drivers);
    atomic_store(&shared->since_ns, 0);
    (void)ck_true(&c, true, "it closes");
    dray_buf_free(&c.emitted);
}
