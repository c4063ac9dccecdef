/* fault.c - codes of streams and codecs, as the reason that an exchange failed. */
#include "proxy/fault.h"

#include "base/err.h"
#include "fiber/fiber.h"

int fault_of_client_read(int rc)
{
    switch (-rc) {
    case ERR_TIMEOUT: return -ERR_BODY_TIMEOUT;
    case ERR_CLOSED:
    case ERR_RESET:
    case ERR_IO: return -ERR_CLIENT_CLOSED;
    default: return rc;
    }
}

int fault_of_client_write(int rc)
{
    if (rc == -ERR_CANCELED)
        return -fiber_cause();
    return rc == -ERR_TIMEOUT ? -ERR_CLIENT_WRITE_TIMEOUT : rc == -ERR_NOMEM ? rc : -ERR_CLIENT_RESET;
}

int fault_of_backend_write(int rc)
{
    switch (-rc) {
    case ERR_CANCELED: return -fiber_cause();
    case ERR_TIMEOUT: return -ERR_BACKEND_WRITE_TIMEOUT;
    case ERR_NOMEM:
    case ERR_HEADER_TOO_LARGE:
    case ERR_BAD_RESPONSE:
    case ERR_BACKEND_SILENT:
    case ERR_STREAM_REFUSED: return rc;
    case ERR_TLS_ALERT: return -ERR_BACKEND_TLS_ALERT;
    default: return -ERR_BACKEND_RESET;
    }
}

int fault_of_backend_head(int rc, bool began)
{
    switch (-rc) {
    case ERR_CANCELED: return -fiber_cause();
    case ERR_TIMEOUT: return -ERR_FIRST_BYTE_TIMEOUT;
    case ERR_CLOSED: return began ? -ERR_RESPONSE_CUT : -ERR_BACKEND_CLOSED;
    case ERR_RESET:
    case ERR_IO: return -ERR_BACKEND_RESET;
    case ERR_TLS_ALERT: return -ERR_BACKEND_TLS_ALERT;
    default: return rc;
    }
}

int fault_of_backend_body(int rc)
{
    switch (-rc) {
    case ERR_CANCELED: return -fiber_cause();
    case ERR_TIMEOUT: return -ERR_STREAM_IDLE;
    case ERR_STREAM_REFUSED:
    case ERR_CLOSED:
    case ERR_RESET:
    case ERR_TLS_ALERT:
    case ERR_IO: return -ERR_RESPONSE_CUT;
    case ERR_BAD_CHUNK: return -ERR_BAD_RESPONSE_CHUNK;
    case ERR_BAD_HEADER:
    case ERR_HEADER_TOO_LARGE:
    case ERR_TOO_MANY_HEADERS: return -ERR_BAD_RESPONSE;
    default: return rc;
    }
}
