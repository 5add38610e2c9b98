/* SPDX-License-Identifier: Apache-2.0 */
/* test_guide.c - the examples of the SDK's guide are plugins that load and do what they say. */
#include "check.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/logging.h"
#include "plugin/driver.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

struct place {
    char root[64], data[80], run[80];
    struct dray_drivers *drivers;
};

static void place_init(struct place *p)
{
    static const char *const dirs[] = {GUIDE_DIR, NULL};
    *p = (struct place){.root = "/tmp/dray-test-guide-XXXXXX"};
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(p->root));
    (void)snprintf(p->data, sizeof p->data, "%s/data", p->root);
    (void)snprintf(p->run, sizeof p->run, "%s/run", p->root);
    const struct dray_drivers_config config = {
        .dirs = dirs,
        .data_root = p->data,
        .exec_root = p->run,
        .insecure_files = true,
        .no_watchdog = true,
    };
    struct dray_err err = {0};
    CU_ASSERT_EQUAL_FATAL(dray_drivers_open(&config, &p->drivers, &err), 0);
}

static void place_fini(struct place *p)
{
    dray_drivers_close(p->drivers);
    CU_ASSERT_EQUAL(dray_fs_remove_tree(AT_FDCWD, p->root, NULL), 0);
}

#define PLACE(p)                                                                                   \
    __attribute__((cleanup(place_fini))) struct place p;                                           \
    place_init(&p)

/* A scope that has been entered, and the table of its kind. */
#define ENTER(s, p, KIND, name)                                                                    \
    DRAY_AUTO(dray_call_scope) s = {0};                                                            \
    struct dray_driver *s##_driver = dray_drivers_find((p).drivers, KIND, name);                   \
    CU_ASSERT_PTR_NOT_NULL_FATAL(s##_driver);                                                      \
    CU_ASSERT_EQUAL_FATAL(dray_call_enter(&s, s##_driver, DRAY_CLASS_QUICK, -1, NULL), 0)

static void all_kinds_load(void)
{
    PLACE(p);
    dray_autojson *list = dray_drivers_list(p.drivers);
    CU_ASSERT_EQUAL(dray_json_len(list), 11); /* and one in C++ */
    for (size_t i = 0; i < dray_json_len(list); i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        CU_ASSERT_STRING_EQUAL(dray_json_str(o, "State", ""), "ready");
        CU_ASSERT_STRING_EQUAL(dray_json_str(o, "Error", ""), "");
    }
    for (uint32_t kind = 1; kind <= 10; kind++)
        CU_ASSERT_PTR_NOT_NULL(dray_drivers_at(p.drivers, kind, 0));
}

static void ipam_counts_upwards(void)
{
    PLACE(p);
    struct dray_err err = {0};
    ENTER(s, p, DRAY_KIND_IPAM, "upwards");
    const struct dray_ipam_ops *ops = s.ops;
    const struct dray_pool_spec spec = {sizeof spec, 4, "10.9.8.0/30", "", {NULL, 0}, {NULL, 0}};
    const struct dray_addr_spec any = {sizeof any, 0, "", "", ""};
    const struct dray_addr_spec first = {sizeof first, 0, "10.9.8.1", "", ""};
    const char *pool, *subnet, *addr;
    CU_ASSERT_EQUAL(ops->pool_request(s.self, &s.call, &spec, &pool, &subnet, &err), 0);
    CU_ASSERT_STRING_EQUAL(subnet, "10.9.8.0/30");
    CU_ASSERT_EQUAL(ops->pool_request(s.self, &s.call, &spec, &pool, &subnet, &err),
                    DRAY_E_CONFLICT);
    CU_ASSERT_EQUAL(ops->addr_request(s.self, &s.call, pool, &any, &addr, &err), 0);
    CU_ASSERT_STRING_EQUAL(addr, "10.9.8.1/30");
    CU_ASSERT_EQUAL(ops->addr_request(s.self, &s.call, pool, &first, &addr, &err),
                    DRAY_E_CONFLICT);
    CU_ASSERT_EQUAL(ops->addr_request(s.self, &s.call, pool, &any, &addr, &err), 0);
    CU_ASSERT_STRING_EQUAL(addr, "10.9.8.2/30");
    CU_ASSERT_EQUAL(ops->addr_request(s.self, &s.call, pool, &any, &addr, &err), DRAY_E_NOSPACE);
    CU_ASSERT_EQUAL(ops->pool_release(s.self, &s.call, pool, &err), 0);
}

static void extension_greets(void)
{
    PLACE(p);
    ENTER(s, p, DRAY_KIND_EXTENSION, "hello");
    const struct dray_extension_ops *ops = s.ops;
    const struct dray_kv name = {"name", "Ada"};
    const struct dray_ext_request req = {.size = sizeof req, .method = "GET", .query = {&name, 1}};
    struct dray_ext_response res = {.size = sizeof res};
    CU_ASSERT_EQUAL(ops->event(s.self, &s.call, "{}", NULL), 0);
    CU_ASSERT_EQUAL(ops->handle(s.self, &s.call, &req, &res, NULL), 0);
    CU_ASSERT_EQUAL(res.status, 200);
    CU_ASSERT_EQUAL(res.body.len, strlen("Hello Ada, 1 events so far\n"));
    CU_ASSERT_EQUAL(memcmp(res.body.data, "Hello Ada, 1 events so far\n", (size_t)res.body.len), 0);
}

static void authz_denies(void)
{
    PLACE(p);
    struct dray_err err = {0};
    ENTER(s, p, DRAY_KIND_AUTHZ, "nopriv");
    const struct dray_authz_ops *ops = s.ops;
    const char *body = "{\"HostConfig\":{\"Privileged\":true}}";
    struct dray_authz_exchange x = {.size = sizeof x,
                                    .method = "POST",
                                    .user = "eve",
                                    .uri = "/v1.51/containers/create",
                                    .body = {body, strlen(body)}};
    CU_ASSERT_EQUAL(ops->request(s.self, &s.call, &x, &err), DRAY_E_DENIED);
    x.method = "GET";
    CU_ASSERT_EQUAL(ops->request(s.self, &s.call, &x, &err), 0);
}

static void cxx_denies(void)
{
    PLACE(p);
    struct dray_err err = {0};
    ENTER(s, p, DRAY_KIND_AUTHZ, "cxx");
    const struct dray_authz_ops *ops = s.ops;
    struct dray_authz_exchange x = {.size = sizeof x, .method = "POST", .uri = "/v1.51/commit"};
    CU_ASSERT_EQUAL(ops->request(s.self, &s.call, &x, &err), DRAY_E_DENIED);
    CU_ASSERT_STRING_EQUAL(err.text, "/commit is forbidden");
    x.uri = "/v1.51/info";
    CU_ASSERT_EQUAL(ops->request(s.self, &s.call, &x, &err), 0);
}

static void log_writes_lines(void)
{
    PLACE(p);
    ENTER(s, p, DRAY_KIND_LOG, "plain");
    const struct dray_log_ops *ops = s.ops;
    const struct dray_log_info info = {
        .size = sizeof info, .container_id = "c1", .dir = p.root, .container_name = "c"};
    const struct dray_log_record records[] = {
        {.data = "one", .len = 3, .stream = DRAY_LOG_STDOUT},
        {.data = "tw", .len = 2, .stream = DRAY_LOG_STDOUT, .flags = DRAY_LOG_PARTIAL},
        {.data = "o", .len = 1, .stream = DRAY_LOG_STDOUT},
    };
    CU_ASSERT_EQUAL(ops->open(s.self, &s.call, &info, NULL), 0);
    CU_ASSERT_EQUAL(ops->write(s.self, &s.call, "c1", records, 3, NULL), 0);
    CU_ASSERT_EQUAL(ops->close(s.self, &s.call, "c1", NULL), 0);
    CU_ASSERT_EQUAL(ops->write(s.self, &s.call, "c1", records, 1, NULL), DRAY_E_NOTFOUND);
    char path[128];
    DRAY_AUTO(dray_buf) b = {0};
    (void)snprintf(path, sizeof path, "%s/output.log", p.root);
    CU_ASSERT_EQUAL(dray_fs_read(AT_FDCWD, path, 100, &b, NULL), 0);
    CU_ASSERT_STRING_EQUAL(b.data, "one\ntwo\n");
    CU_ASSERT_EQUAL(ops->read(s.self, &s.call, &info, NULL, (struct dray_fd_borrow){-1}, NULL),
                    DRAY_E_NOTSUP);
}

static void runtime_idles(void)
{
    PLACE(p);
    ENTER(s, p, DRAY_KIND_RUNTIME, "idle");
    const struct dray_runtime_ops *ops = s.ops;
    const struct dray_run_spec spec = {.size = sizeof spec};
    struct dray_proc proc = {.size = sizeof proc};
    struct dray_runtime_state state = {.size = sizeof state};
    CU_ASSERT_EQUAL(ops->state(s.self, &s.call, "c", &state, NULL), DRAY_E_NOTFOUND);
    CU_ASSERT_EQUAL(ops->create(s.self, &s.call, "c", &spec, &proc, NULL), 0);
    CU_ASSERT_EQUAL(ops->state(s.self, &s.call, "c", &state, NULL), 0);
    CU_ASSERT_EQUAL(state.status, DRAY_RUNTIME_CREATED);
    CU_ASSERT_EQUAL(ops->start(s.self, &s.call, "c", NULL), 0);
    CU_ASSERT_EQUAL(ops->state(s.self, &s.call, "c", &state, NULL), 0);
    CU_ASSERT_EQUAL(state.status, DRAY_RUNTIME_RUNNING);
    CU_ASSERT_EQUAL(state.pid, proc.pid);
    CU_ASSERT_EQUAL(ops->kill(s.self, &s.call, "c", SIGTERM, 0, NULL), 0);
    CU_ASSERT_EQUAL(waitpid(proc.pid, NULL, 0), proc.pid);
    CU_ASSERT_EQUAL(ops->kill(s.self, &s.call, "c", SIGTERM, 0, NULL), DRAY_E_CONFLICT);
    CU_ASSERT_EQUAL(ops->remove(s.self, &s.call, "c", NULL), 0);
    CU_ASSERT_EQUAL(ops->remove(s.self, &s.call, "c", NULL), 0);
}

static void storage_describes_mounts(void)
{
    PLACE(p);
    ENTER(s, p, DRAY_KIND_STORAGE, "sketch");
    const struct dray_storage_ops *ops = s.ops;
    const struct dray_kvs none = {0};
    struct dray_mounts m = {0};
    CU_ASSERT_EQUAL(ops->create(s.self, &s.call, "a", "", 0, none, NULL), 0);
    CU_ASSERT_EQUAL(ops->create(s.self, &s.call, "b", "a", 0, none, NULL), 0);
    CU_ASSERT_EQUAL(ops->create(s.self, &s.call, "b", "a", 0, none, NULL), 0);
    CU_ASSERT_EQUAL(ops->create(s.self, &s.call, "b", "", 0, none, NULL), DRAY_E_CONFLICT);
    CU_ASSERT_EQUAL(ops->mounts(s.self, &s.call, "a", 0, &m, NULL), 0);
    CU_ASSERT_STRING_EQUAL(m.v[0].type, "bind");
    CU_ASSERT_EQUAL(ops->mounts(s.self, &s.call, "b", 0, &m, NULL), 0);
    CU_ASSERT_STRING_EQUAL(m.v[0].type, "overlay");
    CU_ASSERT_EQUAL(m.v[0].options.n, 3);
    CU_ASSERT_PTR_NOT_NULL(strstr(m.v[0].options.v[0], "/a/diff"));
}

static void put(const char *dir, const char *name, const char *text)
{
    char path[160];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    CU_ASSERT_EQUAL(dray_fs_replace(AT_FDCWD, path, text, strlen(text), 0644, DRAY_FS_PLAIN, NULL),
                    0);
}

/* Its folder is an option with a default that a test must not write to; so it gets another. */
static void registry_serves_a_folder(void)
{
    static const char *const dirs[] = {GUIDE_DIR, NULL};
    static const char *const names[] = {"folder", NULL};
    char root[] = "/tmp/dray-test-guide-XXXXXX", path[96], json[128];
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(root));
    (void)snprintf(path, sizeof path, "%s/img", root);
    CU_ASSERT_EQUAL(mkdir(path, 0755), 0);
    (void)snprintf(path, sizeof path, "%s/blobs", root);
    CU_ASSERT_EQUAL(mkdir(path, 0755), 0);
    put(root, "img/1.0", "application/x sha256:ab 5\n");
    put(root, "blobs/ab", "hello");
    (void)snprintf(json, sizeof json, "{\"root\":\"%s\"}", root);
    dray_autojson *options = NULL;
    CU_ASSERT_EQUAL(dray_json_parse(json, strlen(json), &options, NULL), 0);
    const struct dray_plugin_config plugin = {.name = "folder", .options = options};
    const struct dray_drivers_config config = {.dirs = dirs,
                                               .plugins = &plugin,
                                               .n_plugins = 1,
                                               .only_names = names,
                                               .insecure_files = true,
                                               .no_watchdog = true};
    struct place p = {.root = ""};
    CU_ASSERT_EQUAL_FATAL(dray_drivers_open(&config, &p.drivers, NULL), 0);
    {
        ENTER(s, p, DRAY_KIND_REGISTRY, "folder");
        const struct dray_registry_ops *ops = s.ops;
        struct dray_desc desc = {.size = sizeof desc};
        CU_ASSERT_EQUAL(ops->match(s.self, &s.call, "folder.local/img"), 100);
        CU_ASSERT_EQUAL(ops->match(s.self, &s.call, "docker.io/library/img"), 0);
        CU_ASSERT_EQUAL(ops->resolve(s.self, &s.call, "folder.local/img", "2.0", NULL, &desc, NULL),
                        DRAY_E_NOTFOUND);
        CU_ASSERT_EQUAL(ops->resolve(s.self, &s.call, "folder.local/img", "1.0", NULL, &desc, NULL),
                        0);
        CU_ASSERT_STRING_EQUAL(desc.digest, "sha256:ab");
        CU_ASSERT_EQUAL(desc.length, 5);
        int pipes[2];
        char text[8] = "";
        CU_ASSERT_EQUAL_FATAL(pipe2(pipes, O_CLOEXEC), 0);
        CU_ASSERT_EQUAL(ops->fetch(s.self, &s.call, "folder.local/img", &desc, 1, NULL,
                                   (struct dray_fd_borrow){pipes[1]}, NULL),
                        0);
        CU_ASSERT_EQUAL(read(pipes[0], text, sizeof text), 4);
        CU_ASSERT_STRING_EQUAL(text, "ello");
        (void)close(pipes[0]);
        (void)close(pipes[1]);
    }
    dray_drivers_close(p.drivers);
    CU_ASSERT_EQUAL(dray_fs_remove_tree(AT_FDCWD, root, NULL), 0);
}

static const struct check_case cases[] = {
    {"all kinds load", all_kinds_load},
    {"ipam counts upwards", ipam_counts_upwards},
    {"extension greets", extension_greets},
    {"authz denies", authz_denies},
    {"C++ denies", cxx_denies},
    {"log writes lines", log_writes_lines},
    {"runtime idles", runtime_idles},
    {"storage describes mounts", storage_describes_mounts},
    {"registry serves a folder", registry_serves_a_folder},
};
CHECK_MAIN("guide", cases)
