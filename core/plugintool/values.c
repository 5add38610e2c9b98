/* SPDX-License-Identifier: Apache-2.0 */
/* values.c - arguments of operations as people write them, results as JSON. */
#include "values.h"

#include "base/json.h"

#include <fcntl.h>
#include <limits.h>

void ck_values_cleanup(struct ck_values *v)
{
    for (size_t i = 0; i < v->n_fds; i++)
        (void)close(v->fds[i]);
    dray_wire_arena_cleanup(&v->memory);
    *v = (struct ck_values){0};
}

static void *room(struct ck_values *v, size_t n)
{
    void *p = dray_wire_arena_alloc(&v->memory, n);
    if (!p)
        abort();
    return p;
}

/* A copy; "" of null. */
static const char *keep(struct ck_values *v, const char *text)
{
    text = text ? text : "";
    size_t n = strlen(text) + 1;
    return memcpy(room(v, n), text, n);
}

/* A file to read or to write: one that is not there is made. */
static int open_file(struct ck_values *v, const char *path, int32_t *out, struct dray_err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        fd = open(path, O_RDONLY | O_CLOEXEC); /* a folder, or not ours to write */
    if (fd < 0)
        return dray_fail_errno(err, "open %s", path);
    if (v->n_fds == CK_VALUES_FDS) {
        (void)close(fd);
        return dray_fail(err, DRAY_E_LIMIT, "too many files");
    }
    v->fds[v->n_fds++] = *out = fd;
    return 0;
}

/* --- from JSON ---------------------------------------------------------------------------------*/

static int from_json(struct ck_values *v, const struct dray_wire_field *f, struct json_object *j,
                     void *out, struct dray_err *err);

static int struct_from_json(struct ck_values *v, const struct dray_wire_struct *type,
                            struct json_object *j, char *out, struct dray_err *err)
{
    if (!json_object_is_type(j, json_type_object))
        return dray_fail(err, DRAY_E_INVAL, "an object is wanted: {\"name\": value, ...}");
    size_t known = 0;
    if (!type->bare)
        *(uint32_t *)(void *)out = (uint32_t)type->size;
    for (const struct dray_wire_field *f = type->fields; f->code != DRAY_W_END; f++) {
        struct json_object *value = NULL;
        bool given = json_object_object_get_ex(j, f->name, &value);
        known += given;
        int rc = from_json(v, f, given ? value : NULL, out + f->offset, err);
        if (rc)
            return dray_err_note(err, "%s", f->name);
    }
    if (known == (size_t)json_object_object_length(j))
        return 0;
    DRAY_AUTO(dray_buf) names = {0};
    for (const struct dray_wire_field *f = type->fields; f->code != DRAY_W_END; f++)
        dray_buf_addf(&names, "%s%s", names.len ? ", " : "", f->name);
    return dray_fail(err, DRAY_E_INVAL, "there is a name that is none of: %.300s", names.data);
}

static int array_from_json(struct ck_values *v, const struct dray_wire_struct *type,
                           struct json_object *j, void **ptr, uint64_t *n, struct dray_err *err)
{
    *n = dray_json_len(j);
    char *items = *n ? room(v, *n * type->size) : NULL;
    for (uint64_t i = 0; i < *n; i++) {
        int rc =
            struct_from_json(v, type, json_object_array_get_idx(j, i), items + i * type->size, err);
        if (rc)
            return rc;
    }
    *ptr = items;
    return 0;
}

static void kvs_from_json(struct ck_values *v, struct json_object *j, struct dray_kvs *out)
{
    size_t n =
        j && json_object_is_type(j, json_type_object) ? (size_t)json_object_object_length(j) : 0;
    struct dray_kv *list = room(v, (n + 1) * sizeof *list);
    *out = (struct dray_kvs){list, n};
    if (n == 0)
        return;
    json_object_object_foreach(j, key, value)
    {
        *list++ = (struct dray_kv){keep(v, key), keep(v, json_object_get_string(value))};
    }
}

static void strs_from_json(struct ck_values *v, struct json_object *j, struct dray_strs *out)
{
    size_t n = dray_json_len(j);
    const char **list = room(v, (n + 1) * sizeof *list);
    for (size_t i = 0; i < n; i++)
        list[i] = keep(v, json_object_get_string(json_object_array_get_idx(j, i)));
    *out = (struct dray_strs){list, n};
}

/* A value of a struct; j NULL: not given. */
static int from_json(struct ck_values *v, const struct dray_wire_field *f, struct json_object *j,
                     void *out, struct dray_err *err)
{
    const char *text = j ? json_object_get_string(j) : "";
    struct dray_span *span = out;
    uint32_t len = (uint32_t)strlen(text);
    void *list = NULL;
    uint64_t n = 0;
    int rc = 0;
    switch (f->code) {
    case DRAY_W_STR:
        text = keep(v, text);
        memcpy(out, &text, sizeof text);
        break;
    case DRAY_W_U16:
        *(uint16_t *)out = (uint16_t)json_object_get_int(j);
        break;
    case DRAY_W_U32:
        *(uint32_t *)out = (uint32_t)json_object_get_int64(j);
        break;
    case DRAY_W_U64:
        *(int64_t *)out = json_object_get_int64(j);
        break;
    case DRAY_W_KVS:
        kvs_from_json(v, j, out);
        break;
    case DRAY_W_STRS:
        strs_from_json(v, j, out);
        break;
    case DRAY_W_SPAN:
        *span = (struct dray_span){keep(v, text), len};
        break;
    case DRAY_W_BYTES:
        text = keep(v, text);
        memcpy(out, &text, sizeof text);
        memcpy((char *)out + sizeof text, &len, sizeof len);
        break;
    case DRAY_W_FD:
        *(int32_t *)out = -1;
        rc = *text ? open_file(v, text, out, err) : 0;
        break;
    case DRAY_W_ARRAY:
        rc = array_from_json(v, f->type, j, &list, &n, err);
        memcpy(out, &list, sizeof list);
        memcpy((char *)out + sizeof list, &n, sizeof n);
        break;
    default:
        rc = dray_fail(err, DRAY_E_NOTSUP, "it cannot be given");
    }
    return rc;
}

/* --- from words --------------------------------------------------------------------------------*/

static bool is_output(const struct dray_wire_arg *a)
{
    return a->code == DRAY_W_OUT_STR || a->code == DRAY_W_OUT_U64 || a->code == DRAY_W_FILL;
}

static bool is_list(const struct dray_wire_arg *a)
{
    return a->code == DRAY_W_LIST || a->code == DRAY_W_PORTS;
}

static bool ended(char *const *words)
{
    return !*words || strcmp(*words, ",") == 0;
}

static void take_pairs(struct ck_values *v, char ***words, struct dray_kvs *out)
{
    size_t n = 0;
    while (!ended(*words + n) && strchr((*words)[n], '='))
        n++;
    struct dray_kv *list = room(v, (n + 1) * sizeof *list);
    for (size_t i = 0; i < n; i++) {
        const char *eq = strchr((*words)[i], '=');
        char *key = room(v, (size_t)(eq - (*words)[i]) + 1);
        memcpy(key, (*words)[i], (size_t)(eq - (*words)[i]));
        list[i] = (struct dray_kv){key, eq + 1};
    }
    *words += n;
    *out = (struct dray_kvs){list, n};
}

/* "a,b"; "": none. */
static void take_names(struct ck_values *v, const char *word, struct dray_strs *out)
{
    size_t n = *word != '\0', i = 0;
    for (const char *p = word; *p; p++)
        n += *p == ',';
    const char **list = room(v, (n + 1) * sizeof *list);
    char *copy = room(v, strlen(word) + 1);
    memcpy(copy, word, strlen(word));
    for (char *p = copy; i < n; i++) {
        list[i] = p;
        p += strcspn(p, ",");
        *p++ = '\0';
    }
    *out = (struct dray_strs){list, n};
}

static int take_number(const char *word, uint64_t max, uint64_t *out, struct dray_err *err)
{
    char *end = NULL;
    *out = strtoull(word, &end, 0);
    return *word && !*end && *out <= max ? 0
                                         : dray_fail(err, DRAY_E_INVAL, "%s is no number", word);
}

static int take_json(struct ck_values *v, const struct dray_wire_arg *a, const char *word,
                     struct dray_wire_slots *s, size_t i, struct dray_err *err)
{
    dray_autojson *j = NULL;
    int rc = dray_json_parse(word, strlen(word), &j, err);
    if (rc)
        return rc;
    if (is_list(a)) {
        rc = array_from_json(v, a->type, j, &s->in[i].array.ptr, &s->in[i].array.n, err);
        s->in[i + 1].u64 = s->in[i].array.n;
        s->args[i + 1] = &s->in[i + 1];
        return rc;
    }
    s->in[i].array.ptr = room(v, a->type->size);
    return struct_from_json(v, a->type, j, s->in[i].array.ptr, err);
}

/* One argument; its word is there unless it needs none. */
static int take(struct ck_values *v, const struct dray_wire_arg *a, char ***words,
                struct dray_wire_slots *s, size_t i, struct dray_err *err)
{
    uint64_t number = 0;
    int rc = 0;
    if (a->code == DRAY_W_KVS) {
        take_pairs(v, words, &s->in[i].kvs);
        return 0;
    }
    if (ended(*words))
        return dray_fail(err, DRAY_E_INVAL, "a word is missing");
    const char *word = *(*words)++;
    switch (a->code) {
    case DRAY_W_STR:
        s->in[i].text = word;
        break;
    case DRAY_W_U32:
        rc = take_number(word, UINT32_MAX, &number, err);
        s->in[i].u32 = (uint32_t)number;
        break;
    case DRAY_W_U64:
        rc = take_number(word, UINT64_MAX, &s->in[i].u64, err);
        break;
    case DRAY_W_STRS:
        take_names(v, word, &s->in[i].strs);
        break;
    case DRAY_W_FD:
        rc = open_file(v, word, &s->in[i].fd.fd, err);
        break;
    default:
        rc = take_json(v, a, word, s, i, err);
    }
    return rc;
}

/* Where a call puts what it gives. */
static void make_output(struct ck_values *v, const struct dray_wire_arg *a,
                        struct dray_wire_slots *s, size_t i)
{
    struct dray_wire w = {.alloc = dray_wire_arena_alloc, .ctx = &v->memory};
    if (a->code == DRAY_W_FILL) {
        s->in[i].array.ptr = dray_wire_blank(&w, a->type);
        return;
    }
    s->ptr[i] = &s->in[i];
    s->args[i] = &s->ptr[i];
}

int ck_values_read(struct ck_values *v, const struct dray_wire_op *op, char ***words,
                   struct dray_wire_slots *s, struct dray_err *err)
{
    for (size_t i = 0; i < DRAY_WIRE_ARGS && op->args[i].code != DRAY_W_END; i++) {
        const struct dray_wire_arg *a = &op->args[i];
        s->args[i] = &s->in[i];
        if (is_output(a)) {
            make_output(v, a, s, i);
            continue;
        }
        int rc = take(v, a, words, s, i, err);
        if (rc)
            return rc;
        i += is_list(a); /* and its number */
    }
    if (!ended(*words))
        return dray_fail(err, DRAY_E_INVAL, "\"%s\" is too much", **words);
    return 0;
}

/* --- to JSON -----------------------------------------------------------------------------------*/

static struct json_object *struct_json(const struct dray_wire_struct *type, const char *at);

static struct json_object *kvs_json(const struct dray_kvs *l)
{
    struct json_object *o = json_object_new_object();
    for (uint64_t i = 0; i < l->n; i++)
        dray_json_add_str(o, l->v[i].key, l->v[i].value);
    return o;
}

static struct json_object *strs_json(const struct dray_strs *l)
{
    struct json_object *a = json_object_new_array();
    for (uint64_t i = 0; i < l->n; i++)
        json_object_array_add(a, json_object_new_string(l->v[i]));
    return a;
}

static struct json_object *array_json(const struct dray_wire_struct *type, const void *list,
                                      uint64_t n)
{
    struct json_object *a = json_object_new_array();
    for (uint64_t i = 0; i < n; i++)
        json_object_array_add(a, struct_json(type, (const char *)list + i * type->size));
    return a;
}

static struct json_object *bytes_json(const void *data, uint64_t n)
{
    return json_object_new_string_len(data ? data : "", n < INT_MAX ? (int)n : INT_MAX);
}

static struct json_object *field_json(const struct dray_wire_field *f, const char *at)
{
    const struct dray_span *span = (const void *)at;
    const void *ptr;
    uint64_t n;
    switch (f->code) {
    case DRAY_W_STR:
        memcpy(&ptr, at, sizeof ptr);
        return ptr ? json_object_new_string(ptr) : NULL;
    case DRAY_W_U16:
        return json_object_new_int(*(const uint16_t *)(const void *)at);
    case DRAY_W_U32:
        return json_object_new_int64(*(const uint32_t *)(const void *)at);
    case DRAY_W_U64:
        return json_object_new_int64(*(const int64_t *)(const void *)at);
    case DRAY_W_KVS:
        return kvs_json((const void *)at);
    case DRAY_W_STRS:
        return strs_json((const void *)at);
    case DRAY_W_SPAN:
        return bytes_json(span->data, span->len);
    case DRAY_W_FD:
        return json_object_new_boolean(*(const int32_t *)(const void *)at >= 0);
    case DRAY_W_ARRAY:
        memcpy(&ptr, at, sizeof ptr);
        memcpy(&n, at + sizeof ptr, sizeof n);
        return array_json(f->type, ptr, n);
    default:
        return NULL;
    }
}

static struct json_object *struct_json(const struct dray_wire_struct *type, const char *at)
{
    struct json_object *o = json_object_new_object();
    for (const struct dray_wire_field *f = type->fields; f->code != DRAY_W_END; f++)
        json_object_object_add(o, f->name, field_json(f, at + f->offset));
    return o;
}

struct json_object *ck_values_outputs(const struct dray_wire_op *op,
                                      const struct dray_wire_slots *s)
{
    struct json_object *all = NULL;
    for (size_t i = 0; i < DRAY_WIRE_ARGS && op->args[i].code != DRAY_W_END; i++) {
        const struct dray_wire_arg *a = &op->args[i];
        struct json_object *one = NULL;
        if (a->code == DRAY_W_OUT_STR)
            one = s->in[i].text ? json_object_new_string(s->in[i].text) : NULL;
        else if (a->code == DRAY_W_OUT_U64)
            one = json_object_new_int64((int64_t)s->in[i].u64);
        else if (a->code == DRAY_W_FILL)
            one = struct_json(a->type, s->in[i].array.ptr);
        else if (a->code == DRAY_W_PORTS)
            one = array_json(a->type, s->in[i].array.ptr, s->in[i].array.n);
        else
            continue;
        if (!all)
            all = json_object_new_array();
        json_object_array_add(all, one);
    }
    return all;
}

/* --- help --------------------------------------------------------------------------------------*/

static void struct_usage(const struct dray_wire_struct *type, struct dray_buf *out)
{
    const char *sep = "{";
    for (const struct dray_wire_field *f = type->fields; f->code != DRAY_W_END; f++, sep = ",")
        dray_buf_addf(out, "%s%s", sep, f->name);
    dray_buf_adds(out, "}");
}

void ck_values_usage(const struct dray_wire_op *op, struct dray_buf *out)
{
    for (size_t i = 0; i < DRAY_WIRE_ARGS && op->args[i].code != DRAY_W_END; i++) {
        const struct dray_wire_arg *a = &op->args[i];
        if (is_output(a))
            continue;
        dray_buf_adds(out, a->code == DRAY_W_KVS    ? " [KEY=VALUE...]"
                           : a->code == DRAY_W_STR  ? " TEXT"
                           : a->code == DRAY_W_FD   ? " FILE"
                           : a->code == DRAY_W_STRS ? " TEXT,TEXT..."
                           : a->type                ? " "
                                                    : " NUMBER");
        if (!a->type)
            continue;
        dray_buf_adds(out, is_list(a) ? "[" : "");
        struct_usage(a->type, out);
        dray_buf_adds(out, is_list(a) ? "...]" : "");
        i += is_list(a);
    }
}
