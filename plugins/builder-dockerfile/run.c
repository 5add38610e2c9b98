/* SPDX-License-Identifier: Apache-2.0 */
/* run.c - RUN, and the folder of WORKDIR. */
#include "bd.h"
#include "tarout.h"

#include <fcntl.h>
#include <sys/socket.h>

/* --- what is run -------------------------------------------------------------------------------*/

#define SCRIPTS "/dev/pipes/"

/* "RUN <<EOF" and nothing else: the document is the script. */
static bool is_script(const struct dray_df_command *c)
{
    const char *line = c->argv.n ? c->argv.v[0] : "";
    line += strspn(line, " \t");
    if (!c->shell || c->files.n != 1 || !bd_prefix(line, "<<"))
        return false;
    line += 2 + strspn(line + 2, "-");
    line += strcspn(line, " \t");
    return line[strspn(line, " \t")] == '\0';
}

/* A script that names its interpreter is run as a file. */
static const struct dray_df_heredoc *own_interpreter(const struct dray_df_command *c)
{
    return is_script(c) && bd_prefix(c->files.v[0].content, "#!") ? &c->files.v[0] : NULL;
}

/* Documents that are no script follow the command, for the shell to read. */
static char *script_of(const struct dray_df_command *c)
{
    DRAY_AUTO(bd_buf) b = {0};
    const char *line = c->argv.n ? c->argv.v[0] : "";
    if (is_script(c)) {
        bd_add(&b, c->files.v[0].content, c->files.v[0].len);
    } else {
        bd_adds(&b, line);
        for (size_t i = 0; i < c->files.n; i++) {
            bd_adds(&b, "\n");
            bd_add(&b, c->files.v[i].content, c->files.v[i].len);
            bd_adds(&b, c->files.v[i].name);
        }
    }
    if (b.failed)
        return NULL;
    return b.text ? dray_steal(b.text) : strdup("");
}

static int make_argv(struct bd_stage *s, const struct dray_df_command *c, struct json_object **out,
                     struct dray_err *err)
{
    if (!c->shell || c->files.n == 0) {
        *out = bd_command_json(s->config, c);
        return 0;
    }
    const struct dray_df_heredoc *file = own_interpreter(c);
    dray_autofree char *script = file ? bd_strf(SCRIPTS "%s", file->name) : script_of(c);
    if (!script)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    const char *words[] = {script};
    const struct dray_df_command whole = {.shell = !file, .argv = {words, 1}};
    *out = bd_command_json(s->config, &whole);
    return 0;
}

static void add_words(struct bd_buf *b, struct json_object *list)
{
    size_t n = json_object_array_length(list);
    for (size_t i = 0; i < n; i++)
        bd_addf(b, "%s%s", i || b->len ? " " : "",
                json_object_get_string(json_object_array_get_idx(list, i)));
}

/* "|2 A=1 B=2 /bin/sh -c make", as Docker notes it; "|0" when there are values that do not count.
 * Behind `before`. */
static char *created_by(const char *before, struct json_object *argv, const struct bd_list *args,
                        bool any)
{
    DRAY_AUTO(bd_buf) b = {0};
    bd_adds(&b, before);
    if (any)
        bd_addf(&b, "%s|%zu", b.len ? " " : "", args->n);
    for (size_t i = 0; i < args->n; i++)
        bd_addf(&b, " %s", args->v[i]);
    add_words(&b, argv);
    if (b.failed)
        return NULL;
    return b.text ? dray_steal(b.text) : strdup("");
}

/* --- the key -----------------------------------------------------------------------------------*/

static void sum_env(struct bd_sum *sum, struct json_object *config)
{
    struct json_object *env = bd_json_get(config, "Env");
    size_t n = env ? json_object_array_length(env) : 0;
    bd_sum_num(sum, (int64_t)n);
    for (size_t i = 0; i < n; i++)
        bd_sum_text(sum, json_object_get_string(json_object_array_get_idx(env, i)));
}

/* A result depends on what lies below, on the command and on what it sees. */
static int run_key(struct bd_stage *s, const struct dray_df_run *run, struct json_object *argv,
                   const struct bd_list *args, char key[BD_DIGEST_LEN], struct dray_err *err)
{
    bd_autosum *sum = bd_sum_new();
    if (!sum)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    bd_sum_text(sum, "run 1");
    bd_sum_text(sum, s->layer);
    bd_sum_text(sum, bd_json_text(argv));
    for (size_t i = 0; i < args->n; i++)
        bd_sum_text(sum, args->v[i]);
    sum_env(sum, s->config);
    bd_sum_text(sum, bd_json_str(s->config, "User", ""));
    bd_sum_text(sum, bd_json_str(s->config, "WorkingDir", ""));
    bd_sum_text(sum, run->network ? run->network : "default");
    bd_sum_text(sum, run->security ? run->security : "sandbox");
    bd_sum_num(sum, s->build->epoch_s);
    if (own_interpreter(&run->command))
        bd_sum_add(sum, run->command.files.v[0].content, run->command.files.v[0].len);
    int rc = bd_mounts_sum(s, &run->mounts, sum, err);
    bd_sum_end(sum, key);
    return rc;
}

/* --- running -----------------------------------------------------------------------------------*/

struct listener {
    struct bd_stage *stage;
    int fd;
};

static void *listen_main(void *arg)
{
    struct listener *l = arg;
    char buf[16384], id[72];
    size_t n_id = 0;
    bool named = false;
    for (;;) {
        ssize_t n = read(l->fd, buf, sizeof buf);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return NULL;
        ssize_t at = 0;
        for (; at < n && !named; at++) {
            named = buf[at] == '\n';
            if (!named && n_id < sizeof id - 1)
                id[n_id++] = buf[at];
            if (named)
                bd_say(l->stage, " ---> Running in %.*s\n", n_id < 12 ? (int)n_id : 12, id);
        }
        if (at < n)
            bd_say_text(l->stage, buf + at, (size_t)(n - at));
    }
}

static struct json_object *step_config(struct bd_stage *s, struct json_object *argv,
                                       const struct bd_list *args)
{
    struct json_object *c = bd_json_copy(s->config);
    json_object_object_add(c, "Cmd", json_object_get(argv));
    json_object_object_add(c, "Entrypoint", NULL);
    json_object_object_add(c, "Volumes", NULL);
    json_object_object_add(c, "ExposedPorts", NULL);
    json_object_object_add(c, "OnBuild", NULL);
    json_object *none = json_object_new_object(), *test = json_object_new_array();
    json_object_array_add(test, json_object_new_string("NONE"));
    json_object_object_add(none, "Test", test);
    json_object_object_add(c, "Healthcheck", none);
    for (size_t i = 0; i < args->n; i++) {
        dray_autofree char *name = strndup(args->v[i], strcspn(args->v[i], "="));
        if (name)
            bd_config_set_env(c, name, args->v[i] + strlen(name) + 1);
    }
    return c;
}

static int failed(struct bd_stage *s, const char *command, int code, struct dray_err *err)
{
    (void)s;
    return dray_fail(err, DRAY_E_INVAL, "The command '%.300s' returned a non-zero code: %d",
                     command, code);
}

/* Run it, showing what it says. */
static int run_step(struct bd_stage *s, struct dray_build_run *run, struct dray_build_ran *ran,
                    struct dray_err *err)
{
    struct bd_build *b = s->build;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return dray_fail_errno(err, "make a socket pair");
    struct listener l = {.stage = s, .fd = pair[0]};
    pthread_t thread;
    if (pthread_create(&thread, NULL, listen_main, &l) != 0) {
        (void)close(pair[0]);
        (void)close(pair[1]);
        return dray_fail(err, DRAY_E_NOMEM, "start a thread");
    }
    run->output.fd = pair[1];
    run->cancel.fd = b->cancel_fd;
    int rc = b->engine->run(b->call, run, ran, err);
    (void)shutdown(pair[1], SHUT_WR);
    (void)close(pair[1]);
    (void)pthread_join(thread, NULL);
    (void)close(pair[0]);
    return rc;
}

/* The script's file, where BuildKit has it. *path is where it is in its layer, and lives on. */
static int mount_script(struct bd_stage *s, const struct dray_df_heredoc *file, char **path,
                        struct dray_build_mount *out, struct dray_err *err)
{
    dray_autofree char *place = bd_strf(SCRIPTS "%s", file->name);
    const char *target = place ? dray_df_strndup(&s->arena, place, strlen(place)) : NULL;
    *out = (struct dray_build_mount){.size = sizeof *out,
                                     .type = DRAY_BUILD_MOUNT_LAYER,
                                     .flags = DRAY_BUILD_MOUNT_RDONLY,
                                     .target = target,
                                     .id = "",
                                     .env = ""};
    int rc = target ? bd_copy_script(s, file, &out->layer, path, err)
                    : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    out->path = *path;
    return rc;
}

static int execute(struct bd_stage *s, const struct dray_df_run *in, struct json_object *argv,
                   const struct bd_list *args, struct bd_hit *hit, struct dray_err *err)
{
    bd_autojson *config = step_config(s, argv, args);
    struct dray_build_run run = {
        .size = sizeof run,
        .flags =
            in->security && strcmp(in->security, "insecure") == 0 ? DRAY_BUILD_RUN_INSECURE : 0,
        .parent = s->layer,
        .config = bd_json_text(config),
        .image = s->id,
        .network = in->network && strcmp(in->network, "default") != 0 ? in->network : "",
        .clamp_s = s->build->epoch_s};
    struct dray_build_ran ran = {.size = sizeof ran};
    dray_autofree struct dray_build_mount *mounts = NULL;
    dray_autofree char *script = NULL;
    const struct dray_df_heredoc *file = own_interpreter(&in->command);
    int rc = bd_mounts_make(s, &in->mounts, &mounts, err);
    run.mounts = mounts;
    run.n_mounts = in->mounts.n;
    if (!rc && file)
        rc = mount_script(s, file, &script, &mounts[run.n_mounts++], err);
    if (!rc)
        rc = run_step(s, &run, &ran, err);
    if (rc)
        return rc;
    if (ran.exit_code != 0) {
        DRAY_AUTO(bd_buf) words = {0};
        add_words(&words, argv);
        return failed(s, bd_text(&words), ran.exit_code, err);
    }
    if (!(s->build->spec->flags & DRAY_BUILD_KEEP))
        bd_say(s, " ---> Removed intermediate container %.12s\n", ran.container);
    hit->layer = ran.layer;
    hit->created_ns = bd_step_time(s->build);
    return 0;
}

static char *created_by_kit(struct bd_stage *s, struct json_object *argv)
{
    DRAY_AUTO(bd_list) args = {0};
    if (bd_run_args_kit(s, &args, NULL))
        return NULL;
    dray_autofree char *line = created_by("RUN", argv, &args, args.n > 0);
    return line ? bd_strf("%s # buildkit", line) : NULL;
}

int bd_run(struct bd_stage *s, const struct dray_df_instr *in, struct dray_err *err)
{
    const struct dray_df_run *run = &in->u.run;
    DRAY_AUTO(bd_list) all = {0};
    DRAY_AUTO(bd_list) shown = {0};
    bd_autojson *argv = NULL;
    char key[BD_DIGEST_LEN];
    int rc = make_argv(s, &run->command, &argv, err);
    if (!rc)
        rc = bd_run_args(s, &all, &shown, err);
    if (!rc)
        rc = run_key(s, run, argv, &shown, key, err);
    dray_autofree char *by = rc ? NULL : created_by("", argv, &shown, all.n > 0);
    dray_autofree char *kit = rc ? NULL : created_by_kit(s, argv);
    if (!rc && (!by || !kit))
        rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    struct bd_hit hit = {0};
    /* History does not tell what a script or a mount's content was. */
    bool told = run->mounts.n == 0 && !own_interpreter(&run->command);
    if (!rc && bd_cache_find(s, key, told ? by : NULL, &hit)) {
        bd_say_cached(s);
    } else if (!rc) {
        rc = execute(s, run, argv, &all, &hit, err);
        if (!rc)
            rc = bd_cache_keep(s, key, &hit, in->text, err);
    }
    return rc ? rc : bd_commit(s, (struct bd_said){by, kit}, &hit.layer, hit.created_ns, err);
}

/* --- WORKDIR -----------------------------------------------------------------------------------*/

/* The path that it means, always absolute. */
static char *workdir_path(struct bd_stage *s, const char *value)
{
    dray_autofree char *joined =
        value[0] == '/' ? strdup(value)
                        : bd_strf("%s/%s", bd_json_str(s->config, "WorkingDir", ""), value);
    dray_autofree char *clean = joined ? bd_path_clean(joined) : NULL;
    return clean ? bd_strf("/%s", clean) : NULL;
}

struct folder_job {
    struct bd_stage *stage;
    const char *path; /* within the layer */
    uid_t uid;
    gid_t gid;
};

/* As BuildKit makes it, the folder is the USER's; root's when nobody has that name. */
static int find_owner(struct folder_job *j, const char *user, struct dray_err *err)
{
    struct bd_tree *root = NULL;
    int rc = *user ? bd_stage_root(j->stage, &root, err) : 0;
    if (!rc && *user && bd_owner(root, user, &j->uid, &j->gid, NULL) != 0)
        j->uid = j->gid = 0;
    return rc;
}

static int write_workdir(void *ctx, struct bd_tarout *t, struct bd_tree *root, struct dray_err *err)
{
    const struct folder_job *j = ctx;
    return bd_layer_folders(t, root, j->path, j->uid, j->gid,
                            bd_step_time(j->stage->build) / 1000000000, err);
}

int bd_workdir(struct bd_stage *s, const struct dray_df_instr *in, struct dray_err *err)
{
    dray_autofree char *path = workdir_path(s, in->u.value);
    dray_autofree char *by = NULL;
    bool whole = in->u.value[0] == '/';
    dray_autofree char *kit = path ? bd_strf("WORKDIR %s", whole ? in->u.value : path) : NULL;
    bd_autosum *sum = bd_sum_new();
    char key[BD_DIGEST_LEN];
    if (!kit || !sum)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    bd_json_set(s->config, "WorkingDir", path);
    by = bd_nop(s, "WORKDIR %s", path);
    bd_sum_text(sum, "workdir 2");
    bd_sum_text(sum, s->layer);
    bd_sum_text(sum, path);
    bd_sum_text(sum, bd_json_str(s->config, "User", ""));
    bd_sum_num(sum, s->build->epoch_s);
    bd_sum_end(sum, key);
    struct bd_hit hit = {0};
    int rc = by ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (!rc && bd_cache_find(s, key, by, &hit)) {
        bd_say_cached(s);
    } else if (!rc) {
        struct folder_job job = {.stage = s, .path = path + 1};
        rc = find_owner(&job, bd_json_str(s->config, "User", ""), err);
        if (!rc)
            rc = bd_layer_write(s, write_workdir, &job, &hit.layer, err);
        hit.created_ns = bd_step_time(s->build);
        if (!rc)
            rc = bd_cache_keep(s, key, &hit, in->text, err);
    }
    return rc ? rc : bd_commit(s, (struct bd_said){by, kit}, &hit.layer, hit.created_ns, err);
}
