/* SPDX-License-Identifier: Apache-2.0 */
/* tmpl_funcs.c - the functions of templates: Go's own, and those that Docker adds. */
#include "client/tmpl/tmpl_priv.h"

#include "base/json.h"
#include "client/cli.h"

#include <ctype.h>

typedef int (*func_fn)(struct json_object **v, size_t n, struct json_object **out,
                       struct dray_err *err);

bool tmpl_true(struct json_object *v)
{
    switch (v ? json_object_get_type(v) : json_type_null) {
    case json_type_boolean:
        return json_object_get_boolean(v);
    case json_type_int:
        return json_object_get_int64(v) != 0;
    case json_type_double:
        return json_object_get_double(v) < 0 || json_object_get_double(v) > 0;
    case json_type_string:
        return json_object_get_string_len(v) > 0;
    case json_type_array:
        return json_object_array_length(v) > 0;
    case json_type_object:
        return json_object_object_length(v) > 0;
    case json_type_null:
        break;
    }
    return false;
}

static int by_key(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

struct json_object *tmpl_sorted(struct json_object *obj)
{
    size_t n = (size_t)json_object_object_length(obj), i = 0;
    dray_autofree const char **keys = cli_need(calloc(n + 1, sizeof *keys));
    json_object_object_foreach(obj, key, unused)
    {
        (void)unused;
        if (*key != '\001')
            keys[i++] = key;
    }
    n = i;
    qsort(keys, n, sizeof *keys, by_key);
    struct json_object *out = json_object_new_object();
    for (i = 0; i < n; i++) {
        struct json_object *v = json_object_object_get(obj, keys[i]);
        json_object_object_add(out, keys[i], v ? json_object_get(v) : NULL);
    }
    return out;
}

static void print_object(struct dray_buf *out, struct json_object *v)
{
    dray_autojson *sorted = tmpl_sorted(v);
    const char *between = "";
    dray_buf_adds(out, "map[");
    json_object_object_foreach(sorted, key, value)
    {
        dray_buf_addf(out, "%s%s:", between, key);
        tmpl_print(out, value, false);
        between = " ";
    }
    dray_buf_addc(out, ']');
}

void tmpl_print(struct dray_buf *out, struct json_object *v, bool top)
{
    switch (v ? json_object_get_type(v) : json_type_null) {
    case json_type_null:
        dray_buf_adds(out, top ? "<no value>" : "<nil>");
        break;
    case json_type_array:
        dray_buf_addc(out, '[');
        for (size_t i = 0; i < json_object_array_length(v); i++) {
            if (i)
                dray_buf_addc(out, ' ');
            tmpl_print(out, json_object_array_get_idx(v, i), false);
        }
        dray_buf_addc(out, ']');
        break;
    case json_type_object:
        print_object(out, v);
        break;
    case json_type_string:
        dray_buf_add(out, json_object_get_string(v), (size_t)json_object_get_string_len(v));
        break;
    case json_type_boolean:
    case json_type_int:
    case json_type_double:
        dray_buf_adds(out, json_object_get_string(v));
        break;
    }
}

static struct json_object *new_text(struct dray_buf *b)
{
    return json_object_new_string_len(b->data ? b->data : "", (int)b->len);
}

static const char *text_of(struct json_object *v)
{
    return v && json_object_is_type(v, json_type_string) ? json_object_get_string(v) : NULL;
}

static int wrong(struct dray_err *err, const char *what)
{
    return dray_fail(err, DRAY_E_INVAL, "error calling %s: wrong type for value", what);
}

static int f_json(struct json_object **v, size_t n, struct json_object **out, struct dray_err *err)
{
    (void)n;
    (void)err;
    bool row = v[0] && json_object_is_type(v[0], json_type_object) &&
               json_object_object_get_ex(v[0], TMPL_HIDDEN_ROW, NULL);
    dray_autojson *sorted = row ? tmpl_sorted(v[0]) : NULL;
    *out = json_object_new_string(!v[0] ? "null" : dray_json_text(row ? sorted : v[0]));
    return 0;
}

static int f_index(struct json_object **v, size_t n, struct json_object **out, struct dray_err *err)
{
    struct json_object *at = v[0];
    for (size_t i = 1; i < n; i++) {
        if (!at)
            return dray_fail(err, DRAY_E_INVAL, "error calling index: index of untyped nil");
        const char *key = text_of(v[i]);
        if (json_object_is_type(at, json_type_object) && key) {
            at = json_object_object_get(at, key);
        } else if (json_object_is_type(at, json_type_array) &&
                   json_object_is_type(v[i], json_type_int)) {
            int64_t k = json_object_get_int64(v[i]);
            size_t len = json_object_array_length(at), room = len && len < 4 ? 4 : len;
            if (k < 0 || (size_t)k > room) /* Go looks at the capacity first */
                return dray_fail(err, DRAY_E_INVAL, "error calling index: index out of range: %lld",
                                 (long long)k);
            if ((size_t)k >= len)
                return dray_fail(err, DRAY_E_INVAL,
                                 "error calling index: reflect: slice index out of range");
            at = json_object_array_get_idx(at, (size_t)k);
        } else {
            return dray_fail(err, DRAY_E_INVAL, "error calling index: can't index item of type %s",
                             json_type_to_name(json_object_get_type(at)));
        }
    }
    *out = at ? json_object_get(at) : NULL;
    return 0;
}

static int f_len(struct json_object **v, size_t n, struct json_object **out, struct dray_err *err)
{
    (void)n;
    int64_t len = 0;
    switch (v[0] ? json_object_get_type(v[0]) : json_type_null) {
    case json_type_string:
        len = json_object_get_string_len(v[0]);
        break;
    case json_type_array:
        len = (int64_t)json_object_array_length(v[0]);
        break;
    case json_type_object:
        len = json_object_object_length(v[0]);
        break;
    default:
        return dray_fail(err, DRAY_E_INVAL, "error calling len: len of %s",
                         v[0] ? "type int" : "nil pointer");
    }
    *out = json_object_new_int64(len);
    return 0;
}

static int f_and(struct json_object **v, size_t n, struct json_object **out, struct dray_err *err)
{
    (void)err;
    size_t i = 0;
    while (i + 1 < n && tmpl_true(v[i]))
        i++;
    *out = v[i] ? json_object_get(v[i]) : NULL;
    return 0;
}

static int f_or(struct json_object **v, size_t n, struct json_object **out, struct dray_err *err)
{
    (void)err;
    size_t i = 0;
    while (i + 1 < n && !tmpl_true(v[i]))
        i++;
    *out = v[i] ? json_object_get(v[i]) : NULL;
    return 0;
}

static int f_not(struct json_object **v, size_t n, struct json_object **out, struct dray_err *err)
{
    (void)n;
    (void)err;
    *out = json_object_new_boolean(!tmpl_true(v[0]));
    return 0;
}

/* -1, 0, 1; *same is false when the two cannot be compared. */
static int compare(struct json_object *a, struct json_object *b, bool *same)
{
    enum json_type ta = a ? json_object_get_type(a) : json_type_null;
    enum json_type tb = b ? json_object_get_type(b) : json_type_null;
    *same = ta == tb || ta == json_type_null || tb == json_type_null;
    if (ta == json_type_null || tb == json_type_null)
        return ta == tb ? 0 : 1;
    bool numbers = (ta == json_type_int || ta == json_type_double) &&
                   (tb == json_type_int || tb == json_type_double);
    if (numbers) {
        double x = json_object_get_double(a), y = json_object_get_double(b);
        *same = true;
        return x < y ? -1 : x > y ? 1 : 0;
    }
    if (!*same)
        return 1;
    return strcmp(json_object_get_string(a), json_object_get_string(b));
}

static int f_eq(struct json_object **v, size_t n, struct json_object **out, struct dray_err *err)
{
    bool yes = false;
    for (size_t i = 1; i < n && !yes; i++) {
        bool same = false;
        yes = compare(v[0], v[i], &same) == 0;
        if (!same)
            return dray_fail(err, DRAY_E_INVAL,
                             "error calling eq: incompatible types for comparison");
    }
    *out = json_object_new_boolean(yes);
    return 0;
}

static int f_ne(struct json_object **v, size_t n, struct json_object **out, struct dray_err *err)
{
    (void)n;
    bool same = false;
    int c = compare(v[0], v[1], &same);
    if (!same)
        return dray_fail(err, DRAY_E_INVAL, "error calling ne: incompatible types for comparison");
    *out = json_object_new_boolean(c != 0);
    return 0;
}

static int order(struct json_object **v, struct json_object **out, struct dray_err *err, bool less,
                 bool or_equal)
{
    bool same = false;
    int c = compare(v[0], v[1], &same);
    if (!same || !v[0] || !v[1])
        return dray_fail(err, DRAY_E_INVAL, "error calling %s: incompatible types for comparison",
                         less ? "lt" : "gt");
    *out = json_object_new_boolean((c == 0 && or_equal) || (less ? c < 0 : c > 0));
    return 0;
}

static int f_lt(struct json_object **v, size_t n, struct json_object **out, struct dray_err *err)
{
    (void)n;
    return order(v, out, err, true, false);
}

static int f_le(struct json_object **v, size_t n, struct json_object **out, struct dray_err *err)
{
    (void)n;
    return order(v, out, err, true, true);
}

static int f_gt(struct json_object **v, size_t n, struct json_object **out, struct dray_err *err)
{
    (void)n;
    return order(v, out, err, false, false);
}

static int f_ge(struct json_object **v, size_t n, struct json_object **out, struct dray_err *err)
{
    (void)n;
    return order(v, out, err, false, true);
}

static int f_join(struct json_object **v, size_t n, struct json_object **out, struct dray_err *err)
{
    (void)n;
    const char *sep = text_of(v[1]);
    if (!sep || !json_object_is_type(v[0], json_type_array))
        return wrong(err, "join");
    DRAY_AUTO(dray_buf) b = {0};
    for (size_t i = 0; i < json_object_array_length(v[0]); i++) {
        if (i)
            dray_buf_adds(&b, sep);
        tmpl_print(&b, json_object_array_get_idx(v[0], i), false);
    }
    *out = new_text(&b);
    return 0;
}

static int f_split(struct json_object **v, size_t n, struct json_object **out, struct dray_err *err)
{
    (void)n;
    const char *text = text_of(v[0]), *sep = text_of(v[1]);
    if (!text || !sep || !*sep)
        return wrong(err, "split");
    *out = json_object_new_array();
    for (const char *at = NULL; (at = strstr(text, sep)); text = at + strlen(sep))
        json_object_array_add(*out, json_object_new_string_len(text, (int)(at - text)));
    json_object_array_add(*out, json_object_new_string(text));
    return 0;
}

static int change_case(struct json_object *v, int (*to)(int), bool title, struct json_object **out,
                       struct dray_err *err)
{
    const char *text = text_of(v);
    if (!text)
        return wrong(err, "lower");
    DRAY_AUTO(dray_buf) b = {0};
    bool start = true;
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        dray_buf_addc(&b, c < 128 && (!title || start) ? (char)to(c) : (char)c);
        start = isspace(c);
    }
    *out = new_text(&b);
    return 0;
}

static int f_lower(struct json_object **v, size_t n, struct json_object **out, struct dray_err *err)
{
    (void)n;
    return change_case(v[0], tolower, false, out, err);
}

static int f_upper(struct json_object **v, size_t n, struct json_object **out, struct dray_err *err)
{
    (void)n;
    return change_case(v[0], toupper, false, out, err);
}

static int f_title(struct json_object **v, size_t n, struct json_object **out, struct dray_err *err)
{
    (void)n;
    return change_case(v[0], toupper, true, out, err);
}

static int f_pad(struct json_object **v, size_t n, struct json_object **out, struct dray_err *err)
{
    (void)n;
    const char *text = text_of(v[0]);
    if (!text)
        return wrong(err, "pad");
    if (!*text) {
        *out = json_object_get(v[0]);
        return 0;
    }
    DRAY_AUTO(dray_buf) b = {0};
    dray_buf_addf(&b, "%*s%s%*s", json_object_get_int(v[1]), "", text, json_object_get_int(v[2]),
                  "");
    *out = new_text(&b);
    return 0;
}

static int f_truncate(struct json_object **v, size_t n, struct json_object **out,
                      struct dray_err *err)
{
    (void)n;
    const char *text = text_of(v[0]);
    if (!text)
        return wrong(err, "truncate");
    int64_t max = json_object_get_int64(v[1]);
    size_t len = strlen(text);
    *out =
        json_object_new_string_len(text, (int)(max >= 0 && (size_t)max < len ? (size_t)max : len));
    return 0;
}

static int f_slice(struct json_object **v, size_t n, struct json_object **out, struct dray_err *err)
{
    const char *text = text_of(v[0]);
    bool array = json_object_is_type(v[0], json_type_array);
    size_t len = text ? strlen(text) : array ? json_object_array_length(v[0]) : 0;
    int64_t from = n > 1 ? json_object_get_int64(v[1]) : 0;
    int64_t to = n > 2 ? json_object_get_int64(v[2]) : (int64_t)len;
    if (!text && !array)
        return wrong(err, "slice");
    if (from < 0 || to < from || to > (int64_t)len)
        return dray_fail(err, DRAY_E_INVAL, "error calling slice: index out of range: %lld",
                         (long long)(from < 0 || from > (int64_t)len ? from : to));
    if (text) {
        *out = json_object_new_string_len(text + from, (int)(to - from));
        return 0;
    }
    *out = json_object_new_array();
    for (int64_t i = from; i < to; i++)
        json_object_array_add(*out, json_object_get(json_object_array_get_idx(v[0], (size_t)i)));
    return 0;
}

static int f_html(struct json_object **v, size_t n, struct json_object **out, struct dray_err *err)
{
    (void)n;
    (void)err;
    static const char *const names[] = {"&lt;", "&gt;", "&amp;", "&#34;", "&#39;"};
    DRAY_AUTO(dray_buf) plain = {0};
    DRAY_AUTO(dray_buf) b = {0};
    tmpl_print(&plain, v[0], false);
    for (const char *p = plain.data ? plain.data : ""; *p; p++) {
        static const char odd[] = "<>&\"'";
        const char *at = strchr(odd, *p);
        if (at)
            dray_buf_adds(&b, names[at - odd]);
        else
            dray_buf_addc(&b, *p);
    }
    *out = new_text(&b);
    return 0;
}

static int f_js(struct json_object **v, size_t n, struct json_object **out, struct dray_err *err)
{
    (void)n;
    (void)err;
    DRAY_AUTO(dray_buf) plain = {0};
    DRAY_AUTO(dray_buf) b = {0};
    tmpl_print(&plain, v[0], false);
    for (const char *p = plain.data ? plain.data : ""; *p; p++) {
        if (strchr("\\\"'", *p))
            dray_buf_addf(&b, "\\%c", *p);
        else if (strchr("<>&=", *p) || (unsigned char)*p < 32)
            dray_buf_addf(&b, "\\u%04X", (unsigned)(unsigned char)*p);
        else
            dray_buf_addc(&b, *p);
    }
    *out = new_text(&b);
    return 0;
}

static int f_urlquery(struct json_object **v, size_t n, struct json_object **out,
                      struct dray_err *err)
{
    (void)n;
    (void)err;
    DRAY_AUTO(dray_buf) plain = {0};
    DRAY_AUTO(dray_buf) b = {0};
    tmpl_print(&plain, v[0], false);
    for (const char *p = plain.data ? plain.data : ""; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if (isalnum(c) || strchr("-_.~", c))
            dray_buf_addc(&b, *p);
        else if (c == ' ')
            dray_buf_addc(&b, '+');
        else
            dray_buf_addf(&b, "%%%02X", (unsigned)c);
    }
    *out = new_text(&b);
    return 0;
}

static int f_println(struct json_object **v, size_t n, struct json_object **out,
                     struct dray_err *err)
{
    (void)err;
    DRAY_AUTO(dray_buf) b = {0};
    for (size_t i = 0; i < n; i++) {
        if (i)
            dray_buf_addc(&b, ' ');
        tmpl_print(&b, v[i], false);
    }
    dray_buf_addc(&b, '\n');
    *out = new_text(&b);
    return 0;
}

static int f_print(struct json_object **v, size_t n, struct json_object **out, struct dray_err *err)
{
    (void)err;
    DRAY_AUTO(dray_buf) b = {0};
    for (size_t i = 0; i < n; i++) {
        if (i && !text_of(v[i]) && !text_of(v[i - 1]))
            dray_buf_addc(&b, ' ');
        tmpl_print(&b, v[i], false);
    }
    *out = new_text(&b);
    return 0;
}

/* One verb with its flags, e.g. "%-10s". */
static void print_verb(struct dray_buf *b, const char *spec, size_t len, struct json_object *v)
{
    char fmt[32], verb = spec[len - 1];
    if (len > 20) {
        return;
    }
    (void)snprintf(fmt, sizeof fmt, "%.*s", (int)len - 1, spec);
    size_t at = strlen(fmt);
    DRAY_AUTO(dray_buf) text = {0};
    tmpl_print(&text, v, false);
    const char *s = text.data ? text.data : "";
    dray_autofree char *piece = NULL;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    if (strchr("dxXoc", verb) && json_object_is_type(v, json_type_int)) {
        (void)snprintf(fmt + at, sizeof fmt - at, "ll%c", verb);
        piece = dray_strf(fmt, (long long)json_object_get_int64(v));
    } else if (strchr("feg", verb) && v && !text_of(v)) {
        (void)snprintf(fmt + at, sizeof fmt - at, "%c", verb);
        piece = dray_strf(fmt, json_object_get_double(v));
    } else if (verb == 'q') {
        piece = dray_strf("\"%s\"", s);
    } else if (strchr("svt", verb)) {
        (void)snprintf(fmt + at, sizeof fmt - at, "s");
        piece = dray_strf(fmt, s);
    } else {
        piece = dray_strf("%%!%c(string=%s)", verb, s);
    }
#pragma GCC diagnostic pop
    dray_buf_adds(b, piece ? piece : "");
}

static int f_printf(struct json_object **v, size_t n, struct json_object **out,
                    struct dray_err *err)
{
    const char *p = text_of(v[0]);
    size_t used = 1;
    if (!p)
        return wrong(err, "printf");
    DRAY_AUTO(dray_buf) b = {0};
    while (*p) {
        size_t len = strcspn(p, "%");
        dray_buf_add(&b, p, len);
        p += len;
        if (!*p)
            break;
        len = 1 + strspn(p + 1, "+-# 0123456789.");
        if (p[len] == '%')
            dray_buf_addc(&b, '%');
        else if (p[len] && used < n)
            print_verb(&b, p, len + 1, v[used++]);
        else if (p[len])
            dray_buf_addf(&b, "%%!%c(MISSING)", p[len]);
        p += len + (p[len] != '\0');
    }
    *out = new_text(&b);
    return 0;
}

static const struct {
    const char *name;
    func_fn run;
    size_t min, max;
} funcs[] = {
    {"and", f_and, 1, 30},
    {"eq", f_eq, 2, 30},
    {"ge", f_ge, 2, 2},
    {"gt", f_gt, 2, 2},
    {"js", f_js, 1, 1},
    {"html", f_html, 1, 1},
    {"slice", f_slice, 1, 3},
    {"urlquery", f_urlquery, 1, 1},
    {"index", f_index, 1, 30},
    {"join", f_join, 2, 2},
    {"json", f_json, 1, 1},
    {"le", f_le, 2, 2},
    {"len", f_len, 1, 1},
    {"lower", f_lower, 1, 1},
    {"lt", f_lt, 2, 2},
    {"ne", f_ne, 2, 2},
    {"not", f_not, 1, 1},
    {"or", f_or, 1, 30},
    {"pad", f_pad, 3, 3},
    {"print", f_print, 0, 30},
    {"printf", f_printf, 1, 30},
    {"println", f_println, 0, 30},
    {"split", f_split, 2, 2},
    {"title", f_title, 1, 1},
    {"truncate", f_truncate, 2, 2},
    {"upper", f_upper, 1, 1},
};

static size_t find_func(const char *name)
{
    size_t i = 0;
    while (i < sizeof funcs / sizeof *funcs && strcmp(funcs[i].name, name) != 0)
        i++;
    return i;
}

bool tmpl_func_known(const char *name)
{
    return find_func(name) < sizeof funcs / sizeof *funcs;
}

int tmpl_func_call(const char *name, struct json_object **argv, size_t argc,
                   struct json_object **out, struct dray_err *err)
{
    size_t i = find_func(name);
    if (i >= sizeof funcs / sizeof *funcs)
        return dray_fail(err, DRAY_E_INVAL, "function \"%s\" not defined", name);
    if (argc < funcs[i].min || argc > funcs[i].max)
        return dray_fail(err, DRAY_E_INVAL, "wrong number of args for %s: want %s%zu got %zu", name,
                         funcs[i].max > funcs[i].min ? "at least " : "", funcs[i].min, argc);
    return funcs[i].run(argv, argc, out, err);
}
