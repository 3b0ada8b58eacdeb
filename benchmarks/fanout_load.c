/* Many WebSocket clients in one thread: opens them, then reads and only counts.
 *
 *   load -p PORT -w PLAN [-s SUBPROTOCOL] [-r READY] [-g GROUPS]
 *
 * PLAN has lines "PATH<tab>FIRST": connection i asks for the path and, once upgraded, sends the first message (none if
 * it is -) of line i modulo their number. A connection is open when it is upgraded and, with -r, a message with READY has
 * come. Of engine.io it speaks what keeps a connection alive. Commands come in on stdin, each is answered by one line of
 * JSON: "open N" opens until there are N connections, "count SECONDS" counts updates. The end of stdin ends it.
 *
 * An update is a piece of a message that begins with "type":"update" and has "sub", "done" (nanoseconds, CLOCK_REALTIME)
 * and "total" (its number) behind it; a message may hold many. Updates are numbered for each sub of a connection, so what
 * did not come is known: published - counted.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 65536, MOST_GROUPS = 16, AT_ONCE = 128, PER_ADDRESS = 5000, SAMPLE = 47, BUFFER = 1 << 20 };
enum { CLOSED, CONNECTING, UPGRADING, WAITING, OPEN };
static const char MARK[] = "\"type\":\"update\"";

struct group {
    long first, last, count;
};
struct connection {
    int fd, state;
    unsigned char *rest; /* of a message that has not come whole */
    size_t rest_size;
    struct group groups[MOST_GROUPS];
};
struct line {
    const char *path, *first;
};

static struct connection *connections;
static int made, opened, closed, port, groups = 1, poller, counting;
static const char *ready, *subprotocol;
static struct line *plan;
static int lines;
static unsigned char buffer[BUFFER];
static long messages, updates, bytes, seen, samples, samples_room;
static double *late_ms;

static void die(const char *what, const char *more) {
    fprintf(stderr, "load: %s: %s\n", what, more);
    exit(1);
}

static double now(clockid_t clock) {
    struct timespec at;
    clock_gettime(clock, &at);
    return at.tv_sec + at.tv_nsec / 1e9;
}

static void listen_for(struct connection *c, int how, int events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(poller, how, c->fd, &event)) die("epoll_ctl", strerror(errno));
}

static void hang_up(struct connection *c, const char *why) {
    if (c->state != OPEN) die("a connection was refused", why);
    close(c->fd);
    free(c->rest);
    c->rest = NULL, c->rest_size = 0, c->state = CLOSED;
    opened--, closed++;
}

/* A masked frame (RFC 6455, section 5.2), with a mask of zeros. */
static void say(struct connection *c, int opcode, const char *text, size_t size) {
    unsigned char frame[size + 14], *at = frame;
    *at++ = 0x80 | opcode;
    *at++ = 0x80 | (size < 126 ? size : 126);
    if (size >= 126) *at++ = size >> 8, *at++ = size & 255;
    memset(at, 0, 4);
    memcpy(at + 4, text, size);
    size += at + 4 - frame;
    if (send(c->fd, frame, size, MSG_NOSIGNAL) != (ssize_t)size && c->state != OPEN) die("send", strerror(errno));
}

static long number_behind(const char *key, const unsigned char **at, const unsigned char *end) {
    const unsigned char *found = memmem(*at, end - *at, key, strlen(key));
    if (!found) return -1;
    *at = found + strlen(key);
    return strtol((const char *)*at, NULL, 10); /* a message ends in ] or }, never in a digit */
}

static void on_update(struct connection *c, const unsigned char *at, const unsigned char *end) {
    long sub = number_behind("\"sub\":", &at, end);
    long done = number_behind("\"done\":", &at, end);
    long number = number_behind("\"total\":", &at, end);
    if (sub < 0 || done < 0 || number < 0) return;
    struct group *group = &c->groups[sub % groups];
    if (!group->count++) group->first = number;
    group->last = number;
    updates++;
    if (++seen % SAMPLE) return;
    if (samples == samples_room) late_ms = realloc(late_ms, (samples_room = 2 * samples_room + 1024) * sizeof *late_ms);
    struct timespec clock;
    clock_gettime(CLOCK_REALTIME, &clock);
    late_ms[samples++] = (clock.tv_sec * 1000000000L + clock.tv_nsec - done) / 1e6;
}

static void on_message(struct connection *c, const unsigned char *data, size_t size) {
    if (size == 1 && *data == '2') say(c, 1, "3", 1); /* engine.io's ping */
    if (c->state == WAITING && *data == '0') say(c, 1, "40", 2); /* engine.io is open, socket.io is not yet */
    if (c->state == WAITING && memmem(data, size, ready, strlen(ready))) c->state = OPEN, opened++;
    if (!counting) return;
    const unsigned char *end = data + size, *at = memmem(data, size, MARK, sizeof MARK - 1);
    messages += at != NULL;
    while (at) {
        const unsigned char *from = at + sizeof MARK - 1;
        at = memmem(from, end - from, MARK, sizeof MARK - 1);
        on_update(c, from, at ? at : end);
    }
}

/* How many bytes of `data` are whole frames; each is acted on. */
static size_t take_frames(struct connection *c, const unsigned char *data, size_t size) {
    size_t done = 0;
    while (size - done >= 2 && c->state != CLOSED) {
        const unsigned char *at = data + done;
        size_t head = 2, body = at[1] & 127;
        if (body == 126) head = 4;
        if (body == 127) head = 10;
        if (size - done < head) break;
        if (head > 2) body = 0;
        for (size_t i = 2; i < head; i++) body = body << 8 | at[i];
        if (size - done < head + body) break;
        int opcode = at[0] & 15;
        if (opcode < 8) on_message(c, at + head, body);
        if (opcode == 9) say(c, 10, (const char *)at + head, body);
        if (opcode == 8) hang_up(c, "it was told to close");
        done += head + body;
    }
    return done;
}

static size_t take_answer(struct connection *c, const unsigned char *data, size_t size) {
    const unsigned char *end = memmem(data, size, "\r\n\r\n", 4);
    if (!end) return 0;
    if (strncmp((const char *)data, "HTTP/1.1 101", 12)) die("a connection was refused", (const char *)data);
    const struct line *line = &plan[(c - connections) % lines];
    c->state = WAITING;
    if (strcmp(line->first, "-")) say(c, 1, line->first, strlen(line->first));
    if (!ready) c->state = OPEN, opened++;
    return end + 4 - data;
}

static void on_readable(struct connection *c) {
    if (c->rest_size) memcpy(buffer, c->rest, c->rest_size);
    ssize_t got = recv(c->fd, buffer + c->rest_size, BUFFER - 1 - c->rest_size, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) return hang_up(c, got ? strerror(errno) : "it was closed");
    if (counting) bytes += got;
    size_t size = c->rest_size + got, done = 0;
    buffer[size] = 0;
    if (c->state == UPGRADING) done = take_answer(c, buffer, size);
    if (c->state >= WAITING) done += take_frames(c, buffer + done, size - done);
    if (c->state == CLOSED) return;
    free(c->rest);
    c->rest_size = size - done;
    c->rest = c->rest_size ? memcpy(malloc(c->rest_size), buffer + done, c->rest_size) : NULL;
}

static void upgrade(struct connection *c) {
    char request[65536];
    int size = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n%s%s%s\r\n",
                        plan[(c - connections) % lines].path, port, subprotocol ? "Sec-WebSocket-Protocol: " : "",
                        subprotocol ? subprotocol : "", subprotocol ? "\r\n" : "");
    if (send(c->fd, request, size, MSG_NOSIGNAL) != size) die("cannot connect", strerror(errno));
    c->state = UPGRADING;
    listen_for(c, EPOLL_CTL_MOD, EPOLLIN);
}

/* From several addresses: one has 28,000 ports, and servers limit what one address may hold. */
static void begin_one(void) {
    struct connection *c = &connections[made];
    struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET, .sin_port = htons(port)};
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + made++ / PER_ADDRESS);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0) die("socket", strerror(errno));
    int one = 1;
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (bind(c->fd, (struct sockaddr *)&from, sizeof from)) die("bind", strerror(errno));
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) die("connect", strerror(errno));
    c->state = CONNECTING;
    listen_for(c, EPOLL_CTL_ADD, EPOLLOUT);
}

/* Whether stdin has something to say. */
static int turn(double wait_s) {
    struct epoll_event events[512];
    int asked = 0, count = epoll_wait(poller, events, 512, wait_s < 0 ? -1 : (int)(wait_s * 1000) + 1);
    for (int i = 0; i < count; i++) {
        struct connection *c = events[i].data.ptr;
        if (!c) asked = 1;
        else if (c->state == CONNECTING) upgrade(c);
        else if (c->state != CLOSED) on_readable(c);
    }
    return asked;
}

static void open_until(int wanted) {
    double began = now(CLOCK_MONOTONIC);
    int before = opened;
    if (wanted > MOST) die("open", "too many");
    while (opened + closed < wanted) {
        while (made < wanted && made - opened - closed < AT_ONCE) begin_one();
        turn(1);
        if (now(CLOCK_MONOTONIC) - began > 120) die("open", "not all connections were answered within 120 s");
    }
    printf("{\"opened\": %d, \"seconds\": %.6f}\n", opened - before, now(CLOCK_MONOTONIC) - began);
}

static int by_size(const void *a, const void *b) {
    double more = *(const double *)a - *(const double *)b;
    return (more > 0) - (more < 0);
}

static void report(double seconds, double cpu_s) {
    long missed = 0, silent = 0, most = 0;
    for (int i = 0; i < made; i++)
        for (int g = 0; g < groups; g++) {
            struct group *group = &connections[i].groups[g];
            long published = group->count ? group->last - group->first + 1 : 0;
            missed += published - group->count;
            silent += !group->count;
            if (published > most) most = published;
        }
    qsort(late_ms, samples, sizeof *late_ms, by_size);
    printf("{\"updates\": %ld, \"messages\": %ld, \"bytes\": %ld, \"seconds\": %.6f, \"cpu_s\": %.6f, \"missed\": %ld, "
           "\"silent\": %ld, \"published\": %ld, \"closed\": %d, \"samples\": %ld, \"p50_ms\": %.3f, \"p99_ms\": %.3f}\n",
           updates, messages, bytes, seconds, cpu_s, missed, silent, most, closed, samples,
           samples ? late_ms[samples / 2] : 0, samples ? late_ms[samples * 99 / 100] : 0);
}

static void count_for(double seconds) {
    for (int i = 0; i < made; i++) memset(connections[i].groups, 0, sizeof connections[i].groups);
    messages = updates = bytes = samples = closed = 0;
    double began = now(CLOCK_MONOTONIC), cpu = now(CLOCK_PROCESS_CPUTIME_ID), left;
    counting = 1;
    while ((left = began + seconds - now(CLOCK_MONOTONIC)) > 0) turn(left);
    counting = 0;
    report(now(CLOCK_MONOTONIC) - began, now(CLOCK_PROCESS_CPUTIME_ID) - cpu);
}

static void read_plan(const char *name) {
    FILE *file = fopen(name, "r");
    if (!file) die(name, strerror(errno));
    for (char *path, *first; fscanf(file, "%m[^\t]\t%m[^\n]\n", &path, &first) == 2;) {
        plan = realloc(plan, (lines + 1) * sizeof *plan);
        plan[lines++] = (struct line){path, first};
    }
    fclose(file);
}

int main(int argc, char **argv) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    for (int option; (option = getopt(argc, argv, "p:w:s:r:g:")) > 0;) {
        if (option == 'p') port = atoi(optarg);
        else if (option == 'w') read_plan(optarg);
        else if (option == 's') subprotocol = optarg;
        else if (option == 'r') ready = optarg;
        else if (option == 'g') groups = atoi(optarg);
        else return 2;
    }
    if (!lines || groups < 1 || groups > MOST_GROUPS) die("options", "a plan and 1 to 16 groups");
    connections = calloc(MOST, sizeof *connections);
    poller = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    epoll_ctl(poller, EPOLL_CTL_ADD, 0, &event);
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (char command[64];;) {
        while (!turn(-1)) continue;
        ssize_t size = read(0, command, sizeof command - 1); /* one command at a time: the next waits for the answer */
        if (size <= 0) return 0;
        command[size] = 0;
        if (!strncmp(command, "open ", 5)) open_until(atoi(command + 5));
        else if (!strncmp(command, "count ", 6)) count_for(atof(command + 6));
        else die("command", command);
    }
}
