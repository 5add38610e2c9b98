/* SPDX-License-Identifier: Apache-2.0 */
/* test_loader.c - which plugins are taken, which are refused and in what words. */
#include "plugins/bench.h"

#include <pthread.h>

/* State and error text of the i-th entry of the list, into buffers that outlive it. */
struct entry {
    char name[64], state[16], error[512], path[256], options[512];
};

static struct entry entry_at(struct bench *b, size_t i)
{
    struct entry e = {.name = ""};
    dray_autojson *list = dray_drivers_list(b->drivers);
    struct json_object *o = i < dray_json_len(list) ? json_object_array_get_idx(list, i) : NULL;
    (void)snprintf(e.name, sizeof e.name, "%s", dray_json_str(o, "Name", ""));
    (void)snprintf(e.state, sizeof e.state, "%s", dray_json_str(o, "State", ""));
    (void)snprintf(e.error, sizeof e.error, "%s", dray_json_str(o, "Error", ""));
    (void)snprintf(e.path, sizeof e.path, "%s", dray_json_str(o, "Path", ""));
    struct json_object *options = dray_json_obj(o, "Options");
    (void)snprintf(e.options, sizeof e.options, "%s", options ? dray_json_text(options) : "");
    return e;
}

static size_t count(struct bench *b)
{
    dray_autojson *list = dray_drivers_list(b->drivers);
    return dray_json_len(list);
}

static void takes_a_good_one(void)
{
    BENCH(b);
    bench_add(&b, "good", "good.so");
    CU_ASSERT_EQUAL_FATAL(bench_open(&b), 0);
    struct dray_driver *d = dray_drivers_find(b.drivers, DRAY_KIND_VOLUME, "specimen");
    CU_ASSERT_PTR_NOT_NULL_FATAL(d);
    CU_ASSERT_STRING_EQUAL(dray_driver_name(d), "specimen");
    CU_ASSERT_EQUAL(dray_driver_kind(d), DRAY_KIND_VOLUME);
    CU_ASSERT_EQUAL(dray_driver_features(d), UINT64_C(1) << 40);
    CU_ASSERT_TRUE(dray_driver_has(d, "mount"));
    CU_ASSERT_FALSE(dray_driver_has(d, "usage"));
    CU_ASSERT_FALSE(dray_driver_has(d, "nothing"));
    CU_ASSERT_PTR_EQUAL(dray_drivers_at(b.drivers, DRAY_KIND_VOLUME, 0), d);
    CU_ASSERT_PTR_NULL(dray_drivers_at(b.drivers, DRAY_KIND_VOLUME, 1));
    CU_ASSERT_PTR_NULL(dray_drivers_find(b.drivers, DRAY_KIND_LOG, "specimen"));
    CU_ASSERT_PTR_NULL(dray_drivers_find(b.drivers, 99, "specimen"));
    struct entry e = entry_at(&b, 0);
    CU_ASSERT_STRING_EQUAL(e.state, "ready");
    CU_ASSERT_STRING_EQUAL(e.error, "");
    CU_ASSERT_PTR_NOT_NULL(strstr(e.path, "/plugins/good.so"));
    CU_ASSERT_STRING_EQUAL(e.options, "{\"text\":\"hello\",\"mode\":\"fast\",\"size\":\"1m\","
                                      "\"list\":[\"a\",\"b\"],\"health\":\"well\"}");
    struct dray_err err = {0};
    CU_ASSERT_EQUAL(
        dray_driver_call(d, volume, DRAY_CLASS_QUICK, &err, create, "v", (struct dray_kvs){0}), 0);
}

static void refuses_each_in_its_own_words(void)
{
    static const struct {
        const char *specimen, *found, *advice;
    } t[] = {
        {"no-card", "it has no card", "DRAY_PLUGIN_CARD"},
        {"card-not-json", "its card is not a JSON object", "correct DRAY_PLUGIN_CARD"},
        {"card-no-kinds", "its card names no kind", "correct the card"},
        {"card-bad-name", "its card has the name \"Bad_Name\"", "correct the card"},
        {"card-bad-abi", "its card has the ABI \"0.1x\"", "correct the card"},
        {"card-newer", "built for plugin ABI 7.0, which is newer; this host has 0.1",
         "update this host"},
        {"card-newer-minor", "built for plugin ABI 0.2, which is newer", "update this host"},
        {"card-older", "built for plugin ABI 0.0, which is older", "build the plugin against"},
        {"card-unknown-kind", "its card names the unknown kind \"teapot\"", "update this host"},
        {"card-more-kinds", "its card names a kind that its descriptor does not offer",
         "correct .ifaces"},
        {"card-other-name", "its descriptor has the name \"specimen\" and its card \"other\"",
         "correct one of them"},
        {"no-symbol", "it does not export the symbol dray_plugin_v1", "DRAY_PLUGIN_EXPORT"},
        {"wrong-magic", "its descriptor has the magic number 0000000000001234", "set .magic"},
        {"newer-major", "built for plugin ABI 7.1, which is newer; this host has 0.1",
         "update this host"},
        {"newer-minor", "built for plugin ABI 0.9, which is newer", "update this host"},
        {"table-newer", "built for plugin ABI 3.1, which is newer", "update this host"},
        {"short-descriptor", "its descriptor has 40 bytes", "fill .head"},
        {"missing-op", "it lacks the mandatory volume operation mount()", "set .mount"},
        {"missing-close", "its descriptor lacks the mandatory function close()", "set .close"},
        {"unknown-kind", "its descriptor names the unknown kind 77", "correct .kind"},
        {"kind-twice", "its descriptor offers the kind volume twice", "correct .ifaces"},
        {"bad-options", "its option number 6 is declared wrongly", "correct the table of options"},
        {"needs-option", "option \"needed\" is missing", "set it in the options"},
        {"probe-fails", "it cannot work on this machine: the kernel has no frobnicator",
         "disable the plugin"},
        {"open-fails", "its start failed: the server at home is down", "disable the plugin"},
        {"open-fails-mute", "its start failed: the plugin did not say why", "disable the plugin"},
        {"needs-symbol", "it cannot be loaded: undefined symbol: symbol_that_nobody_has",
         "-Wl,-z,defs"},
        {"claim-no-family", "its card says that it is no family and its descriptor has a claim()",
         "correct the card"},
        {"bad-threading", "its table of volume operations is damaged", "correct .ifaces"},
        {"tiny-table", "its table of volume operations is damaged", "correct .ifaces"},
        {"cut-table", "it lacks the mandatory volume operation mount()", "set .mount"},
        {"odd-table", "it lacks the mandatory volume operation unmount()", "set .unmount"},
    };
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        BENCH(b);
        bench_add(&b, t[i].specimen, "x.so");
        CU_ASSERT_EQUAL_FATAL(bench_open(&b), 0);
        CU_ASSERT_EQUAL(count(&b), 1);
        struct entry e = entry_at(&b, 0);
        CU_ASSERT_STRING_EQUAL(e.state, "refused");
        bool fits = strstr(e.error, t[i].found) && strstr(e.error, t[i].advice);
        CU_ASSERT_TRUE(fits);
        if (!fits)
            printf("\n%s: %s\n", t[i].specimen, e.error);
        CU_ASSERT_PTR_NULL(dray_drivers_at(b.drivers, DRAY_KIND_VOLUME, 0));
    }
}

static void one_broken_does_not_hurt_the_others(void)
{
    BENCH(b);
    bench_add(&b, "good", "m.so");
    bench_add(&b, "open-fails", "a.so");
    bench_add(&b, "serial", "z.so");
    CU_ASSERT_EQUAL_FATAL(bench_open(&b), 0);
    CU_ASSERT_EQUAL(count(&b), 3);
    CU_ASSERT_PTR_NOT_NULL(dray_drivers_find(b.drivers, DRAY_KIND_VOLUME, "specimen"));
    CU_ASSERT_PTR_NOT_NULL(dray_drivers_find(b.drivers, DRAY_KIND_VOLUME, "serial"));
}

static void write_file(struct bench *b, const char *name, const void *data, size_t len)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", b->dir, name);
    CU_ASSERT_EQUAL(dray_fs_replace(AT_FDCWD, path, data, len, 0644, DRAY_FS_PLAIN, NULL), 0);
}

static void refuses_what_is_no_plugin(void)
{
    BENCH(b);
    char path[256];
    write_file(&b, "a-script.so", "#!/bin/sh\necho hi\n", 18);
    write_file(&b, "b-empty.so", "", 0);
    write_file(&b, "c-magic-only.so", "\177ELF", 4);
    write_file(&b, "ignored.txt", "x", 1);
    (void)snprintf(path, sizeof path, "%s/d-folder.so", b.dir);
    CU_ASSERT_EQUAL(mkdir(path, 0755), 0);
    (void)snprintf(path, sizeof path, "%s/e-fifo.so", b.dir);
    CU_ASSERT_EQUAL(mkfifo(path, 0644), 0);
    (void)snprintf(path, sizeof path, "%s/f-dangling.so", b.dir);
    CU_ASSERT_EQUAL(symlink("/nonexistent", path), 0);
    (void)snprintf(path, sizeof path, "%s/g-program.so", b.dir);
    CU_ASSERT_EQUAL(symlink("/bin/sh", path), 0);
    CU_ASSERT_EQUAL_FATAL(bench_open(&b), 0);
    CU_ASSERT_EQUAL(count(&b), 7);
    static const char *const words[] = {
        "it is not an ELF shared object",
        "it is not an ELF shared object",
        "it is not an ELF shared object",
        "it is not a regular file",
        "it is not a regular file",
        "there is no such file",
        "it has no card",
    };
    for (size_t i = 0; i < 7; i++) {
        struct entry e = entry_at(&b, i);
        CU_ASSERT_STRING_EQUAL(e.state, "refused");
        CU_ASSERT_PTR_NOT_NULL(strstr(e.error, words[i]));
    }
}

static void refuses_what_others_can_change(void)
{
    static const mode_t modes[] = {0664, 0646, 0666};
    BENCH(b);
    char path[256];
    bench_add(&b, "good", "good.so");
    (void)snprintf(path, sizeof path, "%s/good.so", b.dir);
    for (size_t i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(chmod(path, modes[i]), 0);
        CU_ASSERT_EQUAL(bench_open(&b), 0);
        struct entry e = entry_at(&b, 0);
        CU_ASSERT_PTR_NOT_NULL(strstr(e.error, "the file may be changed by others (mode 06"));
        CU_ASSERT_PTR_NOT_NULL(strstr(e.error, "chmod go-w"));
        bench_close(&b);
    }
    CU_ASSERT_EQUAL(chmod(path, 0644), 0);
    CU_ASSERT_EQUAL(chmod(b.dir, 0777), 0);
    CU_ASSERT_EQUAL(bench_open(&b), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(entry_at(&b, 0).error, "its folder may be changed by others"));
    bench_close(&b);
    CU_ASSERT_EQUAL(chmod(b.dir, 0755), 0);
    if (geteuid() == 0) {
        CU_ASSERT_EQUAL(chown(path, 12345, 0), 0);
        CU_ASSERT_EQUAL(bench_open(&b), 0);
        CU_ASSERT_PTR_NOT_NULL(strstr(entry_at(&b, 0).error, "the file belongs to user 12345"));
        bench_close(&b);
        CU_ASSERT_EQUAL(chown(path, 0, 0), 0);
        CU_ASSERT_EQUAL(chown(b.dir, 12345, 0), 0);
        CU_ASSERT_EQUAL(bench_open(&b), 0);
        CU_ASSERT_PTR_NOT_NULL(strstr(entry_at(&b, 0).error, "its folder belongs to user 12345"));
        bench_close(&b);
        b.config.insecure_files = true;
    }
    CU_ASSERT_EQUAL(bench_open(&b), 0);
    CU_ASSERT_STRING_EQUAL(entry_at(&b, 0).state, "ready");
}

/* A link does not hide the folder of the file behind it. */
static void looks_behind_links(void)
{
    BENCH(b);
    char real[256], path[256];
    (void)snprintf(real, sizeof real, "%s/elsewhere", b.root);
    CU_ASSERT_EQUAL(mkdir(real, 0755), 0);
    bench_add(&b, "good", "../elsewhere/real.so");
    (void)snprintf(path, sizeof path, "%s/link.so", b.dir);
    CU_ASSERT_EQUAL(symlink("../elsewhere/real.so", path), 0);
    CU_ASSERT_EQUAL(bench_open(&b), 0);
    CU_ASSERT_STRING_EQUAL(entry_at(&b, 0).state, "ready");
    bench_close(&b);
    CU_ASSERT_EQUAL(chmod(real, 0777), 0);
    CU_ASSERT_EQUAL(bench_open(&b), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(entry_at(&b, 0).error, "its folder may be changed by others"));
}

static void refuses_duplicates(void)
{
    BENCH(b);
    bench_add(&b, "good", "a.so");
    bench_add(&b, "twin", "b.so");
    CU_ASSERT_EQUAL(bench_open(&b), 0);
    CU_ASSERT_EQUAL(count(&b), 2);
    struct entry first = entry_at(&b, 0), second = entry_at(&b, 1);
    CU_ASSERT_STRING_EQUAL(first.state, "ready");
    CU_ASSERT_STRING_EQUAL(second.state, "refused");
    CU_ASSERT_PTR_NOT_NULL(strstr(first.path, "/a.so"));
    CU_ASSERT_PTR_NOT_NULL(strstr(second.error, "it has the name \"specimen\", which "));
    CU_ASSERT_PTR_NOT_NULL(strstr(second.error, "/a.so has already"));
}

static void two_different_files_are_two(void)
{
    /* Loaded through descriptors whose numbers repeat: each must be the file that was named. */
    for (int i = 0; i < 20; i++) {
        BENCH(b);
        bench_add(&b, i % 2 ? "good" : "serial", "x.so");
        CU_ASSERT_EQUAL(bench_open(&b), 0);
        CU_ASSERT_STRING_EQUAL(entry_at(&b, 0).state, "ready");
        CU_ASSERT_PTR_NOT_NULL(
            dray_drivers_find(b.drivers, DRAY_KIND_VOLUME, i % 2 ? "specimen" : "serial"));
    }
}

static int32_t status_of(struct dray_driver *d, const char *key, char *out, size_t size)
{
    DRAY_AUTO(dray_call_scope) s = {0};
    struct dray_volume_info info = {.size = sizeof info};
    int rc = dray_call_enter(&s, d, DRAY_CLASS_QUICK, -1, NULL);
    if (!rc)
        rc = ((const struct dray_volume_ops *)s.ops)->inspect(s.self, &s.call, "v", &info, NULL);
    if (!rc)
        (void)snprintf(out, size, "%s", dray_kvs_get(info.status, key, "?"));
    return rc;
}

static void check_status(struct dray_driver *d, const char *key, const char *expect)
{
    char text[256] = "";
    CU_ASSERT_EQUAL(status_of(d, key, text, sizeof text), 0);
    CU_ASSERT_STRING_EQUAL(text, expect);
}

static void gate_passes_short_and_long_tables(void)
{
    static const char *const specimens[] = {"short-table", "long-table"};
    for (size_t i = 0; i < 2; i++) {
        BENCH(b);
        bench_add(&b, specimens[i], "x.so");
        CU_ASSERT_EQUAL(bench_open(&b), 0);
        struct dray_driver *d = dray_drivers_find(b.drivers, DRAY_KIND_VOLUME, "specimen");
        CU_ASSERT_PTR_NOT_NULL_FATAL(d);
        struct dray_err err = {0};
        uint64_t bytes = 0;
        /* Beyond the end of a short table lies nothing that could be called. */
        CU_ASSERT_EQUAL(dray_driver_call(d, volume, DRAY_CLASS_QUICK, &err, usage, "v", &bytes),
                        DRAY_E_NOTSUP);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "volume driver does not support"));
        CU_ASSERT_EQUAL(dray_driver_call(d, volume, DRAY_CLASS_QUICK, &err, restore, "v",
                                         (struct dray_strs){0}),
                        DRAY_E_NOTSUP);
        check_status(d, "text", "hello");
    }
}

static struct json_object *parse(const char *text)
{
    struct json_object *o = NULL;
    CU_ASSERT_EQUAL_FATAL(dray_json_parse(text, strlen(text), &o, NULL), 0);
    return o;
}

static void configures_instances(void)
{
    BENCH(b);
    bench_add(&b, "good", "volume-good.so");
    dray_autojson *one = parse("{\"text\":\"one\",\"size\":\"2g\",\"token\":\"tops3cret\"}");
    dray_autojson *two = parse("{\"list\":[\"x\",\"y\"],\"size\":4096}");
    const struct dray_plugin_config plugins[] = {
        {.name = "specimen", .options = one},
        {.name = "second", .plugin = "volume/specimen", .options = two},
        {.name = "third", .plugin = "volume-good", .disabled = true},
    };
    b.config.plugins = plugins;
    b.config.n_plugins = 3;
    static const int service = 1;
    const struct dray_host_iface ifaces[] = {{"dray.trace", 1, &service}, {NULL, 0, NULL}};
    b.config.ifaces = ifaces;
    CU_ASSERT_EQUAL_FATAL(bench_open(&b), 0);
    CU_ASSERT_EQUAL(count(&b), 3);
    struct dray_driver *d1 = dray_drivers_find(b.drivers, DRAY_KIND_VOLUME, "specimen");
    struct dray_driver *d2 = dray_drivers_find(b.drivers, DRAY_KIND_VOLUME, "second");
    CU_ASSERT_FATAL(d1 && d2);
    check_status(d1, "text", "one");
    check_status(d1, "size", "2147483648");
    check_status(d2, "text", "hello");
    check_status(d2, "size", "4096");
    check_status(d2, "list", "y");
    check_status(d2, "trace", "yes");
    char path[256];
    (void)snprintf(path, sizeof path, "%s/volume/second", b.data);
    check_status(d2, "data", path);
    struct stat st;
    CU_ASSERT_EQUAL(stat(path, &st), 0);
    CU_ASSERT_EQUAL(st.st_mode & 07777, 0700);
    CU_ASSERT_PTR_NULL(dray_drivers_find(b.drivers, DRAY_KIND_VOLUME, "third"));
    CU_ASSERT_STRING_EQUAL(entry_at(&b, 2).state, "disabled");
    CU_ASSERT_PTR_NULL(strstr(entry_at(&b, 1).options, "tops3cret"));
    CU_ASSERT_PTR_NULL(strstr(entry_at(&b, 1).options, "token"));
    struct dray_err err = {0};
    CU_ASSERT_PTR_NULL(dray_drivers_get(b.drivers, DRAY_KIND_VOLUME, "third", &err));
    CU_ASSERT_STRING_EQUAL(err.text, "volume plugin \"third\" not found: it is disabled in the "
                                     "configuration");
    CU_ASSERT_PTR_NULL(dray_drivers_get(b.drivers, DRAY_KIND_LOG, "nix", &err));
    CU_ASSERT_STRING_EQUAL(err.text, "logger: no log driver named 'nix' is registered");
}

static void refuses_bad_options(void)
{
    static const struct {
        const char *options, *found;
    } t[] = {
        {"{\"tezt\":\"x\"}", "option \"tezt\" is not one of its options; did you mean \"text\"?"},
        {"{\"zzzzzzzzz\":1}", "option \"zzzzzzzzz\" is not one of its options; see"},
        {"{\"size\":\"ten\"}", "option \"size\" has the value \"ten\"; it must be a size"},
        {"{\"size\":\"2000t\"}", "it must be from 0 to 1099511627776"},
        {"{\"mode\":\"medium\"}", "it must be one of fast|slow"},
        {"{\"text\":5}", "option \"text\" has the value \"5\"; it must be a string"},
        {"{\"list\":\"a\"}", "it must be an array of strings"},
        {"{\"token\":17}", "option \"token\" has the value (secret)"},
        {"[1]", "\"options\" of the plugin must be a JSON object"},
    };
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        BENCH(b);
        bench_add(&b, "good", "good.so");
        dray_autojson *options = parse(t[i].options);
        const struct dray_plugin_config p = {.name = "specimen", .options = options};
        b.config.plugins = &p;
        b.config.n_plugins = 1;
        CU_ASSERT_EQUAL_FATAL(bench_open(&b), 0);
        CU_ASSERT_EQUAL(count(&b), 1);
        CU_ASSERT_STRING_EQUAL(entry_at(&b, 0).state, "refused");
        CU_ASSERT_PTR_NOT_NULL(strstr(entry_at(&b, 0).error, t[i].found));
    }
}

static void required_stops_the_daemon(void)
{
    BENCH(b);
    bench_add(&b, "open-fails", "x.so");
    struct dray_plugin_config p = {.name = "specimen", .required = true};
    b.config.plugins = &p;
    b.config.n_plugins = 1;
    CU_ASSERT_EQUAL(bench_open(&b), DRAY_E_UNAVAIL);
    CU_ASSERT_PTR_NULL(b.drivers);
    CU_ASSERT_PTR_NOT_NULL(strstr(b.err.text, "the required plugin specimen (/tmp/"));
    CU_ASSERT_PTR_NOT_NULL(strstr(b.err.text, "the server at home is down"));
    p.name = "speciman";
    CU_ASSERT_EQUAL(bench_open(&b), DRAY_E_NOTFOUND);
    CU_ASSERT_PTR_NOT_NULL(strstr(b.err.text, "did you mean \"specimen\"?"));
    p.required = false;
    CU_ASSERT_EQUAL(bench_open(&b), 0);
    CU_ASSERT_EQUAL(count(&b), 2);
}

static void path_stands_in_for_the_folder(void)
{
    BENCH(b);
    char other[256];
    bench_add(&b, "good", "good.so");
    bench_add(&b, "twin", "../twin.so");
    (void)snprintf(other, sizeof other, "%s/twin.so", b.root);
    const struct dray_plugin_config p = {.name = "specimen", .path = other};
    b.config.plugins = &p;
    b.config.n_plugins = 1;
    CU_ASSERT_EQUAL(bench_open(&b), 0);
    CU_ASSERT_EQUAL(count(&b), 1);
    CU_ASSERT_STRING_EQUAL(entry_at(&b, 0).state, "ready");
    CU_ASSERT_STRING_EQUAL(entry_at(&b, 0).path, other);
}

static void instance_names_must_differ(void)
{
    BENCH(b);
    bench_add(&b, "good", "good.so");
    const struct dray_plugin_config p[] = {
        {.name = "same", .plugin = "specimen"},
        {.name = "same", .plugin = "specimen"},
        {.name = "Bad Name", .plugin = "specimen"},
    };
    b.config.plugins = p;
    b.config.n_plugins = 3;
    CU_ASSERT_EQUAL(bench_open(&b), 0);
    CU_ASSERT_EQUAL(count(&b), 4);
    int refused = 0;
    for (size_t i = 0; i < 4; i++) {
        struct entry e = entry_at(&b, i);
        refused += strcmp(e.state, "refused") == 0;
        if (strcmp(e.name, "Bad Name") == 0)
            CU_ASSERT_PTR_NOT_NULL(strstr(e.error, "the instance is called \"Bad Name\""));
    }
    CU_ASSERT_EQUAL(refused, 2);
}

static void loads_only_what_is_wanted(void)
{
    BENCH(b);
    bench_add(&b, "good", "good.so");
    bench_add(&b, "serial", "serial.so");
    bench_add(&b, "no-card", "broken.so");
    b.config.only_kinds = 1u << DRAY_KIND_RUNTIME | 1u << DRAY_KIND_LOG;
    CU_ASSERT_EQUAL(bench_open(&b), 0);
    CU_ASSERT_EQUAL(count(&b), 0);
    bench_close(&b);
    static const char *const names[] = {"serial", NULL};
    b.config.only_kinds = 0;
    b.config.only_names = names;
    CU_ASSERT_EQUAL(bench_open(&b), 0);
    CU_ASSERT_EQUAL(count(&b), 1);
    CU_ASSERT_STRING_EQUAL(entry_at(&b, 0).name, "serial");
}

static void reloads_options(void)
{
    BENCH(b);
    bench_add(&b, "good", "good.so");
    CU_ASSERT_EQUAL(bench_open(&b), 0);
    struct dray_driver *d = dray_drivers_find(b.drivers, DRAY_KIND_VOLUME, "specimen");
    struct dray_err err = {0};
    dray_autojson *text = parse("{\"text\":\"new\"}");
    dray_autojson *fixed = parse("{\"text\":\"newer\",\"size\":\"9m\"}");
    const struct dray_plugin_config good = {.name = "specimen", .options = text};
    const struct dray_plugin_config bad = {.name = "specimen", .options = fixed};
    CU_ASSERT_EQUAL(dray_drivers_reload(b.drivers, &good, 1, &err), 0);
    check_status(d, "text", "new");
    check_status(d, "reloads", "1");
    CU_ASSERT_EQUAL(dray_drivers_reload(b.drivers, &good, 1, &err), 0);
    check_status(d, "reloads", "2"); /* a file that an option names may have changed */
    CU_ASSERT_EQUAL(dray_drivers_reload(b.drivers, &bad, 1, &err), 0); /* kept for the restart */
    check_status(d, "text", "new");
    dray_autojson *wrong = parse("{\"nosuch\":\"x\"}");
    const struct dray_plugin_config unknown = {.name = "specimen", .options = wrong};
    CU_ASSERT_EQUAL(dray_drivers_reload(b.drivers, &unknown, 1, &err), DRAY_E_INVAL);
    check_status(d, "text", "new");
    CU_ASSERT_EQUAL(dray_drivers_reload(b.drivers, NULL, 0, &err), 0); /* as without an entry */
    check_status(d, "reloads", "3");
    check_status(d, "first-text", "hello"); /* what open() was given stays */
}

struct heard {
    char text[512];
};

static void hear(void *ctx, const char *plugin, const char *action)
{
    struct heard *h = ctx;
    size_t n = strlen(h->text);
    (void)snprintf(h->text + n, sizeof h->text - n, "%s:%s ", plugin, action);
}

static void tells_of_changes(void)
{
    BENCH(b);
    struct heard h = {""};
    bench_add(&b, "good", "good.so");
    bench_add(&b, "wrong-magic", "wrong.so");
    b.config.on_event = hear;
    b.config.ctx = &h;
    CU_ASSERT_EQUAL(bench_open(&b), 0);
    bench_close(&b);
    CU_ASSERT_STRING_EQUAL(h.text, "volume/specimen:enable specimen:refuse "
                                   "volume/specimen:disable ");
}

static void hanging_start_hangs_nobody(void)
{
    BENCH(b);
    bench_add(&b, "open-hangs", "a.so");
    bench_add(&b, "serial", "b.so");
    b.config.open_timeout_ms = 100;
    CU_ASSERT_EQUAL(bench_open(&b), 0);
    CU_ASSERT_PTR_NOT_NULL(dray_drivers_find(b.drivers, DRAY_KIND_VOLUME, "serial"));
    CU_ASSERT_PTR_NULL(dray_drivers_find(b.drivers, DRAY_KIND_VOLUME, "specimen"));
    struct entry e = entry_at(&b, 1);
    CU_ASSERT_STRING_EQUAL(e.state, "refused");
    CU_ASSERT_PTR_NOT_NULL(strstr(e.error, "its start has not ended after"));
    /* When it comes back at last, it is closed, and the registry can be freed. */
    const struct timespec ts = {.tv_nsec = 600000000};
    (void)nanosleep(&ts, NULL);
}

static const struct check_case cases[] = {
    {"takes a good one", takes_a_good_one},
    {"refuses each in its own words", refuses_each_in_its_own_words},
    {"one broken does not hurt the others", one_broken_does_not_hurt_the_others},
    {"refuses what is no plugin", refuses_what_is_no_plugin},
    {"refuses what others can change", refuses_what_others_can_change},
    {"looks behind links", looks_behind_links},
    {"refuses duplicates", refuses_duplicates},
    {"two different files are two", two_different_files_are_two},
    {"gate passes short and long tables", gate_passes_short_and_long_tables},
    {"configures instances", configures_instances},
    {"refuses bad options", refuses_bad_options},
    {"required stops the daemon", required_stops_the_daemon},
    {"path stands in for the folder", path_stands_in_for_the_folder},
    {"instance names must differ", instance_names_must_differ},
    {"loads only what is wanted", loads_only_what_is_wanted},
    {"reloads options", reloads_options},
    {"hanging start hangs nobody", hanging_start_hangs_nobody},
    {"tells of changes", tells_of_changes},
};
CHECK_MAIN("loader", cases)
