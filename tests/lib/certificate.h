/*
 * certificate.h - one certificate in a file, and its key in another, as a test needs them.
 *
 * It is signed by itself, so that it is its own authority.
 * Threads: one.  Memory: a folder in /tmp, from certificate_begin() to certificate_end().
 */
#ifndef TESTS_CERTIFICATE_H
#define TESTS_CERTIFICATE_H

extern char certificate_path[64], certificate_key_path[64];

/* `sans`: as OpenSSL's files write them, "DNS:a.example,IP:127.0.0.1". */
void certificate_begin(const char *sans);
/* Another one, in the same files. */
void certificate_make(const char *sans);
void certificate_end(void);
#endif
