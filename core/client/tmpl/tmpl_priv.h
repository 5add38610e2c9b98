/* SPDX-License-Identifier: Apache-2.0 */
/* tmpl_priv.h - the tree of a parsed template, shared by its parser, its runner, its functions. */
#ifndef DRAY_CLIENT_TMPL_PRIV_H
#define DRAY_CLIENT_TMPL_PRIV_H

#include "client/tmpl/tmpl.h"

/** One operand of a command. */
enum tmpl_kind { OP_DOT, OP_FIELD, OP_VAR, OP_FUNC, OP_LITERAL, OP_NIL, OP_PIPE };

struct tmpl_pipe;

struct tmpl_operand {
    enum tmpl_kind kind;
    const char *name;            /**< of a variable or function */
    const char **fields;         /**< names after it, NULL terminated, or NULL */
    struct json_object *literal; /**< owned by the template */
    const struct tmpl_pipe *pipe;
    const char *text; /**< as written */
    int line, col;
};

struct tmpl_command {
    struct tmpl_operand *v;
    size_t n;
    const char *text; /**< as written */
};

struct tmpl_pipe {
    const char *decl[2]; /**< variables set by it */
    bool assign;         /**< "=" rather than ":=" */
    struct tmpl_command *v;
    size_t n;
};

enum tmpl_node_kind {
    NODE_TEXT,
    NODE_ACTION,
    NODE_IF,
    NODE_RANGE,
    NODE_WITH,
    NODE_BREAK,
    NODE_CONTINUE
};

struct tmpl_node {
    enum tmpl_node_kind kind;
    const char *text;
    const struct tmpl_pipe *pipe;
    struct tmpl_node *body;
    struct tmpl_node *other; /**< else */
    struct tmpl_node *next;
};

/** Memory and literals live as long as the template. */
struct tmpl_block {
    struct tmpl_block *next;
    struct json_object *literal;
    max_align_t data[];
};

struct tmpl {
    struct tmpl_block *blocks;
    struct tmpl_node *root;
};

/** Is this the name of a function? */
bool tmpl_func_known(const char *name);
/** Call it. argv are borrowed; *out is a new reference or NULL for nil. */
int tmpl_func_call(const char *name, struct json_object **argv, size_t argc,
                   struct json_object **out, struct dray_err *err);
/** Go's idea of an empty value. */
bool tmpl_true(struct json_object *v);
/** Append as fmt's %v does; top: nil is "<no value>" rather than "<nil>". */
void tmpl_print(struct dray_buf *out, struct json_object *v, bool top);

#endif
