/* SPDX-License-Identifier: Apache-2.0 */
/* parse.c - reads command lines the way Docker's client does: --flag=value, -abc, -p8080:80. */
#include "client/cli.h"

#include "client/spec/specs.h"
#include "client/units.h"

#include <ctype.h>
#include <stdio.h>

static int check_int(const char *value, int bits, bool is_signed, struct dray_err *err)
{
    char *end = NULL;
    errno = 0;
    long long v = strtoll(value, &end, 0);
    const char *call = is_signed ? "ParseInt" : "ParseUint";
    if (!*value || *end || isspace((unsigned char)*value) || (!is_signed && *value == '-'))
        return dray_fail(err, DRAY_E_INVAL, "strconv.%s: parsing \"%s\": invalid syntax", call,
                         value);
    if (errno == ERANGE || (bits == 16 && v > 65535))
        return dray_fail(err, DRAY_E_INVAL, "strconv.%s: parsing \"%s\": value out of range", call,
                         value);
    return 0;
}

static int check_bool(const char *value, struct dray_err *err)
{
    bool b = false;
    if (!units_bool(value, &b))
        return dray_fail(err, DRAY_E_INVAL, "strconv.ParseBool: parsing \"%s\": invalid syntax",
                         value);
    return 0;
}

static int check_type(enum cli_type type, const char *value, struct dray_err *err)
{
    int64_t n = 0;
    switch (type) {
    case CLI_BOOL:
        return check_bool(value, err);
    case CLI_INT:
        return check_int(value, 64, true, err);
    case CLI_UINT16:
        return check_int(value, 16, false, err);
    case CLI_DECIMAL:
        return units_cpus(value, &n, err);
    case CLI_BYTES:
        return strcmp(value, "-1") == 0 ? 0 : units_bytes(value, &n, err);
    case CLI_DURATION:
        return units_duration(value, &n, err);
    case CLI_FILTER:
        return strchr(value, '=') || !*value
                   ? 0
                   : dray_fail(err, DRAY_E_INVAL, "bad format of filter (expected name=value)");
    case CLI_MOUNT:
        return spec_mount_check(value, err);
    case CLI_NETWORK:
        return spec_network_check(value, err);
    case CLI_ULIMIT:
        return spec_ulimit_check(value, err);
    case CLI_GPUS:
        return spec_gpus_check(value, err);
    case CLI_STRING:
    case CLI_LIST:
    case CLI_STRINGS:
    case CLI_MAP:
        break;
    }
    return 0;
}

/* Check one value against the flag's type and own check. */
static int check_value(const struct cli_flag *f, const char *value, struct dray_err *err)
{
    if (f->type == CLI_BYTES && strcmp(value, "-1") == 0 && strcmp(f->name, "memory-swap") != 0)
        return dray_fail(err, DRAY_E_INVAL, "invalid size: '%s'", value);
    int rc = check_type(f->type, value, err);
    return rc == 0 && f->check ? f->check(value, err) : rc;
}

static const struct cli_flag *find_flag(const struct cli_command *cmd, const char *name, size_t len,
                                        char letter)
{
    for (size_t t = 0; t < 3 && cmd->flags[t]; t++)
        for (const struct cli_flag *f = cmd->flags[t]; f->name; f++)
            if (name ? strlen(f->name) == len && memcmp(f->name, name, len) == 0
                     : f->letter == letter)
                return f;
    return NULL;
}

static const struct cli_flag *canonical(const struct cli_command *cmd, const struct cli_flag *f)
{
    return f->same ? find_flag(cmd, f->same, strlen(f->same), 0) : f;
}

struct parser {
    const struct cli_command *cmd;
    const char *path;
    char **argv;
    int argc;
    int i;
    struct cli_args *out;
};

static int usage_error(const struct parser *p)
{
    (void)fputs("\n\n", stderr);
    cli_usage_line(stderr, p->cmd, p->path);
    (void)fprintf(stderr, "\nRun '%s --help' for more information\n", p->path);
    return 125;
}

static int set_value(struct parser *p, const struct cli_flag *f, const char *value)
{
    struct dray_err err = {0};
    if (check_value(f, value, &err) != 0) {
        char shown[96];
        if (f->letter)
            (void)snprintf(shown, sizeof shown, "-%c, --%s", f->letter, f->name);
        else
            (void)snprintf(shown, sizeof shown, "--%s", f->name);
        (void)fprintf(stderr, "invalid argument \"%s\" for \"%s\" flag: %s", value, shown,
                      err.text);
        return usage_error(p);
    }
    struct cli_args *a = p->out;
    a->set = cli_need(realloc(a->set, (a->n_set + 1) * sizeof *a->set));
    a->set[a->n_set++] = (struct cli_value){.flag = canonical(p->cmd, f), .text = value};
    return -1;
}

static int help_asked(struct parser *p)
{
    cli_help(stdout, p->cmd, NULL, p->path);
    return 0;
}

static int parse_long(struct parser *p, const char *word)
{
    const char *eq = strchr(word, '=');
    size_t len = eq ? (size_t)(eq - word) : strlen(word);
    const struct cli_flag *f = find_flag(p->cmd, word, len, 0);
    if (len == 4 && memcmp(word, "help", 4) == 0)
        return help_asked(p);
    if (!f || len == 0) {
        (void)fprintf(stderr, "unknown flag: --%.*s", (int)len, word);
        return usage_error(p);
    }
    if (eq)
        return set_value(p, f, eq + 1);
    if (f->type == CLI_BOOL)
        return set_value(p, f, "true");
    if (p->i + 1 < p->argc)
        return set_value(p, f, p->argv[++p->i]);
    (void)fprintf(stderr, "flag needs an argument: --%s", word);
    return usage_error(p);
}

static int parse_letters(struct parser *p, const char *word)
{
    for (const char *c = word; *c; c++) {
        const struct cli_flag *f = find_flag(p->cmd, NULL, 0, *c);
        if (!f && *c == 'h') {
            (void)fputs("Flag shorthand -h has been deprecated, use --help\n", stderr);
            return help_asked(p);
        }
        if (!f) {
            (void)fprintf(stderr, "unknown shorthand flag: '%c' in -%s", *c, c);
            return usage_error(p);
        }
        if (f->type == CLI_BOOL && c[1] != '=') {
            int rc = set_value(p, f, "true");
            if (rc >= 0)
                return rc;
            continue;
        }
        if (c[1])
            return set_value(p, f, c[1] == '=' ? c + 2 : c + 1);
        if (p->i + 1 < p->argc)
            return set_value(p, f, p->argv[++p->i]);
        (void)fprintf(stderr, "flag needs an argument: '%c' in -%s", *c, c);
        return usage_error(p);
    }
    return -1;
}

static void take_rest(struct parser *p, int from)
{
    for (int i = from; i < p->argc; i++)
        p->out->argv[p->out->argc++] = p->argv[i];
}

int cli_parse(const struct cli_command *cmd, const char *path, char **argv, int argc,
              struct cli_args *out)
{
    *out = (struct cli_args){.command = cmd, .path = path};
    out->argv = cli_need(calloc((size_t)argc + 1, sizeof *out->argv));
    struct parser p = {.cmd = cmd, .path = path, .argv = argv, .argc = argc, .out = out};
    for (; p.i < argc; p.i++) {
        const char *word = argv[p.i];
        if (word[0] != '-' || !word[1]) {
            if (cmd->stop_at_arg) {
                take_rest(&p, p.i);
                break;
            }
            out->argv[out->argc++] = argv[p.i];
            continue;
        }
        if (strcmp(word, "--") == 0) {
            take_rest(&p, p.i + 1);
            break;
        }
        int rc = word[1] == '-' ? parse_long(&p, word + 2) : parse_letters(&p, word + 1);
        if (rc >= 0)
            return rc;
    }
    return -1;
}

void cli_args_free(struct cli_args *a)
{
    free(a->set);
    free(a->argv);
    *a = (struct cli_args){0};
}

int cli_check_count(const struct cli_args *a)
{
    int min = a->command->min_args, max = a->command->max_args;
    if (a->argc >= min && (max < 0 || a->argc <= max))
        return -1;
    const char *see = "Run";
    (void)fprintf(stderr, "dray: '%s' ", a->path);
    if (max == 0) {
        (void)fprintf(stderr, "accepts no arguments");
    } else if (min == max) {
        (void)fprintf(stderr, "requires %d argument%s", min, min == 1 ? "" : "s");
    } else if (max < 0) {
        (void)fprintf(stderr, "requires at least %d argument%s", min, min == 1 ? "" : "s");
        see = "See";
    } else if (min == 0) {
        (void)fprintf(stderr, "requires at most %d argument%s", max, max == 1 ? "" : "s");
    } else {
        (void)fprintf(stderr, "requires at least %d and at most %d arguments", min, max);
    }
    (void)fputs("\n\n", stderr);
    cli_usage_line(stderr, a->command, a->path);
    (void)fprintf(stderr, "\n%s '%s --help' for more information\n", see, a->path);
    return 1;
}

static const struct cli_flag *known(const struct cli_args *a, const char *name)
{
    return find_flag(a->command, name, strlen(name), 0);
}

bool cli_given(const struct cli_args *a, const char *name)
{
    for (size_t i = 0; i < a->n_set; i++)
        if (strcmp(a->set[i].flag->name, name) == 0)
            return true;
    return false;
}

const char *cli_str(const struct cli_args *a, const char *name)
{
    for (size_t i = a->n_set; i-- > 0;)
        if (strcmp(a->set[i].flag->name, name) == 0)
            return a->set[i].text;
    const struct cli_flag *f = known(a, name);
    return f ? f->def : NULL;
}

bool cli_bool(const struct cli_args *a, const char *name)
{
    bool b = false;
    const char *text = cli_str(a, name);
    return text && units_bool(text, &b) && b;
}

int64_t cli_int(const struct cli_args *a, const char *name)
{
    const char *text = cli_str(a, name);
    return text ? strtoll(text, NULL, 0) : 0;
}

void cli_list(const struct cli_args *a, const char *name, struct dray_strlist *out)
{
    for (size_t i = 0; i < a->n_set; i++) {
        const struct cli_value *v = &a->set[i];
        if (strcmp(v->flag->name, name) != 0)
            continue;
        if (v->flag->type == CLI_STRINGS)
            (void)dray_strlist_split(out, v->text, ',');
        else
            (void)dray_strlist_add(out, v->text);
    }
}
