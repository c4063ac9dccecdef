/* test_base64.c - there and back, and what is no base64. */
#include <check.h>
#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/err.h"

Suite *base64_suite(void);

static const struct {
    const char *plain, *text;
} rfc4648[] = {
    { "", "" },
    { "f", "Zg==" },
    { "fo", "Zm8=" },
    { "foo", "Zm9v" },
    { "foob", "Zm9vYg==" },
    { "fooba", "Zm9vYmE=" },
    { "foobar", "Zm9vYmFy" },
};

START_TEST(the_vectors_of_rfc_4648_are_written_and_read)
{
    struct buf b = { 0 };
    char out[16];

    base64_encode(&b, slice_str(rfc4648[_i].plain));
    ck_assert(slice_eq(buf_slice(&b), slice_str(rfc4648[_i].text)));
    ck_assert_int_eq(base64_decode(slice_str(rfc4648[_i].text), out, sizeof out), (int)strlen(rfc4648[_i].plain));
    ck_assert_mem_eq(out, rfc4648[_i].plain, strlen(rfc4648[_i].plain));
    buf_free(&b);
}
END_TEST

START_TEST(every_byte_survives)
{
    char all[256], out[258];
    struct buf b = { 0 };

    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    base64_encode(&b, slice_of(all, sizeof all));
    ck_assert_int_eq(base64_decode(buf_slice(&b), out, sizeof out), 256);
    ck_assert_mem_eq(out, all, 256);
    buf_free(&b);
}
END_TEST

static const char *const wrong[] = { "Zg",   "Zg=",  "Zg===", "=",      "====", "Z===", "Zg==Zg==",
                                     "Zh==", "Zm9=", "Zm 9v", "Zm9v\n", "Zm-_", "Zm9vZ" };

START_TEST(what_no_encoder_writes_is_refused)
{
    char out[16];

    ck_assert_int_eq(base64_decode(slice_str(wrong[_i]), out, sizeof out), -ERR_INVALID);
}
END_TEST

START_TEST(bytes_that_do_not_fit_are_refused_and_not_written)
{
    char out[4] = "abc";

    ck_assert_int_eq(base64_decode(SLICE("Zm9vYg=="), out, 3), -ERR_INVALID);
    ck_assert_str_eq(out, "abc");
}
END_TEST

Suite *base64_suite(void)
{
    Suite *s = suite_create("base64");
    TCase *t = tcase_create("base64");

    tcase_add_loop_test(t, the_vectors_of_rfc_4648_are_written_and_read, 0, (int)(sizeof rfc4648 / sizeof rfc4648[0]));
    tcase_add_test(t, every_byte_survives);
    tcase_add_loop_test(t, what_no_encoder_writes_is_refused, 0, (int)(sizeof wrong / sizeof wrong[0]));
    tcase_add_test(t, bytes_that_do_not_fit_are_refused_and_not_written);
    suite_add_tcase(s, t);
    return s;
}
