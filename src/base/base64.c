/* base64.c - three bytes, four characters. */
#include "base/base64.h"

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct buf *out, struct slice s)
{
    const unsigned char *p = (const unsigned char *)s.p;

    for (size_t i = 0; i < s.n; i += 3) {
        size_t n = s.n - i < 3 ? s.n - i : 3;
        uint32_t v = (uint32_t)p[i] << 16 | (n > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (n > 2 ? p[i + 2] : 0);
        char four[4] = { alphabet[v >> 18], alphabet[v >> 12 & 63], n > 1 ? alphabet[v >> 6 & 63] : '=',
                         n > 2 ? alphabet[v & 63] : '=' };
        buf_append(out, four, sizeof four);
    }
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

long base64_decode(struct slice s, char *out, size_t size)
{
    size_t pad = s.n < 2 || s.p[s.n - 1] != '=' ? 0 : s.p[s.n - 2] != '=' ? 1 : 2, n = s.n / 4 * 3 - pad;

    if (s.n % 4 != 0 || (s.n > 0 && n > size))
        return -ERR_INVALID;
    for (size_t i = 0, to = 0; i < s.n; i += 4) {
        size_t chars = i + 4 == s.n ? 4 - pad : 4;
        uint32_t v = 0;

        for (size_t k = 0; k < 4; k++) {
            int c = k < chars ? value_of(s.p[i + k]) : 0;
            if (c < 0)
                return -ERR_INVALID;
            v = v << 6 | (uint32_t)c;
        }
        if ((chars == 2 && (v & 0xffff) != 0) || (chars == 3 && (v & 0xff) != 0))
            return -ERR_INVALID; /* bits that no encoder sets */
        for (size_t k = 0; k + 1 < chars; k++)
            out[to++] = (char)(v >> (16 - 8 * k) & 0xff);
    }
    return (long)(s.n == 0 ? 0 : n);
}
