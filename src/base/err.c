/* err.c - the table behind err.h. */
#include "base/err.h"

#include <errno.h>
#include <stdlib.h>

#include "base/must.h"

static const struct {
    const char *word;
    int status;
    const char *type;
    const char *text;
} table[ERR_COUNT] = {
    [ERR_NONE] = { "ok", 0, "", "no error" },
#define X(name, word, status, type, text) [ERR_##name] = { word, status, type, text },
    ERR_LIST(X)
#undef X
};

static int index_of(int code)
{
    MUST(code > -ERR_COUNT && code < ERR_COUNT);
    return abs(code);
}

const char *err_word(int code) { return table[index_of(code)].word; }
const char *err_text(int code) { return table[index_of(code)].text; }
const char *err_proxy_status(int code) { return table[index_of(code)].type; }
int err_http_status(int code) { return table[index_of(code)].status; }

int err_from_errno(int errnum)
{
    switch (errnum) {
    case 0:
        return 0;
    case EAGAIN:
    case EINPROGRESS:
        return -ERR_AGAIN;
    case ETIMEDOUT:
        return -ERR_TIMEOUT;
    case ECANCELED:
        return -ERR_CANCELED;
    case EPIPE: /* a reset that came behind the peer's orderly end, or after one that has been told */
        return -ERR_CLOSED;
    case ECONNRESET:
    case ECONNABORTED:
        return -ERR_RESET;
    case ECONNREFUSED:
    case ENOENT: /* a Unix socket that is not there */
        return -ERR_REFUSED;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EACCES:
    case EPERM:
        return -ERR_UNREACHABLE;
    case EMFILE:
    case ENFILE:
        return -ERR_NOFILE;
    case EADDRNOTAVAIL: /* of connect(2): all of ours are in use towards that address */
        return -ERR_NOPORT;
    case ENOMEM:
    case ENOBUFS:
        return -ERR_NOMEM;
    case EINVAL:
        return -ERR_INVALID;
    default:
        return -ERR_IO;
    }
}
