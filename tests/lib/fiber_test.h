/*
 * fiber_test.h - runs a test's body inside a fiber.
 *
 * Promise: when the body has returned, no fiber is left (the test fails otherwise), and the scheduler is gone.
 * Threads: fiber_test_run() uses the calling thread, fiber_test_run_on() threads of its own.
 */
#ifndef TESTS_FIBER_TEST_H
#define TESTS_FIBER_TEST_H
#include <check.h>
#include <stdint.h>

#include "fiber/fiber.h"
#include "fiber/sched.h"

void fiber_test_run(fiber_fn *fn, void *arg);
/* fn(arg) once on each of n threads, all with a scheduler that shares fresh work; they run until the last has returned. */
void fiber_test_run_on(int n_threads, fiber_fn *fn, void *arg);
/* 0 to n - 1: which of fiber_test_run_on()'s threads this is. */
int fiber_test_thread(void);
struct sched *fiber_test_sched(int thread);

/* Fibers alive on this thread's scheduler. */
uint32_t fiber_test_alive(void);
static inline int64_t in_ms(int64_t ms) { return clock_now() + ms * CLOCK_MS; }

/* Where counts are scaled down: the thread sanitizer knows 8,128 fibers at most, and is slow. */
#if defined(__SANITIZE_THREAD__)
#define FIBER_TEST_SLOW 1
#define FIBER_TEST_SANITIZED 1
#elif defined(__SANITIZE_ADDRESS__)
#define FIBER_TEST_SLOW 0
#define FIBER_TEST_SANITIZED 1
#else
#define FIBER_TEST_SLOW 0
#define FIBER_TEST_SANITIZED 0
#endif
#define SCALED(n) (FIBER_TEST_SANITIZED ? ((n) + 19) / 20 : (n))

/* A test whose body runs in a fiber. */
#define FIBER_TEST(name)                                                                                                         \
    static void name##_body(void *unused);                                                                                       \
    START_TEST(name) { fiber_test_run(name##_body, NULL); }                                                                      \
    END_TEST                                                                                                                     \
    static void name##_body(void *unused __attribute__((unused)))
/* One whose body runs on several threads at once. */
#define FIBER_TEST_ON(n_threads, name)                                                                                           \
    static void name##_body(void *unused);                                                                                       \
    START_TEST(name) { fiber_test_run_on(n_threads, name##_body, NULL); }                                                        \
    END_TEST                                                                                                                     \
    static void name##_body(void *unused __attribute__((unused)))
#endif
