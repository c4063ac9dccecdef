/* test_protobuf.c - fields of each type, and what is no message. */
#include <check.h>
#include <string.h>

#include "base/err.h"
#include "base/protobuf.h"

Suite *protobuf_suite(void);

START_TEST(fields_of_each_type_are_read_in_order)
{
    struct slice in = SLICE("\x08\x96\x01"
                            "\x11\x01\x02\x03\x04\x05\x06\x07\x88"
                            "\x1a\x03"
                            "abc"
                            "\x25\x01\x00\x00\x80"
                            "\xfa\xff\xff\xff\x0f\x00");
    struct pb_field f;

    ck_assert_int_eq(pb_next(&in, &f), 1);
    ck_assert(pb_is(&f, 1, PB_VARINT) && f.value == 150);
    ck_assert_int_eq(pb_next(&in, &f), 1);
    ck_assert(pb_is(&f, 2, PB_FIXED64) && f.value == UINT64_C(0x8807060504030201));
    ck_assert_int_eq(pb_next(&in, &f), 1);
    ck_assert(pb_is(&f, 3, PB_BYTES) && slice_eq(f.bytes, SLICE("abc")));
    ck_assert_int_eq(pb_next(&in, &f), 1);
    ck_assert(pb_is(&f, 4, PB_FIXED32) && f.value == 0x80000001u);
    ck_assert_int_eq(pb_next(&in, &f), 1);
    ck_assert(pb_is(&f, (1u << 29) - 1, PB_BYTES) && f.bytes.n == 0);
    ck_assert_int_eq(pb_next(&in, &f), 0);
}
END_TEST

START_TEST(a_varint_has_up_to_64_bits)
{
    struct slice in = SLICE("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    struct pb_field f;

    ck_assert_int_eq(pb_next(&in, &f), 1);
    ck_assert(f.value == UINT64_MAX);
}
END_TEST

static const struct slice wrong[] = {
    SLICE("\x08"),                                             /* no value */
    SLICE("\x08\x80"),                                         /* a value without end */
    SLICE("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),     /* 65 bits */
    SLICE("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), /* 11 bytes */
    SLICE("\x00\x01"),                                         /* number 0 */
    SLICE("\x80\x80\x80\x80\x10\x01"),                         /* number 2^29 */
    SLICE("\x09\x01\x02\x03\x04\x05\x06\x07"),                 /* 7 of 8 bytes */
    SLICE("\x0d\x01\x02\x03"),                                 /* 3 of 4 */
    SLICE("\x0a\x04"
          "abc"), /* a length beyond the end */
    SLICE("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
          "abc"),      /* far beyond */
    SLICE("\x0b\x0c"), /* a group */
    SLICE("\x0e"),
    SLICE("\x0f"), /* no such types */
};

START_TEST(what_is_no_field_is_refused)
{
    struct slice in = wrong[_i];
    struct pb_field f;

    ck_assert_int_eq(pb_next(&in, &f), -ERR_INVALID);
}
END_TEST

START_TEST(a_head_that_is_written_is_read)
{
    static const size_t sizes[] = { 0, 1, 127, 128, 300, 20000 };
    static char text[20000 + PB_HEAD_MOST];

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint32_t number = i == 0 ? (1u << 29) - 1 : (uint32_t)i;
        size_t head = pb_put_head(text, number, sizes[i]);
        struct slice in = slice_of(text, head + sizes[i]);
        struct pb_field f;
        ck_assert_int_eq(pb_next(&in, &f), 1);
        ck_assert(pb_is(&f, number, PB_BYTES) && f.bytes.n == sizes[i] && f.bytes.p == text + head && in.n == 0);
    }
}
END_TEST

Suite *protobuf_suite(void)
{
    Suite *s = suite_create("protobuf");
    TCase *t = tcase_create("protobuf");

    tcase_add_test(t, fields_of_each_type_are_read_in_order);
    tcase_add_test(t, a_varint_has_up_to_64_bits);
    tcase_add_loop_test(t, what_is_no_field_is_refused, 0, (int)(sizeof wrong / sizeof wrong[0]));
    tcase_add_test(t, a_head_that_is_written_is_read);
    suite_add_tcase(s, t);
    return s;
}
