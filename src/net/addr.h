/*
 * addr.h - addresses of sockets (IPv4, IPv6, Unix) and networks.
 *
 * Threads: any, no state.  Memory: values.
 */
#ifndef NET_ADDR_H
#define NET_ADDR_H
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/arena.h"

struct addr {
    socklen_t len; /* 0: unset */
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    };
};

#define ADDR_TEXT_MAX 128 /* any address as text, with its NUL */

/* "10.0.0.1:80", "[::1]:80", "unix:/run/app.sock".  NULL: done; else a sentence that says what is right.
 * Also the conf_parse_fn of such keys (field is a struct addr); no names, no defaults for the port, port 0 is refused. */
const char *addr_parse(const char *text, void *addr, struct arena *a);
/* The same as text; returns out. */
char *addr_format(const struct addr *a, char out[ADDR_TEXT_MAX]);
bool addr_equal(const struct addr *a, const struct addr *b);
uint64_t addr_hash(const struct addr *a);

/* A peer's address in 20 bytes: what a connection keeps.  IPv4 mapped into IPv6 is IPv4. */
struct ip {
    uint8_t bytes[16]; /* network order; IPv4 in the first four */
    uint16_t port;     /* host order */
    uint8_t family;    /* 4, 6, or 0: a Unix socket */
};
#define IP_TEXT_MAX 46
struct ip ip_of(const struct sockaddr *sa, socklen_t len);
/* Without the port: "192.0.2.1", "2001:db8::1", "unix".  Returns the length. */
size_t ip_format(const struct ip *ip, char out[IP_TEXT_MAX]);

/* A network: "10.0.0.0/8", "2001:db8::/32", a single address, or "unix". */
struct network {
    struct ip base;
    uint8_t bits;
};
const char *network_parse(const char *text, struct network *n);
bool network_has(const struct network *n, const struct ip *ip);
#endif
