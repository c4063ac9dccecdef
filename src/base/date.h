/*
 * date.h - seconds since 1970 as a UTC calendar date, without the C library's time zone lock.
 *
 * Source: the proleptic Gregorian calendar, counted in eras of 400 years.
 * Threads: any, no state.  Memory: none.
 */
#ifndef BASE_DATE_H
#define BASE_DATE_H
#include <stdint.h>

struct date {
    int year;
    int month; /* 1 to 12 */
    int day;   /* 1 to 31 */
    int hour, minute, second;
    int weekday; /* 0: Sunday */
};

/* Any second of the years 0 to 9999. */
void date_of(int64_t unix_seconds, struct date *out);
extern const char date_months[12][4];  /* "Jan" */
extern const char date_weekdays[7][4]; /* "Sun" */

/* Writes n as exactly `digits` decimal digits, the leading ones zero; returns the byte behind them. */
static inline char *date_digits(char *at, int n, int digits)
{
    for (int i = digits; i-- > 0; n /= 10)
        at[i] = (char)('0' + n % 10);
    return at + digits;
}
#endif
