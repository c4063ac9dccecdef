/* addr.c - addresses and networks as text and back. */
#include "net/addr.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"

#define HOST_MOST 64 /* longest text of an address without its port, with NUL */

static const char *parse_unix(const char *path, struct addr *out)
{
    struct addr a = { 0 };
    size_t n = strlen(path);

    if (path[0] != '/')
        return "the path of a Unix socket must be absolute; write unix:/run/app.sock";
    if (n >= sizeof a.un.sun_path)
        return "the path of a Unix socket is too long; at most 107 bytes";
    a.un.sun_family = AF_UNIX;
    memcpy(a.un.sun_path, path, n + 1);
    a.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
    *out = a;
    return NULL;
}

/* 1 to 65535, digits only.  0: not so. */
static uint16_t parse_port(const char *text)
{
    unsigned port = 0;

    if (*text == '\0' || strlen(text) > 5)
        return 0;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return 0;
        port = port * 10 + (unsigned)(*text - '0');
    }
    return port > 65535 ? 0 : (uint16_t)port;
}

static const char *parse_in6(const char *text, struct addr *out)
{
    const char *close = strchr(text, ']');
    struct addr a = { .len = sizeof a.in6 };
    char host[HOST_MOST];
    size_t n;

    if (close == NULL)
        return "no ] behind the IPv6 address; write [::1]:8080";
    n = (size_t)(close - text) - 1;
    if (n >= sizeof host)
        return "not an IPv6 address; write [::1]:8080";
    memcpy(host, text + 1, n);
    host[n] = '\0';
    a.in6.sin6_family = AF_INET6;
    if (inet_pton(AF_INET6, host, &a.in6.sin6_addr) != 1)
        return "not an IPv6 address; write [::1]:8080";
    if (close[1] != ':')
        return "no port; write [::1]:8080";
    a.in6.sin6_port = htons(parse_port(close + 2));
    if (a.in6.sin6_port == 0)
        return "not a port; it is a number from 1 to 65535";
    *out = a;
    return NULL;
}

static const char *parse_in(const char *text, struct addr *out)
{
    const char *colon = strchr(text, ':');
    struct addr a = { .len = sizeof a.in };
    char host[HOST_MOST];
    size_t n = colon == NULL ? strlen(text) : (size_t)(colon - text);

    if (colon != NULL && strchr(colon + 1, ':') != NULL)
        return "an IPv6 address stands in brackets; write [::1]:8080";
    if (n >= sizeof host)
        return "not an address; names are not looked up here, write 10.0.0.1:8080";
    memcpy(host, text, n);
    host[n] = '\0';
    a.in.sin_family = AF_INET;
    if (inet_pton(AF_INET, host, &a.in.sin_addr) != 1)
        return "not an address; names are not looked up here, write 10.0.0.1:8080, [::1]:8080 or unix:/run/app.sock";
    if (colon == NULL)
        return "no port; write 10.0.0.1:8080";
    a.in.sin_port = htons(parse_port(colon + 1));
    if (a.in.sin_port == 0)
        return "not a port; it is a number from 1 to 65535";
    *out = a;
    return NULL;
}

const char *addr_parse(const char *text, void *addr, struct arena *a)
{
    (void)a;
    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(text + 5, addr);
    if (text[0] == '[')
        return parse_in6(text, addr);
    return parse_in(text, addr);
}

char *addr_format(const struct addr *a, char out[ADDR_TEXT_MAX])
{
    char host[INET6_ADDRSTRLEN] = "";

    if (a->len == 0) {
        (void)snprintf(out, ADDR_TEXT_MAX, "-");
    } else if (a->sa.sa_family == AF_INET) {
        (void)inet_ntop(AF_INET, &a->in.sin_addr, host, sizeof host);
        (void)snprintf(out, ADDR_TEXT_MAX, "%s:%u", host, ntohs(a->in.sin_port));
    } else if (a->sa.sa_family == AF_INET6) {
        (void)inet_ntop(AF_INET6, &a->in6.sin6_addr, host, sizeof host);
        (void)snprintf(out, ADDR_TEXT_MAX, "[%s]:%u", host, ntohs(a->in6.sin6_port));
    } else {
        /* the peer of a Unix socket has no path, and then no byte of one */
        size_t n = a->len > offsetof(struct sockaddr_un, sun_path) ? a->len - offsetof(struct sockaddr_un, sun_path) : 0;
        (void)snprintf(out, ADDR_TEXT_MAX, "unix:%.*s", (int)n, a->un.sun_path);
    }
    return out;
}

/* The bytes that tell one address from another: padding and IPv6 flow labels do not. */
struct addr_key {
    uint8_t bytes[sizeof(struct sockaddr_un)];
    size_t n;
};

static void key_add(struct addr_key *k, const void *p, size_t n)
{
    memcpy(k->bytes + k->n, p, n);
    k->n += n;
}

static struct addr_key key_of(const struct addr *a)
{
    struct addr_key k = { .n = 0 };
    uint16_t family = a->len == 0 ? 0 : a->sa.sa_family;

    key_add(&k, &family, sizeof family);
    if (family == AF_INET) {
        key_add(&k, &a->in.sin_addr, sizeof a->in.sin_addr);
        key_add(&k, &a->in.sin_port, sizeof a->in.sin_port);
    } else if (family == AF_INET6) {
        key_add(&k, &a->in6.sin6_addr, sizeof a->in6.sin6_addr);
        key_add(&k, &a->in6.sin6_port, sizeof a->in6.sin6_port);
        key_add(&k, &a->in6.sin6_scope_id, sizeof a->in6.sin6_scope_id);
    } else if (family == AF_UNIX && a->len > offsetof(struct sockaddr_un, sun_path)) {
        key_add(&k, a->un.sun_path, strnlen(a->un.sun_path, a->len - offsetof(struct sockaddr_un, sun_path)));
    }
    return k;
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
    struct addr_key x = key_of(a), y = key_of(b);

    return x.n == y.n && memcmp(x.bytes, y.bytes, x.n) == 0;
}

uint64_t addr_hash(const struct addr *a)
{
    struct addr_key k = key_of(a);

    return hash_bytes(k.bytes, k.n, 0);
}

static const uint8_t mapped_prefix[12] = { [10] = 0xff, [11] = 0xff };

static void set_bytes(struct ip *ip, const uint8_t bytes[16])
{
    if (memcmp(bytes, mapped_prefix, sizeof mapped_prefix) == 0) {
        ip->family = 4;
        memcpy(ip->bytes, bytes + 12, 4);
    } else {
        ip->family = 6;
        memcpy(ip->bytes, bytes, 16);
    }
}

struct ip ip_of(const struct sockaddr *sa, socklen_t len)
{
    struct ip ip = { .family = 0 };
    struct sockaddr_in6 in6;
    struct sockaddr_in in;

    if (sa != NULL && len >= sizeof in && sa->sa_family == AF_INET) {
        memcpy(&in, sa, sizeof in);
        ip.family = 4;
        ip.port = ntohs(in.sin_port);
        memcpy(ip.bytes, &in.sin_addr, 4);
    } else if (sa != NULL && len >= sizeof in6 && sa->sa_family == AF_INET6) {
        memcpy(&in6, sa, sizeof in6);
        ip.port = ntohs(in6.sin6_port);
        set_bytes(&ip, in6.sin6_addr.s6_addr);
    }
    return ip;
}

static char *put_byte(char *out, unsigned n)
{
    if (n >= 100)
        *out++ = (char)('0' + n / 100);
    if (n >= 10)
        *out++ = (char)('0' + n / 10 % 10);
    *out++ = (char)('0' + n % 10);
    return out;
}

/* By hand: each request has one, and inet_ntop() prints by snprintf. */
static size_t ip4_format(const uint8_t bytes[4], char *out)
{
    char *at = out;

    for (int i = 0; i < 4; i++) {
        if (i > 0)
            *at++ = '.';
        at = put_byte(at, bytes[i]);
    }
    *at = '\0';
    return (size_t)(at - out);
}

size_t ip_format(const struct ip *ip, char out[IP_TEXT_MAX])
{
    if (ip->family == 4)
        return ip4_format(ip->bytes, out);
    if (ip->family == 0)
        memcpy(out, "unix", 5);
    else if (inet_ntop(AF_INET6, ip->bytes, out, IP_TEXT_MAX) == NULL)
        out[0] = '\0';
    return strlen(out);
}

/* True when no bit behind the first `bits` is set. */
static bool tail_is_zero(const uint8_t *bytes, size_t n, unsigned bits)
{
    for (size_t i = bits / 8; i < n; i++) {
        uint8_t mask = i == bits / 8 && bits % 8 != 0 ? (uint8_t)(0xff >> (bits % 8)) : 0xff;
        if ((bytes[i] & mask) != 0)
            return false;
    }
    return true;
}

static bool parse_bits(const char *text, unsigned most, unsigned *bits)
{
    size_t n = strlen(text);

    if (n == 0 || n > 3 || strspn(text, "0123456789") != n)
        return false;
    *bits = 0;
    for (; *text != '\0'; text++)
        *bits = *bits * 10 + (unsigned)(*text - '0');
    return *bits <= most;
}

static const char *parse_ip(const char *host, struct network *n)
{
    uint8_t bytes[16];

    if (inet_pton(AF_INET, host, n->base.bytes) == 1) {
        n->base.family = 4;
        return NULL;
    }
    if (inet_pton(AF_INET6, host, bytes) != 1)
        return "not a network; write 10.0.0.0/8, 2001:db8::/32, a single address, or unix";
    set_bytes(&n->base, bytes);
    return NULL;
}

const char *network_parse(const char *text, struct network *out)
{
    const char *slash = strchr(text, '/');
    size_t n = slash == NULL ? strlen(text) : (size_t)(slash - text);
    struct network net = { .bits = 0 };
    char host[HOST_MOST];
    unsigned bits, most;
    const char *wrong;

    if (strcmp(text, "unix") == 0) {
        *out = net;
        return NULL;
    }
    if (n >= sizeof host)
        return "not a network; write 10.0.0.0/8, 2001:db8::/32, a single address, or unix";
    memcpy(host, text, n);
    host[n] = '\0';
    wrong = parse_ip(host, &net);
    if (wrong != NULL)
        return wrong;
    most = net.base.family == 4 ? 32 : 128;
    bits = most;
    if (slash != NULL && strchr(host, ':') != NULL && most == 32) { /* ::ffff:10.0.0.0/104 is 10.0.0.0/8 */
        if (!parse_bits(slash + 1, 128, &bits) || bits < 96)
            return "not a prefix of an IPv4 network inside IPv6; write 96 to 128 behind the /, or the IPv4 network itself";
        bits -= 96;
    } else if (slash != NULL && !parse_bits(slash + 1, most, &bits)) {
        return most == 32 ? "not a prefix; write 0 to 32 behind the /" : "not a prefix; write 0 to 128 behind the /";
    }
    if (!tail_is_zero(net.base.bytes, most / 8, bits))
        return "the address has bits behind its prefix; write the network's first address, like 10.0.0.0/8";
    net.bits = (uint8_t)bits;
    *out = net;
    return NULL;
}

bool network_has(const struct network *n, const struct ip *ip)
{
    size_t whole = n->bits / 8;
    unsigned rest = n->bits % 8;

    if (n->base.family != ip->family)
        return false;
    if (memcmp(n->base.bytes, ip->bytes, whole) != 0)
        return false;
    return rest == 0 || ((n->base.bytes[whole] ^ ip->bytes[whole]) >> (8 - rest)) == 0;
}
