/* SPDX-License-Identifier: Apache-2.0 */
/* cli.c - errors kept for the end, and memory that may not run out. */
#include "client/cli.h"

#include <stdio.h>

int cli_fail(struct cli *cli, const char *fmt, ...)
{
    va_list ap;
    char *text = NULL;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    dray_buf_reset(&cli->error);
    if (n >= 0) {
        dray_buf_add(&cli->error, text, (size_t)n);
        free(text);
    }
    return -1;
}

int cli_fail_err(struct cli *cli, const struct dray_err *err)
{
    return cli_fail(cli, "%s", err->text);
}

int cli_report(struct cli *cli)
{
    (void)fflush(stdout);
    (void)fprintf(stderr, "%s\n", cli->error.data ? cli->error.data : "unknown error");
    dray_buf_reset(&cli->error);
    return 1;
}

void *cli_need(void *p)
{
    if (!p) {
        (void)fputs("dray: out of memory\n", stderr);
        abort();
    }
    return p;
}

char *cli_strf(const char *fmt, ...)
{
    va_list ap;
    char *text = NULL;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    return cli_need(n < 0 ? NULL : text);
}

const char *cli_strerror(int number)
{
    static char text[128];
    (void)snprintf(text, sizeof text, "%s", strerror(number));
    if (text[0] >= 'A' && text[0] <= 'Z' && text[1] >= 'a' && text[1] <= 'z')
        text[0] = (char)(text[0] - 'A' + 'a');
    return text;
}

char *cli_strdup(const char *text)
{
    return cli_need(strdup(text));
}
