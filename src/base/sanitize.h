/* sanitize.h - which sanitizer this is built with, the same for gcc and clang. */
#ifndef BASE_SANITIZE_H
#define BASE_SANITIZE_H

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEIR_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define WEIR_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define WEIR_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define WEIR_TSAN 1
#endif

#endif
