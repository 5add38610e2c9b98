/* SPDX-License-Identifier: Apache-2.0 */
/* test_dockerfile_lint.c - Docker's build checks: what they find, where, and how they are set. */
#include "lint.h"

#include "check.h"

#include <stdio.h>

struct found {
    char text[4096];
    size_t n;
};

static void add(void *arg, const struct dray_df_finding *f)
{
    struct found *out = arg;
    size_t len = strlen(out->text);
    (void)snprintf(out->text + len, sizeof out->text - len, "%u %s: %s\n", f->where.line, f->rule,
                   f->detail);
    CU_ASSERT(strncmp(f->url, "https://docs.docker.com/go/dockerfile/rule/", 43) == 0);
    CU_ASSERT(f->description[0] != '\0');
    out->n++;
}

static struct dray_df_lint options;
static char violated[448];

static const char *lint(const char *text)
{
    static struct found out;
    struct dray_df_file *f = NULL;
    struct dray_err err = {0};
    bool bad = false;
    memset(&out, 0, sizeof out);
    violated[0] = '\0';
    if (dray_df_parse(text, strlen(text), "Dockerfile", &f, NULL, &err) != 0)
        return "does not parse";
    int rc = dray_df_lint(f, &options, add, &out, &bad, &err);
    CU_ASSERT_EQUAL(rc, (int)out.n);
    if (bad)
        (void)snprintf(violated, sizeof violated, "%s", err.text);
    dray_df_free(f);
    return out.text;
}

static const struct {
    const char *text, *want;
} table[] = {
    {"FROM scratch AS a\nCOPY . /\n", ""},
    /* StageNameCasing */
    {"FROM scratch AS BuilderBase\n",
     "1 StageNameCasing: Stage name 'BuilderBase' should be lowercase\n"},
    /* FromAsCasing */
    {"FROM scratch as a\n", "1 FromAsCasing: 'as' and 'FROM' keywords' casing do not match\n"},
    {"from scratch AS a\ncopy . /\nuser u\n",
     "1 FromAsCasing: 'AS' and 'from' keywords' casing do not match\n"},
    {"from scratch as a\nuser u\n", ""},
    {"FROM scratch As a\n", "1 FromAsCasing: 'As' and 'FROM' keywords' casing do not match\n"},
    {"From scratch as a\nUSER u\nUSER v\n",
     "1 ConsistentInstructionCasing: Command 'From' should match the case of the command majority "
     "(uppercase)\n"},
    /* NoEmptyContinuation */
    {"FROM scratch\n# c\nCOPY a \\\n\n/b\nCOPY a \\\n/b\n",
     "5 NoEmptyContinuation: Empty continuation line\n"},
    /* ConsistentInstructionCasing */
    {"FROM scratch\nCopy a b\nuser u\nUSER v\n",
     "2 ConsistentInstructionCasing: Command 'Copy' should match the case of the command majority "
     "(uppercase)\n3 ConsistentInstructionCasing: Command 'user' should match the case of the "
     "command majority (uppercase)\n"},
    {"from scratch\nuser u\nUSER v\n",
     "3 ConsistentInstructionCasing: Command 'USER' should match the case of the command majority "
     "(lowercase)\n"},
    {"arg A\nFROM scratch\n", ""},
    /* DuplicateStageName, ReservedStageName */
    {"FROM scratch AS b\nFROM scratch AS b\n",
     "2 DuplicateStageName: Duplicate stage name \"b\", stage names should be unique\n"},
    {"FROM a AS b\nFROM a AS B\n",
     "2 StageNameCasing: Stage name 'B' should be lowercase\n2 DuplicateStageName: Duplicate stage "
     "name \"b\", stage names should be unique\n"},
    {"FROM scratch AS scratch\nFROM a AS context\n",
     "1 ReservedStageName: Stage name should not use the same name as reserved stage "
     "\"scratch\"\n2 ReservedStageName: Stage name should not use the same name as reserved stage "
     "\"context\"\n"},
    /* JSONArgsRecommended */
    {"FROM scratch\nCMD a b\nENTRYPOINT c\n",
     "2 JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior "
     "related to OS signals\n3 JSONArgsRecommended: JSON arguments recommended for ENTRYPOINT to "
     "prevent unintended behavior related to OS signals\n"},
    {"FROM scratch\nCMD [\"a\"]\nENTRYPOINT [\"c\"]\n", ""},
    {"FROM scratch\nSHELL [\"a\"]\nCMD a b\n", ""},
    {"FROM scratch\nCMD []\n", ""},
    /* MaintainerDeprecated */
    {"FROM scratch\nMAINTAINER a\n",
     "2 MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label\n"},
    /* UndefinedArgInFrom */
    {"ARG VERSION=1\nFROM a:${VERSOIN}\n",
     "2 UndefinedArgInFrom: FROM argument 'VERSOIN' is not declared (did you mean VERSION?)\n"},
    {"FROM --platform=$BULIDPLATFORM a\n",
     "1 UndefinedArgInFrom: FROM argument 'BULIDPLATFORM' is not declared (did you mean "
     "BUILDPLATFORM?)\n"},
    {"FROM ${quite_other}\n",
     "1 UndefinedArgInFrom: FROM argument 'quite_other' is not declared\n"},
    {"FROM --platform=$BUILDPLATFORM a\n", ""},
    {"FROM a:${NONE:-1}\n", ""},
    /* WorkdirRelativePath */
    {"FROM a\nWORKDIR b\nWORKDIR c\n",
     "2 WorkdirRelativePath: Relative workdir \"b\" can have unexpected results if the base image "
     "changes\n"},
    {"FROM a\nWORKDIR /b\nWORKDIR c\n", ""},
    {"FROM a AS x\nWORKDIR /b\nFROM x\nWORKDIR c\n", ""},
    {"FROM scratch\nENV D=/d\nWORKDIR $D\n", ""},
    /* UndefinedVar */
    {"FROM scratch\nCOPY $foo /\n", "2 UndefinedVar: Usage of undefined variable '$foo'\n"},
    {"FROM scratch\nARG foo\nCOPY $foo $PATH/\n", ""},
    {"FROM scratch\nENV foo=a\nCOPY ${fooo} /\n",
     "3 UndefinedVar: Usage of undefined variable '$fooo' (did you mean $foo?)\n"},
    {"FROM scratch\nARG VERSION=1\nLABEL v=$VERION\n",
     "3 UndefinedVar: Usage of undefined variable '$VERION' (did you mean $VERSION?)\n"},
    {"FROM a\nCOPY $GOPATH/x /\n", ""},
    {"FROM a\nENV GOPATH=/g\nCOPY $GOPAHT/x /\n",
     "3 UndefinedVar: Usage of undefined variable '$GOPAHT' (did you mean $GOPATH?)\n"},
    {"FROM scratch AS b\nENV x=1\nFROM b\nCOPY $x $yy /\n",
     "4 UndefinedVar: Usage of undefined variable '$yy' (did you mean $x?)\n"},
    {"ARG x=1\nFROM scratch\nCOPY $x /\n", "3 UndefinedVar: Usage of undefined variable '$x'\n"},
    {"FROM scratch\nRUN echo $any\nCMD [\"$any\"]\n", ""},
    {"FROM scratch\nCOPY $http_proxy ${none:-x} /\n", ""},
    {"FROM scratch\nRUN --mount=type=cache,target=$cch x\n",
     "2 UndefinedVar: Usage of undefined variable '$cch'\n"},
    /* MultipleInstructionsDisallowed */
    {"FROM scratch\nCMD [\"a\"]\nCMD [\"b\"]\nENTRYPOINT [\"c\"]\nENTRYPOINT [\"d\"]\n"
     "HEALTHCHECK NONE\nHEALTHCHECK CMD a\n",
     "2 MultipleInstructionsDisallowed: Multiple CMD instructions should not be used in the same "
     "stage because only the last one will be used\n4 MultipleInstructionsDisallowed: Multiple "
     "ENTRYPOINT instructions should not be used in the same stage because only the last one will "
     "be used\n6 MultipleInstructionsDisallowed: Multiple HEALTHCHECK instructions should not be "
     "used in the same stage because only the last one will be used\n"},
    {"FROM a\nCMD [\"a\"]\nFROM b\nCMD [\"b\"]\n", ""},
    /* LegacyKeyValueFormat */
    {"FROM scratch\nENV a b\nLABEL c d\n",
     "2 LegacyKeyValueFormat: \"ENV key=value\" should be used instead of legacy \"ENV key value\" "
     "format\n3 LegacyKeyValueFormat: \"LABEL key=value\" should be used instead of legacy \"LABEL "
     "key value\" format\n"},
    /* RedundantTargetPlatform, FromPlatformFlagConstDisallowed */
    {"FROM --platform=$TARGETPLATFORM a\n",
     "1 RedundantTargetPlatform: Setting platform to predefined $TARGETPLATFORM in FROM is "
     "redundant as this is the default behavior\n"},
    {"FROM --platform=linux/amd64 a AS base\n",
     "1 FromPlatformFlagConstDisallowed: FROM --platform flag should not use constant value "
     "\"linux/amd64\"\n"},
    {"FROM --platform=linux/amd64 a AS build_amd64\nFROM --platform=linux/arm64 a AS linux-x\n",
     ""},
    /* SecretsUsedInArgOrEnv */
    {"FROM scratch\nARG AWS_SECRET_ACCESS_KEY\nENV github_token=x\nENV MONKEY=1 PUBLIC_KEY=2\n",
     "2 SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ARG "
     "\"AWS_SECRET_ACCESS_KEY\")\n3 SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for "
     "sensitive data (ENV \"github_token\")\n"},
    {"ARG PASSWORD\nFROM scratch\nLABEL password=x\n",
     "1 SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ARG "
     "\"PASSWORD\")\n"},
    /* InvalidDefaultArgInFrom */
    {"ARG TAG\nFROM busybox:${TAG}\n",
     "2 InvalidDefaultArgInFrom: Default value for ARG busybox:${TAG} results in empty or invalid "
     "base image name\n"},
    {"ARG IMG\nFROM $IMG\n",
     "2 InvalidDefaultArgInFrom: Default value for ARG $IMG results in empty or invalid base image "
     "name\n"},
    {"ARG TAG=1\nARG R=h:5000/a\nFROM $R/b:${TAG}\n", ""},
    {"ARG V\nFROM a${V}\n", ""},
    /* ExposeProtoCasing, ExposeInvalidFormat */
    {"FROM scratch\nEXPOSE 80/TCP 53/udp\n",
     "2 ExposeProtoCasing: Defined protocol '80/TCP' in EXPOSE instruction should be lowercase\n"},
    {"FROM scratch\nEXPOSE 127.0.0.1:80:80 81\n",
     "2 ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port "
     "mapping, found '127.0.0.1:80:80'\n"},
    /* Experimental rules are off. */
    {"# about\nFROM scratch AS a\n", ""},
    {"# check=experimental=InvalidDefinitionDescription\n\n# about\nFROM scratch AS a\n# A is an "
     "argument\nARG A\n# x\nARG B C\n# x\n\nARG D\n",
     "4 InvalidDefinitionDescription: Comment for FROM should follow the format: `# a "
     "<description>`\n8 InvalidDefinitionDescription: Comment for ARG should follow the format: `# "
     "<arg_key> <description>`\n"},
    {"# check=experimental=all\nFROM scratch AS a\n", ""},
    /* Rules that are off. */
    {"# check=skip=all\nFROM a as B\nMAINTAINER x\n", ""},
    {"# check=skip=FromAsCasing, stagenamecasing\nFROM a as B\nMAINTAINER x\n",
     "3 MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label\n"},
};

static void rules(void)
{
    memset(&options, 0, sizeof options);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const char *got = lint(table[i].text);
        if (strcmp(got, table[i].want) != 0)
            printf("\n%s:\n  got  %s\n  want %s\n", table[i].text, got, table[i].want);
        CU_ASSERT_STRING_EQUAL(got, table[i].want);
        CU_ASSERT_STRING_EQUAL(violated, "");
    }
}

static void errors(void)
{
    memset(&options, 0, sizeof options);
    (void)lint("# check=error=true\nFROM a as B\nMAINTAINER x\nMAINTAINER y\n");
    CU_ASSERT_STRING_EQUAL(violated, "lint violation found for rules: FromAsCasing, "
                                     "StageNameCasing, MaintainerDeprecated");
    (void)lint("# check=error=true\nFROM a\n");
    CU_ASSERT_STRING_EQUAL(violated, "");
    (void)lint("# check=skip=all;error=true\nFROM a AS B\n");
    CU_ASSERT_STRING_EQUAL(violated, "");
}

static void build_arguments(void)
{
    const struct dray_kv kv[] = {{"BUILDKIT_DOCKERFILE_CHECK", "error=true;skip=StageNameCasing"},
                                 {"TAG", "1"}};
    options = (struct dray_df_lint){.build_args = {kv, 2}};
    CU_ASSERT_STRING_EQUAL(lint("# check=skip=all\nFROM a AS B\nMAINTAINER x\n"),
                           "3 MaintainerDeprecated: Maintainer instruction is deprecated in favor "
                           "of using label\n");
    CU_ASSERT_STRING_EQUAL(violated, "lint violation found for rules: MaintainerDeprecated");
    /* What the default would be does not change with the argument. */
    CU_ASSERT_PTR_NOT_NULL(strstr(lint("ARG TAG\nFROM a:$TAG\n"), "InvalidDefaultArgInFrom"));
    memset(&options, 0, sizeof options);
}

static void ignored_files(void)
{
    static const char on[] = "# check=experimental=CopyIgnoredFile\n";
    char text[256];
    options = (struct dray_df_lint){.ignore_file = "*/tmp/*\nx\n"};
    (void)snprintf(text, sizeof text,
                   "%sFROM scratch\nCOPY ./a/tmp/f y /\nADD x https://h/x /\nCOPY --from=a x /\n",
                   on);
    CU_ASSERT_STRING_EQUAL(lint(text),
                           "3 CopyIgnoredFile: Attempting to Copy file \"a/tmp/f\" that is "
                           "excluded by .dockerignore\n4 CopyIgnoredFile: Attempting to Add file "
                           "\"x\" that is excluded by .dockerignore\n");
    options.ignore_file = "x\n!x/y\n";
    CU_ASSERT_STRING_EQUAL(lint(text), "");
    memset(&options, 0, sizeof options);
}

static int32_t image_env(void *arg, const char *image, struct dray_strs *out)
{
    static const char *const env[] = {"GOPATH=/go", "B=1"};
    CU_ASSERT_PTR_NULL(arg);
    if (strcmp(image, "golang:1") != 0)
        return DRAY_E_NOTFOUND;
    *out = (struct dray_strs){env, 2};
    return 0;
}

static void known_images(void)
{
    options = (struct dray_df_lint){.base_env = image_env};
    CU_ASSERT_STRING_EQUAL(lint("ARG V=1\nFROM golang:$V\nWORKDIR $GOPATH\nCOPY $quite_other /\n"),
                           "4 UndefinedVar: Usage of undefined variable '$quite_other'\n");
    CU_ASSERT_STRING_EQUAL(lint("FROM other\nCOPY $quite_other /\n"), "");
    memset(&options, 0, sizeof options);
}

static const struct check_case cases[] = {
    {"rules", rules},
    {"errors", errors},
    {"build arguments", build_arguments},
    {"ignored files", ignored_files},
    {"known images", known_images},
};
CHECK_MAIN("Dockerfile lint", cases)
