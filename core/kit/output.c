/* SPDX-License-Identifier: Apache-2.0 */
/* output.c - results that go to the client: the files of the image, in a folder or a tar. */
#include "engine/build/builds.h"
#include "engine/engine.h"
#include "engine/image/images.h"
#include "kit/fs.h"
#include "kit/job.h"

#include <fcntl.h>

struct export
{
    const struct dray_image *image;
    int fd, rc;
    struct dray_err err;
};

static void *export_main(void *arg)
{
    struct export *x = arg;
    x->rc = dray_image_export(x->image, x->fd, &x->err);
    (void)close(x->fd);
    return NULL;
}

static int send_tar(struct kit_job *j, const struct dray_kit_output *o,
                    const struct dray_image *image, struct dray_err *err)
{
    int p[2];
    pthread_t thread;
    if (pipe2(p, O_CLOEXEC) != 0)
        return dray_fail_errno(err, "make a pipe");
    struct export x = {.image = image, .fd = p[1]};
    if (pthread_create(&thread, NULL, export_main, &x) != 0) {
        (void)close(p[0]);
        (void)close(p[1]);
        return dray_fail(err, DRAY_E_NOMEM, "start a thread");
    }
    int rc = kit_fs_send_file(kit_session_conn(j->session), o->id, p[0], j->cancel, err);
    (void)close(p[0]);
    (void)pthread_join(thread, NULL);
    if (!rc && x.rc) {
        rc = x.rc;
        if (err)
            *err = x.err;
    }
    return rc;
}

static int send_tree(struct kit_job *j, const struct dray_kit_output *o,
                     const struct dray_image *image, struct dray_err *err)
{
    dray_autofd int dir = -EBADF;
    if (!*image->top_layer)
        return 0;
    int rc = dray_image_view(image, NULL, &dir, err);
    return rc ? rc : kit_fs_send_tree(kit_session_conn(j->session), o->id, dir, j->cancel, err);
}

int kit_output_send(struct kit_job *j, const struct dray_kit_output *o,
                    const struct dray_build_result *result, struct dray_err *err)
{
    DRAY_AUTO(dray_image) image = {0};
    bool tar = strcmp(o->type, "tar") == 0;
    dray_autofree char *step = dray_strf("export %s", o->id ? o->id : "");
    if (!step)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (!j->session || !kit_session_serves(j->session, "/moby.filesync.v1.FileSend/DiffCopy"))
        return dray_fail(err, DRAY_E_INVAL, "the client takes no files");
    kit_trace_begin(&j->trace, step,
                    tar ? "exporting to client tarball" : "exporting to client directory");
    int rc = dray_build_result_image(result, &image, err);
    if (!rc)
        rc = tar ? send_tar(j, o, &image, err) : send_tree(j, o, &image, err);
    kit_trace_end(&j->trace, step, rc && err ? err->text : NULL);
    return rc;
}
