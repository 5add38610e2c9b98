/* SPDX-License-Identifier: Apache-2.0 */
/* tmpl_exec.c - runs a parsed template over a JSON value. */
#include "client/tmpl/tmpl_priv.h"

#include "base/json.h"

#define MAX_VARS 128
#define MAX_ARGS 32

/* A value on its way: NULL is nil. Each holder has a reference. */
struct run {
    const struct tmpl_env *env;
    struct dray_buf *out;
    struct dray_err *err;
    struct json_object *root;
    struct {
        const char *name;
        struct json_object *value;
    } vars[MAX_VARS];
    size_t n_vars;
    enum { GO_ON, GO_BREAK, GO_CONTINUE } go;
    const char *command;   /* text of the command that runs */
    const char *last_null; /* name of the field that gave null last */
};

static struct json_object *ref(struct json_object *v)
{
    return v ? json_object_get(v) : NULL;
}

static void unref(struct json_object *v)
{
    if (v)
        json_object_put(v);
}

/* What Go prints for a field that is null in JSON: a nil map, pointer or else slice. */
static const char *go_nil(const char *field)
{
    static const char *const maps[] = {"Labels",       "Volumes",      "Data",     "Options",
                                       "DriverOpts",   "Sysctls",      "Tmpfs",    "StorageOpt",
                                       "Annotations",  "Ports",        "Status",   "Containers",
                                       "ExposedPorts", "PortBindings", "Networks", "Config"};
    static const char *const pointers[] = {
        "Health",     "Healthcheck", "MemorySwappiness", "PidsLimit", "OomKillDisable",
        "IPAMConfig", "Init",        "StopTimeout",      "UsageData", "GraphDriver",
        "SizeRw",     "SizeRootFs",  "ClusterVolume",    "Descriptor"};
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++)
        if (strcasecmp(maps[i], field) == 0)
            return "map[]";
    for (size_t i = 0; i < sizeof pointers / sizeof *pointers; i++)
        if (strcasecmp(pointers[i], field) == 0)
            return "<nil>";
    return "[]";
}

__attribute__((format(printf, 3, 4))) static int bad(struct run *r, const struct tmpl_operand *o,
                                                     const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return dray_fail(r->err, DRAY_E_INVAL, "template: :%d:%d: executing \"\" at <%s>: %s", o->line,
                     o->col, o->text, text);
}

/* The member of that name, in another case if need be, as Go's struct fields and JSON keys differ.
 */
static bool member(struct json_object *obj, const char *name, struct json_object **out)
{
    if (json_object_object_get_ex(obj, name, out))
        return true;
    json_object_object_foreach(obj, key, value)
    {
        if (strcasecmp(key, name) == 0) {
            *out = value;
            return true;
        }
    }
    return false;
}

/* Fields that answers leave out when there is nothing to tell, and that docker's CLI knows of all the
 * same: "{{if .State.Health}}" is asked of any container. */
static bool may_be_absent(const char *name)
{
    static const char *const names[] = {"Health", "Healthcheck", "StopTimeout"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static int take_field(struct run *r, const struct tmpl_operand *o, const char *name,
                      struct json_object *from, struct json_object **out)
{
    *out = NULL;
    if (!from)
        return bad(r, o, "nil pointer evaluating interface {}.%s", name);
    if (!json_object_is_type(from, json_type_object))
        return bad(r, o, "can't evaluate field %s in type %s", name,
                   r->env->type                                 ? "string"
                   : json_object_is_type(from, json_type_array) ? "[]interface {}"
                                                                : "interface {}");
    if (member(from, name, out) || (!r->env->type && may_be_absent(name))) {
        if (!*out)
            r->last_null = name;
        return 0;
    }
    if (r->env->type && from == r->root)
        return bad(r, o, "can't evaluate field %s in type %s", name, r->env->type);
    return bad(r, o, "map has no entry for key \"%s\"", name);
}

/* A method of a row: .Label "key". */
static int call_method(struct run *r, const struct tmpl_operand *o, const char *name,
                       struct json_object **argv, size_t argc, struct json_object **out)
{
    if (strcmp(name, "Label") != 0 || argc != 1 || !json_object_is_type(argv[0], json_type_string))
        return bad(r, o, "%s has arguments but cannot be invoked as function", name);
    const char *key = json_object_get_string(argv[0]);
    struct json_object *labels = NULL, *v = NULL;
    if (r->env->header) {
        *out = ref(argv[0]);
        return 0;
    }
    if (json_object_object_get_ex(r->root, TMPL_HIDDEN_LABELS, &labels) &&
        json_object_object_get_ex(labels, key, &v) && v)
        *out = ref(v);
    else
        *out = json_object_new_string("");
    return 0;
}

static struct json_object *variable(struct run *r, const char *name)
{
    for (size_t i = r->n_vars; i-- > 0;)
        if (strcmp(r->vars[i].name, name) == 0)
            return r->vars[i].value;
    return NULL;
}

static int eval_pipe(struct run *r, const struct tmpl_pipe *pipe, struct json_object *dot,
                     struct json_object **out);

static int walk_fields(struct run *r, const struct tmpl_operand *o, struct json_object *base,
                       struct json_object **argv, size_t argc, struct json_object **out)
{
    struct json_object *v = base;
    for (size_t i = 0; o->fields && o->fields[i]; i++) {
        if (!o->fields[i + 1] && argc > 0)
            return call_method(r, o, o->fields[i], argv, argc, out);
        struct tmpl_operand here = *o; /* errors point at the field, not at the first */
        const char *at = o->text;
        for (size_t k = 0; at && k <= i; k++)
            at = strchr(at + (k > 0), '.');
        here.col += at ? (int)(at - o->text) : 0;
        int rc = take_field(r, &here, o->fields[i], v, &v);
        if (rc != 0)
            return rc;
    }
    *out = ref(v);
    return 0;
}

/* Evaluate one operand; argv are the arguments if it leads a command. */
static int eval_operand(struct run *r, const struct tmpl_operand *o, struct json_object *dot,
                        struct json_object **argv, size_t argc, struct json_object **out)
{
    struct json_object *inner = NULL;
    int rc = 0;
    *out = NULL;
    switch (o->kind) {
    case OP_DOT:
        *out = ref(dot);
        return 0;
    case OP_FIELD:
        return walk_fields(r, o, dot, argv, argc, out);
    case OP_VAR:
        return walk_fields(r, o, *o->name ? variable(r, o->name) : r->root, argv, argc, out);
    case OP_LITERAL:
        *out = ref(o->literal);
        return 0;
    case OP_NIL:
        return 0;
    case OP_PIPE:
        rc = eval_pipe(r, o->pipe, dot, &inner);
        if (rc == 0)
            rc = walk_fields(r, o, inner, argv, argc, out);
        unref(inner);
        return rc;
    case OP_FUNC: {
        struct dray_err why = {0};
        rc = tmpl_func_call(o->name, argv, argc, out, &why);
        if (rc == 0)
            return 0;
        struct tmpl_operand whole = *o;
        if (r->command)
            whole.text = r->command;
        return bad(r, &whole, "%s", why.text);
    }
    }
    return 0;
}

static int eval_command(struct run *r, const struct tmpl_command *c, struct json_object *dot,
                        bool piped, struct json_object *last, struct json_object **out)
{
    struct json_object *argv[MAX_ARGS] = {0};
    size_t argc = 0;
    int rc = 0;
    if (c->n > MAX_ARGS - 1)
        return bad(r, &c->v[0], "too many arguments");
    for (size_t i = 1; i < c->n && rc == 0; i++)
        rc = eval_operand(r, &c->v[i], dot, NULL, 0, &argv[argc++]);
    if (piped)
        argv[argc++] = ref(last);
    bool callable = c->v[0].kind == OP_FUNC || c->v[0].fields;
    if (rc == 0 && argc > 0 && !callable)
        rc = bad(r, &c->v[0], "can't give argument to non-function %s", c->v[0].text);
    r->command = c->text;
    if (rc == 0)
        rc = eval_operand(r, &c->v[0], dot, argv, argc, out);
    for (size_t i = 0; i < argc; i++)
        unref(argv[i]);
    return rc;
}

static void set_var(struct run *r, const char *name, struct json_object *value, bool assign)
{
    for (size_t i = r->n_vars; assign && i-- > 0;) {
        if (strcmp(r->vars[i].name, name) == 0) {
            unref(r->vars[i].value);
            r->vars[i].value = ref(value);
            return;
        }
    }
    if (r->n_vars < MAX_VARS) {
        r->vars[r->n_vars].name = name;
        r->vars[r->n_vars++].value = ref(value);
    }
}

static void drop_vars(struct run *r, size_t to)
{
    while (r->n_vars > to)
        unref(r->vars[--r->n_vars].value);
}

static int eval_pipe(struct run *r, const struct tmpl_pipe *pipe, struct json_object *dot,
                     struct json_object **out)
{
    struct json_object *v = NULL;
    for (size_t i = 0; i < pipe->n; i++) {
        struct json_object *next = NULL;
        int rc = eval_command(r, &pipe->v[i], dot, i > 0, v, &next);
        unref(v);
        v = next;
        if (rc != 0) {
            unref(v);
            return rc;
        }
    }
    *out = v;
    return 0;
}

static int run_list(struct run *r, const struct tmpl_node *n, struct json_object *dot);

static int run_one(struct run *r, const struct tmpl_node *n, struct json_object *key,
                   struct json_object *value)
{
    size_t vars = r->n_vars;
    if (n->pipe->decl[1]) {
        set_var(r, n->pipe->decl[0], key, n->pipe->assign);
        set_var(r, n->pipe->decl[1], value, n->pipe->assign);
    } else if (n->pipe->decl[0]) {
        set_var(r, n->pipe->decl[0], value, n->pipe->assign);
    }
    int rc = run_list(r, n->body, value);
    drop_vars(r, vars);
    if (r->go == GO_CONTINUE)
        r->go = GO_ON;
    return rc;
}

static int by_key(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

static int range_object(struct run *r, const struct tmpl_node *n, struct json_object *obj)
{
    size_t count = (size_t)json_object_object_length(obj), i = 0;
    dray_autofree const char **keys = calloc(count + 1, sizeof *keys);
    if (!keys)
        return dray_fail(r->err, DRAY_E_NOMEM, "out of memory");
    json_object_object_foreach(obj, key, unused)
    {
        (void)unused;
        keys[i++] = key;
    }
    qsort(keys, count, sizeof *keys, by_key);
    for (i = 0; i < count && r->go == GO_ON; i++) {
        struct json_object *k = json_object_new_string(keys[i]);
        int rc = run_one(r, n, k, json_object_object_get(obj, keys[i]));
        json_object_put(k);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int range_array(struct run *r, const struct tmpl_node *n, struct json_object *array)
{
    for (size_t i = 0; i < json_object_array_length(array) && r->go == GO_ON; i++) {
        struct json_object *k = json_object_new_int64((int64_t)i);
        int rc = run_one(r, n, k, json_object_array_get_idx(array, i));
        json_object_put(k);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int run_range(struct run *r, const struct tmpl_node *n, struct json_object *dot,
                     struct json_object *v)
{
    int rc = 0;
    if (!tmpl_true(v))
        return run_list(r, n->other, dot);
    if (json_object_is_type(v, json_type_object))
        rc = range_object(r, n, v);
    else if (json_object_is_type(v, json_type_array))
        rc = range_array(r, n, v);
    else
        rc = bad(r, &n->pipe->v[0].v[0], "range can't iterate over %s", json_object_get_string(v));
    r->go = GO_ON;
    return rc;
}

static void print_value(struct run *r, struct json_object *v)
{
    if (!v && r->env->inspect && r->last_null)
        dray_buf_adds(r->out, go_nil(r->last_null));
    else
        tmpl_print(r->out, v, true);
}

static int run_node(struct run *r, const struct tmpl_node *n, struct json_object *dot)
{
    if (n->kind == NODE_TEXT) {
        dray_buf_adds(r->out, n->text);
        return 0;
    }
    if (n->kind == NODE_BREAK || n->kind == NODE_CONTINUE) {
        r->go = n->kind == NODE_BREAK ? GO_BREAK : GO_CONTINUE;
        return 0;
    }
    struct json_object *v = NULL;
    size_t vars = r->n_vars;
    r->last_null = NULL;
    int rc = eval_pipe(r, n->pipe, dot, &v);
    if (rc != 0)
        return rc;
    bool declares = n->pipe->decl[0] != NULL;
    if (declares && n->kind != NODE_RANGE)
        set_var(r, n->pipe->decl[0], v, n->pipe->assign);
    if (n->kind == NODE_ACTION && !declares)
        print_value(r, v);
    else if (n->kind == NODE_RANGE)
        rc = run_range(r, n, dot, v);
    else if (n->kind == NODE_IF)
        rc = run_list(r, tmpl_true(v) ? n->body : n->other, dot);
    else if (n->kind == NODE_WITH)
        rc = tmpl_true(v) ? run_list(r, n->body, v) : run_list(r, n->other, dot);
    if (n->kind != NODE_ACTION)
        drop_vars(r, vars);
    unref(v);
    return rc;
}

static int run_list(struct run *r, const struct tmpl_node *n, struct json_object *dot)
{
    for (; n && r->go == GO_ON; n = n->next) {
        int rc = run_node(r, n, dot);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int tmpl_exec(const struct tmpl *t, struct json_object *dot, const struct tmpl_env *env,
              struct dray_buf *out, struct dray_err *err)
{
    struct run r = {.env = env, .out = out, .err = err, .root = dot, .go = GO_ON};
    int rc = run_list(&r, t->root, dot);
    drop_vars(&r, 0);
    return rc;
}
