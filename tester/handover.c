/* Hand-over of one lock through a queue: from the holder's release to the grant at the next waiter.
 *
 *     handover tcp|unix HOST|PATH PORT|- WAITERS ROUNDS SECONDS HOLD lock|echo
 *
 * `lock`: WAITERS + 1 connections share one lock; the holder releases, whoever has waited longest must be granted, the old
 * holder queues again at the end. Measured is the time from just before the release is written to the grant's arrival at
 * a blocked read of the waiter. `echo`: the same steps against a server that echoes: a line is written, and the time
 * until the blocked read of its echo returns is measured. Each holder keeps the lock for HOLD microseconds first, as one
 * that has some work to do would: with 0 all processors stay awake and warm. Ends after ROUNDS or SECONDS.
 * Prints JSON: rounds, seconds, and the histogram. */
#include "common.c"

static size_t read_line(int fd, char *line, size_t room) {
    size_t size = 0;
    do
        size += take(fd, line + size, room - 1 - size);
    while (line[size - 1] != '\n' && size < room - 1);
    line[size] = 0;
    return size;
}

static void expect(int fd, const char *start) {
    char line[512];
    read_line(fd, line, sizeof line);
    errno = 0;
    if (strncmp(line, start, strlen(start)) != 0) {
        fprintf(stderr, "expected '%s…', got: %s", start, line);
        exit(1);
    }
}

int main(int argc, char **argv) {
    if (argc != 9)
        fail("usage: handover tcp|unix HOST|PATH PORT|- WAITERS ROUNDS SECONDS HOLD lock|echo");
    resolve(argv[1], argv[2], argv[3]);
    int count = atoi(argv[4]) + 1, rounds = atoi(argv[5]), hold_us = atoi(argv[7]), locks = strcmp(argv[8], "lock") == 0;
    double seconds = atof(argv[6]);
    char get[80], release[80], inspect[80];
    size_t get_size = (size_t)snprintf(get, sizeof get, "wait 3600 handover-%d\n", getpid());
    size_t release_size = (size_t)snprintf(release, sizeof release, "r handover-%d\n", getpid());
    size_t inspect_size = (size_t)snprintf(inspect, sizeof inspect, "i handover-%d\n", getpid());
    const char *yes = locks ? "1 Lock" : "", *echoed = locks ? "1 Lock" : "i ";
    allow_many_files();
    int *fds = calloc((size_t)count, sizeof *fds), holder = 0, done = 0;
    for (int i = 0; i < count; i++) {
        fds[i] = open_connection();
        put(fds[i], inspect, inspect_size); /* its reply tells that the server has accepted the connection */
        expect(fds[i], locks ? "" : "i ");
        if (locks)
            put(fds[i], get, get_size);
        if (locks && i == 0)
            expect(fds[0], "1 Lock Get Success");
    }
    if (locks) {
        put(fds[0], inspect, inspect_size);
        expect(fds[0], "1 Lock Is Locked");
    }
    int warm = rounds < 1000 ? rounds / 10 : 100;
    int64_t start = now_ns(), end = start + (int64_t)(seconds * 1e9), t = start;
    for (; done < rounds && t < end; done++) {
        int next = (holder + 1) % count;
        if (hold_us)
            usleep((useconds_t)hold_us);
        int64_t from = now_ns();
        put(fds[holder], release, release_size);
        expect(locks ? fds[next] : fds[holder], yes);
        t = now_ns();
        if (done >= warm)
            record(t - from);
        if (locks) {
            expect(fds[holder], "1 Lock Release Success");
            put(fds[holder], get, get_size);
        }
        put(fds[next], inspect, inspect_size); /* its reply tells that the old holder is in the queue again */
        expect(fds[next], echoed);
        holder = next;
    }
    printf("{\"rounds\": %d, \"seconds\": %.6f, ", done, (double)(t - start) / 1e9);
    print_histogram();
    printf("}\n");
    return 0;
}
