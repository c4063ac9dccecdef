/* tls_names.c - which certificate is for whom. */
#include <stdlib.h>
#include <string.h>

#include "net/tls_parts.h"

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct tls_name *)a)->text, ((const struct tls_name *)b)->text);
}

static int by_text_then_cert(const void *a, const void *b)
{
    const struct tls_name *x = a, *y = b;
    int order = strcmp(x->text, y->text);

    return order != 0 ? order : (x->cert > y->cert) - (x->cert < y->cert);
}

static const struct tls_name *find_name(const struct tls_files *f, const char *text)
{
    struct tls_name key = { .text = text };

    return f->n_names == 0 ? NULL : bsearch(&key, f->names, f->n_names, sizeof f->names[0], by_text);
}

/* Exact before wildcard, which stands for one label (RFC 6125 6.4.3). */
static const struct tls_name *find_host(const struct tls_files *f, struct slice host)
{
    char text[256] = "*";
    const struct tls_name *found;
    const char *dot;

    if (host.n == 0 || host.n >= sizeof text - 1)
        return NULL;
    for (size_t i = 0; i < host.n; i++)
        text[1 + i] = (char)slice_lower(host.p[i]);
    text[1 + host.n] = '\0';
    if (text[host.n] == '.')
        text[host.n] = '\0';
    found = find_name(f, text + 1);
    dot = strchr(text + 1, '.');
    if (found != NULL || dot == NULL || dot == text + 1)
        return found;
    memmove(text + 1, dot, strlen(dot) + 1);
    return find_name(f, text);
}

static bool pattern_covers(const char *pattern, struct slice host)
{
    struct slice p = slice_str(pattern);
    const char *dot;

    if (host.n > 0 && host.p[host.n - 1] == '.')
        host.n--;
    if (strncmp(pattern, "*.", 2) != 0)
        return slice_eq_nocase(p, host);
    dot = host.n > 0 ? memchr(host.p, '.', host.n) : NULL;
    return dot != NULL && dot > host.p &&
           slice_eq_nocase(slice_of(p.p + 1, p.n - 1), slice_of(dot, host.n - (size_t)(dot - host.p)));
}

static const struct tls_cert_set *set_of(const struct tls_files *f, const SSL_CTX *ssl)
{
    return SSL_CTX_get_ex_data(ssl, 0) == NULL ? &f->sets[0] : SSL_CTX_get_ex_data(ssl, 0);
}

bool tls_ctx_covers(const struct tls_ctx *c, const struct ssl_ctx_st *ssl, struct slice host)
{
    const struct tls_cert_set *s = set_of(c->files, ssl);

    for (size_t k = 0; k < KEY_KINDS; k++) {
        const struct tls_certificate *cert = s->cert[k] == 0 ? NULL : &c->files->certs[s->cert[k] - 1];
        for (size_t i = 0; cert != NULL && i < cert->n_names; i++)
            if (pattern_covers(cert->names[i], host))
                return true;
    }
    return false;
}

int tls_choose_certificate(SSL *ssl, int *alert, void *arg)
{
    const struct tls_files *f = arg;
    const char *host = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const struct tls_name *found = host == NULL ? NULL : find_host(f, slice_str(host));

    (void)alert;
    if (found != NULL && SSL_set_SSL_CTX(ssl, f->sets[found->set].ssl) == NULL)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    return SSL_TLSEXT_ERR_OK; /* a name that nobody has gets the default: the client will judge it */
}

/* All names of all certificates, sorted; each stands there once with the first certificate that has it, the others' kinds
 * having been put into its set. */
static bool list_names(struct tls_making *m)
{
    struct tls_files *f = m->files;
    size_t n = 0;

    for (size_t i = 0; i < f->n_certs; i++)
        n += f->certs[i].n_names;
    f->names = arena_take(&f->arena, (n + 1) * sizeof f->names[0]);
    f->sets = arena_take_zero(&f->arena, (n + 1) * sizeof f->sets[0]);
    if (f->names == NULL || f->sets == NULL) {
        tls_out_of_memory(m);
        return false;
    }
    for (size_t i = 0; i < f->n_certs; i++)
        for (size_t k = 0; k < f->certs[i].n_names; k++)
            f->names[f->n_names++] = (struct tls_name){ f->certs[i].names[k], i, 0 };
    qsort(f->names, f->n_names, sizeof f->names[0], by_text_then_cert);
    return true;
}

static size_t find_set(struct tls_files *f, const struct tls_cert_set *like)
{
    size_t i = 0;

    while (i < f->n_sets && memcmp(f->sets[i].cert, like->cert, sizeof like->cert) != 0)
        i++;
    if (i == f->n_sets)
        f->sets[f->n_sets++] = *like;
    return i;
}

static void add_kind(struct tls_files *f, struct tls_cert_set *s, size_t cert)
{
    size_t *slot = &s->cert[f->certs[cert].kind];

    if (*slot == 0)
        *slot = cert + 1;
}

/* One set a distinct combination of certificates. */
static void make_sets(struct tls_files *f)
{
    struct tls_cert_set first = { 0 };
    size_t kept = 0;

    if (f->n_certs > 0)
        add_kind(f, &first, 0);
    for (size_t i = 1; i < f->n_certs; i++)
        for (size_t a = 0; a < f->certs[0].n_names; a++)
            for (size_t b = 0; b < f->certs[i].n_names && a == 0; b++)
                if (strcmp(f->certs[0].names[a], f->certs[i].names[b]) == 0)
                    add_kind(f, &first, i);
    (void)find_set(f, &first);
    for (size_t i = 0; i < f->n_names;) {
        struct tls_cert_set s = { 0 };
        size_t from = i;
        for (; i < f->n_names && strcmp(f->names[i].text, f->names[from].text) == 0; i++)
            add_kind(f, &s, f->names[i].cert);
        f->names[kept] = f->names[from];
        f->names[kept++].set = find_set(f, &s);
    }
    f->n_names = kept;
}

static bool is_in_use(const struct tls_files *f, size_t cert)
{
    for (size_t i = 0; i < f->n_sets; i++)
        for (size_t k = 0; k < KEY_KINDS; k++)
            if (f->sets[i].cert[k] == cert + 1)
                return true;
    return false;
}

/* A certificate that nobody will ever get is a mistake, of which nothing would be seen. */
static void warn_of_unused(struct tls_making *m)
{
    const struct tls_files *f = m->files;

    for (size_t i = 0; i < f->n_certs; i++)
        if (!is_in_use(f, i))
            tls_say(m, false, "cert", i,
                    "the certificate in %s is never served: those above it have all of its names, and keys of the same kind",
                    f->certs[i].path);
}

bool tls_make_names(struct tls_making *m)
{
    if (!list_names(m))
        return false;
    make_sets(m->files);
    warn_of_unused(m);
    return true;
}
