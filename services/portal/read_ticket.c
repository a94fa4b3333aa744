/* SPDX-License-Identifier: Apache-2.0
 *
 * A ticket is a token of form.c, for the step "file": signed with the portal's key, bound to link, session and file,
 * and ended by its time.  Nothing is stored: any portal checks it, and a session that ended takes its tickets with
 * it. */
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/metrics.h"
#include "services/portal/read.h"

const struct fb_vault_file *read_find(const struct reader *r, const char *id, size_t len)
{
    for (uint32_t i = 0; i < r->parcel.file_count && len == FB_VAULT_FILE_ID - 1; i++) {
        if (memcmp(r->parcel.files[i].id, id, len) == 0) {
            return &r->parcel.files[i];
        }
    }
    return NULL;
}

const struct fb_vault_file *read_find_body(const struct reader *r)
{
    for (uint32_t i = 0; i < r->parcel.file_count; i++) {
        if (r->parcel.files[i].is_body) {
            return &r->parcel.files[i];
        }
    }
    return NULL;
}

static struct form_binding binding_of(const struct reader *r, const char *id)
{
    return (struct form_binding){.key = r->visit->portal->form_key,
                                 .step = "file",
                                 .link = r->text,
                                 .cookie = r->session.id_hash,
                                 .id = id};
}

void read_ticket_make(const struct reader *r, const char *id, int64_t ends_ms,
                      char ticket_r[READ_TICKET_SIZE])
{
    char token[FORM_TOKEN_SIZE];
    const struct form_binding b = binding_of(r, id);
    form_token_make(&b, ends_ms, token);
    (void)snprintf(ticket_r, READ_TICKET_SIZE, "%s.%s", id, token);
}

bool read_ticket_check(const struct reader *r, struct fb_slice ticket, int64_t now_ms,
                       char id_r[FB_VAULT_FILE_ID])
{
    char token[FORM_TOKEN_SIZE];
    size_t dot = fb_slice_find(ticket, FB_SLICE_LITERAL("."));
    if (dot == SIZE_MAX || dot >= FB_VAULT_FILE_ID || ticket.len - dot - 1 != sizeof token - 1) {
        return false;
    }
    (void)snprintf(id_r, FB_VAULT_FILE_ID, "%.*s", (int)dot, (const char *)ticket.ptr);
    (void)snprintf(token, sizeof token, "%.*s", (int)(sizeof token - 1),
                   (const char *)ticket.ptr + dot + 1);
    const struct form_binding b = binding_of(r, id_r);
    return form_token_is_good(&b, token, now_ms);
}

/* Counts, and only then gives the ticket. */
static bool record(struct reader *r)
{
    struct fb_error err = {0};
    enum fb_reading reading = FB_READING_ENDED;
    enum fb_status s =
        fb_ledger_reading_record(r->redis, r->parcel_id, r->recipient, FB_EVENT_DOWNLOAD,
                                 r->session.address, r->parcel.max_downloads, &reading, &err);
    if (s != FB_OK) {
        reader_unavailable(r, &err);
        return false;
    }
    if (reading != FB_READING_ALLOWED) {
        reader_refuse(r, reading);
        return false;
    }
    fb_metric_add("fumibako_portal_downloads_total", "", 1);
    return true;
}

static void see_file(struct reader *r, const char *id, const char *name)
{
    char ticket[READ_TICKET_SIZE], safe[READ_NAME_SIZE];
    struct fb_buf url;
    fb_buf_init(&url, 1024);
    read_ticket_make(r, id, fb_now_ms() + READ_TICKET_MS, ticket);
    read_name_safe(name, safe);
    if (read_name_url(safe, &url) != FB_OK) {
        fb_buf_clear(&url);
    }
    fb_http_answer_header(r->visit->answer, "Location", "/r/%s/file/%s/%s", r->text, ticket,
                          url.len > 0 ? fb_buf_str(&url) : "file");
    r->visit->answer->status = 303;
    fb_buf_deinit(&url);
}

void read_ticket(struct reader *r)
{
    char id[FB_VAULT_FILE_ID];
    if (!reader_field(r, "file", id, sizeof id)) {
        page_error(r->visit, PAGE_BAD_FORM);
        return;
    }
    if (!r->parcel.can_download) {
        page_error(r->visit, PAGE_READ_ONLY);
        return;
    }
    bool is_all = strcmp(id, READ_ALL) == 0 && r->parcel.file_count > 1;
    const struct fb_vault_file *file = read_find(r, id, strlen(id));
    if (!is_all && file == NULL) {
        page_error(r->visit, PAGE_BAD_FORM);
    } else if (record(r)) {
        see_file(r, id, is_all ? "files.zip" : file->name);
    }
}
