/* SPDX-License-Identifier: Apache-2.0
 *
 * Our SMTP client as a program, for tests against real servers: sends the content of standard input
 * (LF or CRLF lines as they are) as told, once for each -n, and prints the relay's answers as JSON
 * lines.
 *
 *   smtp_send [-8] [-u] [-t CAP_MS] [-n TIMES] [-R RET] [-E ENVID] [-p PAUSE_MS] RELAY FROM
 * RCPT[,NOTIFY[,ORCPT]]... < MAIL
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "services/rewrite/smtp_client.h"

struct source {
    struct fb_slice all;
    size_t at;
};

static enum fb_status read_source(void *ctx, void *out, size_t len, size_t *read_r,
                                  struct fb_error *err)
{
    (void)err;
    struct source *s = ctx;
    struct fb_slice part = fb_slice_sub(s->all, s->at, len);
    if (part.len > 0) {
        memcpy(out, part.ptr, part.len);
    }
    s->at += part.len;
    *read_r = part.len;
    return FB_OK;
}

static void print_result(const struct smtp_mail *m, enum fb_status s, bool is_unknown,
                         const struct fb_error *err)
{
    json_t *list = json_array();
    for (size_t i = 0; i < m->recipient_count; i++) {
        const struct smtp_recipient *r = &m->recipients[i];
        (void)json_array_append_new(list,
                                    json_pack("{s:s, s:i, s:s, s:s}", "address", r->address, "code",
                                              r->code, "enhanced", r->enhanced, "reply", r->reply));
    }
    json_t *result = json_pack("{s:s, s:b, s:b, s:s, s:o}", "status", fb_status_name(s), "unknown",
                               is_unknown, "dsn", m->relay_has_dsn, "error",
                               s == FB_OK ? "" : err->text, "recipients", list);
    (void)json_dumpf(result, stdout, JSON_COMPACT);
    (void)printf("\n");
    (void)fflush(stdout);
    json_decref(result);
}

/* RCPT,NOTIFY,ORCPT: cut in place. */
static struct smtp_recipient recipient_of(char *arg)
{
    struct smtp_recipient r = {.address = arg};
    char *comma = strchr(arg, ',');
    if (comma != NULL) {
        *comma = '\0';
        r.notify = comma + 1;
        comma = strchr(comma + 1, ',');
        if (comma != NULL) {
            *comma = '\0';
            r.orcpt = comma + 1;
        }
    }
    r.notify = r.notify != NULL && r.notify[0] == '\0' ? NULL : r.notify;
    return r;
}

int main(int argc, char **argv)
{
    struct smtp_mail m = {0};
    struct fb_buf content;
    struct fb_error err = {0};
    struct smtp_client *client = NULL;
    int cap_ms = 0;
    int times = 1;
    long pause_ms = 0;
    for (int c = 0; (c = getopt(argc, argv, "8ut:n:R:E:p:")) != -1;) {
        switch (c) {
        case '8':
            m.is_8bit = true;
            break;
        case 'u':
            m.is_smtputf8 = true;
            break;
        case 't':
            cap_ms = (int)strtol(optarg, NULL, 10);
            break;
        case 'n':
            times = (int)strtol(optarg, NULL, 10);
            break;
        case 'p':
            pause_ms = strtol(optarg, NULL, 10);
            break;
        case 'R':
            m.dsn_ret = optarg;
            break;
        case 'E':
            m.dsn_envid = optarg;
            break;
        default:
            return 2;
        }
    }
    if (argc - optind < 3) {
        return 2;
    }
    m.reverse_path = argv[optind + 1];
    m.recipient_count = (size_t)(argc - optind - 2);
    m.recipients = fb_xcalloc(m.recipient_count, sizeof *m.recipients);
    for (size_t i = 0; i < m.recipient_count; i++) {
        m.recipients[i] = recipient_of(argv[optind + 2 + (int)i]);
    }
    fb_buf_init(&content, 256U << 20);
    for (size_t n = 1; n > 0;) {
        char chunk[65536];
        n = fread(chunk, 1, sizeof chunk, stdin);
        if (fb_buf_add(&content, chunk, n) != FB_OK) {
            (void)fprintf(stderr, "smtp_send: the mail is too large\n");
            return 1;
        }
    }
    for (size_t i = 0; i < content.len; i++) {
        m.content.has_8bit = m.content.has_8bit || content.ptr[i] > 0x7f;
    }
    if (smtp_client_new(argv[optind], "client.test", &client, &err) != FB_OK) {
        (void)fprintf(stderr, "smtp_send: %s\n", err.text);
        return 1;
    }
    if (cap_ms > 0) {
        smtp_client_cap_waits(client, cap_ms);
    }
    for (int i = 0; i < times; i++) {
        struct source source = {.all = fb_slice_buf(&content)};
        bool is_unknown = false;
        m.content.ctx = &source;
        m.content.read = read_source;
        m.content.size = content.len;
        if (i > 0 && pause_ms > 0) {
            const struct timespec pause = {.tv_sec = pause_ms / 1000,
                                           .tv_nsec = pause_ms % 1000 * 1000000};
            (void)nanosleep(&pause, NULL);
        }
        enum fb_status s = smtp_client_send(client, &m, &is_unknown, &err);
        print_result(&m, s, is_unknown, &err);
    }
    smtp_client_free(&client);
    fb_buf_deinit(&content);
    free(m.recipients);
    return 0;
}
