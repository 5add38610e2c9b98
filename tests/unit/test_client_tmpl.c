/* SPDX-License-Identifier: Apache-2.0 */
/* test_client_tmpl.c - Go templates over JSON: what --format takes. */
#include "client/tmpl/tmpl.h"

#include "base/json.h"
#include "check.h"

static const char doc_text[] =
    "{\"Name\":\"/web\",\"Id\":\"0123456789abcdef\",\"Count\":3,\"On\":true,\"Off\":false,"
    "\"Empty\":\"\",\"Null\":null,\"Ratio\":0.5,"
    "\"State\":{\"Status\":\"running\",\"Pid\":42},"
    "\"Args\":[\"-c\",\"echo\"],\"None\":[],"
    "\"Labels\":{\"b\":\"2\",\"a\":\"1\",\"com.x.y\":\"z\"},"
    "\"Mounts\":[{\"Source\":\"/a\",\"RW\":true},{\"Source\":\"/b\",\"RW\":false}]}";

/* Run a template over the document; the caller frees. Errors come back as "!text". */
static char *run(const char *text, const struct tmpl_env *env)
{
    dray_autojson *doc = NULL;
    struct tmpl *t = NULL;
    struct dray_err err = {0};
    DRAY_AUTO(dray_buf) out = {0};
    CU_ASSERT_EQUAL_FATAL(dray_json_parse(doc_text, sizeof doc_text - 1, &doc, NULL), 0);
    if (tmpl_parse(text, &t, &err) != 0)
        return dray_strf("!%s", err.text);
    int rc = tmpl_exec(t, doc, env, &out, &err);
    tmpl_free(t);
    return rc == 0 ? dray_buf_steal(&out) : dray_strf("!%s", err.text);
}

static void expect(const char *text, const char *want)
{
    struct tmpl_env env = {.inspect = true};
    dray_autofree char *got = run(text, &env);
    if (strcmp(got, want) != 0)
        (void)printf("\n%s gives \"%s\", not \"%s\"\n", text, got, want);
    CU_ASSERT_STRING_EQUAL(got, want);
}

static void fields(void)
{
    expect("plain", "plain");
    expect("{{.Name}}", "/web");
    expect("{{ .State.Status }}-{{.State.Pid}}", "running-42");
    expect("{{.id}}", "0123456789abcdef"); /* another case, as Go's field names have */
    expect("{{.Args}} {{.Labels}}", "[-c echo] map[a:1 b:2 com.x.y:z]");
    expect("{{.On}} {{.Count}} {{.Ratio}}", "true 3 0.5");
    expect("{{$.Name}}", "/web");
}

static void nothing_there(void)
{
    expect("{{.Foo}}", "!template: :1:2: executing \"\" at <.Foo>: map has no entry for key "
                       "\"Foo\"");
    expect("x\n{{.State.Foo}}",
           "!template: :2:8: executing \"\" at <.State.Foo>: map has no entry for key \"Foo\"");
    expect("{{.Null}}", "[]");
    /* As docker, which knows the field, of a container without a health check. */
    expect("{{if .State.Health}}yes{{else}}no{{end}} {{.State.Health}}", "no <nil>");
    struct tmpl_env row = {.type = "*formatter.ContainerContext"};
    dray_autofree char *got = run("{{.Foo}}", &row);
    CU_ASSERT_STRING_EQUAL(got, "!template: :1:2: executing \"\" at <.Foo>: can't evaluate field "
                                "Foo in type *formatter.ContainerContext");
}

static void pipelines(void)
{
    expect("{{.Name | upper}}", "/WEB");
    expect("{{.Id | printf \"%.4s\"}}", "0123");
    expect("{{printf \"%s-%05d\" .Name .Count}}", "/web-00003");
    expect("{{printf \"%q %v %d%%\" \"a\" .On 5}}", "\"a\" true 5%");
    expect("{{join .Args \",\"}} {{split \"a/b\" \"/\"}}", "-c,echo [a b]");
    expect("{{json .Labels}}", "{\"b\":\"2\",\"a\":\"1\",\"com.x.y\":\"z\"}");
    expect("{{json .Name}} {{json .Null}}", "\"/web\" null");
    expect("{{index .Labels \"com.x.y\"}}{{index .Args 1}}", "zecho");
    expect("{{(index .Mounts 1).Source}}", "/b");
    expect("{{len .Args}}{{len .Name}}{{len .Labels}}", "243");
    expect("{{title \"ab cd\"}} {{lower \"AB\"}}", "Ab Cd ab");
    expect("{{truncate .Id 3}} {{slice .Id 1 3}} {{pad \"x\" 1 2}}|", "012 12  x  |");
    expect("{{println \"a\" 1}}{{print \"a\" 1 2 \"b\"}}", "a 1\na1 2b");
    expect("{{html \"<&>\"}} {{urlquery \"a b/\"}}", "&lt;&amp;&gt; a+b%2F");
}

static void comparing(void)
{
    expect("{{eq .Count 3}}{{eq .Name \"a\" \"/web\"}}{{ne 1 2}}", "truetruetrue");
    expect("{{lt 1 2}}{{le 2 2}}{{gt 1 2}}{{ge 1 2}}", "truetruefalsefalse");
    expect("{{and .On .Name}} {{or .Empty \"d\"}} {{not .Off}}", "/web d true");
    expect("{{eq .Name 1}}", "!template: :1:2: executing \"\" at <eq .Name 1>: error calling eq: "
                             "incompatible types for comparison");
}

static void blocks(void)
{
    expect("{{if .On}}yes{{else}}no{{end}}", "yes");
    expect("{{if .Off}}a{{else if .On}}b{{else}}c{{end}}", "b");
    expect("{{if .None}}a{{else}}empty{{end}}", "empty");
    expect("{{range .Mounts}}{{.Source}};{{end}}", "/a;/b;");
    expect("{{range $i, $m := .Mounts}}{{$i}}={{$m.Source}} {{end}}", "0=/a 1=/b ");
    expect("{{range $k, $v := .Labels}}{{$k}}:{{$v}},{{end}}", "a:1,b:2,com.x.y:z,");
    expect("{{range .None}}x{{else}}none{{end}}", "none");
    expect("{{with .State}}{{.Pid}} {{$.Name}}{{end}}", "42 /web");
    expect("{{with $x := .Count}}{{$x}}{{end}}", "3");
    expect("{{$n := .Name}}{{range .Args}}{{$n}}{{end}}", "/web/web");
    expect("{{range .Mounts}}{{if .RW}}{{continue}}{{end}}{{.Source}}{{end}}", "/b");
    expect("{{range .Mounts}}{{.Source}}{{break}}{{end}}", "/a");
    expect("a {{- \" b \" -}} c{{/* no */}}!", "a b c!");
}

static void malformed(void)
{
    expect("{{.Name", "!template: :1: unclosed action");
    expect("{{nope .Name}}", "!template: :1: function \"nope\" not defined");
    expect("{{if .On}}x", "!template: :1: unexpected EOF");
    expect("x{{end}}", "!template: :1: unexpected {{end}}");
    expect("{{$y}}", "!template: :1: undefined variable \"$y\"");
    expect("{{\"abc}}", "!template: :1: unterminated quoted string");
    expect("{{}}", "!template: :1: missing value for command");
    expect("{{index .Args 9}}", "!template: :1:2: executing \"\" at <index .Args 9>: error calling "
                                "index: index out of range: 9");
    expect("{{len}}",
           "!template: :1:2: executing \"\" at <len>: wrong number of args for len: want 1 got 0");
}

static void header_row(void)
{
    struct tmpl_env env = {.type = "x", .header = true};
    dray_autofree char *got = run("{{.Name}} {{.Label \"app\"}}", &env);
    CU_ASSERT_STRING_EQUAL(got, "/web app");
}

/* Any cut of a template is parsed or refused, never worse. */
static void cut_short(void)
{
    const char *text = "{{range $i, $m := .Mounts}}{{if and .RW (eq $i 0)}}{{printf \"%s\" "
                       "$m.Source | upper}}{{else}}`{{end}}{{end}}";
    for (size_t n = 0; n <= strlen(text); n++) {
        dray_autofree char *piece = dray_strf("%.*s", (int)n, text);
        struct tmpl_env env = {.inspect = true};
        dray_autofree char *got = run(piece, &env);
        CU_ASSERT_PTR_NOT_NULL(got);
    }
}

static const struct check_case cases[] = {
    {"fields", fields},         {"nothing there", nothing_there},
    {"pipelines", pipelines},   {"comparing", comparing},
    {"blocks", blocks},         {"malformed", malformed},
    {"header row", header_row}, {"cut short", cut_short},
};
CHECK_MAIN("client templates", cases)
