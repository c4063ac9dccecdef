/*
 * version.h - what this program is and what it was built with.
 *
 * Threads: any.  Memory: static strings.
 */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

extern const char version_text[];     /* "0.1.0" */
extern const char version_compiler[]; /* "gcc 12.2.0" */
#endif
