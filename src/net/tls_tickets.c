/* tls_tickets.c - the keys that session tickets are sealed with: in memory alone, and changed in turn. */
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <string.h>

#include "net/tls_parts.h"

/* Slots are used in turn: the one that is written has not been anybody's current or former for two rotations. */
enum { TICKET_SLOTS = 4 };
struct ticket_keys {
    unsigned char name[16], hmac[32], aes[32];
};
static struct ticket_keys tickets[TICKET_SLOTS];
static _Atomic uint32_t tickets_now;
static EVP_CIPHER *ticket_cipher; /* fetched once: OpenSSL would look it up for each ticket */
static pthread_once_t tickets_once = PTHREAD_ONCE_INIT;
static bool tickets_good;

static bool tickets_fill(uint32_t slot)
{
    return RAND_priv_bytes((unsigned char *)&tickets[slot % TICKET_SLOTS], sizeof tickets[0]) == 1;
}

static void tickets_clean(void)
{
    OPENSSL_cleanse(tickets, sizeof tickets);
    EVP_CIPHER_free(ticket_cipher);
    ticket_cipher = NULL;
}

static void tickets_begin(void)
{
    ticket_cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    tickets_good = ticket_cipher != NULL && tickets_fill(0) && tickets_fill(TICKET_SLOTS - 1);
    (void)OPENSSL_atexit(tickets_clean);
}

void tls_tickets_rotate(void)
{
    uint32_t next = atomic_load(&tickets_now) + 1;

    (void)pthread_once(&tickets_once, tickets_begin);
    if (tickets_fill(next))
        atomic_store_explicit(&tickets_now, next, memory_order_release);
}

/* RAND_bytes() costs a system call and two rounds of its generator, whatever is asked for: a thread asks for many at once. */
enum { IV_SIZE = 16, IVS_AT_ONCE = 64 };
static bool take_iv(unsigned char *iv)
{
    static _Thread_local unsigned char ivs[IVS_AT_ONCE][IV_SIZE];
    static _Thread_local unsigned left;

    if (left == 0) {
        if (RAND_bytes(ivs[0], sizeof ivs) != 1)
            return false;
        left = IVS_AT_ONCE;
    }
    memcpy(iv, ivs[--left], IV_SIZE);
    return true;
}

/* 0: not ours any more; 1 good; 2 good, and to be replaced. */
static int seal_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int sealing)
{
    uint32_t now = atomic_load_explicit(&tickets_now, memory_order_acquire);
    const struct ticket_keys *k = &tickets[now % TICKET_SLOTS], *former = &tickets[(now + TICKET_SLOTS - 1) % TICKET_SLOTS];
    bool old = !sealing && memcmp(name, k->name, sizeof k->name) != 0;
    OSSL_PARAM params[3];

    if (old && memcmp(name, former->name, sizeof former->name) != 0)
        return 0;
    k = old ? former : k;
    params[0] = OSSL_PARAM_construct_octet_string("key", (void *)(uintptr_t)k->hmac, sizeof k->hmac);
    params[1] = OSSL_PARAM_construct_utf8_string("digest", (char *)(uintptr_t) "SHA256", 0);
    params[2] = OSSL_PARAM_construct_end();
    if (sealing) {
        memcpy(name, k->name, sizeof k->name);
        if (!take_iv(iv) || EVP_EncryptInit_ex(cipher, ticket_cipher, NULL, k->aes, iv) != 1)
            return -1;
    } else if (EVP_DecryptInit_ex(cipher, ticket_cipher, NULL, k->aes, iv) != 1) {
        return -1;
    }
    if (EVP_MAC_CTX_set_params(mac, params) != 1)
        return -1;
    /* RFC 8446 C.4: a ticket is for one connection, so one that is used up is replaced, or every second handshake is whole */
    return old || SSL_version(ssl) == TLS1_3_VERSION ? 2 : 1;
}

bool tls_tickets_use(SSL_CTX *c)
{
    (void)pthread_once(&tickets_once, tickets_begin);
    return tickets_good && SSL_CTX_set_tlsext_ticket_key_evp_cb(c, seal_ticket) == 1;
}
