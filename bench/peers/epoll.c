/* The uppercase echo on raw epoll: the lower bound for the other servers.
 *
 * Each thread has its own epoll. The first thread accepts and distributes connections in turn: SO_REUSEPORT
 * distributes them by a hash, which may assign a few connections to one thread.
 *
 * Edge-triggered, one EPOLL_CTL_ADD for each connection, one read and one write for each echo. Connections share the
 * read buffer of their thread; a connection has memory only while a part of its answer is unsent. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    EVENTS_PER_WAIT = 1024,
    READS_PER_TURN = 32,      /* then other connections are served */
    ACCEPT_PAUSE_US = 5000,   /* when no descriptors are left */
    MOST_THREADS = 64,
};

struct connection {
    int fd;
    uint32_t unsent_len;
    char *unsent;             /* the start of the block, NULL unless a write was partial */
    uint32_t unsent_at;
};

static struct {
    int port;
    size_t buffer;
    int nodelay;
    int threads;
} options = {.buffer = 1024, .threads = 1};

static int epoll_fds[MOST_THREADS];
static _Thread_local int epoll_fd;
static _Thread_local char *buffer;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static char upper(char c)
{
    return (unsigned char)(c - 'a') < 26 ? c ^ 0x20 : c;
}

static void uppercase(char *bytes, size_t len)
{
    /* A fixed inner count lets -O2 use vector instructions. */
    for (; len >= 64; bytes += 64, len -= 64)
        for (int i = 0; i < 64; i++)
            bytes[i] = upper(bytes[i]);
    for (size_t i = 0; i < len; i++)
        bytes[i] = upper(bytes[i]);
}

static void end(struct connection *c)
{
    close(c->fd);
    free(c->unsent);
    free(c);
}

/* Writes as much as the socket takes. Returns the count, or -1 if the connection is broken. */
static ssize_t write_some(int fd, const char *bytes, size_t len)
{
    for (;;) {
        ssize_t wrote = write(fd, bytes, len);
        if (wrote >= 0)
            return wrote;
        if (errno == EAGAIN)
            return 0;
        if (errno != EINTR)
            return -1;
    }
}

/* Returns false if the connection has ended or the socket is full; the next event continues. */
static int answer(struct connection *c, const char *bytes, size_t len)
{
    ssize_t wrote = write_some(c->fd, bytes, len);
    if (wrote == (ssize_t)len)
        return 1;
    if (wrote < 0 || !(c->unsent = malloc(len - wrote))) {
        end(c);
        return 0;
    }
    memcpy(c->unsent, bytes + wrote, len - wrote);
    c->unsent_at = 0;
    c->unsent_len = len - wrote;
    return 0;
}

/* As `answer`, for the bytes that an earlier write did not send. */
static int answer_unsent(struct connection *c)
{
    ssize_t wrote = write_some(c->fd, c->unsent + c->unsent_at, c->unsent_len - c->unsent_at);
    if (wrote < 0) {
        end(c);
        return 0;
    }
    c->unsent_at += wrote;
    if (c->unsent_at < c->unsent_len)
        return 0;
    free(c->unsent);
    c->unsent = NULL;
    return 1;
}

static void watch(int epoll, int operation, struct connection *c)
{
    struct epoll_event event = {
        .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
        .data.ptr = c,
    };
    if (epoll_ctl(epoll, operation, c->fd, &event) < 0)
        end(c);
}

static void serve(struct connection *c, uint32_t events)
{
    uint32_t readable = events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    if (c->unsent) {
        if (!answer_unsent(c))
            return;
    } else if (!readable) {
        return;
    }
    for (int reads = 0; reads < READS_PER_TURN; reads++) {
        ssize_t got = read(c->fd, buffer, options.buffer);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0) {
            end(c);
            return;
        }
        uppercase(buffer, got);
        if (!answer(c, buffer, got))
            return;
        /* A short read has emptied the socket, unless the client's end follows the bytes. */
        if ((size_t)got < options.buffer && !(events & ~(EPOLLIN | EPOLLOUT)))
            return;
    }
    watch(epoll_fd, EPOLL_CTL_MOD, c); /* makes a new edge, after those of other connections */
}

static void accept_one(int listener)
{
    static int next; /* only the first thread accepts */

    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            usleep(ACCEPT_PAUSE_US);
        return;
    }
    if (options.nodelay)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    struct connection *c = calloc(1, sizeof *c);
    if (!c) {
        close(fd);
        return;
    }
    c->fd = fd;
    watch(epoll_fds[next++ % options.threads], EPOLL_CTL_ADD, c);
}

static int listen_on(int port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
        die("bind");
    if (listen(fd, SOMAXCONN) < 0)
        die("listen");
    return fd;
}

static void parse(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--nodelay"))
            options.nodelay = 1;
        else if (!strcmp(argv[i], "--port") && i + 1 < argc)
            options.port = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--buffer") && i + 1 < argc)
            options.buffer = strtoul(argv[++i], NULL, 10);
        else if (!strcmp(argv[i], "--threads") && i + 1 < argc)
            options.threads = atoi(argv[++i]);
    }
    if (options.port <= 0 || options.port > 65535 || options.buffer < 1 || options.buffer > 1 << 30
        || options.threads < 1 || options.threads > MOST_THREADS) {
        fprintf(stderr, "usage: epoll --port PORT [--buffer BYTES] [--threads N] [--nodelay]\n");
        exit(2);
    }
}

/* Serves the connections of an epoll; `listener` is -1 for all threads but the first. */
static void run(int epoll, int listener)
{
    struct epoll_event *events = calloc(EVENTS_PER_WAIT, sizeof *events);

    epoll_fd = epoll;
    if (!events || !(buffer = malloc(options.buffer)))
        die("malloc");
    for (;;) {
        int count = epoll_wait(epoll_fd, events, EVENTS_PER_WAIT, -1);
        if (count < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr)
                serve(events[i].data.ptr, events[i].events);
            else
                accept_one(listener);
        }
    }
}

static void *run_thread(void *epoll)
{
    run(*(int *)epoll, -1);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t thread;

    parse(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < options.threads; i++)
        if ((epoll_fds[i] = epoll_create1(EPOLL_CLOEXEC)) < 0)
            die("epoll_create1");
    int listener = listen_on(options.port);
    /* Level-triggered: one accept for each event, without a last one that fails. */
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(epoll_fds[0], EPOLL_CTL_ADD, listener, &event) < 0)
        die("epoll_ctl");
    for (int i = 1; i < options.threads; i++)
        if ((errno = pthread_create(&thread, NULL, run_thread, &epoll_fds[i])))
            die("pthread_create");
    run(epoll_fds[0], listener);
}
