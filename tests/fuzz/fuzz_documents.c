/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_documents.c - libFuzzer target: what is read at start: the documents of a container (state
 * behind a line "--"), an image, a network. What is loaded is stored again and loads the same.
 */
#include "base/fs.h"
#include "base/json.h"
#include "base/logging.h"
#include "engine/container/container.h"
#include "engine/image/image_priv.h"
#include "engine/network/network_priv.h"
#include "fuzz.h"

#include <fcntl.h>
#include <sys/stat.h>

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static char folder[] = "/dev/shm/dray-fuzz-doc-XXXXXX";
static int dir = -1;

static void drop_folder(void)
{
    (void)dray_fs_remove_tree(AT_FDCWD, folder, NULL);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    dray_log_setup(DRAY_LOG_ERROR, false);
    need(mkdtemp(folder) != NULL);
    dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    need(dir >= 0 && mkdirat(dir, ID, 0700) == 0);
    return atexit(drop_folder);
}

static void put(const char *name, const char *text)
{
    dray_autofd int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    need(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

static void container(const char *doc, const char *state)
{
    struct dray_containers cs = {.dir = dir};
    struct dray_container *c = NULL;
    struct dray_err err = {0};
    put(ID "/container.json", doc);
    put(ID "/state.json", state);
    int rc = dray_container_load(&cs, ID, &c, &err);
    need_words(rc, &err);
    if (rc)
        return;
    need(c->name && c->layer && c->config && c->host && c->labels);
    dray_container_resummarize(c);
    dray_autojson *points = dray_container_json(c, &c->mounts);
    for (size_t i = 0; i < dray_json_len(points); i++)
        json_object_put(dray_container_mount_view(json_object_array_get_idx(points, i)));
    struct dray_container *again = NULL;
    need(dray_container_save(c, &err) == 0);
    need(dray_container_load(&cs, ID, &again, &err) == 0);
    need(strcmp(again->config, c->config) == 0 && strcmp(again->host, c->host) == 0);
    dray_container_unref(again);
    dray_container_unref(c);
}

static void image(const char *doc)
{
    struct dray_images im = {.images_fd = dir};
    put("image.json", doc);
    struct img *g = img_load(&im, "image.json");
    if (!g)
        return;
    dray_autofree char *text = img_doc_text(g);
    need(text != NULL);
    put("image.json", text);
    struct img *again = img_load(&im, "image.json");
    need(again && strcmp(again->id, g->id) == 0 && again->n_parts == g->n_parts);
    img_free(again);
    img_free(g);
}

static void network(const char *doc)
{
    struct dray_networks ns = {.dir = dir};
    struct dray_net *n = NULL;
    struct dray_err err = {0};
    put(ID ".json", doc);
    int rc = dray_net_load(&ns, ID, &n, &err);
    need_words(rc, &err);
    if (rc)
        return;
    need(n->name[0] && n->n_pools <= DRAY_NET_POOLS);
    need(dray_net_store(&ns, n, &err) == 0);
    dray_net_unref(n);
    need(dray_net_load(&ns, ID, &n, &err) == 0);
    dray_net_unref(n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dray_autofree char *doc = fuzz_part(&data, &size);
    dray_autofree char *state = fuzz_part(&data, &size);
    container(doc, state);
    image(doc);
    network(doc);
    return 0;
}
