/* Gets and releases locks as fast as the server answers.
 *
 *     load tcp|ws|unix HOST|PATH PORT|- CONNECTIONS PIPELINE SECONDS locks|work
 *
 * Each connection sends PIPELINE commands in one packet (over websocket: as many frames), waits for all the replies, and
 * goes on. Every connection has locks of its own, so each command succeeds. With `work` it takes the items 0, 1, 2 and so
 * on of the list work-INDEX, which are there, and says done to each: PIPELINE is 1 then. A server that echoes lines is measured in
 * the same way. Prints JSON: commands, served, refused, seconds, and the histogram of packet round trips. */
#include "common.c"
#include <sys/epoll.h>

struct connection {
    int fd;
    int pending;        /* replies that this packet still waits for */
    int turn;           /* which of the two packets goes next */
    int at_start;       /* the next byte begins a reply */
    int64_t sent;
    int item;           /* of its work list, the next one */
    char *packet[2];
    size_t size[2];
    unsigned char head[10]; /* the header of a websocket frame, as far as it has come */
    int head_size;
    uint64_t payload; /* bytes of a websocket frame still to come */
};

static long long commands, served, refused; /* served: the warm-up too */

static size_t frame(char *into, const char *text, size_t size) {
    static const unsigned char mask[4] = {0x5a, 0x3c, 0x96, 0xe1};
    into[0] = (char)0x81;
    into[1] = (char)(0x80 | size); /* commands here are shorter than 126 bytes */
    memcpy(into + 2, mask, 4);
    for (size_t i = 0; i < size; i++)
        into[6 + i] = (char)(text[i] ^ mask[i & 3]);
    return 6 + size;
}

static void prepare(struct connection *c, int index, int pipeline) {
    for (int turn = 0; turn < 2; turn++) {
        c->packet[turn] = malloc((size_t)pipeline * 80);
        for (int k = 0; k < pipeline; k++) {
            char line[64];
            int n = turn * pipeline + k; /* the two packets in a row: g 0, r 0, g 1, r 1 ... */
            int size = snprintf(line, sizeof line, "%s load-%d-%d-%d\n", n % 2 ? "r" : "g", getpid(), index, n / 2);
            char *end = c->packet[turn] + c->size[turn];
            if (is_ws)
                c->size[turn] += frame(end, line, (size_t)size - 1);
            else {
                memcpy(end, line, (size_t)size);
                c->size[turn] += (size_t)size;
            }
        }
    }
}

/* The next packet. */
static void go_on(struct connection *c, int index, int works) {
    if (works) {
        char line[64];
        int size = c->turn ? snprintf(line, sizeof line, "done work-%d %d\n", index, c->item++)
                           : snprintf(line, sizeof line, "take 0 work-%d\n", index);
        c->size[c->turn] = is_ws ? frame(c->packet[c->turn], line, (size_t)size - 1) : (size_t)size;
        if (!is_ws)
            memcpy(c->packet[c->turn], line, (size_t)size);
    }
    put(c->fd, c->packet[c->turn], c->size[c->turn]);
}

static void count_lines(struct connection *c, const char *data, const char *end) {
    while (data < end) {
        if (c->at_start && *data == '0')
            refused++;
        c->at_start = 0;
        const char *line_end = memchr(data, '\n', (size_t)(end - data));
        if (!line_end)
            return;
        c->pending--;
        c->at_start = 1;
        data = line_end + 1;
    }
}

static void count_frames(struct connection *c, const char *data, const char *end) {
    while (data < end) {
        if (c->payload) {
            uint64_t here = c->payload < (uint64_t)(end - data) ? c->payload : (uint64_t)(end - data);
            if (c->at_start && *data == '0')
                refused++;
            c->at_start = 0;
            data += here;
            c->payload -= here;
            if (!c->payload)
                c->pending--;
            continue;
        }
        c->head[c->head_size++] = (unsigned char)*data++;
        int size = c->head_size < 2 ? 2 : c->head[1] < 126 ? 2 : c->head[1] == 126 ? 4 : 10;
        if (c->head_size < size)
            continue;
        c->payload = size == 2 ? c->head[1] : 0;
        for (int i = 2; i < size; i++)
            c->payload = c->payload << 8 | c->head[i];
        c->head_size = 0;
        c->at_start = 1;
        if (c->head[0] != 0x81)
            fail("a frame that is no text message");
        if (!c->payload)
            c->pending--;
    }
}

int main(int argc, char **argv) {
    if (argc != 8)
        fail("usage: load tcp|ws|unix HOST|PATH PORT|- CONNECTIONS PIPELINE SECONDS locks|work");
    resolve(argv[1], argv[2], argv[3]);
    int count = atoi(argv[4]), pipeline = atoi(argv[5]);
    double seconds = atof(argv[6]);
    int works = !strcmp(argv[7], "work");
    allow_many_files();
    struct connection *all = calloc((size_t)count, sizeof *all);
    int poll = epoll_create1(0);
    for (int i = 0; i < count; i++) {
        all[i].fd = open_connection();
        prepare(&all[i], i, pipeline);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[i]};
        epoll_ctl(poll, EPOLL_CTL_ADD, all[i].fd, &event);
    }
    /* The first tenth (at most 0.3 s) warms up and is not counted. */
    int64_t start = now_ns(), warm = (int64_t)(seconds > 3 ? 3e8 : seconds * 1e8), t = start;
    int64_t counting_from = start + warm, end = counting_from + (int64_t)(seconds * 1e9);
    for (int i = 0; i < count; i++) {
        all[i].pending = pipeline;
        all[i].at_start = 1;
        all[i].sent = now_ns();
        go_on(&all[i], i, works);
    }
    static char buffer[1 << 16];
    struct epoll_event ready[512];
    while ((t = now_ns()) < end) {
        int events = epoll_wait(poll, ready, 512, PATIENCE * 1000);
        errno = 0;
        if (events == 0)
            fail("no reply");
        for (int i = 0; i < events; i++) {
            struct connection *c = ready[i].data.ptr;
            size_t got = take(c->fd, buffer, sizeof buffer);
            if (is_ws)
                count_frames(c, buffer, buffer + got);
            else
                count_lines(c, buffer, buffer + got);
            if (c->pending > 0)
                continue;
            t = now_ns();
            served += pipeline;
            if (c->sent >= counting_from) {
                record(t - c->sent);
                commands += pipeline;
            }
            c->pending = pipeline;
            c->turn ^= pipeline % 2; /* an even packet leaves nothing held */
            c->sent = t;
            go_on(c, (int)(c - all), works);
        }
    }
    printf("{\"commands\": %lld, \"served\": %lld, \"refused\": %lld, \"seconds\": %.6f, ", commands, served, refused,
           (double)(t - counting_from) / 1e9);
    print_histogram();
    printf("}\n");
    return 0;
}
