/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire_ops.c - the operations that can be called from another process.
 *
 * A row of the table is written with the types of the operation's parameters alone: they choose the
 * way of each value over the wire, and the compiler checks them against the operation.
 */
#include "plugin/isolate.h"
#include "plugin/wire.h"

/* --- structs -----------------------------------------------------------------------------------*/

#define FIELD(s, code, member)                                                                     \
    {                                                                                              \
        DRAY_W_##code, offsetof(struct s, member), NULL, #member                                   \
    }
#define ARRAY(s, member, of)                                                                       \
    {                                                                                              \
        DRAY_W_ARRAY, offsetof(struct s, member), &of##_type, #member                              \
    }
#define DESCRIBE(s, bare, ...)                                                                     \
    static const struct dray_wire_field s##_fields[] = {__VA_ARGS__, {DRAY_W_END, 0, NULL, NULL}}; \
    static const struct dray_wire_struct s##_type = {sizeof(struct s), bare, s##_fields}
#define STRUCT(s, ...) DESCRIBE(s, false, __VA_ARGS__)
#define BARE(s, ...) DESCRIBE(s, true, __VA_ARGS__)

/* clang-format off */
STRUCT(dray_mount, FIELD(dray_mount, STR, type), FIELD(dray_mount, STR, source),
       FIELD(dray_mount, STR, target), FIELD(dray_mount, STRS, options));
STRUCT(dray_volume_info, FIELD(dray_volume_info, STR, mountpoint),
       FIELD(dray_volume_info, U64, created_s), FIELD(dray_volume_info, KVS, status));
STRUCT(dray_net_pool, FIELD(dray_net_pool, U32, family), FIELD(dray_net_pool, STR, subnet),
       FIELD(dray_net_pool, STR, gateway));
STRUCT(dray_net_spec, FIELD(dray_net_spec, U32, flags), FIELD(dray_net_spec, STR, name),
       FIELD(dray_net_spec, KVS, options), FIELD(dray_net_spec, KVS, labels),
       ARRAY(dray_net_spec, pools, dray_net_pool), FIELD(dray_net_spec, STR, route4),
       FIELD(dray_net_spec, STR, route6));
STRUCT(dray_ep_spec, FIELD(dray_ep_spec, STR, mac), FIELD(dray_ep_spec, STR, ipv4),
       FIELD(dray_ep_spec, STR, ipv6), FIELD(dray_ep_spec, STR, hostname),
       FIELD(dray_ep_spec, KVS, options));
STRUCT(dray_ep_join, FIELD(dray_ep_join, STR, ifname), FIELD(dray_ep_join, STR, mac),
       FIELD(dray_ep_join, STR, gateway4), FIELD(dray_ep_join, STR, gateway6));
STRUCT(dray_port, FIELD(dray_port, U16, container_port), FIELD(dray_port, U16, host_port),
       FIELD(dray_port, U16, host_port_end), FIELD(dray_port, STR, proto),
       FIELD(dray_port, STR, host_ip));
STRUCT(dray_pool_spec, FIELD(dray_pool_spec, U32, family), FIELD(dray_pool_spec, STR, subnet),
       FIELD(dray_pool_spec, STR, range), FIELD(dray_pool_spec, STRS, avoid),
       FIELD(dray_pool_spec, KVS, options));
STRUCT(dray_addr_spec, FIELD(dray_addr_spec, U32, flags), FIELD(dray_addr_spec, STR, addr),
       FIELD(dray_addr_spec, STR, mac), FIELD(dray_addr_spec, STR, name));
STRUCT(dray_authz_exchange, FIELD(dray_authz_exchange, U32, status),
       FIELD(dray_authz_exchange, STR, user), FIELD(dray_authz_exchange, STR, user_auth),
       FIELD(dray_authz_exchange, STR, method), FIELD(dray_authz_exchange, STR, uri),
       FIELD(dray_authz_exchange, KVS, headers), FIELD(dray_authz_exchange, SPAN, body),
       FIELD(dray_authz_exchange, KVS, answer_headers),
       FIELD(dray_authz_exchange, SPAN, answer_body),
       FIELD(dray_authz_exchange, U32, has_peer), FIELD(dray_authz_exchange, U32, peer_uid),
       FIELD(dray_authz_exchange, U32, peer_gid), FIELD(dray_authz_exchange, U32, peer_pid));
STRUCT(dray_auth, FIELD(dray_auth, STR, username), FIELD(dray_auth, STR, password),
       FIELD(dray_auth, STR, identity_token), FIELD(dray_auth, STR, registry_token),
       FIELD(dray_auth, STR, server), FIELD(dray_auth, STR, client));
STRUCT(dray_desc, FIELD(dray_desc, STR, media_type), FIELD(dray_desc, STR, digest),
       FIELD(dray_desc, U64, length), FIELD(dray_desc, STRS, urls));
STRUCT(dray_ext_request, FIELD(dray_ext_request, STR, method), FIELD(dray_ext_request, STR, path),
       FIELD(dray_ext_request, KVS, query), FIELD(dray_ext_request, KVS, headers),
       FIELD(dray_ext_request, FD, body));
STRUCT(dray_ext_response, FIELD(dray_ext_response, U32, status),
       FIELD(dray_ext_response, STR, content_type), FIELD(dray_ext_response, KVS, headers),
       FIELD(dray_ext_response, SPAN, body), FIELD(dray_ext_response, FD, body_fd));
STRUCT(dray_log_info, FIELD(dray_log_info, STR, container_id),
       FIELD(dray_log_info, STR, container_name), FIELD(dray_log_info, STR, image_id),
       FIELD(dray_log_info, STR, image_name), FIELD(dray_log_info, STR, command),
       FIELD(dray_log_info, STR, daemon_name), FIELD(dray_log_info, STR, dir),
       FIELD(dray_log_info, U64, created_ns), FIELD(dray_log_info, KVS, labels),
       FIELD(dray_log_info, KVS, env), FIELD(dray_log_info, KVS, options));
STRUCT(dray_log_query, FIELD(dray_log_query, U32, flags), FIELD(dray_log_query, U64, since_ns),
       FIELD(dray_log_query, U64, until_ns), FIELD(dray_log_query, U64, tail),
       FIELD(dray_log_query, FD, ended));
/* Without a size: a list itself, and what there are many of. */
BARE(dray_mounts, ARRAY(dray_mounts, v, dray_mount));
BARE(dray_log_record, FIELD(dray_log_record, U64, time_ns), FIELD(dray_log_record, BYTES, data),
     FIELD(dray_log_record, U16, stream)); /* and the flags behind it */
/* clang-format on */
_Static_assert(offsetof(struct dray_log_record, len) ==
                   offsetof(struct dray_log_record, data) + sizeof(void *),
               "bytes are followed by their number");
_Static_assert(offsetof(struct dray_log_record, flags) ==
                   offsetof(struct dray_log_record, stream) + 1,
               "stream and flags go as one number");

/* --- parameters --------------------------------------------------------------------------------*/

#define CODE(T)                                                                                    \
    _Generic((T){0},                                                                               \
        const char *: DRAY_W_STR,                                                                  \
        uint32_t: DRAY_W_U32,                                                                      \
        uint64_t: DRAY_W_U64,                                                                      \
        struct dray_kvs: DRAY_W_KVS,                                                               \
        struct dray_strs: DRAY_W_STRS,                                                             \
        struct dray_fd_borrow: DRAY_W_FD,                                                          \
        const char **: DRAY_W_OUT_STR,                                                             \
        uint64_t *: DRAY_W_OUT_U64,                                                                \
        struct dray_port *: DRAY_W_PORTS,                                                          \
        const struct dray_log_record *: DRAY_W_LIST,                                               \
        const struct dray_log_info *: DRAY_W_PTR,                                                  \
        const struct dray_log_query *: DRAY_W_PTR,                                                 \
        const struct dray_net_spec *: DRAY_W_PTR,                                                  \
        const struct dray_ep_spec *: DRAY_W_PTR,                                                   \
        const struct dray_pool_spec *: DRAY_W_PTR,                                                 \
        const struct dray_addr_spec *: DRAY_W_PTR,                                                 \
        const struct dray_authz_exchange *: DRAY_W_PTR,                                            \
        const struct dray_auth *: DRAY_W_PTR,                                                      \
        const struct dray_desc *: DRAY_W_PTR,                                                      \
        const struct dray_ext_request *: DRAY_W_PTR,                                               \
        struct dray_volume_info *: DRAY_W_FILL,                                                   \
        struct dray_ep_join *: DRAY_W_FILL,                                                       \
        struct dray_desc *: DRAY_W_FILL,                                                          \
        struct dray_mounts *: DRAY_W_FILL,                                                        \
        struct dray_ext_response *: DRAY_W_FILL)

#define TYPE(T)                                                                                    \
    _Generic((T){0},                                                                               \
        const struct dray_net_spec *: &dray_net_spec_type,                                         \
        const struct dray_ep_spec *: &dray_ep_spec_type,                                           \
        const struct dray_pool_spec *: &dray_pool_spec_type,                                       \
        const struct dray_addr_spec *: &dray_addr_spec_type,                                       \
        const struct dray_authz_exchange *: &dray_authz_exchange_type,                             \
        const struct dray_auth *: &dray_auth_type,                                                 \
        const struct dray_desc *: &dray_desc_type,                                                 \
        const struct dray_ext_request *: &dray_ext_request_type,                                   \
        struct dray_volume_info *: &dray_volume_info_type,                                         \
        struct dray_ep_join *: &dray_ep_join_type,                                                 \
        struct dray_desc *: &dray_desc_type,                                                       \
        struct dray_mounts *: &dray_mounts_type,                                                   \
        struct dray_port *: &dray_port_type,                                                       \
        const struct dray_log_record *: &dray_log_record_type,                                     \
        const struct dray_log_info *: &dray_log_info_type,                                         \
        const struct dray_log_query *: &dray_log_query_type,                                       \
        struct dray_ext_response *: &dray_ext_response_type,                                       \
        default: (const struct dray_wire_struct *)NULL)

/* The types, spelled in one word each. */
typedef const char *text_in;
typedef const char **text_out;
typedef uint64_t *u64_out;
typedef struct dray_kvs kvs_in;
typedef struct dray_strs strs_in;
typedef struct dray_fd_borrow fd_in;
typedef const struct dray_net_spec *net_spec_in;
typedef const struct dray_ep_spec *ep_spec_in;
typedef const struct dray_pool_spec *pool_spec_in;
typedef const struct dray_addr_spec *addr_spec_in;
typedef const struct dray_authz_exchange *exchange_in;
typedef const struct dray_auth *auth_in;
typedef const struct dray_desc *desc_in;
typedef const struct dray_ext_request *request_in;
typedef struct dray_volume_info *volume_info_out;
typedef struct dray_ep_join *join_out;
typedef struct dray_desc *desc_out;
typedef struct dray_mounts *mounts_out;
typedef struct dray_ext_response *response_out;
typedef struct dray_port *ports_inout;
typedef const struct dray_log_record *records_in;
typedef const struct dray_log_info *log_info_in;
typedef const struct dray_log_query *log_query_in;

/* --- operations --------------------------------------------------------------------------------*/

/* FOR_n(F, types): F(0, T0) F(1, T1) ... */
#define FOR_0(F)
#define FOR_1(F, A) F(0, A)
#define FOR_2(F, A, B) FOR_1(F, A) F(1, B)
#define FOR_3(F, A, B, C) FOR_2(F, A, B) F(2, C)
#define FOR_4(F, A, B, C, D) FOR_3(F, A, B, C) F(3, D)
#define FOR_5(F, A, B, C, D, E) FOR_4(F, A, B, C, D) F(4, E)
#define FOR_6(F, A, B, C, D, E, G) FOR_5(F, A, B, C, D, E) F(5, G)
#define COUNT_(x, a, b, c, d, e, f, n, ...) n
#define COUNT(...) COUNT_(x, ##__VA_ARGS__, 6, 5, 4, 3, 2, 1, 0)
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define FOR(F, ...) JOIN(FOR_, COUNT(__VA_ARGS__))(F, ##__VA_ARGS__)

#define PARAM(i, T) , T p##i
#define ADDRESS(i, T) &p##i,
#define VALUE(i, T) , *(T *)args[i]
#define ARG(i, T) {CODE(T), TYPE(T)},

enum op_number {
#define OP(kind, op, ...) OP_##kind##_##op,
#include "plugin/wire_ops.inc"
#undef OP
    N_OPS,
};

/* The caller's side and the plugin's side of each. */
#define OP(kind, op, ...)                                                                          \
    static int32_t proxy_##kind##_##op(struct dray_self *self,                                     \
                                       const struct dray_call *call FOR(PARAM, ##__VA_ARGS__),     \
                                       struct dray_err *err)                                       \
    {                                                                                              \
        void *args[] = {FOR(ADDRESS, ##__VA_ARGS__) NULL};                                         \
        return dray_isolate_call(self, call, OP_##kind##_##op, args, err);                         \
    }                                                                                              \
    static int32_t invoke_##kind##_##op(const void *ops, struct dray_self *self,                   \
                                        const struct dray_call *call, void **args,                 \
                                        struct dray_err *err)                                      \
    {                                                                                              \
        const struct dray_##kind##_ops *table = ops;                                               \
        (void)args;                                                                                \
        return table->op(self, call FOR(VALUE, ##__VA_ARGS__), err);                               \
    }
#include "plugin/wire_ops.inc"
#undef OP

/* The proxies are of the very types of their operations: these would not compile otherwise. */
#define OP(kind, op, ...)                                                                          \
    _Static_assert(__builtin_types_compatible_p(__typeof__(&proxy_##kind##_##op),                  \
                                                __typeof__(((struct dray_##kind##_ops *)0)->op)),  \
                   #kind "." #op);
#include "plugin/wire_ops.inc"
#undef OP

/* match() of registries tells no errors: what cannot be asked does not match. */
static int32_t proxy_match(struct dray_self *self, const struct dray_call *call, const char *repo)
{
    void *args[] = {&repo, NULL};
    int32_t rc = dray_isolate_call(self, call, N_OPS, args, NULL);
    return rc < 0 ? 0 : rc;
}

static int32_t invoke_match(const void *ops, struct dray_self *self, const struct dray_call *call,
                            void **args, struct dray_err *err)
{
    (void)err;
    return ((const struct dray_registry_ops *)ops)->match(self, call, *(const char **)args[0]);
}

static const struct dray_wire_op operations[] = {
#define UPPER_storage DRAY_KIND_STORAGE
#define UPPER_network DRAY_KIND_NETWORK
#define UPPER_ipam DRAY_KIND_IPAM
#define UPPER_volume DRAY_KIND_VOLUME
#define UPPER_registry DRAY_KIND_REGISTRY
#define UPPER_log DRAY_KIND_LOG
#define UPPER_authz DRAY_KIND_AUTHZ
#define UPPER_extension DRAY_KIND_EXTENSION
#define OP(kind_, op, ...)                                                                         \
    {.kind = UPPER_##kind_,                                                                        \
     .name = #op,                                                                                  \
     .offset = offsetof(struct dray_##kind_##_ops, op),                                            \
     .args = {FOR(ARG, ##__VA_ARGS__){DRAY_W_END, NULL}},                                          \
     .proxy = (void (*)(void))proxy_##kind_##_##op,                                                \
     .invoke = invoke_##kind_##_##op},
#include "plugin/wire_ops.inc"
#undef OP
    {.kind = DRAY_KIND_REGISTRY,
     .name = "match",
     .offset = offsetof(struct dray_registry_ops, match),
     .args = {{DRAY_W_STR, NULL}},
     .proxy = (void (*)(void))proxy_match,
     .invoke = invoke_match},
};

const struct dray_wire_op *dray_wire_op(uint32_t i)
{
    return i < sizeof operations / sizeof operations[0] ? &operations[i] : NULL;
}

bool dray_wire_has_kind(uint32_t kind)
{
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++)
        if (operations[i].kind == kind)
            return true;
    return false;
}

/* --- arguments ---------------------------------------------------------------------------------*/

struct array {
    void *ptr;
    uint64_t n;
};

static bool is_list(const struct dray_wire_arg *a)
{
    return a->code == DRAY_W_LIST || a->code == DRAY_W_PORTS;
}

/* An array and its number are two parameters. */
static struct array list_of(void *const *args, size_t i)
{
    struct array a;
    memcpy(&a.ptr, args[i], sizeof a.ptr);
    memcpy(&a.n, args[i + 1], sizeof a.n);
    return a;
}

void dray_wire_put_args(struct dray_wire *w, const struct dray_wire_op *op, void *const *args)
{
    for (size_t i = 0; i < DRAY_WIRE_ARGS && op->args[i].code != DRAY_W_END; i++) {
        const struct dray_wire_arg *a = &op->args[i];
        if (a->code == DRAY_W_OUT_STR || a->code == DRAY_W_OUT_U64 || a->code == DRAY_W_FILL)
            continue;
        struct array list = is_list(a) ? list_of(args, i) : (struct array){0};
        if (is_list(a))
            dray_wire_put(w, DRAY_W_ARRAY, a->type, &list);
        else
            dray_wire_put(w, a->code, a->type, args[i]);
    }
}

static void get_arg(struct dray_wire *w, const struct dray_wire_op *op, struct dray_wire_slots *s,
                    size_t i)
{
    const struct dray_wire_arg *a = &op->args[i];
    s->args[i] = &s->in[i];
    switch (a->code) {
    case DRAY_W_OUT_STR:
    case DRAY_W_OUT_U64:
        s->ptr[i] = &s->in[i];
        s->args[i] = &s->ptr[i];
        break;
    case DRAY_W_LIST:
    case DRAY_W_PORTS:
        dray_wire_get(w, DRAY_W_ARRAY, a->type, &s->in[i].array);
        break;
    case DRAY_W_FILL:
        s->in[i].array.ptr = dray_wire_blank(w, a->type);
        break;
    default:
        dray_wire_get(w, a->code, a->type, &s->in[i]);
    }
}

void dray_wire_get_args(struct dray_wire *w, const struct dray_wire_op *op,
                        struct dray_wire_slots *s)
{
    for (size_t i = 0; i < DRAY_WIRE_ARGS && op->args[i].code != DRAY_W_END; i++)
        get_arg(w, op, s, i);
    /* The number that came with a list counts, not the one beside it. */
    for (size_t i = 0; i + 1 < DRAY_WIRE_ARGS && op->args[i].code != DRAY_W_END; i++)
        if (is_list(&op->args[i]))
            s->in[i + 1].u64 = s->in[i].array.n;
}

void dray_wire_put_outputs(struct dray_wire *w, const struct dray_wire_op *op,
                           const struct dray_wire_slots *s)
{
    for (size_t i = 0; i < DRAY_WIRE_ARGS && op->args[i].code != DRAY_W_END; i++) {
        const struct dray_wire_arg *a = &op->args[i];
        if (a->code == DRAY_W_OUT_STR)
            dray_wire_put_str(w, s->in[i].text);
        else if (a->code == DRAY_W_OUT_U64)
            dray_wire_put_u64(w, s->in[i].u64);
        else if (a->code == DRAY_W_PORTS)
            dray_wire_put(w, DRAY_W_ARRAY, a->type, &s->in[i].array);
        else if (a->code == DRAY_W_FILL)
            dray_wire_put_fields(w, a->type, s->in[i].array.ptr);
    }
}

static void get_ports(struct dray_wire *w, const struct dray_wire_struct *type, void *const *args,
                      size_t i)
{
    struct array mine = list_of(args, i), theirs = {0};
    dray_wire_get(w, DRAY_W_ARRAY, type, &theirs);
    w->failed = w->failed || theirs.n != mine.n;
    for (uint64_t k = 0; !w->failed && k < mine.n; k++)
        ((struct dray_port *)mine.ptr)[k].host_port = ((struct dray_port *)theirs.ptr)[k].host_port;
}

void dray_wire_get_outputs(struct dray_wire *w, const struct dray_wire_op *op, void *const *args)
{
    for (size_t i = 0; i < DRAY_WIRE_ARGS && op->args[i].code != DRAY_W_END; i++) {
        const struct dray_wire_arg *a = &op->args[i];
        void *out = NULL;
        if (a->code == DRAY_W_OUT_STR || a->code == DRAY_W_OUT_U64 || a->code == DRAY_W_FILL)
            memcpy(&out, args[i], sizeof out);
        if (a->code == DRAY_W_OUT_STR)
            *(const char **)out = dray_wire_get_str(w);
        else if (a->code == DRAY_W_OUT_U64)
            *(uint64_t *)out = dray_wire_get_u64(w);
        else if (a->code == DRAY_W_PORTS)
            get_ports(w, a->type, args, i);
        else if (a->code == DRAY_W_FILL)
            dray_wire_get_fields(w, a->type, out);
    }
}
