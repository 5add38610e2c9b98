/* SPDX-License-Identifier: Apache-2.0 */
/* dns_load.c - asks a name server by UDP and tells of rate and delays: dns_load ADDRESS NAME
 * SECONDS IN-FLIGHT. Each of the questions under way has a socket of its own. */
#include <arpa/inet.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MOST 64
#define MOST_SAMPLES 4000000u
#define LOST_NS INT64_C(1000000000)

static int64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static size_t make_query(uint8_t *out, const char *name)
{
    static const uint8_t head[12] = {0, 0, 1, 0, 0, 1};
    size_t n = sizeof head, label = strlen(name) & 63;
    memcpy(out, head, n);
    out[n++] = (uint8_t)label;
    memcpy(out + n, name, label);
    n += label;
    memcpy(out + n, "\0\0\1\0\1", 5);
    return n + 5;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    int n = atoi(argv[4]) < MOST ? atoi(argv[4]) : MOST;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(53)};
    (void)inet_pton(AF_INET, argv[1], &to.sin_addr);
    uint8_t query[128], answer[4096];
    size_t len = make_query(query, argv[2]);
    struct pollfd p[MOST];
    int64_t sent[MOST];
    uint32_t *delay = malloc(MOST_SAMPLES * sizeof *delay);
    size_t got = 0, lost = 0;
    int64_t begin = now_ns(), end = begin + atoi(argv[3]) * INT64_C(1000000000), now = begin;
    for (int i = 0; i < n; i++) {
        p[i] = (struct pollfd){.fd = socket(AF_INET, SOCK_DGRAM, 0), .events = POLLIN};
        if (!delay || connect(p[i].fd, (void *)&to, sizeof to))
            return 1;
        sent[i] = now_ns();
        (void)send(p[i].fd, query, len, 0);
    }
    while (now < end && got < MOST_SAMPLES) {
        (void)poll(p, (nfds_t)n, 100);
        now = now_ns();
        for (int i = 0; i < n; i++) {
            if (p[i].revents && recv(p[i].fd, answer, sizeof answer, MSG_DONTWAIT) > 12)
                delay[got++] = (uint32_t)((now_ns() - sent[i]) / 1000);
            else if (now - sent[i] > LOST_NS)
                lost++;
            else
                continue;
            sent[i] = now_ns();
            (void)send(p[i].fd, query, len, 0);
        }
    }
    qsort(delay, got, sizeof *delay, by_value);
    if (got)
        (void)printf("%.0f questions/s, %u us median, %u us p99, %u us longest, %zu lost\n",
                     (double)got * 1e9 / (double)(now - begin), delay[got / 2],
                     delay[got * 99 / 100], delay[got - 1], lost);
    free(delay);
    return got ? 0 : 1;
}
