/* dns_server.c - RFC 1035 and RFC 2782, as far as tests need them. */
#include "tests/lib/dns_server.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEADER = 12, MESSAGE = 8192 };

struct message {
    unsigned char bytes[MESSAGE];
    size_t n;
};

static void put(struct message *m, const void *p, size_t n)
{
    ck_assert_uint_le(m->n + n, MESSAGE);
    memcpy(m->bytes + m->n, p, n);
    m->n += n;
}

static void put16(struct message *m, unsigned v)
{
    unsigned char two[2] = { (unsigned char)(v >> 8), (unsigned char)v };

    put(m, two, 2);
}

/* The name behind the header as text; where it ends, or 0. */
static size_t read_name(const unsigned char *p, size_t n, char out[64])
{
    size_t at = HEADER, to = 0;

    while (at < n && p[at] != 0) {
        size_t label = p[at];
        if (label > 63 || at + label >= n || to + label + 2 > 64)
            return 0;
        if (to > 0)
            out[to++] = '.';
        memcpy(out + to, p + at + 1, label);
        to += label;
        at += label + 1;
    }
    out[to] = '\0';
    return at < n ? at + 1 : 0;
}

static size_t write_name(unsigned char *to, const char *name)
{
    size_t n = 0;

    while (*name != '\0') {
        size_t label = strcspn(name, ".");
        to[n++] = (unsigned char)label;
        memcpy(to + n, name, label);
        n += label;
        name += label + (name[label] == '.');
    }
    to[n++] = 0;
    return n;
}

static void put_record(struct message *m, const struct dns_record *r)
{
    put16(m, 0xc000 | HEADER); /* the question's name */
    put16(m, r->type);
    put16(m, 1);
    put16(m, r->ttl >> 16);
    put16(m, r->ttl & 0xffff);
    put16(m, r->n);
    put(m, r->data, r->n);
}

static bool answer(struct dns_server *s, const unsigned char *q, size_t n, bool tcp, struct message *m)
{
    char name[64];
    size_t end = n < HEADER ? 0 : read_name(q, n, name);
    unsigned type = end + 4 > n || end == 0 ? 0 : (unsigned)q[end] << 8 | q[end + 1], answers = 0;
    bool known = false;
    enum dns_mode mode = s->mode == DNS_ANSWERS && type == DNS_AAAA ? s->aaaa_mode : s->mode;

    m->n = 0;
    atomic_fetch_add(tcp ? &s->by_tcp : &s->questions, 1);
    if (type == 0 || mode == DNS_SILENT)
        return false;
    put(m, q, 2);
    put16(m, 0x8180);
    put16(m, 1);
    put16(m, 0);
    put16(m, 0);
    put16(m, 0);
    put(m, q + HEADER, end + 4 - HEADER);
    if (mode == DNS_SERVFAIL)
        m->bytes[3] |= 2;
    if (mode == DNS_TRUNCATED && !tcp)
        m->bytes[2] |= 2;
    if (mode == DNS_GARBAGE) {
        m->bytes[7] = 200; /* answers that are not there */
        put(m, "\xc0\x0c\x00", 3);
    }
    if (mode != DNS_ANSWERS && (mode != DNS_TRUNCATED || !tcp))
        return true;
    for (unsigned i = 0; i < s->n; i++) {
        if (strcasecmp(s->v[i].name, name) != 0)
            continue;
        known = true;
        if (s->v[i].type != type)
            continue;
        put_record(m, &s->v[i]);
        answers++;
    }
    m->bytes[6] = (unsigned char)(answers >> 8);
    m->bytes[7] = (unsigned char)answers;
    if (!known)
        m->bytes[3] |= 3;
    return true;
}

static void serve_udp(struct dns_server *s)
{
    struct message m;
    unsigned char q[512];
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    ssize_t n = recvfrom(s->udp, q, sizeof q, 0, (struct sockaddr *)&from, &len);
    bool says;

    pthread_mutex_lock(&s->lock);
    says = n > 0 && answer(s, q, (size_t)n, false, &m);
    pthread_mutex_unlock(&s->lock);
    if (says)
        (void)!sendto(s->udp, m.bytes, m.n, 0, (struct sockaddr *)&from, len);
}

static void serve_tcp(struct dns_server *s)
{
    struct message m, framed = { .n = 0 };
    unsigned char q[514];
    int fd = accept(s->tcp, NULL, NULL);
    static const struct timeval patience = { 5, 0 };
    ssize_t n;
    bool says;

    if (fd < 0)
        return;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    for (ssize_t got = 0;; got = n) {
        n = recv(fd, q + got, sizeof q - (size_t)got, 0);
        n = n > 0 ? got + n : 0;
        if (n == 0 || (n > 2 && n >= 2 + (q[0] << 8 | q[1])))
            break;
    }
    pthread_mutex_lock(&s->lock);
    says = n > 2 && answer(s, q + 2, (size_t)n - 2, true, &m);
    pthread_mutex_unlock(&s->lock);
    if (says) {
        put16(&framed, (unsigned)m.n);
        put(&framed, m.bytes, m.n);
        (void)!send(fd, framed.bytes, framed.n, MSG_NOSIGNAL);
    }
    close(fd);
}

static void *serve(void *arg)
{
    struct dns_server *s = arg;
    struct pollfd v[3] = { { s->udp, POLLIN, 0 }, { s->tcp, POLLIN, 0 }, { s->stop[0], POLLIN, 0 } };

    for (;;) {
        if (poll(v, 3, -1) < 0)
            continue;
        if (v[2].revents != 0)
            return NULL;
        if (v[0].revents != 0)
            serve_udp(s);
        if (v[1].revents != 0)
            serve_tcp(s);
    }
}

static bool bind_both(struct dns_server *s)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof a;

    s->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    s->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert(s->udp >= 0 && s->tcp >= 0);
    if (bind(s->udp, (struct sockaddr *)&a, sizeof a) == 0 && getsockname(s->udp, (struct sockaddr *)&a, &len) == 0 &&
        bind(s->tcp, (struct sockaddr *)&a, sizeof a) == 0 && listen(s->tcp, 8) == 0) {
        s->port = ntohs(a.sin_port);
        return true;
    }
    close(s->udp);
    close(s->tcp);
    return false;
}

void dns_server_start(struct dns_server *s)
{
    memset(s, 0, sizeof *s);
    while (!bind_both(s)) /* the port was free for one of the two only */
        ;
    ck_assert_int_eq(pipe(s->stop), 0);
    ck_assert_int_eq(pthread_mutex_init(&s->lock, NULL), 0);
    ck_assert_int_eq(pthread_create(&s->thread, NULL, serve, s), 0);
}

void dns_server_stop(struct dns_server *s)
{
    ck_assert_int_eq(write(s->stop[1], "x", 1), 1);
    ck_assert_int_eq(pthread_join(s->thread, NULL), 0);
    for (int i = 0; i < 2; i++)
        close(s->stop[i]);
    close(s->udp);
    close(s->tcp);
    pthread_mutex_destroy(&s->lock);
}

void dns_server_mode(struct dns_server *s, enum dns_mode mode)
{
    pthread_mutex_lock(&s->lock);
    s->mode = mode;
    pthread_mutex_unlock(&s->lock);
}

void dns_server_aaaa_mode(struct dns_server *s, enum dns_mode mode)
{
    pthread_mutex_lock(&s->lock);
    s->aaaa_mode = mode;
    pthread_mutex_unlock(&s->lock);
}

void dns_server_begin(struct dns_server *s)
{
    pthread_mutex_lock(&s->lock);
    s->n = 0;
}

void dns_server_commit(struct dns_server *s) { pthread_mutex_unlock(&s->lock); }

static struct dns_record *add(struct dns_server *s, const char *name, unsigned type)
{
    struct dns_record *r = &s->v[s->n++];

    ck_assert_uint_le(s->n, DNS_RECORDS_MOST);
    memset(r, 0, sizeof *r);
    (void)snprintf(r->name, sizeof r->name, "%s", name);
    r->type = type;
    r->ttl = s->ttl;
    return r;
}

void dns_server_a(struct dns_server *s, const char *name, const char *address)
{
    struct dns_record *r = add(s, name, DNS_A);

    ck_assert_int_eq(inet_pton(AF_INET, address, r->data), 1);
    r->n = 4;
}

void dns_server_aaaa(struct dns_server *s, const char *name, const char *address)
{
    struct dns_record *r = add(s, name, DNS_AAAA);

    ck_assert_int_eq(inet_pton(AF_INET6, address, r->data), 1);
    r->n = 16;
}

void dns_server_srv(struct dns_server *s, const char *name, unsigned priority, unsigned weight, unsigned port, const char *target)
{
    struct dns_record *r = add(s, name, DNS_SRV);
    unsigned v[3] = { priority, weight, port };

    for (int i = 0; i < 3; i++) {
        r->data[2 * i] = (unsigned char)(v[i] >> 8);
        r->data[2 * i + 1] = (unsigned char)v[i];
    }
    r->n = 6 + (unsigned)write_name(r->data + 6, target);
}
