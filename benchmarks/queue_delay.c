// A relay to a Unix socket that holds back what goes to it, as a network would; the answers come at once.
//
// usage: queue_delay SOCKET DELAY_US; prints the port of 127.0.0.1 that it listens on, and ends with its parent.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 2048, PIECE = 65536, HELD = 1024 };

struct piece {
    struct piece *next;
    long long due_ns;
    ssize_t length, sent;
    char bytes[];
};

struct flow {  // one direction; `to` may not take bytes for a while
    int from, to, held;
    long long delay_ns;
    struct piece *first, *last;
};

static struct flow flows[MOST];  // two for each connection, one behind the other
static struct pollfd polled[MOST + 1];
static char buffer[PIECE];
static int count;

static long long now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int target(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address)) { perror("connect"); exit(1); }
    return fd;
}

static void open_pair(int listener, const char *path, long long delay_ns) {
    int near = accept(listener, NULL, NULL), one = 1;
    if (near < 0) return;
    if (count + 2 > MOST) { close(near); return; }
    setsockopt(near, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    int far = target(path);
    fcntl(near, F_SETFL, O_NONBLOCK);
    fcntl(far, F_SETFL, O_NONBLOCK);
    flows[count++] = (struct flow){.from = near, .to = far, .delay_ns = delay_ns};
    flows[count++] = (struct flow){.from = far, .to = near};
}

static void close_pair(int index) {
    index &= ~1;
    close(flows[index].from);
    close(flows[index].to);
    for (int each = index; each < index + 2; each++)
        while (flows[each].first) {
            struct piece *next = flows[each].first->next;
            free(flows[each].first);
            flows[each].first = next;
        }
    count -= 2;
    flows[index] = flows[count];
    flows[index + 1] = flows[count + 1];
}

static int take(struct flow *flow) {  // -1: this connection is over
    ssize_t length = read(flow->from, buffer, PIECE);
    if (length <= 0) return length < 0 && errno == EAGAIN ? 0 : -1;
    struct piece *piece = malloc(sizeof *piece + length);
    *piece = (struct piece){.due_ns = now_ns() + flow->delay_ns, .length = length};
    memcpy(piece->bytes, buffer, length);
    if (flow->first) flow->last->next = piece; else flow->first = piece;
    flow->last = piece;
    flow->held++;
    return 0;
}

static int give(struct flow *flow, long long now) {
    while (flow->first && flow->first->due_ns <= now) {
        struct piece *piece = flow->first;
        ssize_t sent = send(flow->to, piece->bytes + piece->sent, piece->length - piece->sent, MSG_NOSIGNAL);
        if (sent < 0) return errno == EAGAIN ? 0 : -1;
        piece->sent += sent;
        if (piece->sent < piece->length) return 0;
        flow->first = piece->next;
        flow->held--;
        free(piece);
    }
    return 0;
}

static long long wait_ns(void) {  // until the next piece is due; -1: none is held
    long long now = now_ns(), least = -1;
    for (int each = 0; each < count; each++) {
        polled[each] = (struct pollfd){.fd = flows[each].held < HELD ? flows[each].from : -1, .events = POLLIN};
        if (!flows[each].first) continue;
        long long left = flows[each].first->due_ns - now;
        if (left <= 0) left = 200000;  // the other end took no more: look again soon
        if (least < 0 || left < least) least = left;
    }
    return least;
}

int main(int arguments, char **words) {
    if (arguments != 3) return 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_TIMERSLACK, 1000);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 512)) { perror("listen"); return 1; }
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        long long left = wait_ns();
        int before = count;
        polled[before] = (struct pollfd){.fd = listener, .events = POLLIN};
        struct timespec timeout = {left / 1000000000LL, left % 1000000000LL};
        if (ppoll(polled, before + 1, left < 0 ? NULL : &timeout, NULL) < 0) return 1;
        for (int each = before - 1; each >= 0; each--)  // backwards: an end moves the last pair to its place
            if (each < count && polled[each].revents && polled[each].fd == flows[each].from && take(&flows[each]))
                close_pair(each);
        long long now = now_ns();
        for (int each = count - 1; each >= 0; each--)
            if (each < count && give(&flows[each], now)) close_pair(each);
        if (polled[before].revents) open_pair(listener, words[1], atoi(words[2]) * 1000LL);
    }
}
