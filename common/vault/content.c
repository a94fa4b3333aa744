/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of a parcel: magic[8], salt[16], a sealed note of 160 bytes (size u64, SHA-1[20], mark u8,
 * length of the type u8, type) with its tag, zeros to 256; then the content in sealed chunks.  The
 * key is made from the parcel's key, the salt, the parcel's id and the file's: what is put in the
 * place of another file, or of another parcel's, fails its check.
 */
#include <stdlib.h>
#include <string.h>

#include "common/vault/internal.h"

#define COPY    FB_SEAL_CHUNK
#define NOTE_AT 24U
#define IS_BODY 1U

static const uint8_t magic[8] = {'F', 'B', 'V', 'F', 'I', 'L', 'E', '1'};

struct fb_vault_reader {
    struct fb_sealed_chunks chunks;
    struct fb_vault_content content;
    char type[FB_VAULT_MAX_TYPE + 1];
};

/* ---- the header ---- */

static size_t type_len(const char *type)
{
    return type != NULL ? strnlen(type, FB_VAULT_MAX_TYPE) : 0;
}

/* Makes the header of a new file and its key. */
static void make_header(const char *parcel_id, const char *file_id,
                        const uint8_t parcel_key[FB_KEY_SIZE],
                        const struct fb_vault_content *content, uint8_t header[FB_VAULT_HEADER],
                        uint8_t key_r[FB_KEY_SIZE])
{
    uint8_t note[FB_VAULT_NOTE] = {0};
    size_t len = type_len(content->type);
    fb_put64(note, content->size);
    memcpy(note + 8, content->sha1, sizeof content->sha1);
    note[28] = content->is_body ? IS_BODY : 0;
    note[29] = (uint8_t)len;
    if (len > 0) {
        memcpy(note + 30, content->type, len);
    }
    memset(header, 0, FB_VAULT_HEADER);
    memcpy(header, magic, sizeof magic);
    fb_random(header + 8, FB_VAULT_SALT);
    fb_vault_key_derive(parcel_key, header + 8, "fumibako vault file 1", parcel_id, file_id, key_r);
    fb_seal(key_r, FB_SEAL_VAULT_NOTE, 0, true, parcel_id, fb_slice_of(note, sizeof note),
            header + NOTE_AT);
}

static enum fb_status read_note(struct fb_vault_reader *r, const uint8_t note[FB_VAULT_NOTE])
{
    size_t len = note[29];
    r->content.size = fb_get64(note);
    memcpy(r->content.sha1, note + 8, sizeof r->content.sha1);
    r->content.is_body = note[28] == IS_BODY;
    if (len > FB_VAULT_MAX_TYPE || note[28] > IS_BODY) {
        return FB_CORRUPT;
    }
    memcpy(r->type, note + 30, len);
    r->type[len] = '\0';
    r->content.type = r->type;
    return FB_OK;
}

static enum fb_status open_header(struct fb_vault_reader *r, const char *parcel_id,
                                  const char *file_id, const uint8_t parcel_key[FB_KEY_SIZE],
                                  const uint8_t header[FB_VAULT_HEADER], uint8_t key_r[FB_KEY_SIZE],
                                  struct fb_error *err)
{
    static const uint8_t zeros[FB_VAULT_HEADER];
    uint8_t note[FB_VAULT_NOTE];
    size_t end = NOTE_AT + FB_VAULT_NOTE + FB_TAG_SIZE;
    if (fb_seal_is_newer(header, magic, sizeof magic)) {
        return fb_seal_newer(err, "a file of the vault");
    }
    fb_vault_key_derive(parcel_key, header + 8, "fumibako vault file 1", parcel_id, file_id, key_r);
    enum fb_status s = FB_CORRUPT;
    if (memcmp(header, magic, sizeof magic) == 0 &&
        memcmp(header + end, zeros, FB_VAULT_HEADER - end) == 0) {
        s = fb_unseal(key_r, FB_SEAL_VAULT_NOTE, 0, true, parcel_id,
                      fb_slice_of(header + NOTE_AT, FB_VAULT_NOTE + FB_TAG_SIZE), note);
    }
    s = s == FB_OK ? read_note(r, note) : s;
    return s == FB_OK ? FB_OK
                      : fb_error_set(err, FB_CORRUPT, "file %s of parcel %s fails its check",
                                     file_id, parcel_id);
}

/* ---- reading ---- */

static enum fb_status open_with(struct fb_vault *v, const char *parcel_id, const char *file_id,
                                const uint8_t parcel_key[FB_KEY_SIZE],
                                struct fb_vault_reader **reader_r, struct fb_error *err)
{
    struct fb_sealed_src src = FB_SEALED_SRC_NONE;
    uint8_t header[FB_VAULT_HEADER];
    uint8_t key[FB_KEY_SIZE];
    uint64_t size = 0;
    size_t got = 0;
    enum fb_status s = v->backend->file_open(v, parcel_id, file_id, &src, &size, err);
    if (s != FB_OK) {
        return s;
    }
    struct fb_vault_reader *r = fb_xcalloc(1, sizeof *r);
    int e = fb_sealed_src_read(&src, header, sizeof header, 0, &got);
    if (e != 0) {
        s = fb_error_errno(err, FB_IO, e, "read file %s of parcel %s", file_id, parcel_id);
    } else if (got < sizeof header) {
        s = fb_error_set(err, FB_CORRUPT, "file %s of parcel %s is cut", file_id, parcel_id);
    } else {
        s = open_header(r, parcel_id, file_id, parcel_key, header, key, err);
    }
    if (s != FB_OK) {
        fb_sealed_src_close(&src);
    } else {
        s = fb_sealed_open(&r->chunks, src, size, FB_VAULT_HEADER, FB_SEAL_VAULT_FILE, parcel_id,
                           key, err);
        if (s == FB_OK && r->chunks.content_len != r->content.size) {
            fb_sealed_chunks_deinit(&r->chunks);
            s = fb_error_set(err, FB_CORRUPT,
                             "file %s of parcel %s has another size than was noted", file_id,
                             parcel_id);
        }
    }
    fb_wipe(key, sizeof key);
    if (s != FB_OK) {
        free(r);
        return s;
    }
    *reader_r = r;
    return FB_OK;
}

enum fb_status fb_vault_file_open(struct fb_vault *v, const char *parcel_id, const char *file_id,
                                  struct fb_vault_reader **reader_r, uint64_t *size_r,
                                  struct fb_error *err)
{
    uint8_t key[FB_KEY_SIZE];
    char place[FB_FS_PLACE];
    if (!fb_vault_file_id_is_valid(file_id) ||
        fb_fs_parcel_place(parcel_id, place, NULL) != FB_OK) {
        return fb_error_set(err, FB_NOT_FOUND, "there is no such file in the vault");
    }
    enum fb_status s = fb_vault_key_get(v, parcel_id, key, err);
    if (s == FB_OK) {
        s = open_with(v, parcel_id, file_id, key, reader_r, err);
        fb_wipe(key, sizeof key);
    }
    if (s == FB_OK && size_r != NULL) {
        *size_r = (*reader_r)->content.size;
    }
    return s;
}

const struct fb_vault_content *fb_vault_file_content(const struct fb_vault_reader *reader)
{
    return &reader->content;
}

enum fb_status fb_vault_file_read(struct fb_vault_reader *reader, uint64_t offset, void *out,
                                  size_t len, size_t *read_r, struct fb_error *err)
{
    return fb_sealed_chunks_read(&reader->chunks, offset, out, len, read_r, err);
}

void fb_vault_file_close(struct fb_vault_reader **reader)
{
    if (*reader != NULL) {
        fb_sealed_chunks_deinit(&(*reader)->chunks);
        free(*reader);
        *reader = NULL;
    }
}

/* ---- writing ---- */

/* What is there already is kept when it says the same of itself; its last chunk was checked. */
static bool is_there(struct fb_vault *v, const char *parcel_id, const char *file_id,
                     const uint8_t key[FB_KEY_SIZE], const struct fb_vault_content *content)
{
    struct fb_vault_reader *r = NULL;
    if (open_with(v, parcel_id, file_id, key, &r, NULL) != FB_OK) {
        return false;
    }
    size_t len = type_len(content->type);
    bool is_same = r->content.size == content->size &&
                   memcmp(r->content.sha1, content->sha1, sizeof content->sha1) == 0 &&
                   r->content.is_body == content->is_body && strlen(r->type) == len &&
                   (len == 0 || memcmp(r->type, content->type, len) == 0);
    fb_vault_file_close(&r);
    return is_same;
}

static enum fb_status copy(struct fb_sealed_out *out, const struct fb_vault_content *content,
                           fb_vault_read_fn *read, void *ctx, struct fb_error *err)
{
    uint8_t digest[FB_SHA1_SIZE];
    struct fb_hash hash;
    uint8_t *bytes = fb_alloc_bounded(COPY, COPY);
    enum fb_status s = bytes != NULL ? FB_OK : fb_error_set(err, FB_NO_SPACE, "no memory to copy");
    uint64_t done = 0;
    size_t got = 1;
    fb_hash_init(&hash, FB_HASH_SHA1);
    while (s == FB_OK && got > 0) {
        s = read(ctx, bytes, COPY, &got, err);
        if (s == FB_OK && got > content->size - done) {
            s = fb_error_set(err, FB_CORRUPT, "a file is longer than was announced");
        }
        if (s == FB_OK && got > 0) {
            fb_hash_update(&hash, bytes, got);
            s = fb_sealed_add(out, bytes, got, err);
            done += got;
        }
    }
    fb_hash_final(&hash, digest);
    fb_hash_deinit(&hash);
    if (s == FB_OK &&
        (done != content->size || memcmp(digest, content->sha1, sizeof digest) != 0)) {
        s = fb_error_set(err, FB_CORRUPT, "a file is not what was announced (size or SHA-1)");
    }
    if (bytes != NULL) {
        fb_wipe(bytes, COPY);
        free(bytes);
    }
    return s == FB_OK ? fb_sealed_end(out, err) : s;
}

static enum fb_status write_file(struct fb_vault *v, const char *parcel_id, const char *file_id,
                                 const uint8_t parcel_key[FB_KEY_SIZE],
                                 const struct fb_vault_content *content, fb_vault_read_fn *read,
                                 void *ctx, struct fb_error *err)
{
    uint8_t header[FB_VAULT_HEADER];
    uint8_t key[FB_KEY_SIZE];
    struct fb_vault_sink sink;
    struct fb_sealed_out out = {0};
    uint64_t total = FB_VAULT_HEADER + fb_sealed_len(content->size);
    enum fb_status s = fb_vault_usage_room(v, total, err);
    if (s != FB_OK) {
        return s;
    }
    make_header(parcel_id, file_id, parcel_key, content, header, key);
    s = v->backend->sink_open(v, parcel_id, file_id, header, total, &sink, err);
    if (s == FB_OK) {
        s = fb_sealed_begin(&out, sink.dst, FB_VAULT_HEADER, content->size, FB_SEAL_VAULT_FILE,
                            parcel_id, key, err);
    }
    fb_wipe(key, sizeof key);
    s = s == FB_OK ? copy(&out, content, read, ctx, err) : s;
    s = s == FB_OK ? v->backend->sink_commit(v, parcel_id, &sink, err) : s;
    fb_sealed_deinit(&out);
    v->backend->sink_close(v, &sink);
    if (s == FB_OK) {
        fb_vault_usage_add(v, total);
    }
    return s;
}

enum fb_status fb_vault_put(struct fb_vault *v, const char *parcel_id, const char *file_id,
                            const struct fb_vault_content *content, fb_vault_read_fn *read,
                            void *ctx, struct fb_error *err)
{
    uint8_t key[FB_KEY_SIZE];
    char place[FB_FS_PLACE];
    enum fb_status s = fb_fs_parcel_place(parcel_id, place, err);
    if (s == FB_OK && !fb_vault_file_id_is_valid(file_id)) {
        s = fb_error_set(err, FB_INVALID, "not a file id");
    }
    if (s == FB_OK && content->size > FB_VAULT_MAX_CONTENT) {
        s = fb_error_set(err, FB_TOO_BIG, "a file is too large for the vault");
    }
    if (s != FB_OK) {
        return s;
    }
    s = fb_vault_key_get(v, parcel_id, key, err);
    if (s == FB_OK && !is_there(v, parcel_id, file_id, key, content)) {
        s = write_file(v, parcel_id, file_id, key, content, read, ctx, err);
    }
    fb_wipe(key, sizeof key);
    return s;
}
