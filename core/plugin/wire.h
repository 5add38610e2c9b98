/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire.h - calls of plugins as bytes: between the daemon and a plugin in a process of its own.
 *
 * Both sides are of one build, so numbers go in host byte order. Lengths are checked all the same:
 * what comes from the other process is not trusted.
 */
#ifndef DRAY_PLUGIN_WIRE_H
#define DRAY_PLUGIN_WIRE_H

#include "base/buf.h"
#include "plugin/driver.h"

#define DRAY_WIRE_FDS 8
#define DRAY_WIRE_ARGS 8
#define DRAY_WIRE_MAX ((size_t)64 << 20) /* longest message */

/* --- messages --- */

enum dray_wire_type {
    DRAY_WIRE_LOAD = 1, /* to the process: fd of the plugin file. Answer: its description */
    DRAY_WIRE_OPEN,     /* instance, options, folders */
    DRAY_WIRE_CALL,
    DRAY_WIRE_HEALTH,
    DRAY_WIRE_RELOAD,  /* options */
    DRAY_WIRE_QUIESCE, /* deadline */
    DRAY_WIRE_CLOSE,
    DRAY_WIRE_EMITTED, /* answer to EMIT: what the host's emit() gave */
    DRAY_WIRE_REPLY,   /* from the process, to all of the above: result, error, outputs */
    DRAY_WIRE_EMIT,
    DRAY_WIRE_LOG,
};

/** One message, read or to be sent. Zero-initialised is empty. */
struct dray_wire {
    uint32_t type; /* enum dray_wire_type */
    uint64_t id;   /* of the call that it belongs to */
    struct dray_buf buf;
    int fds[DRAY_WIRE_FDS];
    size_t n_fds;
    bool own_fds; /* received: closed with it */
    bool failed;  /* could not be written, or read: what was read is not to be used */

    /* Reading. */
    size_t at, next_fd;
    void *(*alloc)(void *ctx, uint64_t n); /* for what is read: zeroed */
    void *ctx;
};

void dray_wire_cleanup(struct dray_wire *w);
/** Send all of it. The descriptors stay the caller's. UNAVAIL: nobody reads; TIMEOUT: not all was
 * taken by deadline_ns (monotonic; 0: none), and the stream is of no use any more. */
int dray_wire_send(int sock, const struct dray_wire *w, uint64_t deadline_ns, struct dray_err *err);
/** Receive one, whole within timeout_ms (-1: none). End of stream: UNAVAIL. */
int dray_wire_recv(int sock, int timeout_ms, struct dray_wire *out, struct dray_err *err);

/* --- values --- */

/** How a value lies in memory. */
enum dray_wire_code {
    DRAY_W_END = 0,
    DRAY_W_STR,   /* const char * */
    DRAY_W_U16,   /* uint16_t */
    DRAY_W_U32,   /* uint32_t, int32_t */
    DRAY_W_U64,   /* uint64_t, int64_t */
    DRAY_W_KVS,   /* struct dray_kvs */
    DRAY_W_STRS,  /* struct dray_strs */
    DRAY_W_SPAN,  /* struct dray_span */
    DRAY_W_FD,    /* struct dray_fd_borrow, struct dray_fd_take */
    DRAY_W_ARRAY, /* pointer to structs, then uint64_t: how many */
    DRAY_W_PTR,   /* pointer to one struct, or NULL */
    DRAY_W_BYTES, /* pointer, then uint32_t: how many bytes */
    /* Of arguments only: */
    DRAY_W_OUT_STR, /* const char ** */
    DRAY_W_OUT_U64, /* uint64_t * */
    DRAY_W_FILL,    /* pointer to one struct that the call fills */
    DRAY_W_LIST,    /* pointer to structs; the argument after it is their number */
    DRAY_W_PORTS,   /* such a list whose host ports the call fills */
};

struct dray_wire_struct;

struct dray_wire_field {
    enum dray_wire_code code;
    size_t offset;
    const struct dray_wire_struct *type;
    const char *name;
};

/** The first member is the uint32_t size, unless it is a bare list. */
struct dray_wire_struct {
    size_t size;
    bool bare;
    const struct dray_wire_field *fields; /* ended by DRAY_W_END */
};

void dray_wire_put(struct dray_wire *w, enum dray_wire_code code,
                   const struct dray_wire_struct *type, const void *value);
void dray_wire_get(struct dray_wire *w, enum dray_wire_code code,
                   const struct dray_wire_struct *type, void *value);
/** The fields of one struct that is there. */
void dray_wire_put_fields(struct dray_wire *w, const struct dray_wire_struct *type,
                          const void *obj);
void dray_wire_get_fields(struct dray_wire *w, const struct dray_wire_struct *type, void *obj);

void dray_wire_put_u32(struct dray_wire *w, uint32_t v);
uint32_t dray_wire_get_u32(struct dray_wire *w);
void dray_wire_put_u64(struct dray_wire *w, uint64_t v);
uint64_t dray_wire_get_u64(struct dray_wire *w);
void dray_wire_put_str(struct dray_wire *w, const char *text);
/** "" for NULL and for what could not be read. */
const char *dray_wire_get_str(struct dray_wire *w);
void dray_wire_put_fd(struct dray_wire *w, int fd);
/** Still the message's; -1: none. */
int dray_wire_get_fd(struct dray_wire *w);
void dray_wire_put_err(struct dray_wire *w, int rc, const struct dray_err *err);
int dray_wire_get_err(struct dray_wire *w, struct dray_err *err);
void dray_wire_put_record(struct dray_wire *w, const struct dray_record *rec);
void dray_wire_get_record(struct dray_wire *w, struct dray_record *rec);

/** A new struct for a call to fill: zeros, its size, no descriptors. NULL without memory. */
void *dray_wire_blank(struct dray_wire *w, const struct dray_wire_struct *type);

/** Memory for what is read; zero-initialised is empty. Freed as a whole. */
struct dray_wire_arena {
    struct dray_wire_block *blocks;
};
void *dray_wire_arena_alloc(void *arena, uint64_t n);
void dray_wire_arena_cleanup(struct dray_wire_arena *a);

/* --- operations --- */

struct dray_wire_arg {
    enum dray_wire_code code;
    const struct dray_wire_struct *type;
};

struct dray_wire_op {
    uint32_t kind;
    const char *name;
    size_t offset; /* in the kind's table */
    struct dray_wire_arg args[DRAY_WIRE_ARGS];
    void (*proxy)(void); /* of the operation's type: sends the call through dray_isolate_call() */
    /** Call the operation in a table. args point to the parameters. */
    int32_t (*invoke)(const void *ops, struct dray_self *self, const struct dray_call *call,
                      void **args, struct dray_err *err);
};

/** The i-th operation that can be called from another process, or NULL. */
const struct dray_wire_op *dray_wire_op(uint32_t i);
/** Can all of the kind's mandatory operations? */
bool dray_wire_has_kind(uint32_t kind);

/** Arguments as the caller has them. */
void dray_wire_put_args(struct dray_wire *w, const struct dray_wire_op *op, void *const *args);
void dray_wire_get_outputs(struct dray_wire *w, const struct dray_wire_op *op, void *const *args);

/** Arguments as the process reads them. */
struct dray_wire_slots {
    void *args[DRAY_WIRE_ARGS];
    union {
        const char *text;
        uint32_t u32;
        uint64_t u64;
        struct dray_kvs kvs;
        struct dray_strs strs;
        struct dray_fd_borrow fd;
        struct {
            void *ptr;
            uint64_t n;
        } array;
    } in[DRAY_WIRE_ARGS];
    void *ptr[DRAY_WIRE_ARGS]; /* what points to an output */
};
void dray_wire_get_args(struct dray_wire *w, const struct dray_wire_op *op,
                        struct dray_wire_slots *s);
void dray_wire_put_outputs(struct dray_wire *w, const struct dray_wire_op *op,
                           const struct dray_wire_slots *s);

#endif
