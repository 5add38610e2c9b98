/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn_load.c - how many connections a second a path carries: a server that answers each with one
 * byte, and a client that makes one after another for some seconds.
 *
 *   conn_load serve PORT
 *   conn_load ask ADDRESS PORT SECONDS WORKERS    prints connections a second
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int serve(uint16_t port)
{
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&sa, sizeof sa) || listen(fd, 1024)) {
        perror("serve");
        return 1;
    }
    for (;;) {
        char byte;
        int c = accept(fd, NULL, NULL);
        if (c < 0)
            continue;
        if (write(c, "x", 1) == 1)
            (void)!read(c, &byte, 1); /* until the client has gone */
        close(c);
    }
}

/* One connection, ended by a reset so that no port waits. */
static int ask_once(const struct sockaddr_in *to)
{
    struct linger hard = {.l_onoff = 1};
    struct timeval limit = {.tv_sec = 5};
    char byte;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    int ok = connect(fd, (const struct sockaddr *)to, sizeof *to) == 0 && read(fd, &byte, 1) == 1;
    close(fd);
    return ok;
}

static int ask(const struct sockaddr_in *to, double seconds, int workers)
{
    struct counts {
        long good, bad;
    } *all = mmap(NULL, sizeof *all * (size_t)workers, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    long good = 0;
    long bad = 0;
    if (all == MAP_FAILED)
        return 1;
    double begin = now();
    for (int i = 0; i < workers; i++) {
        if (fork() != 0)
            continue;
        while (now() - begin < seconds) {
            if (ask_once(to))
                all[i].good++;
            else
                all[i].bad++;
        }
        _exit(0);
    }
    while (wait(NULL) > 0)
        ;
    double took = now() - begin;
    for (int i = 0; i < workers; i++) {
        good += all[i].good;
        bad += all[i].bad;
    }
    printf("%.0f\n", (double)good / took);
    if (bad)
        fprintf(stderr, "%ld connections failed\n", bad);
    return bad != 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "serve") == 0)
        return serve((uint16_t)atoi(argv[2]));
    struct sockaddr_in to = {.sin_family = AF_INET};
    if (argc != 6 || strcmp(argv[1], "ask") != 0 ||
        inet_pton(AF_INET, argv[2], &to.sin_addr) != 1) {
        fprintf(stderr, "usage: conn_load serve PORT | ask ADDRESS PORT SECONDS WORKERS\n");
        return 2;
    }
    to.sin_port = htons((uint16_t)atoi(argv[3]));
    return ask(&to, atof(argv[4]), atoi(argv[5]));
}
