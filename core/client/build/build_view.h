/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build_view.h - how the progress of a build is shown.
 *
 * With trace=1 the daemon tells of steps in objects of their own, beside the lines that a classic
 * build sends (pulls, errors, "aux"):
 *
 *     {"step":{"id":"0.2","name":"[build 2/5] RUN make","state":"started"}}
 *     {"step":{"id":"0.2","text":"cc -c a.c\n"}}
 *     {"step":{"id":"0.2","state":"done","cached":true}}
 *     {"step":{"id":"0.2","state":"error","error":"exit code: 2"}}
 *
 * of where it has failed in {"place":{"file","line","end_line","text","excerpt"}} before the error,
 * of findings in {"warning":{"rule","description","url","detail","file","line","excerpt"}} when all
 * is done; of those of check=1 in {"finding":{..}} and {"check":{"warnings":1,"error":"..."}} at
 * the end.
 */
#ifndef DRAY_CLIENT_BUILD_VIEW_H
#define DRAY_CLIENT_BUILD_VIEW_H

#include "client/build/build.h"

/** A step as the client knows it. */
struct build_step {
    char *id, *name;
    unsigned number; /**< in the order of their starts, from 1 */
    int64_t start_ns, end_ns;
    bool done, cached, failed;
    struct dray_buf line; /**< output that has no end of line yet */
    struct dray_buf tail; /**< output, its last part: shown live and when the step fails */
};

struct build_view {
    struct cli *cli;
    enum build_progress mode;
    FILE *out;
    struct build_step **steps; /* each at an address of its own */
    size_t n;
    int64_t start_ns;
    unsigned drawn; /**< tty: lines on the screen that are ours */
    int64_t drawn_ns;
    bool need_draw;
    int64_t pull_ns;
    char *pull; /**< tty: what is being pulled */
};

/** One event of a step, in the lines of plain. */
void build_plain_started(struct build_view *v, struct build_step *s);
void build_plain_text(struct build_view *v, struct build_step *s, const char *text);
void build_plain_ended(struct build_view *v, struct build_step *s, const char *error);
/** Draw the steps anew; last: for good. */
void build_tty_draw(struct build_view *v, bool last);
/** "1.2s" as BuildKit writes it. */
const char *build_seconds(int64_t ns, char out[24]);

#endif
