/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shim.h - the state of one shim: its container's process, execs, attach sessions and connections.
 *
 * Everything runs on one thread. Objects are freed only by the functions named here; a handler that
 * may free its own object must not touch it afterwards.
 */
#ifndef DRAY_SHIM_SHIM_H
#define DRAY_SHIM_SHIM_H

#include "base/sockmsg.h"
#include "shim/detach.h"
#include "shim/drivers.h"
#include "shim/loop.h"

#include <stdbool.h>
#include <sys/queue.h>

struct shim;
struct shim_proc;
struct shim_logpipe;
struct json_object;

/** One output of a process: a pipe's or a terminal's end. */
struct shim_source {
    struct shim_watch watch;
    struct shim_proc *proc;
    uint8_t stream; /* DRAY_FRAME_STDOUT or DRAY_FRAME_STDERR */
    bool grown;     /* the pipe has been enlarged, or cannot be */
};

/** The container's first process (id NULL), or an exec. */
struct shim_proc {
    LIST_ENTRY(shim_proc) link; /* shim.execs; the first process is not on it */
    struct shim *shim;
    char *id;
    int pid; /* 0: none yet */
    int code;
    struct shim_watch pidfd;
    struct shim_source out[2]; /* a terminal uses the first alone */
    struct shim_watch in;      /* the process's standard input; a terminal's own duplicate */
    char *in_buf;              /* input that the process has not taken yet */
    size_t in_off, in_len;
    bool in_close; /* close the input once in_buf is empty */
    bool terminal;
    bool open_stdin; /* sessions may write */
    bool stdin_once; /* the first session that ends closes the input */
    bool exited;
    bool finished; /* exited and no more output will come */
    int64_t exited_mono;
    size_t n_sessions;
    uint16_t rows, cols;
};

/** A client's stream, connected to a process. */
struct shim_session {
    LIST_ENTRY(shim_session) link;
    struct shim_proc *proc;
    struct shim_watch sock;
    int done; /* closed at the end of the session */
    bool want_in, want_out, want_err, framed;
    bool in_eof; /* the client will send nothing more */
    bool hup;    /* the client has gone; what it sent is still read */
    struct shim_detach detach;
    char *pend; /* output that the client has not taken yet */
    size_t pend_off, pend_len;
    int64_t progress_mono; /* when output was last taken */
};

/** A daemon's control connection. */
struct shim_conn {
    LIST_ENTRY(shim_conn) link;
    struct shim *shim;
    struct shim_watch sock;
    STAILQ_HEAD(shim_letters, shim_letter) outbox; /* messages that did not fit */
    size_t n_outbox;
    bool dead;
};

/** A terminal's size that came before its exec. */
struct shim_size {
    char *exec;
    uint16_t rows, cols;
};
#define SHIM_SIZES 8

struct shim {
    struct shim_loop loop;
    struct shim_drivers *drivers;
    char *id;
    int dirfd;
    uint64_t sock_ino;
    int lock; /* the folder of exit_file, locked until the container has been dropped */
    struct shim_watch listener, signals;
    struct dray_driver *runtime;
    struct shim_proc init;
    struct shim_logpipe *log; /* NULL: none */
    const char *exit_file;    /* name in that folder; points into exit_path */
    char *exit_path;
    int64_t started_ns;
    bool ran;         /* "run" has succeeded */
    bool ending;      /* the container has ended, or could not start */
    bool quit;        /* asked to end */
    bool reap;        /* children may have ended while signals were not looked at */
    bool tick;        /* something waits for time to pass */
    int64_t end_mono; /* when ending was set */
    LIST_HEAD(shim_procs, shim_proc) execs;
    LIST_HEAD(shim_sessions, shim_session) sessions;
    LIST_HEAD(shim_conns, shim_conn) conns;
    struct shim_size sizes[SHIM_SIZES]; /* of terminals of execs that are still to come */
    unsigned n_sizes;
    char *buffer; /* SHIM_BUFFER bytes, see shim_buffer() */
    bool untidy;  /* memory was used since the shim was last idle */
};

/** Size of one read. */
#define SHIM_BUFFER ((size_t)128 << 10)
/** How long a client may take nothing of the output that is left after its process has ended. */
#define SHIM_DRAIN_NS (INT64_C(10) * 1000000000)
/** How long an ended shim goes on sending to a log's peer. */
#define SHIM_LOG_NS (INT64_C(10) * 1000000000)
/** How long an ended exec's output may still come from processes it left behind. */
#define SHIM_LINGER_NS (INT64_C(2) * 1000000000)

/** Serve one container until it has ended. Returns the exit code of the shim's process. */
int shim_main(struct shim_drivers *drivers, const char *id, const char *dir, int conn /* takes */);

/** Scratch memory of SHIM_BUFFER bytes, valid until the handler returns. It is given back to the
 *  kernel when the shim is idle. */
char *shim_buffer(struct shim *s);

/* Calls of the runtime are made between these: children must not inherit a blocked SIGCHLD. */
void shim_signals_open(struct shim *s);
void shim_signals_block(struct shim *s);

/* proc.c */

void shim_proc_init(struct shim_proc *p, struct shim *s);
/** Release everything; the process itself is not touched. */
void shim_proc_fini(struct shim_proc *p);
/** Child ends of the streams, to be closed after the process has been made. */
struct shim_ends {
    int fd[3];
};
/** Make pipes for a process without a terminal. discard: output goes nowhere. */
int shim_proc_pipes(struct shim_proc *p, bool want_out, bool want_err, struct shim_ends *ends,
                    struct dray_err *err);
/** The process lives: take over its descriptors and begin to read. */
int shim_proc_begin(struct shim_proc *p, struct dray_proc *made, struct dray_err *err);
/** Input for the process; kept when it does not take it at once. */
void shim_proc_write(struct shim_proc *p, const void *data, size_t n);
/** Close the input after what is kept has been taken. */
void shim_proc_close_in(struct shim_proc *p);
int shim_proc_resize(struct shim_proc *p, uint16_t rows, uint16_t cols, struct dray_err *err);
/** Ask again for what may be read now (sessions may have stalled or resumed). */
void shim_proc_update(struct shim_proc *p);
/** Read what the streams hold now, passing it on without regard to slow clients; then close them.
 */
void shim_proc_drain(struct shim_proc *p);
/** Read what is there now, as far as clients take it. */
void shim_proc_poll(struct shim_proc *p);
/** Do clients keep output from being read? */
bool shim_proc_stalled(const struct shim_proc *p);
/** No more output: end the sessions that have nothing left to send. */
void shim_proc_finish(struct shim_proc *p);

/* session.c */

/** Start a session from the fields of an "attach" request. Takes the descriptors on success. */
int shim_session_new(struct shim_proc *p, struct json_object *body, int sock, int done,
                     struct dray_err *err);
/** Pass output on; what the client does not take is kept. */
void shim_session_output(struct shim_session *s, uint8_t stream, const char *data, size_t n);
/** Ask again for what the client may send or take now. */
void shim_session_update(struct shim_session *s);
/** End a session and free it. */
void shim_session_end(struct shim_session *s, bool detached);
/** End all sessions. */
void shim_session_end_all(struct shim *s);
/** End the sessions whose client has not taken the last output for too long. */
void shim_session_sweep(struct shim *s, int64_t now_mono);

/* conn.c */

int shim_conn_new(struct shim *s, int fd /* takes */);
/** Has the daemon closed it? */
bool shim_conn_gone(const struct shim_conn *c);
void shim_conn_send(struct shim_conn *c, struct json_object *body);
void shim_conn_broadcast(struct shim *s, struct json_object *body /* takes */);
/** Free connections that have ended. */
void shim_conn_sweep(struct shim *s);
void shim_conn_close_all(struct shim *s);

/* ops.c */

/** Handle one request and answer it. */
void shim_request(struct shim_conn *c, struct dray_sockmsg *msg);

/* run.c: the container's life */

int shim_run(struct shim *s, struct json_object *body, struct dray_err *err);
int shim_exec(struct shim *s, struct dray_sockmsg *msg, int *pid_out, struct dray_err *err);
struct shim_proc *shim_exec_find(struct shim *s, const char *id);
/** Keep the size of an exec's terminal until the exec comes. */
void shim_exec_size(struct shim *s, const char *id, uint16_t rows, uint16_t cols);
/** A child has ended; others than the container's process and execs are of no interest. */
void shim_exited(struct shim *s, int pid, int status);
/** The container's process has ended: tell everybody and drop the container. */
void shim_ended(struct shim *s);
/** Free execs that nobody needs any more; finish those that time has run out for. */
void shim_execs_sweep(struct shim *s, int64_t now_mono);

/* logpipe.c */

/** Open the drivers that "log" of a run request names. NULL log: *out is NULL. */
int shim_logpipe_open(struct shim *s, struct json_object *log, struct shim_logpipe **out,
                      struct dray_err *err);
/** Output of a stream: split into lines and written. */
void shim_logpipe_feed(struct shim_logpipe *l, uint8_t stream, const char *data, size_t n);
/** Must the container wait until earlier lines are written? */
bool shim_logpipe_full(struct shim_logpipe *l);
/** Write what is left of unfinished lines; files of this machine are waited for. */
void shim_logpipe_finish(struct shim_logpipe *l);
/** No more output: close the drivers that keep files. False while another driver still sends. NULL
 *  is allowed. */
bool shim_logpipe_settle(struct shim_logpipe *l);
/** Free it; what has not been sent is lost. NULL is allowed. */
void shim_logpipe_close(struct shim_logpipe *l);

#endif
