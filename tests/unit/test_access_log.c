/* Tests of observe/access_log and its parts: lines to the byte, the ring, and a disk that does not do what it should. */
#define _GNU_SOURCE
#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "observe/access_log.h"
#include "observe/ring.h"

Suite *access_log_suite(void);

enum { PAGE = 4096 };
#define STARTED INT64_C(1767323045678901) /* 2026-01-02 03:04:05.678901 */

static struct access_record example(void)
{
    return (struct access_record){
        .client = SLICE("192.0.2.7"),
        .method = SLICE("GET"),
        .target = SLICE("/a?b=c"),
        .host = SLICE("example.com"),
        .referer = SLICE("https://example.com/"),
        .user_agent = SLICE("curl/8.5.0"),
        .listener = SLICE("web"),
        .route = SLICE("r"),
        .pool = SLICE("app"),
        .backend = SLICE("10.0.0.1:80"),
        .request_id = SLICE("0123"),
        .started = STARTED,
        .duration_us = 1234,
        .first_byte_us = 567,
        .sent = 2326,
        .received = 12,
        .status = 200,
        .attempts = 1,
        .major = 1,
        .minor = 1,
        .reused = true,
    };
}

static const char *formatted(enum access_format format, const struct access_record *r)
{
    static char line[600000];
    char *end = access_format(line, line + sizeof line - 1, format, r);

    ck_assert_ptr_nonnull(end);
    *end = '\0';
    return line;
}

/* ---- formats */

START_TEST(combined_is_apaches_to_the_byte)
{
    struct access_record r = example();

    ck_assert_str_eq(
        formatted(ACCESS_COMBINED, &r),
        "192.0.2.7 - - [02/Jan/2026:03:04:05 +0000] \"GET /a?b=c HTTP/1.1\" 200 2326 \"https://example.com/\" \"curl/8.5.0\"\n");
}
END_TEST

START_TEST(combined_writes_a_dash_for_what_is_not_known)
{
    struct access_record r = { .started = STARTED, .status = 400, .first_byte_us = -1 };

    ck_assert_str_eq(formatted(ACCESS_COMBINED, &r), "- - - [02/Jan/2026:03:04:05 +0000] \"-\" 400 - \"-\" \"-\"\n");
}
END_TEST

START_TEST(json_has_everything_to_the_byte)
{
    struct access_record r = example();

    ck_assert_str_eq(
        formatted(ACCESS_JSON, &r),
        "{\"time\":\"2026-01-02T03:04:05.678901Z\",\"client\":\"192.0.2.7\",\"method\":\"GET\",\"host\":\"example.com\","
        "\"target\":\"/a?b=c\",\"protocol\":\"HTTP/1.1\",\"bytes_received\":12,\"referer\":\"https://example.com/\","
        "\"user_agent\":\"curl/8.5.0\",\"request_id\":\"0123\",\"tls\":\"\",\"tls_name\":\"\",\"tls_identity\":\"\","
        "\"status\":200,\"reason\":\"ok\",\"bytes_sent\":2326,\"duration_us\":1234,\"first_byte_us\":567,"
        "\"listener\":\"web\",\"route\":\"r\",\"pool\":\"app\",\"backend\":\"10.0.0.1:80\",\"attempts\":1,"
        "\"reused\":true}\n");
}
END_TEST

START_TEST(json_says_null_when_no_byte_came_and_why)
{
    struct access_record r = {
        .started = STARTED, .status = 503, .reason = -ERR_CONNECT_REFUSED, .first_byte_us = -1, .major = 2
    };
    const char *line = formatted(ACCESS_JSON, &r);

    ck_assert_ptr_nonnull(strstr(line, "\"protocol\":\"HTTP/2.0\""));
    ck_assert_ptr_nonnull(strstr(line, "\"reason\":\"connect_refused\""));
    ck_assert_ptr_nonnull(strstr(line, "\"first_byte_us\":null"));
    ck_assert_ptr_nonnull(strstr(line, "\"reused\":false}\n"));
}
END_TEST

START_TEST(a_new_second_changes_the_time)
{
    struct access_record r = example();

    (void)formatted(ACCESS_COMBINED, &r);
    r.started = INT64_C(951782399999999); /* the leap day of 2000 ends */
    ck_assert_ptr_nonnull(strstr(formatted(ACCESS_COMBINED, &r), "[28/Feb/2000:23:59:59 +0000]"));
    r.started++;
    ck_assert_ptr_nonnull(strstr(formatted(ACCESS_COMBINED, &r), "[29/Feb/2000:00:00:00 +0000]"));
    ck_assert_ptr_nonnull(strstr(formatted(ACCESS_JSON, &r), "\"2000-02-29T00:00:00.000000Z\""));
}
END_TEST

START_TEST(combined_escapes_every_hostile_byte)
{
    struct access_record r = example();
    char all[256], expected[1024], *p = expected;

    for (int c = 0; c < 256; c++) {
        all[c] = (char)c;
        if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
            p += sprintf(p, "\\x%02X", (unsigned)c);
        else
            *p++ = (char)c;
    }
    *p = '\0';
    r.user_agent = slice_of(all, sizeof all);
    ck_assert_ptr_nonnull(strstr(formatted(ACCESS_COMBINED, &r), expected));
}
END_TEST

START_TEST(json_escapes_every_hostile_byte)
{
    struct access_record r = example();
    char all[256], expected[2048], *p = expected;

    for (int c = 0; c < 256; c++) {
        const char *known = c == 0 ? NULL : strchr("\bb\ff\nn\rr\tt\"\"\\\\", c);
        all[c] = (char)c;
        if (known != NULL && (c < 0x20 || c == '"' || c == '\\'))
            p += sprintf(p, "\\%c", known[1]);
        else if (c < 0x20 || c >= 0x7f) /* on its own no byte from 0x80 on is UTF-8 */
            p += sprintf(p, "\\u%04x", (unsigned)c);
        else
            *p++ = (char)c;
    }
    *p = '\0';
    r.target = slice_of(all, sizeof all);
    ck_assert_ptr_nonnull(strstr(formatted(ACCESS_JSON, &r), expected));
}
END_TEST

START_TEST(json_leaves_utf_8_as_it_is)
{
    struct access_record r = example();

    r.target = SLICE("/\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    ck_assert_ptr_nonnull(strstr(formatted(ACCESS_JSON, &r), "\"/\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""));
}
END_TEST

START_TEST(a_long_text_is_cut)
{
    static char text[ACCESS_TEXT_MOST + 100];
    struct access_record r = example();
    size_t before = strlen(formatted(ACCESS_COMBINED, &r)) - r.target.n;

    memset(text, 'x', sizeof text);
    r.target = slice_of(text, sizeof text);
    ck_assert_uint_eq(strlen(formatted(ACCESS_COMBINED, &r)), before + ACCESS_TEXT_MOST);
}
END_TEST

START_TEST(a_line_that_does_not_fit_by_one_byte_is_none)
{
    struct access_record r = example();
    char line[1024];

    r.user_agent = SLICE("\"\xff\n");
    for (int format = ACCESS_COMBINED; format <= ACCESS_JSON; format++) {
        size_t n = strlen(formatted((enum access_format)format, &r));
        for (size_t room = 0; room < n; room++) {
            line[room] = '#';
            if (access_format(line, line + room, (enum access_format)format, &r) != NULL || line[room] != '#')
                ck_abort_msg("room %zu", room);
        }
        ck_assert_ptr_eq(access_format(line, line + n, (enum access_format)format, &r), line + n);
    }
}
END_TEST

/* ---- the ring */

START_TEST(a_ring_gives_back_what_was_put_in_at_every_offset)
{
    struct ring r;
    struct ring_room room;
    struct slice have;
    char line[37];

    ck_assert_int_eq(ring_open(&r, PAGE), 0);
    for (unsigned i = 0; i < 3 * PAGE; i++) { /* 37 and the size have no common factor: every offset comes up */
        memset(line, (int)('a' + i % 26), sizeof line);
        room = ring_reserve(&r, sizeof line);
        memcpy(room.p, line, sizeof line);
        (void)ring_commit(&r, sizeof line);
        have = ring_filled(&r);
        if (room.n != PAGE || have.n != sizeof line || memcmp(have.p, line, sizeof line) != 0)
            ck_abort_msg("line %u", i);
        ring_taken(&r, have.n);
        (void)ring_reserve(&r, PAGE);
    }
    ring_close(&r);
}
END_TEST

START_TEST(a_full_ring_has_no_room)
{
    struct ring r;

    ck_assert_int_eq(ring_open(&r, PAGE), 0);
    ck_assert_uint_eq(ring_reserve(&r, 1).n, PAGE);
    (void)ring_commit(&r, PAGE);
    ck_assert_uint_eq(ring_reserve(&r, 1).n, 0);
    ring_taken(&r, 100);
    ck_assert_uint_eq(ring_reserve(&r, 1).n, 100);
    ring_close(&r);
}
END_TEST

/* ---- the log */

static char folder[64], path[80], renamed[96];

static void make_folder(void)
{
    (void)strcpy(folder, "/tmp/access-log-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/access.log", folder);
    (void)snprintf(renamed, sizeof renamed, "%s.1", path);
}

/* For what is said about failures that a test makes. */
static void quiet(void) { log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC)); }

static void remove_folder(void)
{
    access_log_close();
    log_set_fd(STDERR_FILENO);
    (void)unlink(path);
    (void)unlink(renamed);
    (void)rmdir(folder);
}

static char *content(const char *of, size_t *n)
{
    static char *text;
    struct stat st;
    FILE *f = fopen(of, "r");

    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fstat(fileno(f), &st), 0);
    free(text);
    text = malloc((size_t)st.st_size + 1);
    ck_assert_ptr_nonnull(text);
    *n = fread(text, 1, (size_t)st.st_size, f);
    text[*n] = '\0';
    (void)fclose(f);
    return text;
}

static unsigned lines_in(const char *of)
{
    unsigned lines = 0;
    size_t n;
    const char *text = content(of, &n);

    for (size_t i = 0; i < n; i++)
        lines += text[i] == '\n';
    return lines;
}

static void write_lines(unsigned worker, unsigned n)
{
    struct access_record r = example();

    for (unsigned i = 0; i < n; i++)
        access_log_line(worker, &r);
}

START_TEST(after_a_flush_all_lines_stand_in_the_file)
{
    struct access_record r = example();
    size_t n;

    ck_assert_int_eq(access_log_open(path, ACCESS_COMBINED, 2), 0);
    access_log_line(0, &r);
    access_log_line(1, &r);
    ck_assert_int_eq(access_log_flush(), 0);
    ck_assert_uint_eq(lines_in(path), 2);
    ck_assert_mem_eq(content(path, &n), formatted(ACCESS_COMBINED, &r), n / 2);
}
END_TEST

/* The file's size once it is `n` bytes or more, without a sleep of our own. */
static void await_lines(unsigned n)
{
    while (lines_in(path) < n)
        (void)poll(NULL, 0, 1);
}

START_TEST(a_line_reaches_the_file_without_a_flush)
{
    ck_assert_int_eq(access_log_open(path, ACCESS_COMBINED, 1), 0);
    for (unsigned i = 1; i <= 5; i++) {
        write_lines(0, 1);
        await_lines(i);
    }
}
END_TEST

START_TEST(the_file_is_not_for_others_and_appended_to)
{
    struct stat st;

    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(access_log_open(path, ACCESS_COMBINED, 1), 0);
        write_lines(0, 1);
        access_log_close();
    }
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0137, 0);
    ck_assert_uint_eq(lines_in(path), 2);
}
END_TEST

START_TEST(a_worker_makes_hardly_any_system_calls)
{
    struct access_log_stats s;

    ck_assert_int_eq(access_log_open(path, ACCESS_COMBINED, 1), 0);
    write_lines(0, 2000);
    access_log_stats_get(&s);
    ck_assert_uint_le(s.wakes, 20);
    ck_assert_uint_eq(s.ring_full, 0);
}
END_TEST

START_TEST(lines_of_a_renamed_file_stay_there_and_new_ones_go_to_a_new_one)
{
    ck_assert_int_eq(access_log_open(path, ACCESS_COMBINED, 1), 0);
    write_lines(0, 3);
    ck_assert_int_eq(access_log_flush(), 0);
    ck_assert_int_eq(rename(path, renamed), 0);
    write_lines(0, 2);
    ck_assert_int_eq(access_log_reopen(), 0);
    write_lines(0, 4);
    ck_assert_int_eq(access_log_flush(), 0);
    ck_assert_uint_eq(lines_in(renamed), 5);
    ck_assert_uint_eq(lines_in(path), 4);
}
END_TEST

START_TEST(a_reopen_that_fails_keeps_the_old_file)
{
    ck_assert_int_eq(access_log_open(path, ACCESS_COMBINED, 1), 0);
    ck_assert_int_eq(rename(path, renamed), 0);
    ck_assert_int_eq(mkdir(path, 0700), 0); /* in the way */
    quiet();
    ck_assert_int_lt(access_log_reopen(), 0);
    write_lines(0, 2);
    ck_assert_int_eq(access_log_flush(), 0);
    ck_assert_uint_eq(lines_in(renamed), 2);
    ck_assert_int_eq(rmdir(path), 0);
}
END_TEST

START_TEST(a_reload_may_change_format_and_place)
{
    size_t n;

    ck_assert_int_eq(access_log_open(path, ACCESS_COMBINED, 1), 0);
    write_lines(0, 1);
    ck_assert_int_eq(access_log_reconfigure(renamed, ACCESS_JSON), 0);
    write_lines(0, 1);
    ck_assert_int_eq(access_log_flush(), 0);
    ck_assert_int_eq(content(path, &n)[0], '1');
    ck_assert_int_eq(content(renamed, &n)[0], '{');
    ck_assert_uint_eq(lines_in(renamed), 1);
}
END_TEST

START_TEST(a_reload_that_fails_changes_nothing)
{
    ck_assert_int_eq(access_log_open(path, ACCESS_COMBINED, 1), 0);
    quiet();
    ck_assert_int_lt(access_log_reconfigure("/nowhere/at/all/access.log", ACCESS_JSON), 0);
    write_lines(0, 1);
    ck_assert_int_eq(access_log_flush(), 0);
    ck_assert_uint_eq(lines_in(path), 1);
}
END_TEST

START_TEST(a_log_turned_off_writes_nothing_and_can_be_turned_on)
{
    ck_assert_int_eq(access_log_open("off", ACCESS_COMBINED, 1), 0);
    ck_assert(!access_log_is_on());
    write_lines(0, 1);
    ck_assert_int_eq(access_log_flush(), 0);
    ck_assert_int_eq(access_log_reopen(), 0);
    ck_assert_int_eq(access_log_reconfigure(path, ACCESS_COMBINED), 0);
    ck_assert(access_log_is_on());
    write_lines(0, 2);
    ck_assert_int_eq(access_log_reconfigure("off", ACCESS_COMBINED), 0);
    write_lines(0, 4);
    ck_assert_uint_eq(lines_in(path), 2);
}
END_TEST

START_TEST(a_path_that_cannot_be_opened_is_an_error)
{
    quiet();
    ck_assert_int_lt(access_log_open("/nowhere/at/all/access.log", ACCESS_COMBINED, 1), 0);
    ck_assert(!access_log_is_on());
}
END_TEST

/* ---- a place that takes nothing */

/* A named pipe at `path` with a reader that does not read. */
static int open_stuck_pipe(void)
{
    int reader;

    ck_assert_int_eq(mkfifo(path, 0600), 0);
    reader = open(path, O_RDONLY | O_NONBLOCK);
    ck_assert_int_ge(reader, 0);
    (void)fcntl(reader, F_SETPIPE_SZ, PAGE);
    return reader;
}

/* Reads what there is; counts whole lines, each of which must be `line`. */
static unsigned read_lines(int fd, const char *line)
{
    static char text[1 << 16];
    static size_t have;
    size_t len = strlen(line);
    unsigned lines = 0;
    ssize_t n = read(fd, text + have, sizeof text - have);

    if (n > 0)
        have += (size_t)n;
    for (; have >= len; lines++) {
        ck_assert_mem_eq(text, line, len);
        have -= len;
        memmove(text, text + len, have);
    }
    return lines;
}

START_TEST(a_full_ring_drops_whole_lines_and_counts_them)
{
    int reader = open_stuck_pipe();
    struct access_record r = example();
    const char *line = formatted(ACCESS_COMBINED, &r);
    struct access_log_stats s;
    unsigned lines = 0;

    ck_assert_int_eq(access_log_open_sized(path, ACCESS_COMBINED, 1, PAGE), 0);
    write_lines(0, 1000);
    access_log_stats_get(&s);
    ck_assert_uint_gt(s.ring_full, 800);
    while (lines < 1000 - s.ring_full) { /* all others come, none torn */
        lines += read_lines(reader, line);
        (void)poll(NULL, 0, 1);
    }
    ck_assert_int_eq(access_log_flush(), 0);
    ck_assert_uint_eq(read_lines(reader, line), 0);
    (void)close(reader);
}
END_TEST

START_TEST(a_pipe_without_a_reader_is_an_error_and_not_a_wait)
{
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    quiet();
    ck_assert_int_lt(access_log_open(path, ACCESS_COMBINED, 1), 0);
}
END_TEST

START_TEST(a_disk_that_is_full_keeps_lines_until_there_is_room)
{
    struct rlimit old, small;
    struct access_log_stats s;
    struct access_record r = example();
    size_t len = strlen(formatted(ACCESS_COMBINED, &r)), n;
    int rc;

    (void)signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = (struct rlimit){ .rlim_cur = 2 * len + len / 2, .rlim_max = old.rlim_max };
    ck_assert_int_eq(access_log_open(path, ACCESS_COMBINED, 1), 0);
    quiet();
    (void)setrlimit(RLIMIT_FSIZE, &small); /* the third line is cut in the middle: EFBIG; nor may check write anything now */
    write_lines(0, 5);
    rc = access_log_flush();
    (void)setrlimit(RLIMIT_FSIZE, &old);
    ck_assert_int_eq(rc, -ERR_IO);
    access_log_stats_get(&s);
    ck_assert_uint_gt(s.write_errors, 0);
    while (access_log_flush() != 0)
        (void)poll(NULL, 0, 1);
    (void)content(path, &n);
    ck_assert_uint_eq(n, 5 * len);
}
END_TEST

START_TEST(a_line_half_written_is_written_whole_to_the_next_file)
{
    int reader = open_stuck_pipe();
    struct access_record r = example();
    const char *line = formatted(ACCESS_COMBINED, &r);
    size_t n, len = strlen(line);

    ck_assert_int_eq(access_log_open(path, ACCESS_COMBINED, 1), 0);
    write_lines(0, 100); /* the pipe takes one page: 36 and a half */
    ck_assert_int_eq(access_log_reconfigure(renamed, ACCESS_COMBINED), 0);
    ck_assert_int_eq(access_log_flush(), 0);
    ck_assert_mem_eq(content(renamed, &n), line, len);
    ck_assert_uint_eq(n % len, 0);
    ck_assert_uint_eq(n / len, 100 - read_lines(reader, line));
    (void)close(reader);
}
END_TEST

START_TEST(a_flush_to_a_broken_pipe_fails_and_does_not_hang)
{
    int reader = open_stuck_pipe();
    struct access_log_stats s;

    ck_assert_int_eq(access_log_open(path, ACCESS_COMBINED, 1), 0);
    quiet();
    (void)close(reader);
    write_lines(0, 7);
    ck_assert_int_eq(access_log_flush(), -ERR_CLOSED);
    access_log_close();
    access_log_stats_get(&s);
    ck_assert_uint_eq(s.abandoned, 7);
}
END_TEST

/* ---- under load */

enum { LOAD_LINES = 20000 };

static void *load(void *arg)
{
    struct access_record r = example();
    unsigned worker = *(unsigned *)arg;

    r.backend = slice_str(worker == 0 ? "first" : "second");
    for (unsigned i = 0; i < LOAD_LINES; i++) {
        r.duration_us = i;
        access_log_line(worker, &r);
    }
    return NULL;
}

/* Each worker's lines are whole and in their order; returns how many there are. */
static unsigned check_order(char *text, const char *backend)
{
    char key[64];
    long long last = -1, now;
    unsigned lines = 0;

    (void)snprintf(key, sizeof key, "\"backend\":\"%s\"", backend);
    const char *last_byte = text + strlen(text);

    /* no strchrnul() or strtoll(): AddressSanitizer's strict ones read all that is left of the text each time */
    for (const char *p = text, *end; p < last_byte; p = end + 1) {
        const char *duration;
        end = memchr(p, '\n', (size_t)(last_byte - p));
        if (end == NULL)
            ck_abort_msg("a last line without an end: %.600s", p);
        duration = memmem(p, (size_t)(end - p), "\"duration_us\":", 14);
        if ( *p != '{' || end[-1] != '}' || duration == NULL)
            ck_abort_msg("a torn line: %.600s", p);
        if (memmem(p, (size_t)(end - p), key, strlen(key)) == NULL)
            continue;
        now = 0;
        for (const char *digit = duration + 14; *digit >= '0' && *digit <= '9'; digit++)
            now = now * 10 + (*digit - '0');
        if (now <= last)
            ck_abort_msg("%lld after %lld", now, last);
        last = now;
        lines++;
    }
    return lines;
}

START_TEST(two_workers_under_load_lose_only_what_is_counted)
{
    unsigned workers[2] = { 0, 1 };
    struct access_log_stats s;
    pthread_t t[2];
    char *text;
    size_t n;

    ck_assert_int_eq(access_log_open(path, ACCESS_JSON, 2), 0);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&t[i], NULL, load, &workers[i]), 0);
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(access_log_reopen(), 0);
        access_log_stats_get(&s);
    }
    for (int i = 0; i < 2; i++)
        (void)pthread_join(t[i], NULL);
    ck_assert_int_eq(access_log_flush(), 0);
    access_log_stats_get(&s);
    text = content(path, &n);
    ck_assert_uint_eq(s.written, n);
    ck_assert_uint_eq(check_order(text, "first") + check_order(text, "second") + s.ring_full, 2 * LOAD_LINES);
}
END_TEST

Suite *access_log_suite(void)
{
    Suite *s = suite_create("access_log");
    TCase *format = tcase_create("format"), *ring = tcase_create("ring"), *log = tcase_create("log");

    tcase_add_test(format, combined_is_apaches_to_the_byte);
    tcase_add_test(format, combined_writes_a_dash_for_what_is_not_known);
    tcase_add_test(format, json_has_everything_to_the_byte);
    tcase_add_test(format, json_says_null_when_no_byte_came_and_why);
    tcase_add_test(format, a_new_second_changes_the_time);
    tcase_add_test(format, combined_escapes_every_hostile_byte);
    tcase_add_test(format, json_escapes_every_hostile_byte);
    tcase_add_test(format, json_leaves_utf_8_as_it_is);
    tcase_add_test(format, a_long_text_is_cut);
    tcase_add_test(format, a_line_that_does_not_fit_by_one_byte_is_none);
    suite_add_tcase(s, format);

    tcase_add_test(ring, a_ring_gives_back_what_was_put_in_at_every_offset);
    tcase_add_test(ring, a_full_ring_has_no_room);
    suite_add_tcase(s, ring);

    tcase_add_checked_fixture(log, make_folder, remove_folder);
    tcase_add_test(log, after_a_flush_all_lines_stand_in_the_file);
    tcase_add_test(log, a_line_reaches_the_file_without_a_flush);
    tcase_add_test(log, the_file_is_not_for_others_and_appended_to);
    tcase_add_test(log, a_worker_makes_hardly_any_system_calls);
    tcase_add_test(log, lines_of_a_renamed_file_stay_there_and_new_ones_go_to_a_new_one);
    tcase_add_test(log, a_reopen_that_fails_keeps_the_old_file);
    tcase_add_test(log, a_reload_may_change_format_and_place);
    tcase_add_test(log, a_reload_that_fails_changes_nothing);
    tcase_add_test(log, a_log_turned_off_writes_nothing_and_can_be_turned_on);
    tcase_add_test(log, a_path_that_cannot_be_opened_is_an_error);
    tcase_add_test(log, a_full_ring_drops_whole_lines_and_counts_them);
    tcase_add_test(log, a_pipe_without_a_reader_is_an_error_and_not_a_wait);
    tcase_add_test(log, a_disk_that_is_full_keeps_lines_until_there_is_room);
    tcase_add_test(log, a_line_half_written_is_written_whole_to_the_next_file);
    tcase_add_test(log, a_flush_to_a_broken_pipe_fails_and_does_not_hang);
    tcase_add_test(log, two_workers_under_load_lose_only_what_is_counted);
    suite_add_tcase(s, log);
    return s;
}
