/* stream_tls_facts.c - what was learned in a handshake. */
#include <stdio.h>
#include <string.h>

#include "net/stream_tls_parts.h"

struct slice stream_tls_protocol(const struct stream *s)
{
    const unsigned char *p = NULL;
    unsigned n = 0;

    if (s->tls != NULL)
        SSL_get0_alpn_selected(s->tls->ssl, &p, &n);
    return slice_of((const char *)p, n);
}

struct slice stream_tls_version(const struct stream *s)
{
    return s->tls == NULL ? SLICE("") : slice_str(SSL_get_version(s->tls->ssl));
}

struct slice stream_tls_name(const struct stream *s)
{
    const char *name = s->tls == NULL ? NULL : SSL_get_servername(s->tls->ssl, TLSEXT_NAMETYPE_host_name);

    return name == NULL ? SLICE("") : slice_str(name);
}

bool stream_tls_resumed(const struct stream *s) { return s->tls != NULL && SSL_session_reused(s->tls->ssl) != 0; }
uint64_t stream_tls_ctx_id(const struct stream *s) { return s->tls == NULL ? 0 : s->tls->ctx->id; }

bool stream_tls_is_for(const struct stream *s, struct slice host)
{
    struct slice asked = stream_tls_name(s);

    if (asked.n == 0 || host.n == 0 || slice_eq_nocase(asked, host))
        return true;
    return tls_ctx_covers(s->tls->ctx, SSL_get_SSL_CTX(s->tls->ssl), host);
}

const struct tls_identity *stream_tls_identity(const struct stream *s) { return s->tls == NULL ? NULL : s->tls->identity; }

struct slice stream_tls_identity_text(const struct stream *s)
{
    const struct tls_identity *id = stream_tls_identity(s);

    return id == NULL ? SLICE("") : slice_str(id->spiffe[0] != '\0' ? id->spiffe : id->subject);
}

static void read_common_name(const X509 *x, char out[256])
{
    const X509_NAME *subject = X509_get_subject_name(x);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1), n;
    unsigned char *text = NULL;

    if (at < 0)
        return;
    n = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    if (n > 0 && n < 256 && memchr(text, '\0', (size_t)n) == NULL)
        memcpy(out, text, (size_t)n);
    OPENSSL_free(text);
}

static const char *kind_of_key(const EVP_PKEY *key)
{
    switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA: return "RSA";
    case EVP_PKEY_EC: return "EC";
    default: return "";
    }
}

void stream_tls_facts(const struct stream *s, struct tls_facts *out)
{
    const X509 *own, *theirs;
    const EVP_PKEY *key;

    memset(out, 0, sizeof *out);
    out->cipher = out->signature = "";
    if (s->tls == NULL)
        return;
    own = SSL_get_certificate(s->tls->ssl);
    theirs = SSL_get0_peer_certificate(s->tls->ssl);
    key = own == NULL ? NULL : X509_get0_pubkey(own);
    out->cipher = SSL_get_cipher_name(s->tls->ssl);
    if (own != NULL && X509_get_signature_nid(own) != NID_undef)
        out->signature = OBJ_nid2sn(X509_get_signature_nid(own));
    if (key != NULL && kind_of_key(key)[0] != '\0')
        (void)snprintf(out->key, sizeof out->key, "%s%d", kind_of_key(key), EVP_PKEY_get_bits(key));
    if (theirs != NULL)
        read_common_name(theirs, out->common_name);
    ERR_clear_error();
}
