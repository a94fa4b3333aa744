/* SPDX-License-Identifier: Apache-2.0
 *
 * What follows the body of a letter: calendars, contacts, reports, signatures, attached messages, read
 * into rows; how much of each there may be; and that nothing of it can hold a mail or take long.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mail_kit.h"
#include "services/render/content_line.h"
#include "services/render/section_steps.h"

struct reading {
    struct render_mail mail;
    struct fb_error err;
    struct section_list list;
};

static void begin(struct reading *r, bool is_japanese)
{
    *r = (struct reading){
        .list = {.is_japanese = is_japanese, .has_zone = true, .zone_minutes = 540, .level = 1}};
    r->list.letter = &r->mail.letter;
    r->list.mail = &r->mail;
    r->list.err = &r->err;
    render_mime_init();
}

static void end(struct reading *r)
{
    for (size_t i = 0; i < r->list.seen_count; i++) {
        free(r->list.seen[i]);
    }
    render_sections_free(&r->mail.letter);
}

/* The value of a section's row; "" when there is none. */
static const char *row(const struct reading *r, size_t section, const char *label)
{
    const struct render_section *s = &r->mail.letter.sections[section];
    for (size_t i = 0; section < r->mail.letter.section_count && i < s->row_count; i++) {
        if (strcmp(s->rows[i].label, label) == 0) {
            return s->rows[i].value;
        }
    }
    return "";
}

static void calendar(struct reading *r, bool is_japanese, const char *properties)
{
    char text[8192];
    begin(r, is_japanese);
    (void)snprintf(text, sizeof text,
                   "BEGIN:VCALENDAR\nMETHOD:REQUEST\nBEGIN:VEVENT\nUID:1\nSUMMARY:x\n%sEND:VEVENT\n"
                   "END:VCALENDAR\n",
                   properties);
    section_calendar_text(&r->list, fb_slice_str(text), "a.ics");
    assert_int_equal(r->mail.letter.section_count, 1);
}

static void test_times_are_told_with_their_zone_and_by_the_senders_clock(void **state)
{
    static const struct {
        const char *properties, *en, *ja;
    } rows[] = {
        {"DTSTART:20261203T053000Z\nDTEND:20261203T063000Z\n",
         "Thursday, 3 December 2026, 14:30 – 15:30 (UTC+09:00)",
         "2026年12月3日（木） 14:30 ～ 15:30 (UTC+09:00)"},
        {"DTSTART:20261203T233000Z\nDURATION:PT2H\n",
         "Friday, 4 December 2026, 08:30 – 10:30 (UTC+09:00)",
         "2026年12月4日（金） 08:30 ～ 10:30 (UTC+09:00)"},
        {"DTSTART;TZID=Somewhere:20261203T100000\n", "Thursday, 3 December 2026, 10:00 (Somewhere)",
         "2026年12月3日（木） 10:00 (Somewhere)"},
        {"DTSTART:20261203T100000\n", "Thursday, 3 December 2026, 10:00 (local time)",
         "2026年12月3日（木） 10:00 (現地時刻)"},
        {"DTSTART;VALUE=DATE:20261203\nDTEND;VALUE=DATE:20261204\n",
         "Thursday, 3 December 2026, all day", "2026年12月3日（木） 終日"},
        {"DTSTART;VALUE=DATE:20261203\nDTEND;VALUE=DATE:20261206\n",
         "Thursday, 3 December 2026 – Saturday, 5 December 2026, all day",
         "2026年12月3日（木） ～ 2026年12月5日（土） 終日"},
        {"DTSTART:99991399T996099Z\n", "(cannot be read)", "（読み取れません）"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct reading r;
        calendar(&r, false, rows[i].properties);
        assert_string_equal(row(&r, 0, "When"), rows[i].en);
        end(&r);
        calendar(&r, true, rows[i].properties);
        assert_string_equal(row(&r, 0, "日時"), rows[i].ja);
        end(&r);
    }
}

static void test_what_comes_again_is_told_in_words(void **state)
{
    static const struct {
        const char *rule, *en, *ja;
    } rows[] = {
        {"FREQ=DAILY;COUNT=3", "Every day, 3 times", "毎日、全3回"},
        {"FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE,FR", "Every 2 weeks on Monday, Wednesday and Friday",
         "2週間ごと 月・水・金曜日"},
        {"FREQ=MONTHLY;BYMONTHDAY=15", "Every month on day 15", "毎月 15日"},
        {"FREQ=MONTHLY;BYDAY=-1FR", "Every month on the last Friday", "毎月 最終金曜日"},
        {"FREQ=MONTHLY;BYDAY=TU;BYSETPOS=2", "Every month on the 2nd Tuesday", "毎月 第2火曜日"},
        {"FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=3", "Every year in December on day 3", "毎年 12月 3日"},
        {"FREQ=WEEKLY;UNTIL=20270331T150000Z", "Every week, until Thursday, 1 April 2027",
         "毎週、2027年4月1日（木）まで"},
        {"FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
         "Repeats (rule: FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1)",
         "繰り返しあり（規則：FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1）"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct reading r;
        char properties[400];
        (void)snprintf(properties, sizeof properties, "DTSTART:20261203T053000Z\nRRULE:%s\n",
                       rows[i].rule);
        calendar(&r, false, properties);
        assert_string_equal(row(&r, 0, "Repeats"), rows[i].en);
        end(&r);
        calendar(&r, true, properties);
        assert_string_equal(row(&r, 0, "繰り返し"), rows[i].ja);
        end(&r);
    }
}

static double cpu_ms(void)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1000 + (double)t.tv_nsec / 1e6;
}

static void test_hostile_calendars_take_little_time_and_few_rows(void **state)
{
    static const char zone[] = "BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nTZID:Z\nBEGIN:STANDARD\n"
                               "DTSTART:16010101T000000\nRRULE:FREQ=SECONDLY\nTZOFFSETFROM:+0900\n"
                               "TZOFFSETTO:+0900\nEND:STANDARD\nEND:VTIMEZONE\nBEGIN:VEVENT\n"
                               "DTSTART;TZID=Z:20261203T100000\nEND:VEVENT\nEND:VCALENDAR\n";
    struct reading r;
    struct fb_buf text;
    double begun = cpu_ms();
    (void)state;
    begin(&r, false);
    section_calendar_text(&r.list, fb_slice_str(zone), "a.ics");
    assert_string_equal(row(&r, 0, "When"), "Thursday, 3 December 2026, 10:00 (Z)");
    end(&r);
    begin(&r, false);
    fb_buf_init(&text, 4U << 20);
    assert_int_equal(fb_buf_add_str(&text, "BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:x\n"), FB_OK);
    for (int i = 0; i < 10000; i++) {
        assert_int_equal(fb_buf_printf(&text, "ATTENDEE:mailto:a%d@example.com\n", i), FB_OK);
    }
    assert_int_equal(fb_buf_add_str(&text, "END:VEVENT\n"), FB_OK);
    for (int i = 0; i < 3000; i++) {
        assert_int_equal(fb_buf_add_str(&text, "BEGIN:VEVENT\nSUMMARY:y\nEND:VEVENT\n"), FB_OK);
    }
    assert_int_equal(fb_buf_add_str(&text, "END:VCALENDAR\n"), FB_OK);
    section_calendar_text(&r.list, fb_slice_buf(&text), "a.ics");
    const struct render_letter *l = &r.mail.letter;
    assert_int_equal(l->section_count, 21); /* twenty entries, and that there are more */
    assert_int_equal(l->sections[0].row_count, RENDER_SECTION_PEOPLE_MAX + 1);
    assert_string_equal(l->sections[0].rows[RENDER_SECTION_PEOPLE_MAX].value, "and 9900 more");
    assert_non_null(strstr(fb_buf_str(&l->sections[20].text), "2981 more"));
    end(&r);
    fb_buf_clear(&text);
    for (int i = 0; i < 60000; i++) { /* components in components */
        assert_int_equal(fb_buf_add_str(&text, "BEGIN:VEVENT\n"), FB_OK);
    }
    begin(&r, false);
    section_calendar_text(&r.list, fb_slice_buf(&text), "a.ics");
    assert_true(r.mail.letter.section_count <= 1);
    end(&r);
    fb_buf_deinit(&text);
    assert_true(cpu_ms() - begun < 30000); /* with sanitizers */
}

static void test_contacts_of_all_three_versions_are_read(void **state)
{
    static const char cards[] =
        "BEGIN:VCARD\r\nVERSION:2.1\r\nN;CHARSET=SHIFT_JIS;ENCODING=QUOTED-PRINTABLE:=8D=B2=93=A1;="
        "\r\n=89=D4=8Eq\r\nTEL;CELL:090\r\nPHOTO;JPEG;ENCODING=BASE64:\r\n AAAA\r\n AAAA\r\n\r\n"
        "EMAIL:a@example.jp\r\nEND:VCARD\r\n"
        "BEGIN:VCARD\nVERSION:3.0\nFN:Ta\n ro\nitem1.TEL;TYPE=WORK:1\\;2\nNOTE:a\\nb\\, "
        "c\nEND:VCARD\n"
        "BEGIN:VCARD\nVERSION:4.0\nFN:Carol\nTEL;VALUE=uri;TYPE=\"cell,voice\":tel:+44\n"
        "ADR;LABEL=\"x:y;z\":;;1 High Street;London;;SW1A;UK\nEND:VCARD\n";
    struct reading r;
    (void)state;
    begin(&r, true);
    section_contact_bytes(&r.list, FB_SLICE_LITERAL(cards), NULL, "a.vcf");
    assert_int_equal(r.mail.letter.section_count, 3);
    assert_string_equal(r.mail.letter.sections[0].title, "連絡先：佐藤 花子");
    assert_string_equal(row(&r, 0, "携帯電話"), "090");
    assert_string_equal(row(&r, 0, "メール"), "a@example.jp");
    assert_string_equal(row(&r, 1, "氏名"), "Taro");
    assert_string_equal(row(&r, 1, "電話（勤務先）"), "1;2");
    assert_string_equal(row(&r, 1, "メモ"), "a\nb, c");
    assert_string_equal(row(&r, 2, "携帯電話"), "+44");
    assert_string_equal(row(&r, 2, "住所"), "1 High Street, London, SW1A, UK");
    end(&r);
}

static void test_what_is_no_contact_or_report_says_so_and_names_the_file(void **state)
{
    struct reading r;
    (void)state;
    begin(&r, false);
    section_contact_bytes(&r.list, FB_SLICE_LITERAL("hello\n:::\n;;;:\n"), NULL, "a.vcf");
    section_report_text(&r.list, FB_SLICE_LITERAL("hello\n\nworld\n"), false, "b.txt");
    section_calendar_text(&r.list, FB_SLICE_LITERAL("hello"), "c.ics");
    assert_int_equal(r.mail.letter.section_count, 3);
    assert_string_equal(row(&r, 0, "File"), "a.vcf");
    assert_string_equal(row(&r, 1, "File"), "b.txt");
    assert_string_equal(row(&r, 2, "File"), "c.ics");
    end(&r);
}

static void
test_a_name_cannot_turn_the_direction_of_writing_or_hold_control_characters(void **state)
{
    struct reading r;
    (void)state;
    calendar(&r, false,
             "LOCATION:a\xE2\x80\xAE"
             "b\x01\x07\xEF\xBB\xBF"
             "c\xFF\n");
    assert_string_equal(row(&r, 0, "Where"), "abc\xEF\xBF\xBD");
    end(&r);
}

static void test_a_mail_has_no_more_sections_than_its_maximum(void **state)
{
    struct reading r;
    (void)state;
    begin(&r, false);
    for (int i = 0; i < 200; i++) {
        section_contact_bytes(&r.list, FB_SLICE_LITERAL("BEGIN:VCARD\nFN:x\nEND:VCARD\n"), NULL,
                              "x");
    }
    assert_int_equal(r.mail.letter.section_count, RENDER_SECTIONS_MAX);
    assert_int_equal(r.list.left_out, 200 - RENDER_SECTIONS_MAX);
    end(&r);
}

/* ---- of whole mails ---- */

static void read_mail(struct kit *k, struct fb_buf *crlf, const char *message)
{
    const struct render_section_options options = {.has_images = true};
    kit_crlf(fb_slice_str(message), crlf);
    kit_parse(k, fb_slice_buf(crlf));
    assert_int_equal(k->status, FB_OK);
    assert_int_equal(render_sections_read(&k->mail, &k->source, &options, &k->err), FB_OK);
}

static void test_messages_are_read_to_a_depth_and_conditions_see_what_they_saw(void **state)
{
    struct kit k;
    struct fb_buf crlf = {0};
    struct fb_buf text;
    fb_buf_init(&text, 1U << 16);
    (void)state;
    for (int i = 0; i < 6; i++) {
        assert_int_equal(fb_buf_printf(&text,
                                       "From: a@example.jp\nSubject: level %d\nContent-Type: "
                                       "multipart/mixed; boundary=b%d\n\n--b%d\n\nwords %d\n--b%d\n"
                                       "Content-Type: message/rfc822\n\n",
                                       i, i, i, i, i),
                         FB_OK);
    }
    assert_int_equal(fb_buf_add_str(&text, "Subject: last\n\nend\n"), FB_OK);
    read_mail(&k, &crlf, fb_buf_str(&text));
    const struct render_letter *l = &k.mail.letter;
    assert_int_equal(l->section_count, RENDER_SECTION_DEPTH);
    assert_string_equal(l->sections[0].title, "Attached message: level 1");
    assert_int_equal(l->sections[2].level, 3);
    assert_non_null(strstr(fb_buf_str(&l->sections[2].message->body), "words 3"));
    assert_string_equal(fb_buf_str(&k.mail.text), "words 0");
    assert_non_null(strstr(k.mail.facts.body, "words 5")); /* deeper than what is shown */
    assert_int_equal(k.object_count, 0);                   /* what they unpack goes nowhere */
    kit_end(&k);
    fb_buf_deinit(&crlf);
    fb_buf_deinit(&text);
}

static void test_parts_that_are_no_message_hold_no_mail(void **state)
{
    static const char mail[] =
        "From: a@example.jp\nSubject: s\nMIME-Version: 1.0\nContent-Type: multipart/mixed; "
        "boundary=x\n\n--x\n\nbody\n--x\nContent-Type: message/rfc822\n\n\n--x\nContent-Type: "
        "message/rfc822\nContent-Transfer-Encoding: base64\n\n????\n--x\nContent-Type: "
        "text/calendar\n\n"
        "\n--x\nContent-Type: image/png; name=a.png\n\nno picture\n--x\nContent-Type: "
        "application/pkcs7-signature\n\nAAAA\n--x\nContent-Type: "
        "application/pgp-signature\n\n\n--x--\n";
    struct kit k;
    struct fb_buf crlf = {0};
    (void)state;
    read_mail(&k, &crlf, mail);
    const struct render_letter *l = &k.mail.letter;
    assert_int_equal(l->section_count, 6);
    assert_int_equal(l->sections[0].kind, RENDER_SECTION_NOTE); /* what the mail is comes first */
    assert_int_equal(l->sections[5].kind, RENDER_SECTION_IMAGE);
    assert_int_equal(l->sections[5].image.bytes.len, 0);
    kit_end(&k);
    fb_buf_deinit(&crlf);
}

static void test_orientation_is_read_of_exif_and_nothing_else(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        int turn;
    } rows[] = {
#define JPEG(text) text, sizeof(text) - 1
        {JPEG("\xFF\xD8\xFF\xE1\x00\x22"
              "Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"
              "\0\0\0\0\xFF\xDB"),
         6},
        {JPEG("\xFF\xD8\xFF\xE1\x00\x22"
              "Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x08\0\0\0"
              "\0\0\0\0\xFF\xDB"),
         8},
        {JPEG("\xFF\xD8\xFF\xE1\x00\x22"
              "Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x09\0\0"
              "\0\0\0\0\xFF\xDB"),
         1},
        {JPEG("\xFF\xD8\xFF\xE1\x00\x22"
              "Exif\0\0MM\0*\xFF\xFF\xFF\xFF\0\x01"),
         1},
        {JPEG("\xFF\xD8\xFF\xDB"), 1},
        {JPEG(""), 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(section_image_turn(fb_slice_of(rows[i].bytes, rows[i].len)), rows[i].turn);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times_are_told_with_their_zone_and_by_the_senders_clock),
        cmocka_unit_test(test_what_comes_again_is_told_in_words),
        cmocka_unit_test(test_hostile_calendars_take_little_time_and_few_rows),
        cmocka_unit_test(test_contacts_of_all_three_versions_are_read),
        cmocka_unit_test(test_what_is_no_contact_or_report_says_so_and_names_the_file),
        cmocka_unit_test(
            test_a_name_cannot_turn_the_direction_of_writing_or_hold_control_characters),
        cmocka_unit_test(test_a_mail_has_no_more_sections_than_its_maximum),
        cmocka_unit_test(test_messages_are_read_to_a_depth_and_conditions_see_what_they_saw),
        cmocka_unit_test(test_parts_that_are_no_message_hold_no_mail),
        cmocka_unit_test(test_orientation_is_read_of_exif_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
