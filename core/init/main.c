/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - dray-init: process 1 of a container that asks for one; passes signals on and reaps. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t start(char **argv, const sigset_t *mask)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    (void)setpgid(0, 0);
    if (isatty(STDIN_FILENO)) {
        (void)signal(SIGTTOU, SIG_IGN);
        (void)tcsetpgrp(STDIN_FILENO, getpid());
        (void)signal(SIGTTOU, SIG_DFL);
    }
    (void)sigprocmask(SIG_SETMASK, mask, NULL);
    execvp(argv[0], argv);
    int code = errno == ENOENT ? 127 : 126;
    (void)fprintf(stderr, "dray-init: exec %s: %s\n", argv[0], strerror(errno));
    _exit(code);
}

/** Reap whatever has ended; the child's status in *status once it is among them. */
static int reap(pid_t child, int *status)
{
    int one;
    for (;;) {
        pid_t pid = waitpid(-1, &one, WNOHANG);
        if (pid <= 0)
            return 0;
        if (pid == child) {
            *status = one;
            return 1;
        }
    }
}

int main(int argc, char **argv)
{
    int first = argc > 1 && strcmp(argv[1], "--") == 0 ? 2 : 1;
    if (argc <= first) {
        (void)fprintf(stderr, "usage: dray-init [--] COMMAND [ARG]...\n");
        return 125;
    }
    sigset_t all, before;
    (void)sigfillset(&all);
    static const int own[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGABRT, SIGTRAP, SIGSYS};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        (void)sigdelset(&all, own[i]);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    pid_t child = start(argv + first, &before);
    if (child < 0) {
        perror("dray-init: fork");
        return 125;
    }
    for (;;) {
        int status = 0;
        if (reap(child, &status))
            return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        siginfo_t info;
        if (sigwaitinfo(&all, &info) > 0 && info.si_signo != SIGCHLD)
            (void)kill(child, info.si_signo);
    }
}
