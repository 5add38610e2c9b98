/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_remote.c - libFuzzer target: what servers of Docker's plugin protocol answer to the volume,
 * address, authorization and network bridges: answers with a line "--" between them, each a status
 * and a body. Runs as root, in a network namespace of its own.
 */
#include "fuzz.h"
#include "remote.h"

#include <dray/authz.h>
#include <dray/ipam.h>
#include <dray/network.h>
#include <dray/volume.h>

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

extern const struct dray_plugin fuzz_volume_remote, fuzz_ipam_remote, fuzz_authz_remote,
    fuzz_net_remote;

static int netns = -1;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    need(unshare(CLONE_NEWNET) == 0);
    netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    need(netns >= 0);
    return 0;
}

static const uint8_t *script;
static size_t script_len;

/* In place of call.c. */
int dray_remote_call(struct dray_remote *r, const struct dray_call *call, const char *method,
                     struct json_object *body /* takes */, struct json_object **out,
                     struct dray_err *err)
{
    dray_remote_auto *held __attribute__((unused)) = body;
    dray_remote_auto *answer = NULL;
    char *end;
    (void)call;
    dray_autofree char *text = fuzz_part(&script, &script_len);
    long status = strtol(text, &end, 10);
    int rc = dray_remote_judge(r, method, status, *end ? end : NULL, &answer, err);
    if (!rc)
        (void)dray_remote_implements(r, answer, NULL);
    if (!rc && out)
        *out = dray_steal(answer);
    return rc;
}

int dray_remote_open(const struct dray_host *host, const char *name, const char *subject,
                     struct dray_remote **out, struct dray_err *err)
{
    struct dray_remote *r = calloc(1, sizeof *r);
    (void)err;
    need(r != NULL);
    *r = (struct dray_remote){.host = host, .name = strdup(name), .subject = subject};
    *out = r;
    return 0;
}

void dray_remote_close(struct dray_remote *r)
{
    free(r->name);
    free(r);
}

int32_t dray_remote_claim(const struct dray_host *host, uint32_t kind, const char *name,
                          struct dray_err *err)
{
    (void)host, (void)kind, (void)name, (void)err;
    return 0;
}

/* In place of store.c: without a disk. */
struct json_object *dray_remote_load(const struct dray_remote *r, const char *file)
{
    (void)r, (void)file;
    return json_object_new_object();
}

int dray_remote_save(const struct dray_remote *r, const char *file, struct json_object *doc,
                     struct dray_err *err)
{
    (void)r, (void)file, (void)err;
    need(json_object_is_type(doc, json_type_object));
    return 0;
}

void dray_remote_forget(const struct dray_remote *r, const char *file)
{
    (void)r;
    need(!strchr(file, '/'));
}

/* --- a host ------------------------------------------------------------------------------------*/

struct block {
    struct block *next;
    max_align_t data[];
};
static struct block *blocks;

static void *host_alloc(const struct dray_call *call, uint64_t n)
{
    (void)call;
    struct block *b = calloc(1, sizeof *b + n);
    need(b != NULL);
    b->next = blocks;
    blocks = b;
    return b->data;
}

static int32_t host_emit(const struct dray_call *call, const struct dray_record *rec)
{
    (void)call;
    for (uint64_t i = 0; i < rec->fields.n; i++)
        need(rec->fields.v[i].key && rec->fields.v[i].value);
    return 0;
}

static void host_log(const struct dray_host *h, uint32_t level, const char *message)
{
    (void)h, (void)level;
    need(message != NULL);
}

static const struct dray_host host = {.alloc = host_alloc, .emit = host_emit, .log = host_log};

static const struct dray_call call = {.size = sizeof call, .cancel_fd = -1, .request_id = "r"};

static void volumes(const struct dray_volume_ops *ops, struct dray_self *self)
{
    struct dray_volume_info info = {.size = sizeof info};
    struct dray_err err = {0};
    const char *path = NULL;
    uint64_t features = 0;
    need_words(ops->create(self, &call, "v", (struct dray_kvs){NULL, 0}, &err), &err);
    need_words(ops->inspect(self, &call, "v", &info, &err), &err);
    need_words(ops->list(self, &call, &err), &err);
    int rc = ops->mount(self, &call, "v", "user", &path, &err);
    need_words(rc, &err);
    need(rc != 0 || *path == '/');
    need_words(ops->unmount(self, &call, "v", "user", &err), &err);
    need_words(ops->capabilities(self, &call, &features, &err), &err);
    need_words(ops->remove(self, &call, "v", &err), &err);
}

static void addresses(const struct dray_ipam_ops *ops, struct dray_self *self)
{
    const struct dray_pool_spec pool = {
        .size = sizeof pool, .family = 4, .subnet = "", .range = ""};
    const struct dray_addr_spec addr = {.size = sizeof addr, .addr = "", .mac = ""};
    struct dray_err err = {0};
    const char *id = NULL, *subnet = NULL, *got = NULL;
    int rc = ops->pool_request(self, &call, &pool, &id, &subnet, &err);
    need_words(rc, &err);
    need(rc != 0 || (id && subnet));
    rc = ops->addr_request(self, &call, "p", &addr, &got, &err);
    need_words(rc, &err);
    need(rc != 0 || got);
    need_words(ops->addr_release(self, &call, "p", "10.0.0.1", &err), &err);
    need_words(ops->pool_release(self, &call, id && rc == 0 ? id : "p", &err), &err);
}

static void permissions(const struct dray_authz_ops *ops, struct dray_self *self)
{
    const struct dray_authz_exchange x = {.size = sizeof x,
                                          .method = "GET",
                                          .uri = "/",
                                          .user = "",
                                          .user_auth = "",
                                          .body = {"ab", 2}};
    struct dray_err err = {0};
    need_words(ops->request(self, &call, &x, &err), &err);
    need_words(ops->response(self, &call, &x, &err), &err);
}

static void networks(const struct dray_network_ops *ops, struct dray_self *self)
{
    const struct dray_net_pool pool = {
        .size = sizeof pool, .family = 4, .subnet = "10.0.0.0/8", .gateway = "10.0.0.1"};
    const struct dray_net_spec net = {
        .size = sizeof net, .name = "n", .pools = &pool, .n_pools = 1};
    const struct dray_ep_spec ep = {
        .size = sizeof ep, .mac = "", .ipv4 = "", .ipv6 = "", .hostname = ""};
    struct dray_port port = {
        .size = sizeof port, .container_port = 80, .proto = "udp", .host_ip = "::"};
    struct dray_ep_join joined = {.size = sizeof joined};
    struct dray_err err = {0};
    const char *mac = NULL;
    need_words(ops->net_create(self, &call, "n", &net, &err), &err);
    int rc = ops->ep_create(self, &call, "n", "e", &ep, &mac, &err);
    need_words(rc, &err);
    need(rc != 0 || mac);
    const struct dray_fd_borrow ns = {.fd = netns};
    rc = ops->join(self, &call, "n", "e", ns, "eth0", 1, &joined, &err);
    need_words(rc, &err);
    need(rc != 0 || (joined.ifname && joined.mac && joined.gateway4 && joined.gateway6));
    need_words(ops->publish(self, &call, "n", "e", &port, 1, &err), &err);
    need_words(ops->unpublish(self, &call, "n", "e", &err), &err);
    need_words(ops->leave(self, &call, "n", "e", ns, &err), &err);
    need_words(ops->ep_remove(self, &call, "n", "e", &err), &err);
    need_words(ops->net_remove(self, &call, "n", &err), &err);
}

static void run(const struct dray_plugin *plugin)
{
    struct dray_self *self = NULL;
    need(plugin->open(&host, "server", &self, NULL) == 0);
    const void *ops = plugin->ifaces[0].ops;
    if (plugin == &fuzz_volume_remote)
        volumes(ops, self);
    else if (plugin == &fuzz_ipam_remote)
        addresses(ops, self);
    else if (plugin == &fuzz_net_remote)
        networks(ops, self);
    else
        permissions(ops, self);
    plugin->close(self);
    while (blocks) {
        struct block *b = blocks;
        blocks = b->next;
        free(b);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct dray_plugin *const plugins[] = {&fuzz_volume_remote, &fuzz_ipam_remote,
                                                        &fuzz_authz_remote, &fuzz_net_remote};
    for (size_t i = 0; i < sizeof plugins / sizeof plugins[0]; i++) {
        script = data;
        script_len = size;
        run(plugins[i]);
    }
    return 0;
}
