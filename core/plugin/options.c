/* SPDX-License-Identifier: Apache-2.0 */
/* options.c - the declared options of a plugin and the values that an instance got. */
#include "plugin/options.h"

#include "base/clock.h"
#include "base/json.h"

#define MAX_OPTIONS 256u
#define MAX_NAME 64u

struct value {
    char *text; /* as given or by default; NULL when neither */
    int64_t number;
    struct dray_strlist list;
};

struct dray_options {
    struct dray_options *older; /* replaced, but with strings that the plugin may still hold */
    const struct dray_option *table;
    uint64_t n;
    struct value v[];
};

static const char *const type_names[] = {
    [DRAY_OPT_STRING] = "a string",
    [DRAY_OPT_INT] = "an integer",
    [DRAY_OPT_BOOL] = "true or false",
    [DRAY_OPT_SIZE] = "a size such as \"10m\"",
    [DRAY_OPT_LIST] = "an array of strings",
    [DRAY_OPT_PATH] = "an absolute path",
    [DRAY_OPT_DURATION] = "a duration such as \"1m30s\"",
};

/* --- nearest name ----------------------------------------------------------------------------- */

/* Levenshtein distance of two short words. */
static size_t distance(const char *a, const char *b)
{
    size_t row[MAX_NAME + 1];
    size_t n = strlen(b);
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < n; j++) {
            size_t change = diagonal + (a[i] != b[j]);
            size_t shorter = row[j] < row[j + 1] ? row[j] : row[j + 1];
            diagonal = row[j + 1];
            row[j + 1] = change < shorter + 1 ? change : shorter + 1;
        }
    }
    return row[n];
}

const char *dray_nearest_name(const char *name, const char *(*next)(const void *ctx, size_t i),
                              const void *ctx)
{
    const char *best = NULL;
    size_t len = strlen(name);
    size_t best_distance = len < 4 ? 2 : len / 2 + 1;
    if (len > MAX_NAME)
        return NULL;
    const char *other;
    for (size_t i = 0; (other = next(ctx, i)); i++) {
        if (strlen(other) > MAX_NAME)
            continue;
        size_t d = distance(name, other);
        if (d < best_distance) {
            best_distance = d;
            best = other;
        }
    }
    return best;
}

struct table_view {
    const struct dray_option *table;
    uint64_t n;
};

static const char *option_name(const void *ctx, size_t i)
{
    const struct table_view *t = ctx;
    return i < t->n ? t->table[i].name : NULL;
}

/* --- reading one value ------------------------------------------------------------------------ */

/* "10m", "1g", "1gb", "1GiB", "4096"; multiples of 1024 as in Docker. */
static bool parse_size(const char *text, int64_t *out)
{
    char *end;
    errno = 0;
    double v = strtod(text, &end);
    if (end == text || errno || v < 0 || strcspn(text, "xXnN") < (size_t)(end - text))
        return false;
    while (*end == ' ')
        end++;
    static const char units[] = "kmgtp";
    char c = (char)(*end | 0x20);
    const char *unit = *end ? strchr(units, c) : NULL;
    if (unit && c) {
        for (const char *u = units; u <= unit; u++)
            v *= 1024;
        end++;
        if (*end == 'i')
            end++;
    }
    if (*end == 'b' || *end == 'B')
        end++;
    if (*end || v > 9e18)
        return false;
    *out = (int64_t)v;
    return true;
}

static bool parse_int(const char *text, int64_t *out)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    *out = v;
    return end != text && *end == '\0' && errno == 0;
}

static bool parse_bool(const char *text, int64_t *out)
{
    *out = strcmp(text, "true") == 0 || strcmp(text, "1") == 0;
    return *out || strcmp(text, "false") == 0 || strcmp(text, "0") == 0;
}

static bool in_choices(const char *choices, const char *text)
{
    size_t len = strlen(text);
    for (const char *p = choices;; p++) {
        const char *end = strchrnul(p, '|');
        if ((size_t)(end - p) == len && memcmp(p, text, len) == 0)
            return true;
        if (*end == '\0')
            return false;
        p = end;
    }
}

/* The number behind the text, if the type has one. */
static bool read_number(uint32_t type, const char *text, int64_t *out)
{
    switch (type) {
    case DRAY_OPT_INT:
        return parse_int(text, out);
    case DRAY_OPT_BOOL:
        return parse_bool(text, out);
    case DRAY_OPT_SIZE:
        return parse_size(text, out);
    case DRAY_OPT_DURATION:
        return dray_duration_parse(text, out);
    case DRAY_OPT_PATH:
        return text[0] == '/';
    default:
        return true;
    }
}

static bool has_range(const struct dray_option *o)
{
    return o->min < o->max &&
           (o->type == DRAY_OPT_INT || o->type == DRAY_OPT_SIZE || o->type == DRAY_OPT_DURATION);
}

/* A secret value is not repeated in the message. */
static int bad_value(const struct dray_option *o, const char *text, const char *needed,
                     struct dray_err *err)
{
    bool secret = o->flags & DRAY_OPT_F_SECRET;
    return dray_fail(err, DRAY_E_INVAL,
                     "option \"%s\" has the value %s%.80s%s; it must be %s%s%s; correct it in the "
                     "configuration",
                     o->name, secret ? "(" : "\"", secret ? "secret" : text, secret ? ")" : "\"",
                     needed, o->help ? ": " : "", o->help ? o->help : "");
}

static int set_text(const struct dray_option *o, struct value *v, const char *text,
                    struct dray_err *err)
{
    if (!read_number(o->type, text, &v->number))
        return bad_value(o, text, type_names[o->type], err);
    if (has_range(o) && (v->number < o->min || v->number > o->max)) {
        char needed[80];
        (void)snprintf(needed, sizeof needed, "from %lld to %lld", (long long)o->min,
                       (long long)o->max);
        return bad_value(o, text, needed, err);
    }
    if (o->choices && !in_choices(o->choices, text)) {
        char needed[160];
        (void)snprintf(needed, sizeof needed, "one of %s", o->choices);
        return bad_value(o, text, needed, err);
    }
    free(v->text);
    v->text = strdup(text);
    return v->text ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static int set_list(const struct dray_option *o, struct value *v, struct json_object *json,
                    struct dray_err *err)
{
    if (!json_object_is_type(json, json_type_array) ||
        dray_json_to_strlist(json, &v->list, NULL) != 0)
        return bad_value(o, dray_json_text(json), type_names[o->type], err);
    for (size_t i = 0; o->choices && i < v->list.n; i++)
        if (!in_choices(o->choices, v->list.v[i]))
            return bad_value(o, v->list.v[i], o->choices, err);
    return 0;
}

/* JSON types that may stand for a value of the type; everything else is a mistake. */
static bool type_fits(uint32_t type, json_type t)
{
    if (t == json_type_string)
        return true;
    if (t == json_type_int)
        return type == DRAY_OPT_INT || type == DRAY_OPT_SIZE;
    return t == json_type_boolean && type == DRAY_OPT_BOOL;
}

static int set_json(const struct dray_option *o, struct value *v, struct json_object *json,
                    struct dray_err *err)
{
    if (o->type == DRAY_OPT_LIST)
        return set_list(o, v, json, err);
    if (!type_fits(o->type, json_object_get_type(json)))
        return bad_value(o, json ? dray_json_text(json) : "null", type_names[o->type], err);
    return set_text(o, v, json_object_get_string(json), err);
}

/* "a,b,c". JSON, which looks like one element, is what somebody meant who has not read so. */
static int set_default_list(const struct dray_option *o, struct value *v, struct dray_err *err)
{
    if (*o->def == '[')
        return bad_value(o, o->def, "words with commas between, not JSON", err);
    if (*o->def && !dray_strlist_split(&v->list, o->def, ','))
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (size_t i = 0; o->choices && i < v->list.n; i++)
        if (!in_choices(o->choices, v->list.v[i]))
            return bad_value(o, v->list.v[i], o->choices, err);
    return 0;
}

static int set_default(const struct dray_option *o, struct value *v, struct dray_err *err)
{
    if (o->flags & DRAY_OPT_F_REQUIRED)
        return dray_fail(err, DRAY_E_INVAL,
                         "option \"%s\" is missing; it is required%s%s; set it in the options of "
                         "this plugin (of dray-plugin: -o %s=...)",
                         o->name, o->help ? ": " : "", o->help ? o->help : "", o->name);
    if (!o->def)
        return 0;
    if (o->type != DRAY_OPT_LIST)
        return set_text(o, v, o->def, err);
    return set_default_list(o, v, err);
}

/* --- all of them ------------------------------------------------------------------------------ */

int dray_options_check_table(const struct dray_option *table, uint64_t n, struct dray_err *err)
{
    bool ok = n <= MAX_OPTIONS && (n == 0 || table);
    for (uint64_t i = 0; ok && i < n; i++) {
        const struct dray_option *o = &table[i];
        struct value v = {0};
        ok = o->name && *o->name && strlen(o->name) <= MAX_NAME && o->type >= DRAY_OPT_STRING &&
             o->type <= DRAY_OPT_DURATION;
        struct dray_option free_choice = {0};
        if (ok)
            free_choice = *o;
        free_choice.flags = 0;
        ok = ok && set_default(&free_choice, &v, NULL) == 0;
        free(v.text);
        dray_strlist_free(&v.list);
        if (!ok)
            return dray_fail(err, DRAY_E_INVAL,
                             "its option number %llu is declared wrongly (name, type or default); "
                             "correct the table of options in its source",
                             (unsigned long long)i);
    }
    return ok ? 0
              : dray_fail(err, DRAY_E_INVAL,
                          "its table of options is damaged; at most %u are allowed; correct it in "
                          "its source",
                          MAX_OPTIONS);
}

static int refuse_unknown(const struct table_view *t, struct json_object *values,
                          struct dray_err *err)
{
    json_object_object_foreach(values, key, value)
    {
        (void)value;
        const char *known = NULL;
        for (size_t i = 0; i < t->n && !known; i++)
            if (strcmp(t->table[i].name, key) == 0)
                known = key;
        if (known)
            continue;
        const char *near = dray_nearest_name(key, option_name, t);
        return dray_fail(err, DRAY_E_INVAL,
                         "option \"%.64s\" is not one of its options; %s%s%s; correct the key in "
                         "the configuration",
                         key,
                         near   ? "did you mean \""
                         : t->n ? "see dray plugin ls"
                                : "it has none",
                         near ? near : "", near ? "\"?" : "");
    }
    return 0;
}

int dray_options_parse(const struct dray_option *table, uint64_t n, struct json_object *values,
                       struct dray_options **out, struct dray_err *err)
{
    const struct table_view view = {table, n};
    if (values && !json_object_is_type(values, json_type_object))
        return dray_fail(err, DRAY_E_INVAL,
                         "\"options\" of the plugin must be a JSON object; correct it in the "
                         "configuration");
    int rc = values ? refuse_unknown(&view, values, err) : 0;
    if (rc)
        return rc;
    struct dray_options *o = calloc(1, sizeof *o + (size_t)n * sizeof o->v[0]);
    if (!o)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    o->table = table;
    o->n = n;
    for (uint64_t i = 0; !rc && i < n; i++) {
        struct json_object *json = NULL;
        bool given = values && json_object_object_get_ex(values, table[i].name, &json);
        rc = given ? set_json(&table[i], &o->v[i], json, err)
                   : set_default(&table[i], &o->v[i], err);
    }
    if (rc)
        dray_options_free(o);
    else
        *out = o;
    return rc;
}

static void free_values(struct dray_options *o)
{
    for (uint64_t i = 0; i < o->n; i++) {
        if (o->v[i].text && o->table[i].flags & DRAY_OPT_F_SECRET)
            explicit_bzero(o->v[i].text, strlen(o->v[i].text));
        free(o->v[i].text);
        dray_strlist_free(&o->v[i].list);
    }
    free(o);
}

void dray_options_free(struct dray_options *o)
{
    while (o) {
        struct dray_options *older = o->older;
        free_values(o);
        o = older;
    }
}

void dray_options_replace(struct dray_options *_Atomic *at, struct dray_options *fresh)
{
    fresh->older = atomic_load(at);
    atomic_store(at, fresh);
}

static const struct value *find(const struct dray_options *o, const char *name)
{
    for (uint64_t i = 0; o && i < o->n; i++)
        if (strcmp(o->table[i].name, name) == 0)
            return &o->v[i];
    return NULL;
}

const char *dray_options_str(const struct dray_options *o, const char *name)
{
    const struct value *v = find(o, name);
    return v ? v->text : NULL;
}

int64_t dray_options_int(const struct dray_options *o, const char *name)
{
    const struct value *v = find(o, name);
    return v ? v->number : 0;
}

struct dray_strs dray_options_list(const struct dray_options *o, const char *name)
{
    const struct value *v = find(o, name);
    return v ? dray_strlist_view(&v->list) : (struct dray_strs){0};
}

void dray_options_show(const struct dray_options *o, struct json_object *into)
{
    for (uint64_t i = 0; o && i < o->n; i++) {
        const struct dray_option *d = &o->table[i];
        if (d->flags & DRAY_OPT_F_SECRET)
            continue;
        if (d->type == DRAY_OPT_LIST)
            dray_json_add(into, d->name, dray_json_strs(&o->v[i].list));
        else if (d->type == DRAY_OPT_BOOL)
            dray_json_add_bool(into, d->name, o->v[i].number != 0);
        else if (d->type == DRAY_OPT_INT)
            dray_json_add_int(into, d->name, o->v[i].number);
        else
            dray_json_add_str(into, d->name, o->v[i].text);
    }
}

static bool same_value(const struct value *a, const struct value *b)
{
    if (a->number != b->number || a->list.n != b->list.n || !a->text != !b->text ||
        (a->text && strcmp(a->text, b->text) != 0))
        return false;
    for (size_t i = 0; i < a->list.n; i++)
        if (strcmp(a->list.v[i], b->list.v[i]) != 0)
            return false;
    return true;
}

const char *dray_options_fixed_change(const struct dray_options *a, const struct dray_options *b)
{
    for (uint64_t i = 0; i < a->n; i++)
        if (!(a->table[i].flags & DRAY_OPT_F_RELOADABLE) && !same_value(&a->v[i], &b->v[i]))
            return a->table[i].name;
    return NULL;
}

bool dray_options_equal(const struct dray_options *a, const struct dray_options *b)
{
    for (uint64_t i = 0; i < a->n; i++)
        if (!same_value(&a->v[i], &b->v[i]))
            return false;
    return true;
}
