/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run.c - dray-plugin run: operations of a plugin called by hand.
 *
 * They are called in this very process and its namespaces, one after another in one instance, so
 * that a debugger finds them and what they make can be looked at.
 */
#include "check.h"
#include "values.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"

#include <fcntl.h>

struct runner {
    const struct ck_request *want;
    struct dray_card card;
    struct dray_drivers *drivers;
    struct json_object *records; /* of the call under way */
};

static int32_t collect_record(void *ctx, const struct dray_record *rec)
{
    struct runner *r = ctx;
    struct json_object *o = json_object_new_object();
    for (uint64_t i = 0; i < rec->fields.n; i++)
        dray_json_add_str(o, rec->fields.v[i].key, rec->fields.v[i].value);
    if (!r->records)
        r->records = json_object_new_array();
    json_object_array_add(r->records, o);
    return 0;
}

/* "KIND.OPERATION", or the operation alone where one kind of the plugin has it. */
static const struct dray_wire_op *find(const struct runner *r, const char *word)
{
    const struct dray_wire_op *op, *found = NULL;
    const char *dot = strchr(word, '.');
    for (uint32_t i = 0; (op = dray_wire_op(i)); i++) {
        const char *kind = dray_kind_name(op->kind);
        if (!(r->card.kinds & 1u << op->kind) || strcmp(op->name, dot ? dot + 1 : word) != 0)
            continue;
        if (dot && (strlen(kind) != (size_t)(dot - word) ||
                    strncmp(kind, word, (size_t)(dot - word)) != 0))
            continue;
        if (found)
            return NULL;
        found = op;
    }
    return found;
}

static void print(struct json_object *line)
{
    (void)printf("%s\n", json_object_to_json_string_ext(line, JSON_C_TO_STRING_PLAIN |
                                                                  JSON_C_TO_STRING_NOSLASHESCAPE));
    (void)fflush(stdout);
}

static int call(struct runner *r, const struct dray_wire_op *op, struct dray_driver *d,
                struct dray_wire_slots *slots)
{
    struct dray_err err = {0};
    DRAY_AUTO(dray_call_scope) scope = {0};
    dray_call_emit_to(&scope, collect_record, r);
    dray_call_deadline(&scope,
                       (uint64_t)dray_clock_mono() + r->want->timeout_s * (uint64_t)DRAY_NS_PER_S);
    int rc = dray_call_enter(&scope, d, DRAY_CLASS_MOUNT, -1, &err);
    if (!rc)
        rc = op->invoke(scope.ops, scope.self, &scope.call, slots->args, &err);
    dray_autojson *line = json_object_new_object();
    dray_json_addf(line, "operation", "%s.%s", dray_kind_name(op->kind), op->name);
    if (rc < 0) {
        dray_json_add_str(line, "error", ck_code_name(rc));
        dray_json_add_str(line, "message", err.text);
    } else {
        if (rc > 0)
            dray_json_add_int(line, "result", rc);
        struct json_object *gives = ck_values_outputs(op, slots);
        if (gives)
            dray_json_add(line, "gives", gives);
    }
    if (r->records)
        dray_json_add(line, "records", dray_steal(r->records));
    print(line);
    return rc < 0 ? rc : 0;
}

/* One operation with its words. *words is moved behind them. */
static int run_one(struct runner *r, char ***words)
{
    struct dray_err err = {0};
    DRAY_AUTO(ck_values) values = {0};
    struct dray_wire_slots slots = {0};
    const char *word = *(*words)++;
    const struct dray_wire_op *op = find(r, word);
    if (!op) {
        (void)fprintf(stderr,
                      "dray-plugin: \"%s\" is no operation of it, or of several kinds: "
                      "KIND.OPERATION\n",
                      word);
        return DRAY_E_INVAL;
    }
    struct dray_driver *d =
        dray_drivers_get(r->drivers, op->kind, ck_instance(r->want, &r->card), &err);
    int rc = d ? ck_values_read(&values, op, words, &slots, &err) : err.code;
    if (!rc)
        return call(r, op, d, &slots);
    DRAY_AUTO(dray_buf) usage = {0};
    ck_values_usage(op, &usage);
    (void)fprintf(stderr, "dray-plugin: %s: %s\nusage: %s%s\n", word, err.text, word,
                  usage.data ? usage.data : "");
    return rc;
}

static void list(struct runner *r)
{
    const struct dray_wire_op *op;
    size_t n = 0;
    for (uint32_t i = 0; (op = dray_wire_op(i)); i++) {
        DRAY_AUTO(dray_buf) usage = {0};
        struct dray_driver *d =
            dray_drivers_find(r->drivers, op->kind, ck_instance(r->want, &r->card));
        if (!d || !dray_driver_has(d, op->name))
            continue;
        ck_values_usage(op, &usage);
        (void)printf("%s.%s%s\n", dray_kind_name(op->kind), op->name, usage.data ? usage.data : "");
        n++;
    }
    if (n == 0)
        (void)fprintf(stderr, "dray-plugin: operations of runtimes and builders, and of a family "
                              "without --instance, cannot be run\n");
}

static int run_all(struct runner *r, const char *work, char **words)
{
    struct dray_err err = {0};
    char text[DRAY_CARD_MAX + 1];
    dray_autofd int fd = -EBADF;
    int rc = dray_card_open_file(r->want->file, true, &fd, &err);
    rc = rc ? rc : dray_card_read_note(fd, text, sizeof text, &err);
    rc = rc ? rc : dray_card_parse(text, &r->card, &err);
    rc = rc ? rc : ck_open(r->want, &r->card, work, &r->drivers, &err);
    if (rc)
        (void)fprintf(stderr, "dray-plugin: %s\n", err.text);
    else if (!*words)
        list(r);
    while (!rc && *words) {
        rc = run_one(r, &words);
        words += *words && !rc; /* the comma */
    }
    dray_drivers_close(r->drivers);
    return rc;
}

int ck_run_operations(const struct ck_request *want, char **words)
{
    char temporary[256];
    struct dray_err err = {0};
    struct runner r = {.want = want};
    if (want->root)
        return run_all(&r, want->root, words) ? 1 : 0;
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(temporary, sizeof temporary, "%s/dray-plugin-XXXXXX", tmp ? tmp : "/var/tmp");
    if (!mkdtemp(temporary)) {
        perror("dray-plugin: a folder to work in");
        return 2;
    }
    int rc = run_all(&r, temporary, words);
    if (dray_fs_remove_tree(AT_FDCWD, temporary, &err))
        (void)fprintf(stderr, "dray-plugin: %s\n", err.text);
    return rc ? 1 : 0;
}
