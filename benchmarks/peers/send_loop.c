/* The limit: a loop of send() to everyone in a room, nothing else.
 *
 *   send_loop ROOMS RATE TOGETHER
 *
 * Prints "PORT PID", then serves until it is ended. A client is in the rooms of its query (?rooms=1,2). Each room gets
 * RATE updates a second from SIGUSR2 on, of about 150 bytes; TOGETHER as in publishing.py. It answers only the benchmark's
 * own client: the accept key is that of its fixed key.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SLOTS = 10 };
struct room {
    int *members, count;
    long number;
};
static volatile sig_atomic_t begun;
static struct room *rooms;
static int room_count;
static const char ANSWER[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             "Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n\r\n";

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec + at.tv_nsec / 1e9;
}

static void begin(int signal) {
    begun = signal;
}

static void publish(int which) {
    struct room *room = &rooms[which];
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    char frame[256];
    int size = sprintf(frame + 4, "{\"type\":\"update\",\"sub\":%d,\"done\":%ld,\"total\":%ld,\"note\":\"%080d\"}", which,
                       at.tv_sec * 1000000000L + at.tv_nsec, ++room->number, 0);
    frame[0] = (char)0x81, frame[1] = 126, frame[2] = (char)(size >> 8), frame[3] = (char)(size & 255);
    for (int i = 0; i < room->count; i++)
        if (send(room->members[i], frame, size + 4, MSG_NOSIGNAL | MSG_DONTWAIT) != size + 4)
            shutdown(room->members[i], SHUT_RDWR); /* its buffer is full; the client counts who is cut */
}

static void enter(int fd, int which) {
    if (which < 0 || which >= room_count) return;
    struct room *room = &rooms[which];
    room->members = realloc(room->members, (room->count + 1) * sizeof(int));
    room->members[room->count++] = fd;
}

static void leave_all(int fd) {
    for (int i = 0; i < room_count; i++)
        for (int j = 0; j < rooms[i].count; j++)
            if (rooms[i].members[j] == fd) rooms[i].members[j--] = rooms[i].members[--rooms[i].count];
}

static void on_readable(int fd) {
    char request[65536];
    ssize_t size = recv(fd, request, sizeof request - 1, 0);
    if (size <= 0) {
        leave_all(fd);
        close(fd);
        return;
    }
    request[size] = 0;
    char *at = strncmp(request, "GET ", 4) ? NULL : strstr(request, "?rooms=");
    if (!at) return;
    if (send(fd, ANSWER, sizeof ANSWER - 1, MSG_NOSIGNAL) < 0) return;
    for (at += 6; *at == '=' || *at == ',';) enter(fd, strtol(at + 1, &at, 10));
}

static void accept_all(int listener, int poller) {
    for (int fd, one = 1; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    }
}

static int listening(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 4096)) fail("listen");
    getsockname(fd, (struct sockaddr *)&at, &size);
    printf("%d %d\n", ntohs(at.sin_port), getpid());
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    double rate = atof(argv[2]);
    int slots = atoi(argv[3]) ? 1 : SLOTS;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGUSR2, begin);
    rooms = calloc(room_count = atoi(argv[1]), sizeof *rooms);
    int listener = listening(), poller = epoll_create1(0);
    struct epoll_event events[512], event = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    double next = now();
    for (long tick = 0;;) {
        double left = next - now();
        int count = epoll_wait(poller, events, 512, !begun ? 100 : left > 0 ? (int)(left * 1000) + 1 : 0);
        for (int i = 0; i < count; i++)
            events[i].data.fd == listener ? accept_all(listener, poller) : on_readable(events[i].data.fd);
        if (!begun || now() < next) continue;
        for (int i = tick++ % slots; i < room_count; i += slots) publish(i);
        next += 1 / rate / slots;
        if (now() > next + 1 / rate) next = now(); /* a period behind: fewer updates, instead of a burst */
    }
}
