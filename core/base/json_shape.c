/* SPDX-License-Identifier: Apache-2.0 */
/* json_shape.c - reads JSON trees into the shapes that tables give them. */
#include "base/json_shape.h"

#include "base/json.h"

const struct dray_shape dray_shape_str = {.kind = DRAY_SHAPE_K_STR, .type = "string"};
const struct dray_shape dray_shape_int = DRAY_SHAPE_INT(INT64_MIN, INT64_MAX, "int64");
const struct dray_shape dray_shape_bool = {.kind = DRAY_SHAPE_K_BOOL, .type = "bool"};
const struct dray_shape dray_shape_none = {.kind = DRAY_SHAPE_K_STRUCT, .type = "struct {}"};
const struct dray_shape dray_shape_strs = DRAY_SHAPE_LIST(&dray_shape_str, "[]string");
const struct dray_shape dray_shape_strslice = {
    .kind = DRAY_SHAPE_K_SLICE, .type = "[]string", .of = &dray_shape_str};
const struct dray_shape dray_shape_strmap = DRAY_SHAPE_MAP(&dray_shape_str, "map[string]string");
const struct dray_shape dray_shape_set = DRAY_SHAPE_MAP(&dray_shape_none, "map[string]struct {}");

static const struct dray_shape shape_uint = DRAY_SHAPE_INT(0, UINT32_MAX, "uint");
const struct dray_shape dray_shape_uints = DRAY_SHAPE_LIST(&shape_uint, "[]uint");

bool dray_shape_empty(struct json_object *v)
{
    switch (json_object_get_type(v)) {
    case json_type_string:
        return json_object_get_string_len(v) == 0;
    case json_type_int:
        return json_object_get_int64(v) == 0;
    case json_type_boolean:
        return !json_object_get_boolean(v);
    case json_type_array:
        return json_object_array_length(v) == 0;
    case json_type_object:
        return json_object_object_length(v) == 0;
    default:
        return !v;
    }
}

static int misfit(const struct dray_shape *s, struct json_object *v, const char *what,
                  struct dray_err *err)
{
    const char *is = json_type_to_name(json_object_get_type(v));
    if (json_object_is_type(v, json_type_int) || json_object_is_type(v, json_type_double))
        is = "number";
    else if (json_object_is_type(v, json_type_boolean))
        is = "bool";
    return dray_fail(err, DRAY_E_INVAL,
                     "invalid JSON: json: cannot unmarshal %s into Go struct field %s of type %s",
                     is, what, s->type);
}

static int take_scalar(const struct dray_shape *s, struct json_object *v, const char *what,
                       struct json_object **out, struct dray_err *err)
{
    if (s->kind == DRAY_SHAPE_K_STR) {
        if (v && !json_object_is_type(v, json_type_string))
            return misfit(s, v, what, err);
        *out =
            v ? json_object_new_string_len(json_object_get_string(v), json_object_get_string_len(v))
              : json_object_new_string("");
        return 0;
    }
    if (s->kind == DRAY_SHAPE_K_BOOL) {
        if (v && !json_object_is_type(v, json_type_boolean))
            return misfit(s, v, what, err);
        *out = json_object_new_boolean(v && json_object_get_boolean(v));
        return 0;
    }
    int64_t n = v ? json_object_get_int64(v) : 0; /* at its end when the number is beyond it */
    bool fits = !v || (json_object_is_type(v, json_type_int) && n >= s->min && n <= s->max &&
                       (n < 0 || json_object_get_uint64(v) == (uint64_t)n));
    if (!fits)
        return misfit(s, v, what, err);
    *out = json_object_new_int64(n);
    return 0;
}

static int take_list(const struct dray_shape *s, struct json_object *v, const char *what,
                     struct json_object **out, struct dray_err *err)
{
    bool one = s->kind == DRAY_SHAPE_K_SLICE && json_object_is_type(v, json_type_string);
    if (!one && !json_object_is_type(v, json_type_array))
        return misfit(s, v, what, err);
    size_t n = one ? 1 : json_object_array_length(v);
    dray_autojson *list = json_object_new_array_ext(n ? (int)n : 1);
    for (size_t i = 0; i < n; i++) {
        struct json_object *item = NULL;
        int rc =
            dray_shape_take(s->of, one ? v : json_object_array_get_idx(v, i), what, &item, err);
        if (rc != 0)
            return rc;
        json_object_array_add(list, item);
    }
    *out = dray_steal(list);
    return 0;
}

static int take_map(const struct dray_shape *s, struct json_object *v, const char *what,
                    struct json_object **out, struct dray_err *err)
{
    if (!json_object_is_type(v, json_type_object))
        return misfit(s, v, what, err);
    dray_autojson *map = json_object_new_object();
    json_object_object_foreach(v, key, value)
    {
        struct json_object *item = NULL;
        int rc = dray_shape_take(s->of, value, what, &item, err);
        if (rc != 0)
            return rc;
        json_object_object_add(map, key, item);
    }
    *out = dray_steal(map);
    return 0;
}

static int take_struct(const struct dray_shape *s, struct json_object *v, const char *what,
                       struct json_object **out, struct dray_err *err)
{
    if (v && !json_object_is_type(v, json_type_object))
        return misfit(s, v, what, err);
    dray_autojson *obj = json_object_new_object();
    for (size_t i = 0; i < s->n_fields; i++) {
        const struct dray_shape_field *f = &s->fields[i];
        struct json_object *given = dray_json_get(v, f->name), *item = NULL;
        bool null = !given && (f->flags & DRAY_SHAPE_PTR);
        char path[128];
        (void)snprintf(path, sizeof path, "%s.%s", what, f->name);
        int rc = null ? 0 : dray_shape_take(f->shape, given, path, &item, err);
        if (rc != 0)
            return rc;
        bool gone = f->flags & DRAY_SHAPE_PTR ? !item : dray_shape_empty(item);
        if (gone && (f->flags & DRAY_SHAPE_OMIT))
            json_object_put(item);
        else
            json_object_object_add(obj, f->name, item);
    }
    *out = dray_steal(obj);
    return 0;
}

int dray_shape_take(const struct dray_shape *s, struct json_object *v, const char *what,
                    struct json_object **out, struct dray_err *err)
{
    *out = NULL;
    switch (s->kind) {
    case DRAY_SHAPE_K_LIST:
    case DRAY_SHAPE_K_SLICE:
        return v ? take_list(s, v, what, out, err) : 0;
    case DRAY_SHAPE_K_MAP:
        return v ? take_map(s, v, what, out, err) : 0;
    case DRAY_SHAPE_K_STRUCT:
        return take_struct(s, v, what, out, err);
    default:
        return take_scalar(s, v, what, out, err);
    }
}

int dray_shape_check(const struct dray_shape *s, struct json_object *v, const char *what,
                     struct dray_err *err)
{
    dray_autojson *taken = NULL;
    return dray_shape_take(s, v, what, &taken, err);
}
