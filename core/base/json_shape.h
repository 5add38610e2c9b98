/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_shape.h - what a JSON value has to look like, as tables.
 *
 * The engine whose clients we serve reads its requests into typed structures and shows these, not
 * the client's text: unknown keys are gone, null is the zero value of its type, and a value of
 * another type is refused. A shape says the same of a json-c tree.
 */
#ifndef DRAY_BASE_JSON_SHAPE_H
#define DRAY_BASE_JSON_SHAPE_H

#include <dray/util.h>
#include <stdbool.h>
#include <stdint.h>

struct json_object;

enum dray_shape_kind {
    DRAY_SHAPE_K_STR,
    DRAY_SHAPE_K_INT, /**< within min to max */
    DRAY_SHAPE_K_BOOL,
    DRAY_SHAPE_K_LIST,  /**< of `of` */
    DRAY_SHAPE_K_SLICE, /**< the same, or one value that stands for a list of it */
    DRAY_SHAPE_K_MAP,   /**< any keys, with values of `of` */
    DRAY_SHAPE_K_STRUCT /**< of the fields; without any: an empty object */
};

/** A field is left out when it is empty; one that may be null, when it is null. */
#define DRAY_SHAPE_OMIT 1u
/** A field may be null, which is not its zero value. */
#define DRAY_SHAPE_PTR 2u

struct dray_shape_field;

struct dray_shape {
    enum dray_shape_kind kind;
    const char *type; /**< as errors name it */
    int64_t min, max;
    const struct dray_shape *of;
    const struct dray_shape_field *fields;
    size_t n_fields;
};

struct dray_shape_field {
    const char *name;
    const struct dray_shape *shape;
    unsigned flags; /**< DRAY_SHAPE_OMIT, DRAY_SHAPE_PTR */
};

/* The tables of those who build shapes of their own. */
#define DRAY_SHAPE_INT(lo, hi, name)                                                               \
    {                                                                                              \
        .kind = DRAY_SHAPE_K_INT, .type = (name), .min = (lo), .max = (hi)                         \
    }
#define DRAY_SHAPE_LIST(what, name)                                                                \
    {                                                                                              \
        .kind = DRAY_SHAPE_K_LIST, .type = (name), .of = (what)                                    \
    }
#define DRAY_SHAPE_MAP(what, name)                                                                 \
    {                                                                                              \
        .kind = DRAY_SHAPE_K_MAP, .type = (name), .of = (what)                                     \
    }
#define DRAY_SHAPE_STRUCT(table, name)                                                             \
    {                                                                                              \
        .kind = DRAY_SHAPE_K_STRUCT, .type = (name), .fields = (table),                            \
        .n_fields = sizeof(table) / sizeof((table)[0])                                             \
    }

extern const struct dray_shape dray_shape_str, dray_shape_int, dray_shape_bool, dray_shape_none,
    dray_shape_uints, dray_shape_strs, dray_shape_strslice, dray_shape_strmap, dray_shape_set;

/**
 * A new tree in *out with what v (may be NULL) is as this shape; NULL for the null of a list or of
 * a map. Another type, or a number out of range: DRAY_E_INVAL "invalid JSON: json: cannot
 * unmarshal ... of type T", where `what` names the value ("HostConfig.Devices").
 */
int dray_shape_take(const struct dray_shape *s, struct json_object *v, const char *what,
                    struct json_object **out, struct dray_err *err);
/** Only look whether it fits. */
int dray_shape_check(const struct dray_shape *s, struct json_object *v, const char *what,
                     struct dray_err *err);
/** Null, "", 0, false, [] or {}? */
bool dray_shape_empty(struct json_object *v);

#endif
