/* SPDX-License-Identifier: Apache-2.0 */
/* shim_harness.h - plays the daemon for a real dray-shim. */
#ifndef DRAY_TESTS_SHIM_HARNESS_H
#define DRAY_TESTS_SHIM_HARNESS_H

#include "check.h"

#include "base/buf.h"
#include "base/json.h"

#include <stdbool.h>
#include <sys/types.h>

struct harness {
    char root[64];
    int zygote;
    pid_t zygote_pid;
    const char *runtime; /* plugin that runs the containers */
    bool native;         /* it makes real containers */
};

/** Runtime of the tests: "test-host", or "native" with a root of busybox. */
#ifndef SHIM_RUNTIME
#define SHIM_RUNTIME "test-host"
#endif
/** Can the runtime work here? Prints why not. */
bool harness_possible(void);

void harness_begin(struct harness *h);
/** Ends the zygote and removes all files. */
void harness_end(struct harness *h);

/** One container and a connection to its shim. */
struct box {
    struct harness *h;
    char id[32];
    char dir[128], bundle[128], exit_file[160], log_file[200];
    int conn;
    int seq;
    struct json_object *events; /* that came between answers */
};

/** Make a bundle that runs `sh -c script` and have a shim spawned for it. */
void box_begin(struct box *b, struct harness *h, const char *id, const char *script);
void box_end(struct box *b);
/** Let the bundle run another command, given without a shell. */
void box_command(struct box *b, const char *const *args);
/** "process" of an exec that runs a command without a shell; NULL ends args. */
struct json_object *process_with(const char *const *args);
/** Send a request and return its answer, owned by the caller. */
struct json_object *box_call(struct box *b, struct json_object *body /* takes */, const int *fds,
                             size_t n_fds);
/** The same; the answer must be (not be) an error. */
void box_ok(struct box *b, struct json_object *body /* takes */, const int *fds, size_t n_fds);
int box_code(struct box *b, struct json_object *body /* takes */, const int *fds, size_t n_fds);
/** Wait for an event; NULL when none comes within 10 s. */
struct json_object *box_event(struct box *b, const char *name);
/** The "run" request; flags: letters of "tio" for terminal, stdin, stdin_once; "l" for a log. */
struct json_object *box_run_body(struct box *b, const char *flags);
void box_run(struct box *b, const char *flags);
/** Wait for the exit event; its code. */
int box_wait(struct box *b);
/** Connect anew, as after a restart of the daemon. */
bool box_connect(struct box *b, int *fd_out);
/** Wait until the shim has ended (its socket is gone, its connections are closed). */
bool box_gone(struct box *b);
/** The whole log file. */
char *box_log(struct box *b);
/** Is there such a file in the bundle? */
bool box_has(const struct box *b, const char *name);

/** A client's end of an attach session. */
struct client {
    int sock; /* the client's */
    int done;
};
/** flags: letters of "ioef" for stdin, stdout, stderr, framed. keys may be NULL. */
void client_attach(struct client *c, struct box *b, const char *flags, const char *keys);
/** An exec of `sh -c script` with a session; the same flags, "t" for a terminal. Gives the answer's
 *  code. */
int client_exec(struct client *c, struct box *b, const char *exec, const char *script,
                const char *flags);
/** Read to the end of the stream. */
void client_read(struct client *c, struct dray_buf *out);
/** Wait for the end of the session: 'd' when it was detached, 0 else, -1 when it does not end. */
int client_done(struct client *c);
void client_end(struct client *c);
void client_say(struct client *c, const char *text);
/** The whole stream must be the text. */
void client_reads(struct client *c, const char *text);
/** Read until the text has appeared; false: it does not. */
bool client_sees(struct client *c, const char *text);
/** The bytes of a stream in frames, which are cut by who reads when; owned by the caller. */
char *unframe(const struct dray_buf *got, int stream);

struct json_object *request(const char *op);
/** Wait for a descriptor to be readable. */
bool readable(int fd, int timeout_ms);
void nap(int ms);

/* The frame of nearly every test. */
static inline void harness_cleanup(struct harness *h)
{
    harness_end(h);
}
static inline void box_cleanup(struct box *b)
{
    box_end(b);
}
#define HARNESS(h)                                                                                 \
    DRAY_AUTO(harness) h;                                                                          \
    harness_begin(&h)
#define BOX(b, h, id, script)                                                                      \
    DRAY_AUTO(box) b;                                                                              \
    box_begin(&b, &h, id, script)

#endif
