/* SPDX-License-Identifier: Apache-2.0 */
/* test_client_build.c - dray build's small languages: -o, --secret, --ssh; the plain view; gzip. */
#include "client/build/build_session.h"
#include "client/build/build_view.h"

#include "base/clock.h"

#include "check.h"

#include <fcntl.h>
#include <sys/wait.h>

static void expect_output(const char *text, const char *type, const char *dest, const char *name)
{
    DRAY_AUTO(build_output) o = {0};
    struct dray_err err = {0};
    CU_ASSERT_EQUAL(build_output_parse(text, &o, &err), 0);
    CU_ASSERT_STRING_EQUAL(o.type ? o.type : "", type);
    CU_ASSERT_STRING_EQUAL(o.dest ? o.dest : "", dest);
    CU_ASSERT_STRING_EQUAL(o.name ? o.name : "", name);
}

static void expect_bad_output(const char *text, const char *want)
{
    struct dray_err err = {0};
    CU_ASSERT_EQUAL(build_output_check(text, &err), DRAY_E_INVAL);
    CU_ASSERT_STRING_EQUAL(err.text, want);
}

static void outputs(void)
{
    expect_output("out", "local", "out", "");
    expect_output("-", "tar", "-", "");
    expect_output("type=local,dest=a b/c", "local", "a b/c", "");
    expect_output("type=oci,dest=x.tar", "oci", "x.tar", "");
    expect_output("type=image,name=a/b:1,push=true", "image", "", "a/b:1");
    expect_output("type=tar,\"dest=a,b\"", "tar", "a,b", "");
    expect_bad_output("dest=x", "type is required for output");
    expect_bad_output("type=zip", "exporter \"zip\" could not be found");
    expect_bad_output("type=local", "dest is required for local exporter");
    expect_bad_output("type=tar,x=y", "invalid output key \"x\"");
    expect_bad_output("type=tar,x", "invalid value x");
}

static void expect_secret(const char *text, const char *want)
{
    struct dray_err err = {0};
    CU_ASSERT_EQUAL(build_secret_check(text, &err), *want ? DRAY_E_INVAL : 0);
    CU_ASSERT_STRING_EQUAL(err.text, want);
}

static void secrets(void)
{
    struct dray_err err = {0};
    expect_secret("id=a", "");
    expect_secret("id=a,src=/f", "");
    expect_secret("type=file,id=a,source=/f", "");
    expect_secret("id=a,env=V", "");
    expect_secret("ID=a,type=env", "");
    expect_secret("src=/f", "secret missing ID");
    expect_secret("id=", "secret missing ID");
    expect_secret("id=a,type=vault", "unsupported secret type \"vault\"");
    expect_secret("id=a,path=x", "unexpected key 'path' in 'path=x'");
    expect_secret("a", "invalid field 'a' must be a key=value pair");
    CU_ASSERT_EQUAL(build_ssh_check("default", &err), 0);
    CU_ASSERT_EQUAL(build_ssh_check("x=/k", &err), 0);
    CU_ASSERT_EQUAL(build_ssh_check("=/k", &err), DRAY_E_INVAL);
}

/* What a plain view prints; times are shown as T. */
static void expect_plain(struct build_view *v, FILE *f, char **text, const char *want)
{
    (void)v;
    (void)fflush(f);
    char got[512] = "", *to = got;
    for (const char *p = *text; *p && to < got + sizeof got - 1;) {
        size_t n = strspn(p, "0123456789");
        if (n && p[n] == '.') {
            *to++ = 'T';
            p += n + 1 + strspn(p + n + 1, "0123456789");
        } else {
            *to++ = *p++;
        }
    }
    if (strcmp(got, want) != 0)
        printf("\ngot  %s\nwant %s\n", got, want);
    CU_ASSERT_STRING_EQUAL(got, want);
}

static void plain_view(void)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    struct build_view v = {.mode = BUILD_PLAIN, .out = f};
    struct build_step s = {.number = 3, .name = cli_strdup("[2/5] RUN x")};
    s.start_ns = dray_clock_mono();
    build_plain_started(&v, &s);
    build_plain_text(&v, &s, "one\ntw");
    build_plain_text(&v, &s, "o\r\n\nthr");
    build_plain_text(&v, &s, "ee");
    s.end_ns = s.start_ns + 1500000000;
    build_plain_ended(&v, &s, NULL);
    expect_plain(&v, f, &text,
                 "\n#3 [2/5] RUN x\n#3 T one\n#3 T two\n#3 T \n#3 T three\n#3 DONE Ts\n");
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "DONE 1.5s"));
    s.cached = true;
    build_plain_ended(&v, &s, NULL);
    build_plain_ended(&v, &s, "exit code: 2");
    (void)fflush(f);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "#3 CACHED\n#3 ERROR: exit code: 2\n"));
    (void)fclose(f);
    free(text);
    free(s.name);
    dray_buf_free(&s.line);
}

/* A terminal's view never writes control characters of a step, and ends with all steps. */
static void tty_view(void)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    struct build_step done = {.number = 1, .name = cli_strdup("a\033[2Jb"), .done = true};
    struct build_step busy = {.number = 2, .name = cli_strdup("busy")};
    struct build_step *steps[] = {&done, &busy};
    struct build_view v = {.mode = BUILD_TTY, .out = f, .steps = steps, .n = 2};
    busy.start_ns = v.start_ns = dray_clock_mono();
    dray_buf_adds(&busy.tail, "output \033]0;evil\a line\n");
    build_tty_draw(&v, false);
    (void)fflush(f);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "[+] Building 0.0s (1/2)"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, " => a [2Jb"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, " => => # output  ]0;evil  line"));
    CU_ASSERT_PTR_NULL(strchr(text, '\a'));
    CU_ASSERT_EQUAL(v.drawn, 4);
    busy.done = busy.failed = true;
    build_tty_draw(&v, true);
    (void)fflush(f);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "(2/2) FINISHED"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, " => ERROR busy"));
    (void)fclose(f);
    free(text);
    free(done.name);
    free(busy.name);
    dray_buf_free(&busy.tail);
}

static int collect(void *arg, const void *data, size_t n)
{
    dray_buf_add(arg, data, n);
    return 0;
}

/* What --compress sends is what gzip reads. */
static void gzip(void)
{
    struct deflater *d = NULL;
    struct dray_buf out = {0};
    struct dray_err err = {0};
    char path[] = "/tmp/dray-gzip-test.XXXXXX", line[256] = "";
    if (deflater_new(&d, collect, &out, &err) != 0) {
        printf("\nskipped: %s\n", err.text);
        return;
    }
    for (int i = 0; i < 50000; i++)
        CU_ASSERT_EQUAL(deflater_write(d, "all work and no play\n", 21), 0);
    CU_ASSERT_EQUAL(deflater_end(d), 0);
    CU_ASSERT(out.len > 100 && out.len < 100000);
    int fd = mkstemp(path);
    CU_ASSERT_EQUAL(write(fd, out.data, out.len), (ssize_t)out.len);
    (void)close(fd);
    dray_autofree char *command = cli_strf("gzip -dc <%s | cksum", path);
    FILE *p = popen(command, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    CU_ASSERT_PTR_NOT_NULL(fgets(line, sizeof line, p));
    CU_ASSERT_EQUAL(pclose(p), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(line, " 1050000"));
    (void)unlink(path);
    dray_buf_free(&out);
}

static const struct check_case cases[] = {
    {"outputs", outputs},
    {"secrets and agents", secrets},
    {"the plain view", plain_view},
    {"the live view", tty_view},
    {"gzip", gzip},
};
CHECK_MAIN("dray build", cases)
