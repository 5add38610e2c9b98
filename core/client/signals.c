/* SPDX-License-Identifier: Apache-2.0 */
/* signals.c - hands our signals and window sizes to a container, from a thread of its own. */
#include "client/stream.h"

#include "client/api.h"
#include "client/term.h"

#include <pthread.h>
#include <signal.h>

static const struct {
    int number;
    const char *name;
} names[] = {
    {SIGHUP, "HUP"},   {SIGINT, "INT"},       {SIGQUIT, "QUIT"}, {SIGILL, "ILL"},
    {SIGTRAP, "TRAP"}, {SIGABRT, "ABRT"},     {SIGUSR1, "USR1"}, {SIGUSR2, "USR2"},
    {SIGALRM, "ALRM"}, {SIGTERM, "TERM"},     {SIGCONT, "CONT"}, {SIGTSTP, "TSTP"},
    {SIGTTIN, "TTIN"}, {SIGTTOU, "TTOU"},     {SIGXCPU, "XCPU"}, {SIGXFSZ, "XFSZ"},
    {SIGPROF, "PROF"}, {SIGVTALRM, "VTALRM"}, {SIGIO, "IO"},     {SIGPWR, "PWR"},
};

/* Name without SIG of a signal number, or NULL. */
static const char *signal_name(int number)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].number == number)
            return names[i].name;
    return NULL;
}

/* What is taken by the thread: what a person or a supervisor sends, not faults. */
static void wanted(sigset_t *set)
{
    static const int list[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGUSR1, SIGUSR2,
                               SIGALRM, SIGTERM, SIGCONT, SIGWINCH};
    (void)sigemptyset(set);
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        (void)sigaddset(set, list[i]);
}

void stream_signals_block(void)
{
    sigset_t set;
    wanted(&set);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void send_size(struct stream_signals *s)
{
    int rows = 0, columns = 0;
    if (!s->resize || !term_size(STDOUT_FILENO, &rows, &columns) || rows == 0)
        return;
    dray_autofree char *path = cli_strf("%s/resize?h=%d&w=%d", s->resize, rows, columns);
    (void)api_call(&s->cli, "POST", path, NULL, NULL);
}

/* Without a container to tell, a signal does to us what it does to anyone. */
static void take_signal(int number)
{
    sigset_t set;
    term_restore();
    (void)sigemptyset(&set);
    (void)sigaddset(&set, number);
    (void)signal(number, SIG_DFL);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    (void)raise(number);
}

static void *serve(void *arg)
{
    struct stream_signals *s = arg;
    sigset_t set;
    wanted(&set);
    send_size(s);
    for (;;) {
        int number = sigwaitinfo(&set, NULL);
        if (number == SIGWINCH) {
            send_size(s);
        } else if (number > 0 && s->kill) {
            const char *name = signal_name(number);
            dray_autofree char *path = cli_strf("/containers/%s/kill?signal=%s", s->kill, name);
            (void)api_call(&s->cli, "POST", path, NULL, NULL);
        } else if (number > 0 && number != SIGCONT) {
            take_signal(number);
        }
    }
    return NULL;
}

void stream_signals_serve(struct stream_signals *s)
{
    pthread_t t;
    if (pthread_create(&t, NULL, serve, s) == 0)
        (void)pthread_detach(t);
}
