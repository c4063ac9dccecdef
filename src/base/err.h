/*
 * err.h - every reason why something can fail, in one enum.
 *
 * It is what a function returns (negated: `return -ERR_TIMEOUT;`, 0 or a count is good), what the access log writes as
 * reason=, what the metric is labelled with, and what Proxy-Status says.  A code that ends an exchange knows its HTTP
 * status; 0 there means that the code is an inner one which its caller turns into one that says side and phase.
 *
 * Source: Proxy-Status error types are RFC 9209 section 2.3.
 * Threads: any, no state.  Memory: static strings.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

/* X(NAME, word, HTTP status, RFC 9209 error type or "", sentence) */
#define ERR_LIST(X)                                                                                                              \
    /* inner: the caller knows side and phase */                                                                                 \
    X(AGAIN, "again", 0, "", "nothing to do right now")                                                                          \
    X(TIMEOUT, "timeout", 0, "", "the deadline passed")                                                                          \
    X(CANCELED, "canceled", 0, "", "the work was called off")                                                                    \
    X(CLOSED, "closed", 0, "", "the peer closed the connection")                                                                 \
    X(RESET, "reset", 0, "", "the peer reset the connection")                                                                    \
    X(REFUSED, "refused", 0, "", "the peer refused the connection")                                                              \
    X(UNREACHABLE, "unreachable", 0, "", "no way to the address")                                                                \
    X(IO, "io_error", 0, "", "the kernel reported an error")                                                                     \
    X(INVALID, "invalid", 0, "", "not a valid value")                                                                            \
    X(TLS, "tls_error", 0, "", "the TLS handshake failed")                                                                       \
    X(TLS_ALERT, "tls_alert", 0, "", "the peer gave the TLS handshake up")                                                       \
    X(TLS_CERTIFICATE, "tls_certificate", 0, "", "the peer's certificate can't be verified")                                     \
    X(TLS_NO_CERTIFICATE, "tls_no_certificate", 0, "", "the peer has no certificate")                                            \
    X(TLS_IDENTITY, "tls_identity", 0, "", "the peer's certificate has none of the identities that are allowed")                 \
    X(NOMEM, "out_of_memory", 503, "proxy_internal_error", "out of memory")                                                      \
    X(NOFILE, "out_of_descriptors", 503, "proxy_internal_error", "out of file descriptors")                                      \
    X(NOPORT, "out_of_ports", 503, "proxy_internal_error", "no local port or address is left for a connection")                  \
    X(INTERNAL, "internal", 500, "proxy_internal_error", "a fault of the proxy itself")                                          \
    /* the client's side */                                                                                                      \
    X(CLIENT_CLOSED, "client_closed", 499, "", "the client closed the connection before its answer was complete")                \
    X(CLIENT_RESET, "client_reset", 499, "", "the client reset the connection")                                                  \
    X(CLIENT_TLS_FAILED, "client_tls_failed", 400, "http_request_error", "the TLS handshake with the client failed")             \
    X(CLIENT_TLS_ALERT, "client_tls_alert", 400, "http_request_error", "the client gave the TLS handshake up")                   \
    X(CLIENT_TLS_TIMEOUT, "client_tls_timeout", 408, "http_request_error", "the client took too long over the TLS handshake")    \
    X(CLIENT_CERT_REFUSED, "client_certificate_refused", 400, "http_request_denied", "the client's certificate can't be verified") \
    X(CLIENT_CERT_MISSING, "client_certificate_missing", 400, "http_request_denied", "the client showed no certificate")         \
    X(BAD_CLIENT_HELLO, "bad_client_hello", 400, "http_request_error", "the connection does not begin with a TLS ClientHello")   \
    X(PLAIN_HTTP, "plain_http", 400, "http_request_error", "a plain HTTP request came to a port of HTTPS")                       \
    X(BAD_PROXY_HEADER, "bad_proxy_header", 400, "http_request_error", "the connection does not begin with a valid PROXY protocol header") \
    X(PROXY_HEADER_TIMEOUT, "proxy_header_timeout", 408, "http_request_error", "the PROXY protocol header took too long to come") \
    X(REQUEST_TIMEOUT, "request_timeout", 408, "http_request_error", "the client took too long over its request head")           \
    X(BODY_TIMEOUT, "request_body_timeout", 408, "http_request_error", "the client took too long over its request body")         \
    X(CLIENT_WRITE_TIMEOUT, "client_write_timeout", 499, "connection_write_timeout", "the client did not take its answer")       \
    X(BAD_REQUEST_LINE, "bad_request_line", 400, "http_request_error", "the request line is malformed")                          \
    X(BAD_TARGET, "bad_target", 400, "http_request_error", "the request target is malformed")                                    \
    X(BAD_HEADER, "bad_header", 400, "http_request_error", "a header field is malformed")                                        \
    X(BAD_HOST, "bad_host", 400, "http_request_error", "the Host field is missing, repeated or malformed")                       \
    X(BAD_FRAMING, "bad_framing", 400, "http_request_error", "the length of the body is ambiguous")                              \
    X(BAD_CHUNK, "bad_chunk", 400, "http_request_error", "the chunked body is malformed")                                        \
    X(BAD_EXPECT, "bad_expect", 417, "http_request_error", "an expectation other than 100-continue")                             \
    X(BODY_TOO_LARGE, "body_too_large", 413, "http_request_error", "the request body is larger than allowed")                    \
    X(URI_TOO_LONG, "uri_too_long", 414, "http_request_error", "the request line is longer than allowed")                        \
    X(HEADER_TOO_LARGE, "header_too_large", 431, "http_request_error", "the request head is larger than allowed")                \
    X(TOO_MANY_HEADERS, "too_many_headers", 431, "http_request_error", "the request has more header fields than allowed")        \
    X(METHOD_UNSUPPORTED, "method_unsupported", 501, "http_request_error", "the method is not supported")                        \
    X(CODING_UNSUPPORTED, "coding_unsupported", 501, "http_request_error", "the transfer coding is not supported")               \
    X(VERSION_UNSUPPORTED, "version_unsupported", 505, "http_request_error", "the HTTP version is not supported")                \
    /* our own decisions */                                                                                                      \
    X(NO_ROUTE, "no_route", 404, "destination_not_found", "no route matches and the listener has no pool")                       \
    X(MISDIRECTED, "misdirected", 421, "http_request_error", "the host is not one that this connection's certificate is for")    \
    X(IDENTITY_DENIED, "identity_not_allowed", 403, "http_request_denied", "the client's identity is not allowed here")          \
    X(NO_IDENTITY, "no_identity", 503, "destination_unavailable", "the Workload API has not given us an identity yet")           \
    X(NO_BACKEND, "no_backend", 503, "destination_unavailable", "the pool has no backend that may be used")                      \
    X(CONNECTION_LIMIT, "connection_limit", 503, "connection_limit_reached", "the limit of connections is reached")              \
    X(CLIENT_LIMIT, "client_connection_limit", 503, "connection_limit_reached", "this client's limit of connections is reached") \
    X(DRAINING, "draining", 503, "destination_unavailable", "the proxy is shutting down")                                        \
    X(LOOP, "loop", 508, "proxy_loop_detected", "the request has passed through this proxy before")                              \
    /* the backend's side */                                                                                                     \
    X(CONNECT_REFUSED, "connect_refused", 503, "connection_refused", "the backend refused the connection")                       \
    X(CONNECT_TIMEOUT, "connect_timeout", 504, "connection_timeout", "the backend did not take the connection in time")          \
    X(CONNECT_FAILED, "connect_failed", 503, "destination_ip_unroutable", "the backend can't be reached")                        \
    X(BACKEND_TLS_FAILED, "backend_tls_failed", 502, "tls_protocol_error", "the TLS handshake with the backend failed")          \
    X(BACKEND_TLS_ALERT, "backend_tls_alert", 502, "tls_alert_received", "the backend gave the TLS handshake up")                \
    X(BACKEND_TLS_TIMEOUT, "backend_tls_timeout", 504, "connection_timeout", "the backend took too long over the TLS handshake") \
    X(BACKEND_CERT_REFUSED, "backend_certificate_refused", 502, "tls_certificate_error", "the backend's certificate can't be verified") \
    X(BACKEND_IDENTITY, "backend_identity_not_allowed", 502, "tls_certificate_error", "the backend has none of the identities that are allowed") \
    X(BACKEND_CLOSED, "backend_closed", 502, "connection_terminated", "the backend closed the connection before it answered")    \
    X(BACKEND_RESET, "backend_reset", 502, "connection_terminated", "the backend reset the connection before it answered")       \
    X(BACKEND_SILENT, "backend_silent", 504, "connection_timeout", "the backend's connection fell silent, and no ping was answered") \
    X(STREAM_REFUSED, "stream_refused", 503, "connection_terminated", "the backend refused the request unprocessed")             \
    X(BACKEND_WRITE_TIMEOUT, "backend_write_timeout", 504, "connection_write_timeout", "the backend did not take the request")   \
    X(DEADLINE, "deadline", 504, "http_response_timeout", "the client's own deadline has passed")                                \
    X(FIRST_BYTE_TIMEOUT, "first_byte_timeout", 504, "http_response_timeout", "the backend did not begin its answer in time")    \
    X(STREAM_IDLE, "stream_idle", 504, "connection_read_timeout", "the answer stood still for too long")                         \
    X(BAD_RESPONSE, "bad_response", 502, "http_protocol_error", "the backend's answer is malformed")                             \
    X(BAD_RESPONSE_FRAMING, "bad_response_framing", 502, "http_protocol_error", "the length of the answer is ambiguous")         \
    X(BAD_RESPONSE_CHUNK, "bad_response_chunk", 502, "http_response_transfer_coding", "the answer's chunked body is malformed")  \
    X(RESPONSE_TOO_LARGE, "response_header_too_large", 502, "http_response_header_section_size", "the answer's head is too large") \
    X(RESPONSE_CUT, "response_cut", 502, "http_response_incomplete", "the backend closed in the middle of its answer")           \
    X(UPGRADE_FAILED, "upgrade_failed", 502, "http_upgrade_failed", "the answer does not switch to what was asked for")       \
    X(TUNNEL_IDLE, "tunnel_idle", 504, "connection_read_timeout", "no byte passed through the tunnel for too long")

enum err {
    ERR_NONE = 0,
#define X(name, word, status, type, text) ERR_##name,
    ERR_LIST(X)
#undef X
    ERR_COUNT
};

/* All take a code of either sign. */
const char *err_word(int code);         /* "connect_refused": for logs and labels */
const char *err_text(int code);         /* a sentence for people */
const char *err_proxy_status(int code); /* RFC 9209 error type, "" if none fits */
int err_http_status(int code);          /* 0: an inner code */

/* Turns errno into a (negative) code.  Call it at once: another fiber may run before one looks again. */
int err_from_errno(int errnum);
#endif
