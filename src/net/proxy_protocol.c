/* proxy_protocol.c - headers of the PROXY protocol as bytes and back. */
#include "net/proxy_protocol.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/err.h"

enum {
    LINE_MOST = 107, /* of version 1, with its CRLF */
    SIGNATURE = 12,
    FIXED = 16, /* of version 2, before the addresses */
    TLV_FIXED = 3,
    UNIX_PATH = 108,
    PORT_DIGITS = 5,

    VERSION_2 = 0x20,
    COMMAND_LOCAL = 0,
    COMMAND_PROXY = 1,

    FAMILY_IN = 1,
    FAMILY_IN6 = 2,
    FAMILY_UNIX = 3,
    TRANSPORT_STREAM = 1,
    TRANSPORT_DGRAM = 2,

    TLV_ALPN = 0x01,
    TLV_AUTHORITY = 0x02,
    TLV_CRC32C = 0x03,
    TLV_SSL = 0x20,
    TLV_SSL_VERSION = 0x21,
    TLV_SSL_CN = 0x22,
    TLV_SSL_CIPHER = 0x23,
    TLV_SSL_SIG_ALG = 0x24,
    TLV_SSL_KEY_ALG = 0x25,

    CLIENT_SSL = 1,
    CLIENT_CERT_CONN = 2,
    CLIENT_CERT_SESS = 4,
};

static const uint8_t signature[SIGNATURE] = { '\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n' };
static const char word[] = "PROXY ";

/* ---- checksum ---- */

/* By half bytes, over the reflected polynomial: a header is short and comes once a connection. */
static uint32_t crc32c(uint32_t crc, const uint8_t *p, size_t n)
{
    static const uint32_t table[16] = { 0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
                                        0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
                                        0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75 };

    for (size_t i = 0; i < n; i++) {
        crc = (crc >> 4) ^ table[(crc ^ p[i]) & 15];
        crc = (crc >> 4) ^ table[(crc ^ (uint32_t)(p[i] >> 4)) & 15];
    }
    return crc;
}

/* Of the whole header, as if its checksum, which stands at `at`, were zero. */
static uint32_t checksum(const uint8_t *header, size_t n, size_t at)
{
    static const uint8_t zero[4];
    uint32_t crc = crc32c(UINT32_MAX, header, at);

    crc = crc32c(crc, zero, sizeof zero);
    return ~crc32c(crc, header + at + sizeof zero, n - at - sizeof zero);
}

/* ---- addresses ---- */

static unsigned get16(const uint8_t *p) { return (unsigned)p[0] << 8 | p[1]; }

static struct ip ip4(const void *bytes, unsigned port)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

    memcpy(&in.sin_addr, bytes, sizeof in.sin_addr);
    return ip_of((const struct sockaddr *)&in, sizeof in);
}

static struct ip ip6(const void *bytes, unsigned port)
{
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };

    memcpy(&in6.sin6_addr, bytes, sizeof in6.sin6_addr);
    return ip_of((const struct sockaddr *)&in6, sizeof in6);
}

/* ---- reading version 1 ---- */

/* Where the line ends, behind its CRLF; 0: not yet; <0: it can't any more. */
static int line_length(const uint8_t *bytes, size_t n)
{
    size_t most = n < LINE_MOST ? n : LINE_MOST;

    for (size_t i = 0; i < most; i++) {
        if (bytes[i] == '\n')
            return -ERR_BAD_PROXY_HEADER; /* of its own */
        if (bytes[i] != '\r' || i + 1 == most)
            continue;
        return bytes[i + 1] == '\n' ? (int)i + 2 : -ERR_BAD_PROXY_HEADER;
    }
    return most < LINE_MOST ? 0 : -ERR_BAD_PROXY_HEADER;
}

/* The next field, ended by one blank or the line's end, with a NUL behind it; *rest goes on behind the blank.  False: there is none. */
static bool next_field(struct slice *rest, char out[INET6_ADDRSTRLEN])
{
    const char *blank = rest->p == NULL ? NULL : memchr(rest->p, ' ', rest->n);
    size_t n = blank == NULL ? rest->n : (size_t)(blank - rest->p);

    if (rest->p == NULL || n == 0 || n >= INET6_ADDRSTRLEN || memchr(rest->p, '\0', n) != NULL)
        return false;
    memcpy(out, rest->p, n);
    out[n] = '\0';
    *rest = blank == NULL ? slice_of(NULL, 0) : slice_of(blank + 1, rest->n - n - 1);
    return true;
}

static bool read_port(struct slice *rest, unsigned *port)
{
    char text[INET6_ADDRSTRLEN];

    *port = 0;
    if (!next_field(rest, text) || strlen(text) > PORT_DIGITS || (text[0] == '0' && text[1] != '\0'))
        return false;
    for (const char *p = text; *p != '\0'; p++) {
        if (*p < '0' || *p > '9')
            return false;
        *port = *port * 10 + (unsigned)(*p - '0');
    }
    return *port <= UINT16_MAX;
}

static bool read_addresses(struct slice rest, int family, struct proxy_header *out)
{
    uint8_t from[16], to[16];
    char text[INET6_ADDRSTRLEN];
    unsigned from_port, to_port;

    if (!next_field(&rest, text) || inet_pton(family, text, from) != 1 || !next_field(&rest, text) ||
        inet_pton(family, text, to) != 1 || !read_port(&rest, &from_port) || !read_port(&rest, &to_port) || rest.p != NULL)
        return false;
    out->from = family == AF_INET ? ip4(from, from_port) : ip6(from, from_port);
    out->to = family == AF_INET ? ip4(to, to_port) : ip6(to, to_port);
    return true;
}

static int read_line(const uint8_t *bytes, size_t n, struct proxy_header *out)
{
    static const struct slice tcp4 = SLICE("TCP4 "), tcp6 = SLICE("TCP6 "), unknown = SLICE("UNKNOWN");
    struct proxy_header h = { .local = false };
    int length = line_length(bytes, n);
    struct slice rest;
    bool good;

    if (length <= 0)
        return length;
    rest = slice_of((const char *)bytes + sizeof word - 1, (size_t)length - (sizeof word - 1) - 2);
    if (slice_starts(rest, tcp4))
        good = read_addresses(slice_of(rest.p + tcp4.n, rest.n - tcp4.n), AF_INET, &h);
    else if (slice_starts(rest, tcp6))
        good = read_addresses(slice_of(rest.p + tcp6.n, rest.n - tcp6.n), AF_INET6, &h);
    else
        good = h.local = slice_starts(rest, unknown) && (rest.n == unknown.n || rest.p[unknown.n] == ' ');
    if (!good)
        return -ERR_BAD_PROXY_HEADER;
    *out = h;
    return length;
}

/* ---- reading version 2 ---- */

/* They must fill the rest of the header, which has n bytes, and there is at most one checksum. */
static bool tlvs_are_good(const uint8_t *header, size_t n, size_t at)
{
    size_t crc_at = 0;

    while (at < n) {
        size_t length;

        if (n - at < TLV_FIXED)
            return false;
        length = get16(header + at + 1);
        if (n - at - TLV_FIXED < length)
            return false;
        if (header[at] == TLV_CRC32C) {
            if (length != 4 || crc_at != 0)
                return false;
            crc_at = at + TLV_FIXED;
        }
        at += TLV_FIXED + length;
    }
    return crc_at == 0 || checksum(header, n, crc_at) == ((uint32_t)get16(header + crc_at) << 16 | get16(header + crc_at + 2));
}

static size_t addresses_size(unsigned family)
{
    return family == FAMILY_IN ? 2 * (4 + 2) : family == FAMILY_IN6 ? 2 * (16 + 2) : 2 * UNIX_PATH;
}

static bool read_block(const uint8_t *header, size_t n, struct proxy_header *h)
{
    unsigned family = header[13] >> 4, transport = header[13] & 15;
    const uint8_t *p = header + FIXED;
    size_t size = addresses_size(family);

    h->local = true;
    if ((header[12] & 15) == COMMAND_LOCAL)
        return true; /* the rest means nothing, and may have any shape */
    if (family > FAMILY_UNIX || transport > TRANSPORT_DGRAM)
        return false;
    if (family == 0)
        return true; /* nobody knows where its addresses end and its TLVs begin */
    if (n - FIXED < size || !tlvs_are_good(header, n, FIXED + size))
        return false;
    if (transport != TRANSPORT_STREAM)
        return true;
    h->local = false;
    if (family == FAMILY_IN) {
        h->from = ip4(p, get16(p + 8));
        h->to = ip4(p + 4, get16(p + 10));
    } else if (family == FAMILY_IN6) {
        h->from = ip6(p, get16(p + 32));
        h->to = ip6(p + 16, get16(p + 34));
    }
    return true;
}

static int read_binary(const uint8_t *bytes, size_t n, struct proxy_header *out)
{
    struct proxy_header h = { .local = false };
    size_t length;

    if (n > SIGNATURE && bytes[SIGNATURE] != (VERSION_2 | COMMAND_LOCAL) && bytes[SIGNATURE] != (VERSION_2 | COMMAND_PROXY))
        return -ERR_BAD_PROXY_HEADER;
    if (n < FIXED)
        return 0;
    length = FIXED + get16(bytes + 14);
    if (length > PROXY_HEADER_MOST)
        return -ERR_BAD_PROXY_HEADER;
    if (n < length)
        return 0;
    if (!read_block(bytes, length, &h))
        return -ERR_BAD_PROXY_HEADER;
    *out = h;
    return (int)length;
}

static bool may_begin(const uint8_t *bytes, size_t n, const void *with, size_t n_with)
{
    return memcmp(bytes, with, n < n_with ? n : n_with) == 0;
}

int proxy_header_read(const uint8_t *bytes, size_t n, struct proxy_header *out)
{
    if (n == 0)
        return 0;
    if (may_begin(bytes, n, signature, sizeof signature))
        return read_binary(bytes, n, out);
    if (may_begin(bytes, n, word, sizeof word - 1))
        return read_line(bytes, n, out);
    return -ERR_BAD_PROXY_HEADER;
}

/* ---- writing ---- */

static void put8(struct buf *out, unsigned value) { buf_add_char(out, (char)(uint8_t)value); }

static void put16(struct buf *out, size_t value)
{
    put8(out, (unsigned)(value >> 8 & 0xff));
    put8(out, (unsigned)(value & 0xff));
}

/* Puts a length in, when what it is of has been written. */
static void set16(struct buf *out, size_t at, size_t value)
{
    if (out->failed)
        return;
    out->p[at] = (char)(uint8_t)(value >> 8);
    out->p[at + 1] = (char)(uint8_t)value;
}

static void put_tlv(struct buf *out, unsigned type, struct slice value)
{
    if (value.n == 0 || value.n > UINT16_MAX)
        return;
    put8(out, type);
    put16(out, value.n);
    buf_add_slice(out, value);
}

static void put_ssl(struct buf *out, const struct proxy_client *c)
{
    unsigned flags = CLIENT_SSL;
    size_t at;

    if (c->has_certificate)
        flags |= c->resumed ? CLIENT_CERT_SESS : CLIENT_CERT_CONN | CLIENT_CERT_SESS;
    put8(out, TLV_SSL);
    at = out->n;
    put16(out, 0);
    put8(out, flags);
    put16(out, 0);
    put16(out, !c->has_certificate); /* what is there was verified: 0; else anything but that */
    put_tlv(out, TLV_SSL_VERSION, c->version);
    put_tlv(out, TLV_SSL_CN, c->common_name);
    put_tlv(out, TLV_SSL_CIPHER, c->cipher);
    put_tlv(out, TLV_SSL_SIG_ALG, c->signature);
    put_tlv(out, TLV_SSL_KEY_ALG, c->key);
    set16(out, at, out->n - at - 2);
}

static void put_tlvs(struct buf *out, const struct proxy_client *c)
{
    if (c->secure) {
        put_tlv(out, TLV_ALPN, c->protocol);
        put_tlv(out, TLV_AUTHORITY, c->name);
        put_ssl(out, c);
        put_tlv(out, PROXY_TLV_SPIFFE, c->spiffe);
    }
    put_tlv(out, TLV_CRC32C, slice_of("\0\0\0\0", 4));
}

/* An IPv4 address where the other one is IPv6. */
static struct ip mapped(const struct ip *ip)
{
    struct ip six = { .family = 6, .port = ip->port, .bytes = { [10] = 0xff, [11] = 0xff } };

    if (ip->family != 4)
        return *ip;
    memcpy(six.bytes + 12, ip->bytes, 4);
    return six;
}

/* Both of one family, 4 or 6; 0: they can't be told. */
static unsigned pair_of(const struct proxy_client *c, struct ip *from, struct ip *to)
{
    if (c == NULL || c->from.family == 0 || c->to.family == 0)
        return 0;
    *from = c->from;
    *to = c->to;
    if (from->family == to->family)
        return from->family;
    *from = mapped(from);
    *to = mapped(to);
    return 6;
}

static void write_line(struct buf *out, const struct proxy_client *c)
{
    char text[2][IP_TEXT_MAX];
    struct ip from, to;
    unsigned family = pair_of(c, &from, &to);

    if (family == 0) {
        buf_add(out, "PROXY UNKNOWN\r\n");
        return;
    }
    (void)ip_format(&from, text[0]);
    (void)ip_format(&to, text[1]);
    buf_printf(out, "PROXY TCP%u %s %s %u %u\r\n", family, text[0], text[1], from.port, to.port);
}

static void put_pair(struct buf *out, unsigned family, const struct ip *from, const struct ip *to)
{
    size_t n = family == 4 ? 4 : 16;

    buf_append(out, from->bytes, n);
    buf_append(out, to->bytes, n);
    put16(out, from->port);
    put16(out, to->port);
}

/* `start`: where the header begins; its last bytes are the checksum's. */
static void set_checksum(struct buf *out, size_t start)
{
    uint8_t *header;
    size_t n = out->n - start;
    uint32_t crc;

    if (out->failed)
        return;
    header = (uint8_t *)out->p + start;
    crc = checksum(header, n, n - 4);
    set16(out, out->n - 4, crc >> 16);
    set16(out, out->n - 2, crc & 0xffff);
}

static void write_binary(struct buf *out, const struct proxy_client *c, bool bare)
{
    static const unsigned families[] = {
        [0] = 0, [4] = FAMILY_IN << 4 | TRANSPORT_STREAM, [6] = FAMILY_IN6 << 4 | TRANSPORT_STREAM
    };
    size_t start = out->n;
    struct ip from, to;
    unsigned family = pair_of(c, &from, &to);

    buf_append(out, signature, sizeof signature);
    put8(out, VERSION_2 | (c == NULL ? COMMAND_LOCAL : COMMAND_PROXY));
    put8(out, families[family]);
    put16(out, 0);
    if (family != 0)
        put_pair(out, family, &from, &to);
    if (c != NULL && !bare)
        put_tlvs(out, c);
    set16(out, start + FIXED - 2, out->n - start - FIXED);
    if (c != NULL && !bare)
        set_checksum(out, start);
}

void proxy_header_write(struct buf *out, enum proxy_send how, const struct proxy_client *c)
{
    if (how == PROXY_SEND_V1)
        write_line(out, c);
    else if (how != PROXY_SEND_OFF)
        write_binary(out, c, how == PROXY_SEND_V2_BARE);
}
