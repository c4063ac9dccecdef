/*
 * http_load.c - both ends of the proxy in tests/bench/exact: the origin behind it, and its clients.
 *
 *   http_load origin                              says "port P"; answers 1 KiB
 *   http_load keep PORT CONNECTIONS REQUESTS      one request under way on each connection
 *   http_load short PORT CONNECTIONS REQUESTS     the same, but each request has a connection of its own
 *   http_load tls PORT CONNECTIONS REQUESTS       like keep, over TLS
 *   http_load idle PORT CONNECTIONS               a request and its answer on each, then nothing; says "idle N"
 *   http_load tlsidle PORT CONNECTIONS            like idle, over TLS
 *   http_load tunnel PORT CONNECTIONS             the same through a proxy that does not speak HTTP
 *   http_load held PORT CONNECTIONS               a request on each, whose answer the origin owes; the origin says "held N"
 *
 * What waits does so until its stdin ends.  Exit: 0 when every answer was the right one.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { BODY = 1024, BUFFER = 4096, MOST = 16384, EVENTS = 64, PATIENCE = 20 /* seconds without anything */ };

/* What came on a descriptor and is not used up yet: of the origin a request, of a client an answer. */
static struct conn {
    size_t len;
    bool held;
    SSL *ssl; /* of a client over TLS */
    char buf[BUFFER];
} conns[MOST];

static char answer[BUFFER], request[BUFFER];
static size_t answer_len, request_len;
static SSL_CTX *tls; /* NULL: in clear */

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void say(const char *key, long value)
{
    printf("%s %ld\n", key, value);
    fflush(stdout);
}

/* A head of some 350 bytes, as a browser sends it.  The path is the mode's name: the origin goes by it. */
static void write_request(const char *mode)
{
    request_len = (size_t)snprintf(request, sizeof request,
                                   "GET /%s HTTP/1.1\r\n"
                                   "Host: shop.example\r\n"
                                   "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
                                   "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
                                   "Accept-Language: en-US,en;q=0.5\r\n"
                                   "Accept-Encoding: gzip, deflate, br\r\n"
                                   "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n"
                                   "%s\r\n",
                                   mode, strcmp(mode, "short") == 0 ? "Connection: close\r\n" : "");
}

static void write_answer(void)
{
    answer_len = (size_t)snprintf(answer, sizeof answer,
                                  "HTTP/1.1 200 OK\r\n"
                                  "Date: Mon, 02 Jan 2006 15:04:05 GMT\r\n"
                                  "Content-Type: text/plain\r\n"
                                  "Cache-Control: no-cache\r\n"
                                  "ETag: \"5f3c-1a2b3c4d\"\r\n"
                                  "Content-Length: %d\r\n\r\n",
                                  BODY);
    memset(answer + answer_len, 'x', BODY);
    answer_len += BODY;
}

/* Reads once into the descriptor's buffer.  False: the peer is gone, or sends more than anybody should. */
static bool fill(int fd)
{
    struct conn *c = &conns[fd];
    char *at = c->buf + c->len;
    size_t room = sizeof c->buf - c->len;
    ssize_t r = c->ssl != NULL ? SSL_read(c->ssl, at, (int)room) : recv(fd, at, room, 0);

    if (r <= 0)
        return false;
    c->len += (size_t)r;
    return true;
}

/* Length of the head at the start of the buffer, with its empty line; 0: not all of it is there. */
static size_t head_len(const struct conn *c)
{
    const char *end = memmem(c->buf, c->len, "\r\n\r\n", 4);

    return end != NULL ? (size_t)(end - c->buf) + 4 : 0;
}

static bool send_all(int fd, const char *bytes, size_t n)
{
    SSL *ssl = conns[fd].ssl;

    return (ssl != NULL ? SSL_write(ssl, bytes, (int)n) : send(fd, bytes, n, MSG_NOSIGNAL)) == (ssize_t)n;
}

static void watch(int ep, int fd)
{
    struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };

    if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) < 0)
        fail("epoll_ctl");
}

/* A descriptor that conns[] has room for, with nothing in its buffer. */
static int fresh(int fd, const char *what)
{
    int one = 1;

    if (fd < 0 || fd >= MOST)
        fail(what);
    conns[fd].len = 0;
    conns[fd].held = false;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

/* ---------------------------------------------------------------------------------------------------------- the origin */

static int listening(void)
{
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&sa, len) < 0 || listen(fd, SOMAXCONN) < 0 ||
        getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
        fail("http_load: listen");
    say("port", ntohs(sa.sin_port));
    return fd;
}

/* Answers the request at the start of the buffer, once its head is whole.  What the proxy should have done to it is looked
 * at here: figures of a proxy that does less would be worth nothing.  False: it is a wrong one. */
static bool serve(int fd)
{
    struct conn *c = &conns[fd];
    size_t head = head_len(c);
    bool tunnel = memcmp(c->buf, "GET /tunnel ", 12) == 0;

    if (head == 0)
        return true;
    if (head != c->len || tunnel == (memmem(c->buf, head, "\r\nX-Forwarded-For: 127.0.0.1\r\n", 30) != NULL))
        return false;
    c->len = 0;
    c->held = memcmp(c->buf, "GET /held ", 10) == 0;
    return c->held || send_all(fd, answer, answer_len);
}

static int origin(void)
{
    int listener = listening(), ep = epoll_create1(0);
    long held = 0, said = 0;
    struct epoll_event ev[EVENTS];

    write_answer();
    watch(ep, listener);
    watch(ep, STDIN_FILENO);
    for (;;) {
        int ready = epoll_wait(ep, ev, EVENTS, -1);

        for (int i = 0; i < ready; i++) {
            int fd = ev[i].data.fd;

            if (fd == STDIN_FILENO)
                return 0;
            if (fd == listener) {
                watch(ep, fresh(accept(listener, NULL, NULL), "http_load: accept"));
                continue;
            }
            held -= conns[fd].held;
            if (fill(fd) && serve(fd))
                held += conns[fd].held;
            else
                close(fd);
        }
        if (held != said)
            say("held", held);
        said = held;
    }
}

/* --------------------------------------------------------------------------------------------------------- the clients */

static int connected(int port)
{
    struct sockaddr_in sa = { .sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                              .sin_port = htons((uint16_t)port) };
    struct timeval patience = { .tv_sec = PATIENCE };
    int fd = fresh(socket(AF_INET, SOCK_STREAM, 0), "http_load: socket");

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&sa, sizeof sa) < 0)
        fail("http_load: connect");
    if (tls != NULL) {
        SSL *ssl = conns[fd].ssl = SSL_new(tls);
        if (ssl == NULL || SSL_set_fd(ssl, fd) != 1 || SSL_connect(ssl) != 1) {
            fprintf(stderr, "http_load: no TLS handshake\n");
            exit(1);
        }
    }
    return fd;
}

static void ask(int fd)
{
    conns[fd].len = 0;
    if (!send_all(fd, request, request_len))
        fail("http_load: send");
}

/* Reads once.  True: the answer is whole now. */
static bool answered(int fd)
{
    struct conn *c = &conns[fd];
    size_t head;

    if (!fill(fd))
        fail("http_load: recv");
    head = head_len(c);
    if (head == 0)
        return false;
    if (c->len > head + BODY || memcmp(c->buf, "HTTP/1.1 200 ", 13) != 0) {
        fprintf(stderr, "http_load: a wrong answer: %.*s\n", (int)head, c->buf);
        exit(1);
    }
    return c->len == head + BODY;
}

static int load(int port, int n, long left, bool keep)
{
    int ep = epoll_create1(0);
    long answers = 0, want = left;
    struct epoll_event ev[EVENTS];

    for (; n > 0 && left > 0; n--, left--) {
        int fd = connected(port);

        watch(ep, fd);
        ask(fd);
    }
    while (answers < want) {
        int ready = epoll_wait(ep, ev, EVENTS, PATIENCE * 1000);

        if (ready <= 0) {
            fprintf(stderr, "http_load: no answer\n");
            exit(1);
        }
        for (int i = 0; i < ready; i++) {
            int fd = ev[i].data.fd;

            if (!answered(fd))
                continue;
            answers++;
            if (!keep) {
                close(fd);
                if (left > 0)
                    watch(ep, fd = connected(port));
            }
            if (left > 0)
                ask(fd);
            left -= left > 0;
        }
    }
    return 0;
}

/* One after the other, so that what remains is of many connections, not of many that came at once.  They end in a reset: a
 * FIN would only say that nothing more will be asked, and the proxy would go on waiting for what is owed. */
static int stay(int port, int n, bool held)
{
    struct linger reset = { .l_onoff = 1 };
    char c;

    for (int i = 0; i < n; i++) {
        int fd = connected(port);

        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        ask(fd);
        while (!held && !answered(fd))
            ;
    }
    if (!held)
        say("idle", n);
    return read(STDIN_FILENO, &c, 1) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    int port = argc > 2 ? atoi(argv[2]) : 0, n = argc > 3 ? atoi(argv[3]) : 0;
    long requests = argc > 4 ? atol(argv[4]) : 0;
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    if (strcmp(mode, "origin") == 0)
        return origin();
    write_request(mode);
    if (strncmp(mode, "tls", 3) == 0 && (tls = SSL_CTX_new(TLS_client_method())) == NULL)
        return 1;
    if ((strcmp(mode, "keep") == 0 || strcmp(mode, "short") == 0 || strcmp(mode, "tls") == 0) && n > 0 && requests > 0)
        return load(port, n, requests, strcmp(mode, "short") != 0);
    if ((strcmp(mode, "idle") == 0 || strcmp(mode, "tlsidle") == 0 || strcmp(mode, "tunnel") == 0 || strcmp(mode, "held") == 0) && n > 0)
        return stay(port, n, mode[0] == 'h');
    return 2;
}
