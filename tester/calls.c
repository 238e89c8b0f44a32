/* Makes unary gRPC calls as fast as the server answers.
 *
 *     calls tcp HOST PORT CONNECTIONS CALLS SECONDS PATH SIZE plain|timeouts
 *
 * Each connection has CALLS calls under way, each with a message of SIZE bytes (at most 1000). Headers are what clients
 * send: once literal, then by the dynamic table; with `timeouts` each has a grpc-timeout of its own besides. Answers are
 * not decoded, but every call must have DATA and an end of the stream, and nothing may be reset. Prints JSON: calls,
 * served, seconds, and the histogram of the calls' times. */
#include "common.c"
#include <sys/epoll.h>

#define WINDOW 1024 /* streams of one connection whose beginning is remembered: more than are under way */
#define GIVE_BACK 16384

struct connection {
    int fd;
    uint32_t stream; /* the newest */
    uint32_t unread; /* bytes of DATA that the server has not been given back */
    int known;       /* the server's table has our headers */
    int64_t sent[WINDOW];
    char has_data[WINDOW];
    unsigned char in[1 << 16];
    size_t have;
};

static long long calls, served;
static const char *path;
static int size, timeouts;
static unsigned char out[1 << 20];
static size_t out_size;

static void add(const void *data, size_t n) {
    if (out_size + n > sizeof out)
        fail("too many calls at once");
    memcpy(out + out_size, data, n);
    out_size += n;
}

static void add_frame(int kind, int flags, uint32_t stream, const void *payload, size_t n) {
    unsigned char head[9] = {(unsigned char)(n >> 16), (unsigned char)(n >> 8), (unsigned char)n, (unsigned char)kind,
                             (unsigned char)flags, (unsigned char)(stream >> 24), (unsigned char)(stream >> 16),
                             (unsigned char)(stream >> 8), (unsigned char)stream};
    add(head, sizeof head);
    add(payload, n);
}

static size_t text(unsigned char *into, const char *value) {
    size_t n = strlen(value);
    into[0] = (unsigned char)n;
    memcpy(into + 1, value, n);
    return n + 1;
}

/* RFC 7541: :method POST and :scheme http are in the static table; what follows enters the dynamic one, newest first. */
static size_t headers(struct connection *c, unsigned char *into) {
    size_t n = 0;
    into[n++] = 0x83;
    into[n++] = 0x86;
    if (c->known) {
        memcpy(into + n, "\xc2\xc1\xc0\xbf\xbe", 5);
        n += 5;
    } else {
        into[n++] = 0x44, n += text(into + n, path);
        into[n++] = 0x41, n += text(into + n, "localhost");
        into[n++] = 0x5f, n += text(into + n, "application/grpc");
        into[n++] = 0x7a, n += text(into + n, "glockd-tester");
        into[n++] = 0x40, n += text(into + n, "te"), n += text(into + n, "trailers");
        c->known = 1;
    }
    if (timeouts) {
        char value[16];
        snprintf(value, sizeof value, "%uu", 5000000 + c->stream % 1000000);
        into[n++] = 0x00, n += text(into + n, "grpc-timeout"), n += text(into + n, value);
    }
    return n;
}

static void call(struct connection *c) {
    unsigned char head[512], body[1005] = {0, 0, 0, (unsigned char)(size >> 8), (unsigned char)size};
    c->stream = c->stream ? c->stream + 2 : 1;
    int slot = (int)(c->stream / 2 % WINDOW);
    c->sent[slot] = now_ns();
    c->has_data[slot] = 0;
    add_frame(1, 4, c->stream, head, headers(c, head));
    add_frame(0, 1, c->stream, body, 5 + (size_t)size);
}

static void flush(struct connection *c) {
    if (out_size)
        put(c->fd, out, out_size);
    out_size = 0;
}

/* Take the frames that have come; each end of a stream is answered by another call. */
static void read_frames(struct connection *c, int64_t counting_from) {
    size_t at = 0;
    while (c->have - at >= 9) {
        unsigned char *f = c->in + at;
        size_t n = (size_t)f[0] << 16 | (size_t)f[1] << 8 | f[2];
        if (c->have - at < 9 + n)
            break;
        uint32_t stream = (uint32_t)f[5] << 24 | (uint32_t)f[6] << 16 | (uint32_t)f[7] << 8 | f[8];
        int kind = f[3], flags = f[4], slot = (int)(stream / 2 % WINDOW);
        at += 9 + n;
        errno = 0;
        if (kind == 3 || kind == 7)
            fail(kind == 3 ? "a stream was reset" : "the server ends the connection");
        if (kind == 4 && !(flags & 1))
            add_frame(4, 1, 0, "", 0);
        if (kind == 6 && !(flags & 1))
            add_frame(6, 1, 0, f + 9, 8);
        if (kind == 0) {
            c->has_data[slot] = 1;
            if ((c->unread += (uint32_t)n) >= GIVE_BACK) {
                unsigned char more[4] = {(unsigned char)(c->unread >> 24), (unsigned char)(c->unread >> 16),
                                         (unsigned char)(c->unread >> 8), (unsigned char)c->unread};
                add_frame(8, 0, 0, more, 4);
                c->unread = 0;
            }
        }
        if (kind <= 1 && flags & 1) {
            int64_t t = now_ns();
            if (!c->has_data[slot])
                fail("a call was refused");
            served++;
            if (c->sent[slot] >= counting_from) {
                record(t - c->sent[slot]);
                calls++;
            }
            call(c);
        }
    }
    memmove(c->in, c->in + at, c->have - at);
    c->have -= at;
    flush(c);
}

int main(int argc, char **argv) {
    if (argc != 10)
        fail("usage: calls tcp HOST PORT CONNECTIONS CALLS SECONDS PATH SIZE plain|timeouts");
    resolve(argv[1], argv[2], argv[3]);
    int count = atoi(argv[4]), at_once = atoi(argv[5]);
    double seconds = atof(argv[6]);
    path = argv[7];
    size = atoi(argv[8]);
    timeouts = strcmp(argv[9], "timeouts") == 0;
    if (at_once > WINDOW / 2 || size > 1000 || strlen(path) > 126)
        fail("too many calls at once, or too large");
    allow_many_files();
    struct connection *all = calloc((size_t)count, sizeof *all);
    int poll = epoll_create1(0);
    for (int i = 0; i < count; i++) {
        all[i].fd = open_connection();
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[i]};
        epoll_ctl(poll, EPOLL_CTL_ADD, all[i].fd, &event);
        add("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
        add_frame(4, 0, 0, "", 0);
        flush(&all[i]);
    }
    /* The first tenth (at most 0.3 s) warms up and is not counted. */
    int64_t start = now_ns(), warm = (int64_t)(seconds > 3 ? 3e8 : seconds * 1e8), t = start;
    int64_t counting_from = start + warm, end = counting_from + (int64_t)(seconds * 1e9);
    for (int i = 0; i < count; i++) {
        for (int k = 0; k < at_once; k++)
            call(&all[i]);
        flush(&all[i]);
    }
    struct epoll_event ready[512];
    while ((t = now_ns()) < end) {
        int events = epoll_wait(poll, ready, 512, PATIENCE * 1000);
        errno = 0;
        if (events == 0)
            fail("no answer");
        for (int i = 0; i < events; i++) {
            struct connection *c = ready[i].data.ptr;
            c->have += take(c->fd, (char *)c->in + c->have, sizeof c->in - c->have);
            read_frames(c, counting_from);
        }
    }
    printf("{\"calls\": %lld, \"served\": %lld, \"seconds\": %.6f, ", calls, served, (double)(t - counting_from) / 1e9);
    print_histogram();
    printf("}\n");
    return 0;
}
