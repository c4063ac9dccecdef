/* version.c - the version comes from the Makefile (the tag, or a fallback). */
#include "base/version.h"

#ifndef WEIR_VERSION
#define WEIR_VERSION "unknown"
#endif

const char version_text[] = WEIR_VERSION;
#if defined(__clang__)
const char version_compiler[] = "clang " __clang_version__;
#else
const char version_compiler[] = "gcc " __VERSION__;
#endif
