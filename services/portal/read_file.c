/* SPDX-License-Identifier: Apache-2.0
 *
 * What a ticket leads to, and the body for the page's script.  Both change nothing and count nothing. */
#include <string.h>

#include "services/portal/read.h"

/* A sandbox without anything: what is opened in place of being saved runs nothing, and is of no origin. */
void read_content_headers(struct reader *r, const char *type)
{
    struct fb_http_answer *a = r->visit->answer;
    fb_http_answer_replace(a, "Content-Security-Policy",
                           "sandbox; default-src 'none'; frame-ancestors 'none'");
    fb_http_answer_replace(a, "Content-Type", "%s", type);
    fb_http_answer_replace(a, "Cache-Control", "private, no-store");
    fb_http_answer_replace(a, "Vary", "Cookie");
}

static void say_name(struct reader *r, const char *name)
{
    struct fb_buf value;
    char safe[READ_NAME_SIZE];
    fb_buf_init(&value, 1000);
    read_name_safe(name, safe);
    bool fits = read_name_disposition(safe, &value) == FB_OK;
    fb_http_answer_header(r->visit->answer, "Content-Disposition", "%s",
                          fits ? fb_buf_str(&value) : "attachment");
    fb_buf_deinit(&value);
}

/* rest: "<ticket>/<name>"; the name is for whoever saves the file, and not looked at. */
void read_file(struct reader *r)
{
    char id[FB_VAULT_FILE_ID], type[READ_TYPE_SIZE];
    struct fb_slice ticket = fb_slice_str(r->rest);
    ticket = fb_slice_sub(ticket, 0, fb_slice_find(ticket, FB_SLICE_LITERAL("/")));
    if (!read_ticket_check(r, ticket, fb_now_ms(), id)) {
        reader_see(r, ""); /* too old, or of a session before this one: the page gives another */
        return;
    }
    if (!r->parcel.can_download) {
        page_error(r->visit, PAGE_READ_ONLY);
        return;
    }
    if (strcmp(id, READ_ALL) == 0) {
        say_name(r, "files.zip");
        read_content_headers(r, "application/zip");
        read_send_zip(r);
        return;
    }
    const struct fb_vault_file *file = read_find(r, id, strlen(id));
    if (file == NULL) {
        reader_not_found(r);
        return;
    }
    read_name_type(file->type, type);
    say_name(r, file->name);
    read_content_headers(r, type);
    read_send_file(r, file);
}

/* For the script of the page alone: whoever is led here by an address is led to the page, where a download counts. */
void read_body(struct reader *r)
{
    const struct fb_vault_file *body = read_find_body(r);
    const char *use = fb_http_header(r->visit->request, "Sec-Fetch-Dest");
    if (!r->parcel.can_download || read_is_marked(r)) {
        page_error(r->visit, PAGE_READ_ONLY);
    } else if (body == NULL) {
        reader_not_found(r);
    } else if (use != NULL && strcmp(use, "empty") != 0) {
        reader_see(r, "");
    } else {
        say_name(r, body->name);
        read_content_headers(r, "application/pdf");
        read_send_file(r, body);
    }
}
