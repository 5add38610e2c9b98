/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_completion.c - completion scripts, written from the tables of commands and flags. */
#include "client/commands.h"

#include <stdio.h>

/* Called for each command with its words ("container ls"). */
typedef void (*visit_fn)(const char *words, const struct cli_entry *e);

static void visit(const struct cli_entry *list, const char *front, visit_fn fn)
{
    for (; list->name; list++) {
        dray_autofree char *words = cli_strf("%s%s%s", front, *front ? " " : "", list->name);
        fn(words, list);
        if (list->subs)
            visit(list->subs, words, fn);
    }
}

static void names_of(const struct cli_entry *list)
{
    for (bool first = true; list->name; list++) {
        if (list->group == CLI_HIDDEN)
            continue;
        (void)printf("%s%s", first ? "" : " ", list->name);
        first = false;
    }
}

static void flags_of(const struct cli_command *cmd)
{
    for (size_t t = 0; t < 3 && cmd->flags[t]; t++)
        for (const struct cli_flag *f = cmd->flags[t]; f->name; f++) {
            if (f->same)
                continue;
            (void)printf(" --%s", f->name);
            if (f->letter)
                (void)printf(" -%c", f->letter);
        }
}

/* What kind of object a command's words name. */
static const char *object_of(const struct cli_command *cmd)
{
    const char *u = cmd->usage;
    if (strstr(u, "VOLUME"))
        return "volume";
    if (strncmp(u, "NETWORK", 7) == 0 || strstr(u, "] NETWORK"))
        return "network";
    if (strstr(u, "CONTAINER"))
        return "container";
    return strstr(u, "IMAGE") ? "image" : "";
}

static void bash_case(const char *words, const struct cli_entry *e)
{
    (void)printf("        \"%s\") words=\"", words);
    if (e->subs)
        names_of(e->subs);
    (void)printf("\"; flags=\"--help");
    flags_of(e->command);
    (void)printf("\"; kind=\"%s\" ;;\n", e->subs ? "" : object_of(e->command));
}

int run_completion_bash(struct cli *cli, const struct cli_args *args)
{
    (void)cli;
    (void)args;
    (void)printf("# bash completion for dray\n"
                 "_dray_objects() {\n"
                 "    case \"$1\" in\n"
                 "        container) dray ps -a --format '{{.Names}}' 2>/dev/null ;;\n"
                 "        image) dray images --format '{{.Repository}}:{{.Tag}}' 2>/dev/null ;;\n"
                 "        network) dray network ls --format '{{.Name}}' 2>/dev/null ;;\n"
                 "        volume) dray volume ls -q 2>/dev/null ;;\n"
                 "    esac\n"
                 "}\n"
                 "_dray() {\n"
                 "    local cur=\"${COMP_WORDS[COMP_CWORD]}\" path=\"\" i words flags kind\n"
                 "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                 "        case \"${COMP_WORDS[i]}\" in\n"
                 "            -*) ;;\n"
                 "            *) path=\"${path:+$path }${COMP_WORDS[i]}\" ;;\n"
                 "        esac\n"
                 "    done\n"
                 "    while :; do\n"
                 "        case \"$path\" in\n        \"\") words=\"");
    names_of(cli_commands);
    (void)printf("\"; flags=\"--help");
    static const struct cli_command root = {.flags = {cli_globals}};
    flags_of(&root);
    (void)printf("\"; kind=\"\" ;;\n");
    visit(cli_commands, "", bash_case);
    (void)printf("        *) path=\"${path%% *}\"; continue ;;\n"
                 "        esac\n"
                 "        break\n"
                 "    done\n"
                 "    case \"$cur\" in\n"
                 "        -*) words=\"$flags\" ;;\n"
                 "        *) [ -z \"$kind\" ] || words=\"$(_dray_objects \"$kind\")\" ;;\n"
                 "    esac\n"
                 "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
                 "}\n"
                 "complete -o default -F _dray dray\n");
    return 0;
}

int run_completion_zsh(struct cli *cli, const struct cli_args *args)
{
    (void)printf("#compdef dray\nautoload -U +X bashcompinit && bashcompinit\n");
    return run_completion_bash(cli, args);
}

static void fish_text(const char *text)
{
    for (size_t i = 0; text[i] && text[i] != '\n'; i++) {
        if (text[i] == '\'' || text[i] == '\\')
            (void)putchar('\\');
        (void)putchar(text[i]);
    }
}

static void fish_flags(const char *condition, const struct cli_command *cmd)
{
    for (size_t t = 0; t < 3 && cmd->flags[t]; t++)
        for (const struct cli_flag *f = cmd->flags[t]; f->name; f++) {
            if (f->same)
                continue;
            (void)printf("complete -c dray -n '%s' -l %s", condition, f->name);
            if (f->letter)
                (void)printf(" -s %c", f->letter);
            if (f->type != CLI_BOOL)
                (void)printf(" -r");
            (void)printf(" -d '");
            fish_text(f->help);
            (void)printf("'\n");
        }
}

static void fish_command(const char *words, const struct cli_entry *e)
{
    const char *space = strchr(words, ' ');
    dray_autofree char *front =
        space ? cli_strf("__fish_seen_subcommand_from %.*s", (int)(space - words), words)
              : cli_strdup("__fish_use_subcommand");
    if (e->group != CLI_HIDDEN) {
        (void)printf("complete -c dray -f -n '%s' -a %s -d '", front, e->name);
        fish_text(e->command->brief);
        (void)printf("'\n");
    }
    dray_autofree char *inside =
        space ? cli_strf("__fish_seen_subcommand_from %.*s; and __fish_seen_subcommand_from %s",
                         (int)(space - words), words, e->name)
              : cli_strf("__fish_seen_subcommand_from %s", e->name);
    fish_flags(inside, e->command);
}

int run_completion_fish(struct cli *cli, const struct cli_args *args)
{
    (void)cli;
    (void)args;
    static const struct cli_command root = {.flags = {cli_globals}};
    (void)printf("# fish completion for dray\n");
    fish_flags("__fish_use_subcommand", &root);
    visit(cli_commands, "", fish_command);
    return 0;
}
