/* SPDX-License-Identifier: Apache-2.0 */
/* log_tag.c - fills in the template of a log's tag. */
#include "log_options.h"

#include <ctype.h>

/* A template that is being filled in. */
struct filling {
    const char *template;
    const struct dray_log_info *info;
    FILE *out;
    struct dray_err *err;
};

static const char *image_hex(const char *id)
{
    return strncmp(id, "sha256:", 7) == 0 ? id + 7 : id;
}

/* The text of a field, at most *max bytes of it; NULL for an unknown one. */
static const char *field(const char *name, size_t len, const struct dray_log_info *i, size_t *max)
{
    const struct {
        const char *name, *value;
        size_t max;
    } fields[] = {
        {"ID", i->container_id, 12},
        {"FullID", i->container_id, SIZE_MAX},
        {"ContainerID", i->container_id, SIZE_MAX},
        {"Name", i->container_name, SIZE_MAX},
        {"ImageID", image_hex(i->image_id), 12},
        {"ImageFullID", i->image_id, SIZE_MAX},
        {"ContainerImageID", i->image_id, SIZE_MAX},
        {"ImageName", i->image_name, SIZE_MAX},
        {"ContainerImageName", i->image_name, SIZE_MAX},
        {"Command", i->command, SIZE_MAX},
        {"DaemonName", i->daemon_name, SIZE_MAX},
    };
    for (size_t k = 0; k < sizeof fields / sizeof fields[0]; k++) {
        if (strlen(fields[k].name) == len && memcmp(fields[k].name, name, len) == 0) {
            *max = fields[k].max;
            return fields[k].value ? fields[k].value : "";
        }
    }
    return NULL;
}

static const char *refuse(const struct filling *f, const char *at, const char *end)
{
    int len = (int)(end - at);
    long column = at - f->template;
    if (len > 1 && *at == '.')
        dray_fail(f->err, DRAY_E_INVAL,
                  "template: log-tag:1:%ld: executing \"log-tag\" at <%.*s>: can't evaluate field "
                  "%.*s in type *logger.Info",
                  column, len, at, len - 1, at + 1);
    else
        dray_fail(f->err, DRAY_E_INVAL, "template: log-tag:1: unexpected \"%.*s\" in the log tag",
                  len, at);
    return NULL;
}

/* "lower .Name" at *p: the letters' case, '\0' for none; moves *p to the field. */
static char case_function(const char **p)
{
    char how = strncmp(*p, "lower ", 6) == 0 ? 'l' : strncmp(*p, "upper ", 6) == 0 ? 'u' : '\0';
    if (how)
        *p += 6 + strspn(*p + 6, " ");
    return how;
}

static void write_value(FILE *out, const char *value, size_t len, char how)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)value[i];
        (void)fputc(how == 'l' ? tolower(c) : how == 'u' ? toupper(c) : c, out);
    }
}

/* "{{.Name}}" at p: writes its value, returns its end; NULL if it is no field we know. */
static const char *expand(const struct filling *f, const char *p)
{
    const char *end = strstr(p, "}}");
    if (!end)
        return refuse(f, p, p + strlen(p));
    const char *name = p + 2;
    while (name < end && (*name == ' ' || *name == '-'))
        name++;
    const char *stop = end;
    while (stop > name && (stop[-1] == ' ' || stop[-1] == '-'))
        stop--;
    char how = case_function(&name);
    size_t max = 0;
    const char *value = name < stop && *name == '.'
                            ? field(name + 1, (size_t)(stop - name - 1), f->info, &max)
                            : NULL;
    if (!value)
        return refuse(f, name, stop);
    size_t len = strlen(value);
    write_value(f->out, value, len < max ? len : max, how);
    return end + 2;
}

char *dray_log_tag(const char *template, const struct dray_log_info *info, struct dray_err *err)
{
    char *text = NULL;
    size_t len = 0;
    struct filling f = {.template = template, .info = info, .err = err};
    f.out = open_memstream(&text, &len);
    if (!f.out) {
        dray_fail(err, DRAY_E_NOMEM, "out of memory");
        return NULL;
    }
    const char *p = template;
    while (p && *p) {
        if (p[0] == '{' && p[1] == '{')
            p = expand(&f, p);
        else
            (void)fputc(*p++, f.out);
    }
    (void)fclose(f.out);
    if (p)
        return text;
    free(text);
    return NULL;
}
