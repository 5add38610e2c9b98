/* SPDX-License-Identifier: Apache-2.0 */
/* test_image_store.c - the image store over the vfs driver: make, find, hold, remove, resume. */
#include "engine/config.h"
#include "engine/engine.h"
#include "engine/filters.h"
#include "engine/image/images.h"
#include "engine/layer/blob_store.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/strlist.h"
#include "check.h"
#include "plugin/driver.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/mman.h>

static char root[] = "/tmp/dray-images-XXXXXX";
static struct dray_config config;
static struct dray_engine engine = {.data_fd = -1, .exec_fd = -1};

static bool set_up(void)
{
    char data[64], run[64];
    if (!mkdtemp(root))
        return false;
    (void)snprintf(data, sizeof data, "%s/data", root);
    (void)snprintf(run, sizeof run, "%s/run", root);
    const struct dray_plugin_config plugin = {.name = "vfs", .path = VFS_SO, .required = true};
    const struct dray_drivers_config dc = {.data_root = data,
                                           .exec_root = run,
                                           .plugins = &plugin,
                                           .n_plugins = 1,
                                           .insecure_files = true,
                                           .no_watchdog = true};
    struct dray_err err = {0};
    config.max_concurrent_downloads = 3;
    engine.config = &config;
    int rc = dray_fs_open_dir(AT_FDCWD, data, 0700, &engine.data_fd, &err);
    if (!rc)
        rc = dray_drivers_open(&dc, &engine.drivers, &err);
    if (!rc)
        engine.storage = dray_drivers_get(engine.drivers, DRAY_KIND_STORAGE, "vfs", &err);
    if (!rc && engine.storage)
        rc = dray_images_open(&engine, &engine.images, &err);
    if (rc || !engine.images)
        printf("set up: %s\n", err.text);
    return engine.images != NULL;
}

static void tear_down(void)
{
    dray_images_close(engine.images);
    dray_drivers_close(engine.drivers);
    dray_cleanup_fd(&engine.data_fd);
    (void)dray_fs_remove_tree(AT_FDCWD, root, NULL);
}

static void reopen(void)
{
    dray_images_close(engine.images);
    engine.images = NULL;
    CU_ASSERT_EQUAL_FATAL(dray_images_open(&engine, &engine.images, NULL), 0);
}

/* A tar with one file. */
static int make_tar(const char *name, const char *text)
{
    int fd = memfd_create("tar", MFD_CLOEXEC);
    struct archive *a = archive_write_new();
    struct archive_entry *e = archive_entry_new();
    (void)archive_write_set_format_pax_restricted(a);
    (void)archive_write_open_fd(a, fd);
    archive_entry_set_pathname(e, name);
    archive_entry_set_mode(e, S_IFREG | 0644);
    archive_entry_set_size(e, (la_int64_t)strlen(text));
    (void)archive_write_header(a, e);
    (void)archive_write_data(a, text, strlen(text));
    archive_entry_free(e);
    (void)archive_write_free(a);
    (void)lseek(fd, 0, SEEK_SET);
    return fd;
}

static void import_as(const char *repo, const char *text, char id[DRAY_DIGEST_LEN])
{
    dray_autofd int tar = make_tar("hello", text);
    const char *changes[] = {"CMD [\"sh\"]", "ENV A=b", "LABEL color=red"};
    const struct dray_strs list = {changes, 3};
    const struct dray_import_req req = {
        .fd = tar, .repo = repo, .source = "-", .changes = &list, .cancel_fd = -1};
    struct dray_err err = {0};
    int rc = dray_images_import(engine.images, &req, id, &err);
    if (rc)
        printf("import: %s\n", err.text);
    CU_ASSERT_EQUAL_FATAL(rc, 0);
}

static void remove_image(const char *ref, bool force)
{
    dray_autojson *out = NULL;
    struct dray_err err = {0};
    int rc = dray_images_remove(engine.images, ref, (struct dray_strs){0}, force, true, &out, &err);
    if (rc)
        printf("remove %s: %s\n", ref, err.text);
    CU_ASSERT_EQUAL(rc, 0);
}

static size_t entries(const char *folder)
{
    char cmd[128];
    (void)snprintf(cmd, sizeof cmd, "%s/data/%s", root, folder);
    dray_autofd int fd = open(cmd, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    uint64_t bytes = 0, inodes = 0;
    (void)dray_fs_usage(fd, ".", &bytes, &inodes, NULL);
    return (size_t)inodes - 1;
}

static void test_import(void)
{
    char id[DRAY_DIGEST_LEN];
    import_as("one:v1", "first", id);
    struct dray_image image;
    CU_ASSERT_EQUAL_FATAL(dray_images_get(engine.images, "one:v1", &image, NULL), 0);
    CU_ASSERT_STRING_EQUAL(image.id, id);
    CU_ASSERT_STRING_EQUAL(image.storage, "vfs");
    CU_ASSERT_STRING_EQUAL(dray_json_str(image.config, "os", ""), "linux");
    dray_autofree char *init = NULL;
    CU_ASSERT_EQUAL(dray_images_init_layer(engine.images, &image, &init, NULL), 0);
    dray_autofree char *again = NULL;
    CU_ASSERT_EQUAL(dray_images_init_layer(engine.images, &image, &again, NULL), 0);
    CU_ASSERT_TRUE(init && again && strcmp(init, again) == 0);
    dray_image_release(&image);
    char prefix[20];
    (void)snprintf(prefix, sizeof prefix, "%.12s", id + 7);
    CU_ASSERT_EQUAL(dray_images_get(engine.images, prefix, &image, NULL), 0);
    dray_image_release(&image);
    struct dray_err err = {0};
    CU_ASSERT_EQUAL(dray_images_get(engine.images, "nothere", &image, &err), DRAY_E_NOTFOUND);
    CU_ASSERT_STRING_EQUAL(err.text, "No such image: nothere:latest");
}

static void test_restart(void)
{
    reopen();
    CU_ASSERT_EQUAL(dray_images_collect(engine.images, (struct dray_strs){0}, NULL), 0);
    CU_ASSERT_EQUAL(dray_images_count(engine.images), 1);
    dray_autojson *o = NULL;
    const struct dray_images_inspect_req req = {.ref = "one:v1", .api_version = 151};
    CU_ASSERT_EQUAL_FATAL(dray_images_inspect(engine.images, &req, &o, NULL), 0);
    CU_ASSERT_EQUAL(dray_json_int(o, "Size", 0), 5);
    CU_ASSERT_STRING_EQUAL(dray_json_str(o, "Config.Labels.color", ""), "red");
    CU_ASSERT_EQUAL(dray_json_len(dray_json_arr(o, "RootFS.Layers")), 1);
}

static void test_list(void)
{
    static const char *const keys[] = {"label", "reference", "dangling", NULL};
    static const struct {
        const char *filters;
        size_t n;
    } rows[] = {{"", 1},
                {"{\"label\":[\"color=red\"]}", 1},
                {"{\"label\":[\"color=blue\"]}", 0},
                {"{\"reference\":[\"on*\"]}", 1},
                {"{\"reference\":[\"one:v2\"]}", 0},
                {"{\"dangling\":[\"true\"]}", 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        DRAY_AUTO(dray_filters) f = {0};
        dray_autojson *out = NULL;
        CU_ASSERT_EQUAL(dray_filters_parse(rows[i].filters, keys, &f, NULL), 0);
        const struct dray_images_list_req req = {.filters = &f, .api_version = 151};
        CU_ASSERT_EQUAL(dray_images_list(engine.images, &req, &out, NULL), 0);
        CU_ASSERT_EQUAL(dray_json_len(out), rows[i].n);
    }
}

static void test_tags_and_removal(void)
{
    CU_ASSERT_EQUAL(dray_images_tag(engine.images, "one:v1", "two", NULL), 0);
    CU_ASSERT_EQUAL(dray_images_tag(engine.images, "one:v1", "Two", NULL), DRAY_E_INVAL);
    remove_image("one:v1", false);
    CU_ASSERT_EQUAL(dray_images_count(engine.images), 1);
    remove_image("two", false);
    CU_ASSERT_EQUAL(dray_images_count(engine.images), 0);
    CU_ASSERT_EQUAL(entries("blobs/sha256"), 0);
    CU_ASSERT_EQUAL(entries("layers"), 0);
    CU_ASSERT_EQUAL(entries("images"), 0);
}

/* Layers of an image that is removed by force stay for its containers, also after a restart. */
static void test_hold(void)
{
    char id[DRAY_DIGEST_LEN];
    import_as("held", "held", id);
    CU_ASSERT_EQUAL(dray_images_hold(engine.images, id, "c1", NULL), 0);
    remove_image("held", true);
    CU_ASSERT_EQUAL(dray_images_count(engine.images), 0);
    CU_ASSERT_EQUAL(entries("layers"), 2); /* document and map */
    reopen();
    CU_ASSERT_EQUAL(dray_images_hold(engine.images, id, "c1", NULL), 0);
    CU_ASSERT_EQUAL(dray_images_collect(engine.images, (struct dray_strs){0}, NULL), 0);
    CU_ASSERT_EQUAL(entries("layers"), 2);
    dray_images_unhold(engine.images, id, "c1");
    CU_ASSERT_EQUAL(entries("layers"), 0);
    CU_ASSERT_EQUAL(entries("blobs/sha256"), 0);
}

static void test_shared_layer(void)
{
    char a[DRAY_DIGEST_LEN], b[DRAY_DIGEST_LEN];
    import_as("a", "same", a);
    import_as("b", "same", b);
    CU_ASSERT_EQUAL(entries("layers"), 2);
    remove_image("a", false);
    struct dray_image image;
    CU_ASSERT_EQUAL(dray_images_get(engine.images, "b", &image, NULL), 0);
    dray_image_release(&image);
    remove_image("b", false);
    CU_ASSERT_EQUAL(entries("layers"), 0);
}

static void test_bad_tar(void)
{
    dray_autofd int fd = memfd_create("bad", MFD_CLOEXEC);
    char junk[4096];
    memset(junk, 'x', sizeof junk);
    CU_ASSERT_EQUAL(write(fd, junk, sizeof junk), (ssize_t)sizeof junk);
    (void)lseek(fd, 0, SEEK_SET);
    const struct dray_import_req req = {.fd = fd, .repo = "bad", .cancel_fd = -1};
    char id[DRAY_DIGEST_LEN];
    CU_ASSERT_NOT_EQUAL(dray_images_import(engine.images, &req, id, NULL), 0);
    CU_ASSERT_EQUAL(entries("blobs/sha256"), 0);
    CU_ASSERT_EQUAL(entries("ingest"), 0);
}

/* What came of a blob before a crash is continued; what is wrong is thrown away. */
static void test_ingest(void)
{
    struct dray_blobs *bs = NULL;
    char want[DRAY_DIGEST_LEN];
    dray_digest_of("hello world", 11, want);
    CU_ASSERT_EQUAL_FATAL(dray_blobs_open(engine.data_fd, &bs, NULL), 0);
    struct dray_ingest *in = NULL;
    CU_ASSERT_EQUAL(dray_ingest_open(bs, want, &in, NULL), 0);
    CU_ASSERT_EQUAL(dray_ingest_write(in, "hello ", 6, NULL), 0);
    dray_ingest_close(in);
    CU_ASSERT_EQUAL(dray_ingest_open(bs, want, &in, NULL), 0);
    CU_ASSERT_EQUAL(dray_ingest_offset(in), 6);
    CU_ASSERT_EQUAL(dray_ingest_replay(in, NULL, NULL, NULL), 0);
    CU_ASSERT_EQUAL(dray_ingest_write(in, "world", 5, NULL), 0);
    CU_ASSERT_EQUAL(dray_ingest_commit(in, 11, NULL, NULL), 0);
    dray_ingest_close(in);
    CU_ASSERT_TRUE(dray_blobs_has(bs, want, NULL));
    dray_blobs_remove(bs, want);
    CU_ASSERT_EQUAL(dray_ingest_open(bs, want, &in, NULL), 0);
    CU_ASSERT_EQUAL(dray_ingest_write(in, "hello there", 11, NULL), 0);
    CU_ASSERT_EQUAL(dray_ingest_commit(in, 11, NULL, NULL), DRAY_E_CORRUPT);
    CU_ASSERT_EQUAL(dray_ingest_offset(in), 0);
    dray_ingest_close(in);
    CU_ASSERT_FALSE(dray_blobs_has(bs, want, NULL));
    CU_ASSERT_EQUAL(entries("ingest"), 0);
    dray_blobs_close(bs);
}

static void test_changes(void)
{
    static const struct {
        const char *line;
        int rc;
    } rows[] = {{"CMD ls -l", 0},        {"ENTRYPOINT [\"a\",\"b\"]", 0},
                {"EXPOSE 80 53/udp", 0}, {"VOLUME /data", 0},
                {"WORKDIR /w", 0},       {"USER me", 0},
                {"HEALTHCHECK NONE", 0}, {"RUN x", DRAY_E_INVAL},
                {"ENV", DRAY_E_INVAL},   {"EXPOSE x", DRAY_E_INVAL}};
    dray_autojson *c = json_object_new_object();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CU_ASSERT_EQUAL(dray_image_config_change(c, rows[i].line, NULL), rows[i].rc);
    CU_ASSERT_STRING_EQUAL(dray_json_text(dray_json_arr(c, "Cmd")),
                           "[\"/bin/sh\",\"-c\",\"ls -l\"]");
    CU_ASSERT_STRING_EQUAL(dray_json_text(dray_json_arr(c, "Entrypoint")), "[\"a\",\"b\"]");
    CU_ASSERT_PTR_NOT_NULL(json_object_object_get(dray_json_obj(c, "ExposedPorts"), "53/udp"));
}

static const struct check_case cases[] = {
    {"import", test_import},   {"restart", test_restart},
    {"list", test_list},       {"tags and removal", test_tags_and_removal},
    {"hold", test_hold},       {"shared layer", test_shared_layer},
    {"bad tar", test_bad_tar}, {"ingest", test_ingest},
    {"changes", test_changes},
};

int main(void)
{
    if (!set_up())
        return 2;
    int rc = check_main("image_store", cases, sizeof cases / sizeof *cases);
    tear_down();
    return rc;
}
