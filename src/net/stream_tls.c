/* stream_tls.c - a stream's TLS from beginning to end, and the session that a backend gives for the next one. */
#include <pthread.h>
#include <stdlib.h>

#include "net/stream_tls_parts.h"

/* ---- the BIO ---- */

static long bio_ctrl(BIO *b, int command, long number, void *p)
{
    (void)b;
    (void)number;
    (void)p;
    return command == BIO_CTRL_FLUSH; /* when to send is decided here, not by OpenSSL */
}

static BIO_METHOD *bio_method;
static pthread_once_t bio_once = PTHREAD_ONCE_INIT;

static void bio_end(void)
{
    BIO_meth_free(bio_method);
    bio_method = NULL;
}

static void bio_begin(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weir stream");

    if (m != NULL && BIO_meth_set_write(m, stream_tls_bio_write) == 1 && BIO_meth_set_read(m, stream_tls_bio_read) == 1 &&
        BIO_meth_set_ctrl(m, bio_ctrl) == 1)
        bio_method = m;
    else
        BIO_meth_free(m);
    (void)OPENSSL_atexit(bio_end);
}

/* ---- sessions with backends ---- */

void tls_session_forget(struct tls_session *s)
{
    SSL_SESSION_free(s->session);
    *s = (struct tls_session){ 0 };
}

int stream_tls_keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct stream_tls *t = SSL_get_app_data(ssl);

    if (t == NULL || t->last == NULL)
        return 0;
    tls_session_forget(t->last);
    *t->last = (struct tls_session){ session, t->ctx->id,
                                     SSL_session_reused(ssl) ? t->until : tls_verified_until(ssl, t->ctx->files) };
    return 1; /* it is ours now */
}

/* ---- from beginning to end ---- */

struct stream_tls *stream_tls_new(struct stream *s, const struct tls_party *party)
{
    struct stream_tls *t = calloc(1, sizeof *t);
    BIO *b;

    (void)pthread_once(&bio_once, bio_begin);
    if (t == NULL)
        return NULL;
    t->stream = s;
    t->ctx = tls_ctx_ref(tls_party_now(party));
    tls_clear_errors();
    t->ssl = SSL_new(t->ctx->ssl);
    b = t->ssl != NULL && bio_method != NULL ? BIO_new(bio_method) : NULL;
    if (b != NULL) {
        BIO_set_data(b, t);
        BIO_set_init(b, 1);
        SSL_set_bio(t->ssl, b, b);
        (void)SSL_set_app_data(t->ssl, t);
        s->tls = t;
        s->raw = false;
        return t;
    }
    ERR_clear_error();
    SSL_free(t->ssl);
    tls_ctx_unref(&t->ctx);
    free(t);
    return NULL;
}

void stream_tls_free(struct stream *s)
{
    struct stream_tls *t = s->tls;

    s->tls = NULL;
    s->raw = s->is_tcp;
    SSL_free(t->ssl);
    tls_ctx_unref(&t->ctx);
    free(t->identity);
    free(t->out);
    free(t);
}

/* close_notify: what came before it was all. */
void stream_tls_say_end(struct stream *s)
{
    struct stream_tls *t = s->tls;

    if (!t->shaken || t->failed_in == -ERR_IO || t->failed_in == -ERR_TLS_ALERT || t->failed_out < 0 ||
        (SSL_get_shutdown(t->ssl) & SSL_SENT_SHUTDOWN) != 0)
        return;
    tls_clear_errors();
    (void)SSL_shutdown(t->ssl);
    ERR_clear_error();
    (void)stream_tls_send_out(t);
}
