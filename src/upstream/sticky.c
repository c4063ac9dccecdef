/* sticky.c - cookies that name a backend: written, signed, verified. */
#include "upstream/sticky.h"

#include <endian.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/must.h"
#include "base/sign.h"

const struct conf_key sticky_keys[] = {
    CONF_KEY(sticky_conf, cookie, STR, "weir", NULL, NULL,
             "Name of the cookie. Pools that one host serves need cookies of different names."),
    { CONF_FIELD(sticky_conf, secret), .type = CONF_TYPE_STRS, .optional = true, .one_will_do = true, .hidden = true,
      .doc =
          "What cookies are signed with, at least 16 bytes; the same on every instance. Of several the first signs and all verify, so that secrets can be replaced without a session lost (`openssl rand -base64 32` makes one). Either this or secret_file is a must." },
    CONF_STR_OPTIONAL(sticky_conf, secret_file,
                      "A file with a secret on each line instead; read when the configuration is loaded, so also at a reload."),
    CONF_KEY(
        sticky_conf, ttl, TIME, "1h", "0", "400d",
        "How long a cookie holds, at least a second; it is renewed when half of that is over. \"0\": until the browser is closed."),
    CONF_END,
};

enum { VERSION = 1, EXPIRY_AT = 1, ID_AT = 6, MAC_AT = 14, MAC_SIZE = STICKY_SIZE - MAC_AT };

struct sticky {
    const struct sticky_conf *conf;
    struct slice pool; /* with its NUL: what follows can't be taken for a part of the name */
    size_t n;
    struct sign_key *keys[STICKY_SECRETS_MOST];
};

struct sticky *sticky_new(const struct sticky_conf *conf, const char *pool_name)
{
    struct sticky *s = calloc(1, sizeof *s);

    if (s == NULL)
        return NULL;
    MUST(conf->secrets.n > 0 && conf->secrets.n <= STICKY_SECRETS_MOST);
    s->conf = conf;
    s->pool = slice_of(pool_name, strlen(pool_name) + 1);
    for (; s->n < conf->secrets.n; s->n++) {
        s->keys[s->n] = sign_key_new(slice_str(conf->secrets.v[s->n]));
        if (s->keys[s->n] == NULL) {
            sticky_free(&s);
            break;
        }
    }
    return s;
}

void sticky_free(struct sticky **sp)
{
    struct sticky *s = *sp;

    *sp = NULL;
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->n; i++)
        sign_key_free(&s->keys[i]);
    free(s);
}

/* ---- base64url without padding (RFC 4648 5): three bytes, four characters, nothing left over ---- */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void encode(const uint8_t in[STICKY_SIZE], char out[STICKY_TEXT])
{
    for (size_t i = 0; i < STICKY_SIZE; i += 3) {
        uint32_t x = (uint32_t)in[i] << 16 | (uint32_t)in[i + 1] << 8 | in[i + 2];
        for (int shift = 18; shift >= 0; shift -= 6)
            *out++ = digits[x >> shift & 63];
    }
}

static int digit_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

static bool decode(struct slice text, uint8_t out[STICKY_SIZE])
{
    if (text.n != STICKY_TEXT)
        return false;
    for (size_t i = 0; i < STICKY_TEXT; i += 4) {
        uint32_t x = 0;
        for (size_t k = 0; k < 4; k++) {
            int v = digit_value(text.p[i + k]);
            if (v < 0)
                return false;
            x = x << 6 | (uint32_t)v;
        }
        *out++ = (uint8_t)(x >> 16);
        *out++ = (uint8_t)(x >> 8);
        *out++ = (uint8_t)x;
    }
    return true;
}

/* ---- what stands in it ---- */

static uint64_t seconds(int64_t us) { return us < 0 ? 0 : (uint64_t)(us / CLOCK_S); }

static void put_expiry(uint8_t cookie[STICKY_SIZE], uint64_t expiry)
{
    for (int i = 0; i < 5; i++)
        cookie[EXPIRY_AT + i] = (uint8_t)(expiry >> (32 - 8 * i));
}

static uint64_t expiry_of(const uint8_t cookie[STICKY_SIZE])
{
    uint64_t x = 0;

    for (int i = 0; i < 5; i++)
        x = x << 8 | cookie[EXPIRY_AT + i];
    return x;
}

static uint64_t id_of(const uint8_t *p)
{
    uint64_t x;

    memcpy(&x, p, sizeof x);
    return be64toh(x);
}

static int mac_of(const struct sticky *s, size_t i, const uint8_t cookie[STICKY_SIZE], uint8_t mac[SIGN_SIZE])
{
    const struct slice parts[] = { slice_of("weir sticky", sizeof "weir sticky"), s->pool,
                                   slice_of((const char *)cookie, MAC_AT) };

    return sign(s->keys[i], parts, ARRAY_LEN(parts), mac);
}

static int id_mac(const struct sticky *s, size_t i, const struct addr *backend, uint8_t mac[SIGN_SIZE])
{
    char text[ADDR_TEXT_MAX];
    const struct slice parts[] = { slice_of("weir backend", sizeof "weir backend"), s->pool,
                                   slice_str(addr_format(backend, text)) };

    return sign(s->keys[i], parts, ARRAY_LEN(parts), mac);
}

size_t sticky_n_secrets(const struct sticky *s) { return s->n; }

int sticky_id(const struct sticky *s, size_t i, const struct addr *backend, uint64_t *id)
{
    uint8_t mac[SIGN_SIZE];
    int rc = id_mac(s, i, backend, mac);

    if (rc == 0)
        *id = id_of(mac);
    return rc;
}

/* Which secret signed it: 0 to n - 1, or -ERR_INVALID, -ERR_NOMEM. */
static int signer(const struct sticky *s, const uint8_t cookie[STICKY_SIZE])
{
    uint8_t mac[SIGN_SIZE];

    for (size_t i = 0; i < s->n; i++) {
        int rc = mac_of(s, i, cookie, mac);
        if (rc < 0)
            return rc;
        if (sign_same(mac, cookie + MAC_AT, MAC_SIZE))
            return (int)i;
    }
    return -ERR_INVALID;
}

/* An expiry that this configuration would not have written, nor left as it is. */
static bool is_old(const struct sticky *s, uint64_t expiry, uint64_t now)
{
    uint64_t ttl = seconds(s->conf->ttl);

    if (ttl == 0 || expiry == 0)
        return expiry != ttl;
    return expiry - now < ttl / 2 || expiry - now > ttl;
}

int sticky_read(const struct sticky *s, struct slice value, int64_t wall, struct sticky_seen *out)
{
    uint8_t cookie[STICKY_SIZE];
    uint64_t expiry, now = seconds(wall);
    int by;

    if (!decode(value, cookie) || cookie[0] != VERSION)
        return -ERR_INVALID;
    by = signer(s, cookie);
    if (by < 0)
        return by;
    expiry = expiry_of(cookie);
    if (expiry != 0 && expiry <= now)
        return -ERR_INVALID;
    *out = (struct sticky_seen){ .id = id_of(cookie + ID_AT), .old = by > 0 || is_old(s, expiry, now) };
    return 0;
}

int sticky_write(const struct sticky *s, const struct addr *backend, int64_t wall, char out[STICKY_TEXT])
{
    uint8_t cookie[STICKY_SIZE] = { VERSION }, mac[SIGN_SIZE];
    int rc = id_mac(s, 0, backend, mac);

    if (rc < 0)
        return rc;
    memcpy(cookie + ID_AT, mac, MAC_AT - ID_AT);
    put_expiry(cookie, s->conf->ttl == 0 ? 0 : seconds(wall) + seconds(s->conf->ttl));
    rc = mac_of(s, 0, cookie, mac);
    if (rc < 0)
        return rc;
    memcpy(cookie + MAC_AT, mac, MAC_SIZE);
    encode(cookie, out);
    return 0;
}
