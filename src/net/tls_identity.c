/* tls_identity.c - who a peer is, by its certificate. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "net/spiffe.h"
#include "net/stream_tls_parts.h"

enum { SANS_MOST = 8 * 1024 };

/* Printable ASCII without what separates: a name that holds more says nothing that can be trusted. */
static bool is_plain(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] >= 0x7f || s.p[i] == ',' || s.p[i] == '"')
            return false;
    return s.n > 0;
}

static void add_san(struct buf *out, const char *kind, const ASN1_STRING *s)
{
    struct slice text = slice_of((const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));

    if (is_plain(text) && out->n + text.n < SANS_MOST)
        buf_printf(out, "%s%s:" SLICE_FMT, out->n > 0 ? ", " : "", kind, SLICE_ARG(text));
}

static void add_ip(struct buf *out, const ASN1_OCTET_STRING *s)
{
    struct sockaddr_in in = { .sin_family = AF_INET };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
    bool v4 = ASN1_STRING_length(s) == 4;
    char text[IP_TEXT_MAX];
    struct ip ip;

    if (!v4 && ASN1_STRING_length(s) != 16)
        return;
    memcpy(v4 ? (void *)&in.sin_addr : (void *)&in6.sin6_addr, ASN1_STRING_get0_data(s), v4 ? 4 : 16);
    ip = v4 ? ip_of((struct sockaddr *)&in, sizeof in) : ip_of((struct sockaddr *)&in6, sizeof in6);
    (void)ip_format(&ip, text);
    buf_printf(out, "%sIP:%s", out->n > 0 ? ", " : "", text);
}

void tls_identity_sans(const X509 *x, struct buf *sans, struct buf *spiffe)
{
    GENERAL_NAMES *all = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    unsigned n_uris = 0;

    for (int i = 0; all != NULL && i < sk_GENERAL_NAME_num(all); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(all, i);
        struct spiffe_id id;
        struct slice uri;
        switch (g->type) {
        case GEN_DNS: add_san(sans, "DNS", g->d.dNSName); break;
        case GEN_EMAIL: add_san(sans, "email", g->d.rfc822Name); break;
        case GEN_IPADD: add_ip(sans, g->d.iPAddress); break;
        case GEN_URI:
            add_san(sans, "URI", g->d.uniformResourceIdentifier);
            uri = slice_of((const char *)ASN1_STRING_get0_data(g->d.uniformResourceIdentifier),
                           (size_t)ASN1_STRING_length(g->d.uniformResourceIdentifier));
            if (++n_uris == 1 && spiffe_parse(uri, &id) == NULL)
                buf_add_slice(spiffe, uri);
            break;
        default: break;
        }
    }
    if (n_uris > 1)
        spiffe->n = 0;
    GENERAL_NAMES_free(all);
    ERR_clear_error();
}

static void put_hex(struct buf *out, const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "%02x", p[i]);
}

static void read_subject(X509 *x, struct buf *out)
{
    BIO *b = BIO_new(BIO_s_mem());
    char *text;
    long n;

    if (b == NULL) {
        out->failed = true;
        return;
    }
    (void)X509_NAME_print_ex(b, X509_get_subject_name(x), 0, XN_FLAG_RFC2253); /* escapes what is not ASCII, and controls */
    n = BIO_get_mem_data(b, &text);
    for (long i = 0; i < n; i++)
        buf_add_char(out, text[i] >= ' ' && text[i] < 0x7f ? text[i] : '?');
    BIO_free(b);
}

static void read_numbers(X509 *x, struct buf *fingerprint, struct buf *serial)
{
    const ASN1_INTEGER *number = X509_get0_serialNumber(x);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    if (X509_digest(x, EVP_sha256(), digest, &n) == 1)
        put_hex(fingerprint, digest, n);
    put_hex(serial, ASN1_STRING_get0_data(number), (size_t)ASN1_STRING_length(number));
}

/* All texts stand behind the struct. */
struct tls_identity *tls_identity_of(X509 *x)
{
    struct buf texts[5] = { { 0 } };
    struct tls_identity *id;
    const char **fields[5];
    size_t total = 0;
    bool good = true;
    char *at;

    read_subject(x, &texts[0]);
    tls_identity_sans(x, &texts[1], &texts[2]);
    read_numbers(x, &texts[3], &texts[4]);
    for (int i = 0; i < 5; i++) {
        good = good && !texts[i].failed;
        total += texts[i].n + 1;
    }
    id = good ? malloc(sizeof *id + total) : NULL;
    if (id != NULL) {
        fields[0] = &id->subject;
        fields[1] = &id->sans;
        fields[2] = &id->spiffe;
        fields[3] = &id->fingerprint;
        fields[4] = &id->serial;
        at = (char *)(id + 1);
        for (int i = 0; i < 5; i++) {
            *fields[i] = at;
            if (texts[i].n > 0)
                memcpy(at, texts[i].p, texts[i].n);
            at[texts[i].n] = '\0';
            at += texts[i].n + 1;
        }
    }
    for (int i = 0; i < 5; i++)
        buf_free(&texts[i]);
    ERR_clear_error();
    return id;
}
