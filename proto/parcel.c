/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"
#include "proto/pack.h"
#include "proto/plan.h"

#define MAX_WORDS 1024
#define MAX_LINK  4096

void fb_parcel_deinit(struct fb_parcel *p)
{
    free(p->storage);
    free(p->user);
    free(p->folder_id);
    free(p->link);
    if (p->password != NULL) {
        explicit_bzero(p->password, strlen(p->password));
    }
    free(p->password);
    free(p->access);
    for (uint32_t i = 0; i < p->grant_count; i++) {
        free(p->grants[i].address);
        free(p->grants[i].grant_id);
        free(p->grants[i].state);
        free(p->grants[i].storage);
        explicit_bzero(p->grants[i].secret, sizeof p->grants[i].secret);
    }
    free(p->grants);
    for (uint32_t i = 0; i < p->file_count; i++) {
        free(p->files[i].name);
        free(p->files[i].file_id);
    }
    free(p->files);
    free(p->from);
    free(p->subject);
    free(p->language);
    free(p->rule);
    free(p->fallback);
    *p = (struct fb_parcel){0};
}

bool fb_parcel_has_secret(const struct fb_parcel *p)
{
    for (uint32_t i = 0; i < p->grant_count; i++) {
        if (p->grants[i].has_secret) {
            return true;
        }
    }
    return false;
}

static void pack_grant(struct fb_pack *p, const struct fb_parcel_grant *g, bool with_secret)
{
    bool has_secret = g->has_secret && with_secret;
    fb_pack_map(p, 4 + (has_secret ? 1 : 0) + fb_pack_has(g->storage));
    fb_pack_uint(p, "rcpt", g->recipient);
    fb_pack_str(p, "to", g->address);
    fb_pack_str(p, "id", g->grant_id);
    fb_pack_str(p, "state", g->state);
    if (has_secret) {
        fb_pack_bin(p, "secret", g->secret, sizeof g->secret);
    }
    fb_pack_opt_str(p, "storage", g->storage);
}

static enum fb_status encode(const struct fb_parcel *parcel, bool with_secrets, struct fb_buf *out)
{
    struct fb_pack p;
    /* A storage that needs the password again, to open its link a second time, gives no secrets. */
    bool is_secret = fb_pack_has(parcel->password) != 0 && fb_parcel_has_secret(parcel);
    const char *told = parcel->password_to_sender                 ? "sender"
                       : parcel->password_to_readers || is_secret ? "readers"
                                                                  : NULL;
    bool has_password = with_secrets || parcel->password_to_sender || !is_secret;
    fb_pack_init(&p, out);
    fb_pack_map(&p, 12 + fb_pack_has(parcel->from) + fb_pack_has(parcel->subject) +
                        fb_pack_has(parcel->language) + fb_pack_has(parcel->rule) +
                        (parcel->accepted_ms > 0 ? 1 : 0) + (parcel->remind_ms > 0 ? 1 : 0) +
                        (parcel->purge_ms > 0 ? 1 : 0) + (parcel->sends_receipt ? 1 : 0) +
                        fb_pack_has(parcel->fallback) + fb_pack_has(told));
    fb_pack_uint(&p, "v", parcel->version != 0 ? parcel->version : FB_PARCEL_VERSION);
    fb_pack_str(&p, "parcel", parcel->parcel_id);
    fb_pack_str(&p, "storage", parcel->storage);
    fb_pack_str(&p, "user", parcel->user);
    fb_pack_str(&p, "folder", parcel->folder_id);
    fb_pack_str(&p, "link", parcel->link);
    fb_pack_str(&p, "password", has_password ? parcel->password : NULL);
    fb_pack_str(&p, "access", parcel->access);
    fb_pack_bool(&p, "download", parcel->can_download);
    fb_pack_uint(&p, "expires", parcel->expires_ms > 0 ? (uint64_t)parcel->expires_ms : 0);
    fb_pack_key(&p, "grants");
    fb_pack_array(&p, parcel->grant_count);
    for (uint32_t i = 0; i < parcel->grant_count; i++) {
        pack_grant(&p, &parcel->grants[i], with_secrets);
    }
    fb_pack_key(&p, "files");
    fb_pack_array(&p, parcel->file_count);
    for (uint32_t i = 0; i < parcel->file_count; i++) {
        const struct fb_parcel_file *f = &parcel->files[i];
        fb_pack_map(&p, 4);
        fb_pack_str(&p, "name", f->name);
        fb_pack_str(&p, "id", f->file_id);
        fb_pack_uint(&p, "size", f->size);
        fb_pack_bin(&p, "sha1", f->sha1, sizeof f->sha1);
    }
    fb_pack_opt_str(&p, "from", parcel->from);
    fb_pack_opt_str(&p, "subject", parcel->subject);
    fb_pack_opt_str(&p, "language", parcel->language);
    fb_pack_opt_str(&p, "rule", parcel->rule);
    fb_pack_opt_uint(&p, "at", parcel->accepted_ms > 0 ? (uint64_t)parcel->accepted_ms : 0);
    fb_pack_opt_uint(&p, "remind", parcel->remind_ms > 0 ? (uint64_t)parcel->remind_ms : 0);
    fb_pack_opt_uint(&p, "purge", parcel->purge_ms > 0 ? (uint64_t)parcel->purge_ms : 0);
    if (parcel->sends_receipt) {
        fb_pack_bool(&p, "receipt", true);
    }
    fb_pack_opt_str(&p, "fallback", parcel->fallback);
    fb_pack_opt_str(&p, "pass", told);
    return p.status;
}

enum fb_status fb_parcel_encode(const struct fb_parcel *p, struct fb_buf *out)
{
    return encode(p, false, out);
}

enum fb_status fb_parcel_encode_secret(const struct fb_parcel *p, struct fb_buf *out)
{
    return encode(p, true, out);
}

static void read_grants(struct fb_read *r, struct fb_parcel *p)
{
    const msgpack_object_array *list = fb_read_array(r, "grants", FB_MAX_RECIPIENTS);
    if (list == NULL) {
        return;
    }
    p->grants = fb_read_alloc(r, "grants", list->size, sizeof *p->grants);
    for (uint32_t i = 0; i < list->size && r->status == FB_OK; i++) {
        struct fb_read item;
        struct fb_parcel_grant *g = &p->grants[p->grant_count++];
        fb_read_item(r, list, i, "parcel.grants", &item);
        g->recipient = (uint32_t)fb_read_uint(&item, "rcpt", FB_MAX_RECIPIENTS - 1);
        g->address = fb_read_str(&item, "to", FB_MAX_ADDRESS);
        g->grant_id = fb_read_str(&item, "id", MAX_WORDS);
        g->state = fb_read_str(&item, "state", 16);
        g->has_secret = fb_read_opt_bin(&item, "secret", g->secret, sizeof g->secret);
        g->storage = fb_read_opt_str(&item, "storage", MAX_WORDS);
        fb_read_item_end(r, &item);
    }
}

static void read_files(struct fb_read *r, struct fb_parcel *p)
{
    const msgpack_object_array *list = fb_read_array(r, "files", FB_MAX_PARTS + 1);
    if (list == NULL) {
        return;
    }
    p->files = fb_read_alloc(r, "files", list->size, sizeof *p->files);
    for (uint32_t i = 0; i < list->size && r->status == FB_OK; i++) {
        struct fb_read item;
        struct fb_parcel_file *f = &p->files[p->file_count++];
        fb_read_item(r, list, i, "parcel.files", &item);
        f->name = fb_read_str(&item, "name", FB_MAX_FILE_NAME * 4);
        f->file_id = fb_read_str(&item, "id", MAX_WORDS);
        f->size = fb_read_uint(&item, "size", UINT64_MAX);
        fb_read_bin(&item, "sha1", f->sha1, sizeof f->sha1);
        fb_read_item_end(r, &item);
    }
}

static void read_pass(struct fb_read *r, struct fb_parcel *p)
{
    char *who = fb_read_opt_str(r, "pass", 16);
    p->password_to_sender = who != NULL && strcmp(who, "sender") == 0;
    p->password_to_readers = who != NULL && strcmp(who, "readers") == 0;
    if (who != NULL && !p->password_to_sender && !p->password_to_readers) {
        (void)fb_read_fail(r, "pass", "unknown");
    }
    free(who);
}

enum fb_status fb_parcel_decode(struct fb_slice bytes, struct fb_parcel *parcel_r,
                                struct fb_error *err)
{
    struct fb_read r;
    struct fb_parcel p = {0};
    fb_read_init(&r, "parcel", bytes, FB_MAX_MANIFEST, err);
    p.version = fb_read_version(&r, 1, FB_PARCEL_VERSION);
    fb_read_str_into(&r, "parcel", p.parcel_id, sizeof p.parcel_id);
    p.storage = fb_read_str(&r, "storage", MAX_WORDS);
    p.user = fb_read_str(&r, "user", MAX_WORDS);
    p.folder_id = fb_read_str(&r, "folder", MAX_WORDS);
    p.link = fb_read_str(&r, "link", MAX_LINK);
    p.password = fb_read_str(&r, "password", MAX_WORDS);
    p.access = fb_read_str(&r, "access", 16);
    p.can_download = fb_read_bool(&r, "download");
    p.expires_ms = (int64_t)fb_read_uint(&r, "expires", INT64_MAX);
    read_grants(&r, &p);
    read_files(&r, &p);
    p.from = fb_read_opt_str(&r, "from", FB_MAX_ADDRESS);
    p.subject = fb_read_opt_str(&r, "subject", FB_PARCEL_SUBJECT);
    p.language = fb_read_opt_str(&r, "language", 8);
    p.rule = fb_read_opt_str(&r, "rule", MAX_WORDS);
    p.accepted_ms = (int64_t)fb_read_opt_uint(&r, "at", INT64_MAX);
    p.remind_ms = (int64_t)fb_read_opt_uint(&r, "remind", INT64_MAX);
    p.purge_ms = (int64_t)fb_read_opt_uint(&r, "purge", INT64_MAX);
    p.sends_receipt = fb_read_opt_bool(&r, "receipt");
    p.fallback = fb_read_opt_str(&r, "fallback", MAX_WORDS);
    read_pass(&r, &p);
    if (r.status == FB_OK && p.language != NULL && strcmp(p.language, "ja") != 0 &&
        strcmp(p.language, "en") != 0 && strcmp(p.language, "both") != 0) {
        (void)fb_read_fail(&r, "language", "none of ja, en, both");
    }
    char msg_id[FB_ID_SIZE];
    uint32_t branch = 0;
    if (r.status == FB_OK && !fb_parcel_id_split(p.parcel_id, msg_id, &branch)) {
        (void)fb_read_fail(&r, "parcel", "no parcel id");
    }
    enum fb_status s = r.status;
    fb_read_deinit(&r);
    if (s == FB_OK) {
        *parcel_r = p;
    } else {
        fb_parcel_deinit(&p);
    }
    return s;
}
