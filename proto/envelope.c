/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/envelope.h"

#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"
#include "proto/pack.h"

#define ENVELOPE_VERSION 1
#define MAX_TEXT         1024

void fb_envelope_deinit(struct fb_envelope *e)
{
    free(e->reverse_path);
    for (size_t i = 0; i < e->recipient_count; i++) {
        free(e->recipients[i].address);
        free(e->recipients[i].notify);
        free(e->recipients[i].orcpt);
    }
    free(e->recipients);
    free(e->dsn_ret);
    free(e->dsn_envid);
    free(e->client_address);
    free(e->client_name);
    free(e->helo);
    free(e->protocol);
    free(e->queue_id);
    *e = (struct fb_envelope){0};
}

enum fb_status fb_envelope_encode(const struct fb_envelope *e, struct fb_buf *out)
{
    struct fb_pack p;
    fb_pack_init(&p, out);
    fb_pack_map(&p, 14);
    fb_pack_uint(&p, "v", ENVELOPE_VERSION);
    fb_pack_str(&p, "from", e->reverse_path);
    fb_pack_key(&p, "rcpts");
    fb_pack_array(&p, e->recipient_count);
    for (size_t i = 0; i < e->recipient_count; i++) {
        fb_pack_map(&p, 3);
        fb_pack_str(&p, "to", e->recipients[i].address);
        fb_pack_str(&p, "notify", e->recipients[i].notify);
        fb_pack_str(&p, "orcpt", e->recipients[i].orcpt);
    }
    fb_pack_bool(&p, "8bit", e->is_8bit);
    fb_pack_bool(&p, "utf8", e->is_smtputf8);
    fb_pack_str(&p, "ret", e->dsn_ret);
    fb_pack_str(&p, "envid", e->dsn_envid);
    fb_pack_str(&p, "client", e->client_address);
    fb_pack_str(&p, "name", e->client_name);
    fb_pack_str(&p, "helo", e->helo);
    fb_pack_str(&p, "proto", e->protocol);
    fb_pack_str(&p, "queue", e->queue_id);
    fb_pack_uint(&p, "at", e->received_ms > 0 ? (uint64_t)e->received_ms : 0);
    fb_pack_str(&p, "trace", e->trace);
    return p.status;
}

static void read_recipients(struct fb_read *r, struct fb_envelope *e)
{
    const msgpack_object_array *list = fb_read_array(r, "rcpts", FB_MAX_RECIPIENTS);
    if (list == NULL) {
        return;
    }
    e->recipients = fb_read_alloc(r, "rcpts", list->size, sizeof *e->recipients);
    for (uint32_t i = 0; i < list->size && r->status == FB_OK; i++) {
        struct fb_read item;
        struct fb_recipient *to = &e->recipients[e->recipient_count++];
        fb_read_item(r, list, i, "envelope.rcpts", &item);
        to->address = fb_read_str(&item, "to", FB_MAX_ADDRESS);
        to->notify = fb_read_opt_str(&item, "notify", 64);
        to->orcpt = fb_read_opt_str(&item, "orcpt", MAX_TEXT);
        if (to->address != NULL && to->address[0] == '\0') {
            (void)fb_read_fail(&item, "to", "empty");
        }
        fb_read_item_end(r, &item);
    }
    if (r->status == FB_OK && e->recipient_count == 0) {
        (void)fb_read_fail(r, "rcpts", "empty");
    }
}

enum fb_status fb_envelope_decode(struct fb_slice bytes, struct fb_envelope *envelope_r,
                                  struct fb_error *err)
{
    struct fb_read r;
    struct fb_envelope e = {0};
    fb_read_init(&r, "envelope", bytes, FB_MAX_ENVELOPE, err);
    (void)fb_read_version(&r, 1, ENVELOPE_VERSION);
    e.reverse_path = fb_read_str(&r, "from", FB_MAX_ADDRESS);
    read_recipients(&r, &e);
    e.is_8bit = fb_read_bool(&r, "8bit");
    e.is_smtputf8 = fb_read_bool(&r, "utf8");
    e.dsn_ret = fb_read_opt_str(&r, "ret", 8);
    e.dsn_envid = fb_read_opt_str(&r, "envid", MAX_TEXT);
    e.client_address = fb_read_opt_str(&r, "client", MAX_TEXT);
    e.client_name = fb_read_opt_str(&r, "name", MAX_TEXT);
    e.helo = fb_read_opt_str(&r, "helo", MAX_TEXT);
    e.protocol = fb_read_opt_str(&r, "proto", MAX_TEXT);
    e.queue_id = fb_read_opt_str(&r, "queue", MAX_TEXT);
    e.received_ms = (int64_t)fb_read_uint(&r, "at", INT64_MAX);
    fb_read_str_into(&r, "trace", e.trace, sizeof e.trace);
    if (r.status == FB_OK && e.trace[0] != '\0' && !fb_trace_is_valid(e.trace)) {
        (void)fb_read_fail(&r, "trace", "no traceparent");
    }
    enum fb_status s = r.status;
    fb_read_deinit(&r);
    if (s == FB_OK) {
        *envelope_r = e;
    } else {
        fb_envelope_deinit(&e);
    }
    return s;
}

bool fb_address_is_writable(const char *address)
{
    for (const unsigned char *p = (const unsigned char *)address; *p != '\0'; p++) {
        if (*p < 0x20 || *p == 0x7f || *p == '<' || *p == '>') {
            return false;
        }
    }
    return true;
}
