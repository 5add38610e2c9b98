/* SPDX-License-Identifier: Apache-2.0 */
/* build_run.c - runs a command of a build in a container like any other, and takes its changes. */
#include "engine/build/build_priv.h"

#include "engine/build/build_policy.h"

#include "base/ident.h"
#include "base/logging.h"
#include "engine/container/containers.h"

#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#define DRAY_LOG_AREA "build"
#define END_WAIT_MS 30000

/** One command under way. */
struct running {
    struct build *b;
    const struct dray_build_run *run;
    struct img_layer *parent;
    char *below; /* the init layer */
    char layer[40];
    bool layered; /* the writable layer exists and is ours */
    char container[DRAY_ID_LEN];
    bool keep;
    struct build_mounts *mounts;
    pthread_t attach;
    struct dray_attach_ticket *ticket;
    bool attached;
};

/* --- the layer ---------------------------------------------------------------------------------*/

static int make_layer(struct running *r, struct dray_err *err)
{
    struct dray_images *im = r->b->e->images;
    struct dray_image image = {.images = im, .pin = r->parent};
    int rc = dray_images_init_layer(im, &image, &r->below, err);
    if (rc)
        return rc;
    r->layer[0] = 'l';
    dray_id_hex(r->layer + 1, 32);
    rc = dray_driver_call(r->b->e->storage, storage, DRAY_CLASS_QUICK, err, create, r->layer,
                          r->below, DRAY_LAYER_WRITABLE, (struct dray_kvs){0});
    r->layered = rc == 0;
    return rc;
}

/* --- the container -----------------------------------------------------------------------------*/

static int parse_object(const char *text, struct json_object **out, struct dray_err *err)
{
    if (!text || !*text) {
        *out = json_object_new_object();
        return 0;
    }
    return dray_json_parse(text, strlen(text), out, err);
}

static const char *network_of(const struct running *r)
{
    if (*r->run->network)
        return r->run->network;
    return *r->b->req->spec.network ? r->b->req->spec.network : "default";
}

static int make_body(struct running *r, struct json_object **out, struct dray_err *err)
{
    dray_autojson *body = NULL;
    struct json_object *host = NULL;
    int rc = build_policy_check(r->b->set->policy, r->b->req, r->run, err);
    if (!rc)
        rc = parse_object(r->run->config, &body, err);
    if (!rc)
        rc = parse_object(r->b->req->spec.host_config, &host, err);
    if (rc)
        return rc;
    struct json_object *log = json_object_new_object();
    dray_json_add_str(log, "Type", "none");
    dray_json_add(host, "LogConfig", log);
    dray_json_add_bool(host, "AutoRemove", !r->keep);
    dray_json_add_str(host, "NetworkMode", network_of(r));
    if (r->run->flags & DRAY_BUILD_RUN_INSECURE)
        dray_json_add_bool(host, "Privileged", true);
    dray_json_add(body, "HostConfig", host);
    dray_json_add_str(body, "Image", r->run->image);
    dray_json_add_bool(body, "AttachStdout", true);
    dray_json_add_bool(body, "AttachStderr", true);
    rc = build_mounts_add(r->mounts, body, host, err);
    if (!rc)
        *out = dray_steal(body);
    return rc;
}

static int create(struct running *r, struct dray_err *err)
{
    dray_autojson *body = NULL, *reply = NULL;
    int rc = make_body(r, &body, err);
    if (rc)
        return rc;
    const struct dray_step_root root = {.storage = dray_driver_name(r->b->e->storage),
                                        .layer = r->layer,
                                        .own = r->keep,
                                        .layer_parent = r->below,
                                        .image_id = r->run->image};
    const struct dray_create_req req = {.body = body, .api_version = 151, .step = &root};
    rc = dray_containers_create(r->b->e->containers, &req, &reply, err);
    if (!rc)
        (void)snprintf(r->container, sizeof r->container, "%s", dray_json_str(reply, "Id", ""));
    return rc;
}

static const struct dray_attach_req attach_req = {
    .stream = true, .stdout_ = true, .stderr_ = true, .plain = true, .api_version = 151};

static void *attach_main(void *arg)
{
    struct running *r = arg;
    struct dray_err err = {0};
    if (dray_containers_attach(r->ticket, &attach_req, r->run->output.fd, &err))
        dray_warn("output of container %.12s: %s", r->container, err.text);
    return NULL;
}

/* The attach is announced before the start, so that nothing is lost. */
static int attach(struct running *r, struct dray_err *err)
{
    bool tty = false;
    int rc = dray_containers_attach_prepare(r->b->e->containers, r->container, &attach_req, &tty,
                                            &r->ticket, err);
    if (rc)
        return rc;
    if (pthread_create(&r->attach, NULL, attach_main, r) != 0) {
        dray_attach_ticket_drop(r->ticket);
        return dray_fail(err, DRAY_E_NOMEM, "start a thread");
    }
    r->attached = true;
    return 0;
}

static void kill_container(struct running *r)
{
    struct dray_err why = {0};
    if (dray_containers_remove(r->b->e->containers, r->container, true, true, false, &why) != 0 &&
        why.code != DRAY_E_NOTFOUND)
        dray_warn("remove container %.12s of a build: %s", r->container, why.text);
}

/* Until the container has ended, and is gone unless it is kept. */
static int wait_end(struct running *r, struct dray_waiter *w, int *code, struct dray_err *err)
{
    char text[256] = "";
    struct pollfd p[3] = {{.fd = dray_waiter_fd(w), .events = POLLIN},
                          {.fd = build_cancel_fd(r->b), .events = POLLIN},
                          {.fd = r->run->cancel.fd, .events = POLLIN}};
    while (dray_waiter_result(w, code, text) != 0) {
        if (poll(p, 3, -1) < 0 && errno != EINTR)
            return dray_fail_errno(err, "wait for container %.12s", r->container);
        if (!p[1].revents && !p[2].revents)
            continue;
        kill_container(r);
        return dray_fail(err, DRAY_E_CANCELED, "the build was canceled");
    }
    return 0;
}

/* Told before the command says anything. */
static int tell_id(struct running *r, struct dray_err *err)
{
    char line[DRAY_ID_LEN + 1];
    int n = snprintf(line, sizeof line, "%s\n", r->container);
    if (send(r->run->output.fd, line, (size_t)n, MSG_NOSIGNAL) != n)
        return dray_fail_errno(err, "tell of container %.12s", r->container);
    return 0;
}

static int run_container(struct running *r, int *code, struct dray_err *err)
{
    struct dray_containers *cs = r->b->e->containers;
    struct dray_waiter *w = NULL;
    int rc = create(r, err);
    if (rc)
        return rc;
    rc = tell_id(r, err);
    if (!rc)
        rc = attach(r, err);
    if (!rc)
        rc = dray_containers_wait_begin(cs, r->container, r->keep ? "next-exit" : "removed", &w,
                                        err);
    if (!rc)
        rc = dray_containers_start(cs, r->container, err);
    if (!rc)
        rc = wait_end(r, w, code, err);
    dray_waiter_free(w);
    if (rc)
        kill_container(r);
    if (r->attached)
        (void)pthread_join(r->attach, NULL);
    r->attached = false;
    return rc;
}

/* --- the call ----------------------------------------------------------------------------------*/

static int prepare(struct running *r, struct dray_err *err)
{
    int rc = build_layer_find(r->b, r->run->parent, &r->parent, err);
    if (!rc)
        rc = build_mounts_open(r->b, r->run, &r->mounts, err);
    return rc ? rc : make_layer(r, err);
}

static int take_changes(struct running *r, struct dray_build_layer *out, struct dray_err *err)
{
    int rc = build_mounts_clean(r->mounts, r->layer, r->run->clamp_s, err);
    if (rc)
        return rc;
    if (r->keep)
        return build_layer_copy(r->b, r->parent, r->below, r->layer, out, err);
    r->layered = false;
    return build_layer_commit(r->b, r->parent, r->below, r->layer, out, err);
}

static void finish(struct running *r, bool ok)
{
    if (r->layered && !(ok && r->keep)) {
        struct dray_err why = {0};
        if (dray_driver_call(r->b->e->storage, storage, DRAY_CLASS_MOUNT, &why, remove, r->layer))
            dray_warn("layer %.12s of a build stays until the next start: %s", r->layer, why.text);
    }
    build_mounts_close(r->mounts);
    free(r->below);
}

int32_t build_run(const struct dray_call *call, const struct dray_build_run *run,
                  struct dray_build_ran *out, struct dray_err *err)
{
    struct build *b = build_of(call, err);
    if (!b)
        return DRAY_E_INVAL;
    struct running r = {.b = b, .run = run, .keep = (b->req->spec.flags & DRAY_BUILD_KEEP) != 0};
    struct dray_build_ran done = {.size = sizeof done};
    int code = 0;
    int rc = prepare(&r, err);
    if (!rc)
        rc = run_container(&r, &code, err);
    if (!rc && code == 0)
        rc = take_changes(&r, &done.layer, err);
    done.exit_code = code;
    done.container = build_text(b, r.container);
    finish(&r, !rc);
    if (!rc)
        *out = done;
    return rc;
}
