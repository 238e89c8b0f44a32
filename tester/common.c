/* What the load generators share: connecting, talking, and a histogram of latencies. Included, not linked. */
#define _GNU_SOURCE
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE 20 /* seconds without a byte after which the server counts as hung */

static void fail(const char *what) {
    if (errno)
        fprintf(stderr, "%s: %s\n", what, strerror(errno));
    else
        fprintf(stderr, "%s\n", what);
    exit(1);
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* Log-linear histogram: 128 steps for each power of two, so a value is off by less than 1 %. */
#define STEPS 128
static uint64_t buckets[64 * STEPS];
static int64_t longest_ns;

static void record(int64_t ns) {
    uint64_t v = ns < 1 ? 1 : (uint64_t)ns;
    int power = 63 - __builtin_clzll(v);
    uint64_t step = power >= 7 ? (v >> (power - 7)) & (STEPS - 1) : (v << (7 - power)) & (STEPS - 1);
    buckets[power * STEPS + step]++;
    if (ns > longest_ns)
        longest_ns = ns;
}

static void print_histogram(void) {
    const char *separator = "";
    printf("\"longest_ns\": %lld, \"histogram\": [", (long long)longest_ns);
    for (int i = 0; i < 64 * STEPS; i++)
        if (buckets[i]) {
            double low = (double)(1ULL << (i / STEPS)) * (1.0 + (double)(i % STEPS) / STEPS);
            printf("%s[%.0f, %llu]", separator, low, (unsigned long long)buckets[i]);
            separator = ", ";
        }
    printf("]");
}

static void allow_many_files(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Where the server is: "tcp HOST PORT", "ws HOST PORT" or "unix PATH -". */
static struct sockaddr_storage peer;
static socklen_t peer_size;
static int is_ws;

static void resolve(const char *transport, const char *host, const char *port) {
    errno = 0;
    is_ws = strcmp(transport, "ws") == 0;
    if (strcmp(transport, "unix") == 0) {
        struct sockaddr_un *path = (struct sockaddr_un *)&peer;
        if (strlen(host) >= sizeof path->sun_path)
            fail("the path of the socket is too long");
        path->sun_family = AF_UNIX;
        strcpy(path->sun_path, host);
        peer_size = sizeof *path;
        return;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    int problem = getaddrinfo(host, port, &hints, &found);
    if (problem) {
        fprintf(stderr, "%s: %s\n", host, gai_strerror(problem));
        exit(1);
    }
    memcpy(&peer, found->ai_addr, found->ai_addrlen);
    peer_size = found->ai_addrlen;
    freeaddrinfo(found);
}

static void put(int fd, const void *data, size_t size) {
    errno = 0;
    if (send(fd, data, size, MSG_NOSIGNAL) != (ssize_t)size)
        fail("the server does not take the commands");
}

static size_t take(int fd, char *into, size_t room) {
    errno = 0;
    ssize_t got = recv(fd, into, room, 0);
    if (got <= 0)
        fail(got ? "no reply" : "the server has closed the connection");
    return (size_t)got;
}

static void shake_hands(int fd) {
    static const char request[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://127.0.0.1\r\n"
                                  "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    char answer[4096];
    size_t size = 0;
    put(fd, request, sizeof request - 1);
    do {
        size += take(fd, answer + size, sizeof answer - 1 - size);
        answer[size] = 0;
    } while (!strstr(answer, "\r\n\r\n") && size < sizeof answer - 1);
    errno = 0;
    if (strncmp(answer, "HTTP/1.1 101", 12) != 0)
        fail("the server refuses the websocket handshake");
}

static int open_connection(void) {
    int one = 1, fd = socket(peer.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = PATIENCE};
    if (fd < 0)
        fail("socket");
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&peer, peer_size) != 0)
        fail("connect");
    if (peer.ss_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (is_ws)
        shake_hands(fd);
    return fd;
}
