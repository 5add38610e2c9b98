/* SPDX-License-Identifier: Apache-2.0 */
/* help.c - the help of commands, laid out as Docker's client does. */
#include "client/cli.h"

#include "client/term.h"
#include "client/units.h"

#include <ctype.h>
#include <stdio.h>

struct flag_list {
    const struct cli_flag *v[128];
    size_t n;
};

static void collect(struct flag_list *l, const struct cli_flag *table)
{
    for (const struct cli_flag *f = table; f && f->name && l->n < 128; f++)
        if (!f->same && f->help)
            l->v[l->n++] = f;
}

static int by_name(const void *a, const void *b)
{
    const struct cli_flag *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* The word for a value: "string", "list"; empty for bool. */
static const char *type_word(enum cli_type t)
{
    static const char *const words[] = {
        [CLI_BOOL] = "",
        [CLI_STRING] = "string",
        [CLI_INT] = "int",
        [CLI_UINT16] = "uint16",
        [CLI_DECIMAL] = "decimal",
        [CLI_BYTES] = "bytes",
        [CLI_DURATION] = "duration",
        [CLI_LIST] = "list",
        [CLI_STRINGS] = "strings",
        [CLI_MAP] = "map",
        [CLI_FILTER] = "filter",
        [CLI_MOUNT] = "mount",
        [CLI_NETWORK] = "network",
        [CLI_ULIMIT] = "ulimit",
        [CLI_GPUS] = "gpu-request",
    };
    return words[t];
}

static void flag_head(const struct cli_flag *f, char *out, size_t n)
{
    char letter[8] = "    ";
    if (f->letter)
        (void)snprintf(letter, sizeof letter, "-%c, ", f->letter);
    const char *word = type_word(f->type);
    (void)snprintf(out, n, "  %s--%s%s%s", letter, f->name, *word ? " " : "", word);
}

static char *flag_text(const struct cli_flag *f)
{
    if (!f->def)
        return cli_strdup(f->help);
    const char *quote = f->type == CLI_STRING ? "\"" : "";
    return cli_strf("%s (default %s%s%s)", f->help, quote, f->def, quote);
}

/* Where pflag breaks text that is to be `room` wide: the last space or newline before that. */
static size_t break_at(const char *s, int room)
{
    size_t len = strlen(s);
    const size_t slop = 5;
    if (room <= 0 || (size_t)room + slop > len)
        return len;
    size_t space = (size_t)room, line = (size_t)room;
    while (space > 0 && !strchr(" \t\n", s[space - 1]))
        space--;
    while (line > 0 && s[line - 1] != '\n')
        line--;
    if (space <= 1)
        return len;
    return line > 1 && line < space ? line - 1 : space - 1;
}

static void print_piece(FILE *out, const char *s, size_t len, int indent)
{
    for (size_t i = 0; i < len; i++) {
        (void)fputc(s[i], out);
        if (s[i] == '\n')
            (void)fprintf(out, "%*s", indent, "");
    }
}

static void print_wrapped(FILE *out, const char *s, int indent, int width)
{
    int room = width - indent;
    if (room < 24) {
        indent = 16;
        room = width - indent;
        (void)fprintf(out, "\n%*s", indent, "");
    }
    for (;;) {
        size_t cut = break_at(s, room < 24 ? 0 : room - 5);
        print_piece(out, s, cut, indent);
        if (!s[cut] || !s[cut + 1])
            break;
        s += cut + 1;
        (void)fprintf(out, "\n%*s", indent, "");
    }
    (void)fputc('\n', out);
}

static void print_flags(FILE *out, struct flag_list *l)
{
    char head[128];
    int widest = 0;
    qsort(l->v, l->n, sizeof *l->v, by_name);
    for (size_t i = 0; i < l->n; i++) {
        flag_head(l->v[i], head, sizeof head);
        if ((int)strlen(head) > widest)
            widest = (int)strlen(head);
    }
    int width = term_columns(STDOUT_FILENO);
    for (size_t i = 0; i < l->n; i++) {
        flag_head(l->v[i], head, sizeof head);
        dray_autofree char *text = flag_text(l->v[i]);
        (void)fprintf(out, "%-*s   ", widest, head);
        print_wrapped(out, text, widest + 3, (width > 0 ? width : 80) - 1);
    }
}

void cli_usage_line(FILE *out, const struct cli_command *cmd, const char *path)
{
    const char *usage = cmd->usage;
    (void)fprintf(out, "Usage:  %s%s", path, *usage ? " " : "");
    for (; *usage; usage++)
        (void)fputc(*usage, out);
    (void)fputc('\n', out);
}

static void print_names(FILE *out, const struct cli_entry *list, enum cli_group group,
                        const char *title)
{
    int widest = 11;
    bool any = false;
    for (const struct cli_entry *e = list; e->name; e++)
        if ((int)strlen(e->name) > widest)
            widest = (int)strlen(e->name);
    for (const struct cli_entry *e = list; e->name; e++) {
        if (e->group != group)
            continue;
        if (!any)
            (void)fprintf(out, "\n%s:\n", title);
        any = true;
        (void)fprintf(out, "  %-*s %.*s\n", widest, e->name, (int)strcspn(e->command->brief, "\n"),
                      e->command->brief);
    }
}

void cli_help(FILE *out, const struct cli_command *cmd, const struct cli_entry *subs,
              const char *path)
{
    cli_usage_line(out, cmd, path);
    (void)fprintf(out, "\n%s\n", cmd->brief);
    if (cmd->aliases)
        (void)fprintf(out, "\nAliases:\n  %s\n", cmd->aliases);
    struct flag_list l = {.n = 0};
    for (size_t t = 0; t < 3; t++)
        collect(&l, cmd->flags[t]);
    if (l.n) {
        (void)fprintf(out, "\nOptions:\n");
        print_flags(out, &l);
    }
    if (subs) {
        print_names(out, subs, CLI_PLAIN, "Commands");
        (void)fprintf(out, "\nRun '%s COMMAND --help' for more information on a command.\n", path);
    }
}

void cli_help_root(const struct cli_entry *root, const struct cli_flag *globals)
{
    FILE *out = stdout;
    (void)fprintf(out, "Usage:  dray [OPTIONS] COMMAND\n\nA container engine whose every subsystem "
                       "is a plugin\n");
    print_names(out, root, CLI_COMMON, "Common Commands");
    print_names(out, root, CLI_MANAGE, "Management Commands");
    print_names(out, root, CLI_PLAIN, "Commands");
    (void)fprintf(out, "\nGlobal Options:\n");
    struct flag_list l = {.n = 0};
    collect(&l, globals);
    print_flags(out, &l);
    (void)fprintf(out, "\nRun 'dray COMMAND --help' for more information on a command.\n");
}
