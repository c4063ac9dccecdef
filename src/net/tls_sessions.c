/* tls_sessions.c - until when a session may be taken up again: who does is not verified once more. */
#include <string.h>

#include "net/tls_parts.h"

#define SESSION_SECONDS ((int64_t)12 * 3600)

int64_t tls_verified_until(SSL *ssl, const struct tls_files *f)
{
    const STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);
    int64_t until = tls_now_seconds() + SESSION_SECONDS;

    if (chain == NULL || (SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER) == 0)
        return until;
    for (int i = 0; i < sk_X509_num(chain); i++) {
        int64_t end = tls_seconds_of(X509_get0_notAfter(sk_X509_value(chain, i)));
        until = end < until ? end : until;
    }
    return f->lists_until < until ? f->lists_until : until;
}

/* OpenSSL takes a session up in the last second of its time; a certificate is no good any more in its own. */
static void end_at(SSL_SESSION *s, int64_t until)
{
    int64_t left = until - SSL_SESSION_get_time(s) - 1;

    if (left < 1) { /* 0 would be read from a ticket as "nothing is written" */
        (void)SSL_SESSION_set_time(s, 1);
        left = 1;
    }
    if (left < SSL_SESSION_get_timeout(s))
        (void)SSL_SESSION_set_timeout(s, left);
}

int tls_limit_session(SSL *ssl, void *arg)
{
    SSL_SESSION *s = SSL_get_session(ssl);
    int64_t until = 0;
    void *kept = NULL;
    size_t n = 0;

    if (!SSL_session_reused(ssl)) {
        until = tls_verified_until(ssl, arg);
        if (SSL_SESSION_set1_ticket_appdata(s, &until, sizeof until) != 1)
            until = 0;
    } else if (SSL_SESSION_get0_ticket_appdata(s, &kept, &n) == 1 && n == sizeof until) {
        memcpy(&until, kept, sizeof until); /* a new ticket is no new life */
    }
    end_at(s, until);
    return 1;
}

void tls_limit_sessions(SSL_CTX *c, struct tls_files *f)
{
    (void)SSL_CTX_set_timeout(c, SESSION_SECONDS);
    (void)SSL_CTX_set_session_ticket_cb(c, tls_limit_session, NULL, f);
}
