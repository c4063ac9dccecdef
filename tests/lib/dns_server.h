/*
 * dns_server.h - a small name server on a free UDP and TCP port of the loopback device, in a thread of its own.
 *
 * Knows A, AAAA and SRV records; a name without records does not exist.  All answers have TTL 0 unless set otherwise.
 * Threads: the calls are made by the test's; they may come at any time.  Memory: dns_server_stop() frees everything.
 */
#ifndef TESTS_DNS_SERVER_H
#define TESTS_DNS_SERVER_H
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum dns_mode {
    DNS_ANSWERS,
    DNS_SERVFAIL,
    DNS_SILENT,
    DNS_GARBAGE,   /* bytes that begin like an answer */
    DNS_TRUNCATED, /* over UDP: "ask by TCP" */
};

enum { DNS_A = 1, DNS_AAAA = 28, DNS_SRV = 33, DNS_RECORDS_MOST = 128 };

struct dns_record {
    char name[64];
    unsigned type, ttl;
    unsigned char data[80];
    unsigned n;
};

struct dns_server {
    int udp, tcp, stop[2];
    unsigned port;
    pthread_t thread;
    pthread_mutex_t lock;
    enum dns_mode mode;
    enum dns_mode aaaa_mode; /* for questions of that kind, while mode is DNS_ANSWERS */
    unsigned ttl;
    struct dns_record v[DNS_RECORDS_MOST];
    unsigned n;
    _Atomic unsigned questions, by_tcp;
};

void dns_server_start(struct dns_server *s);
void dns_server_stop(struct dns_server *s);
void dns_server_mode(struct dns_server *s, enum dns_mode mode);
void dns_server_aaaa_mode(struct dns_server *s, enum dns_mode mode);
/* Between the two the server gives no answer, so that none sees half of a change. */
void dns_server_begin(struct dns_server *s); /* forgets all records */
void dns_server_commit(struct dns_server *s);
void dns_server_a(struct dns_server *s, const char *name, const char *address);
void dns_server_aaaa(struct dns_server *s, const char *name, const char *address);
void dns_server_srv(struct dns_server *s, const char *name, unsigned priority, unsigned weight, unsigned port,
                    const char *target);
#endif
