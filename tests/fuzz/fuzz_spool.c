/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as what lies on the disk or in the bucket: a segment of the spool, a sent journal, a
 * sealed file with some octets changed, and a reference out of a job.  Octet 0 chooses which.  The
 * checksums of headers and journal entries are made right, as somebody could who writes to the disk.
 *
 * Checked: a walk ends, and gives records that begin where one may, lie one behind the other, have
 * an id and bounded lengths; the same record is read from its header again; a sealed file is the one
 * that was written, or refused; an entry of a journal keeps its limits; a reference that is taken
 * names a file without a way out of its folder, and is made again from its parts.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/log.h"
#include "common/spool/journal_internal.h"
#include "proto/limits.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SPOOL_ID "01HYYYYYYYYYYYYYYYYYYYYYYY"

static int disk = -1;

static void put_on_disk(struct fb_slice bytes)
{
    FB_ASSERT(ftruncate(disk, 0) == 0 && fb_fs_write_at(disk, bytes.ptr, bytes.len, 0) == 0);
}

/* ---- a segment ---- */

struct seen {
    uint64_t end, size, count;
};

static bool see_record(void *ctx, uint64_t offset, const struct fb_spool_header *header)
{
    struct seen *s = ctx;
    uint8_t bytes[FB_SPOOL_HEADER];
    struct fb_spool_header again;
    size_t got = 0;
    FB_ASSERT(offset >= s->end && offset % FB_SPOOL_ALIGN == 0);
    FB_ASSERT(offset + FB_SPOOL_HEADER <= s->size && fb_id_is_valid(header->msg_id));
    FB_ASSERT(header->content_len <= FB_SPOOL_MAX_CONTENT &&
              header->envelope_len <= FB_MAX_ENVELOPE && header->record_len >= FB_SPOOL_HEADER);
    FB_ASSERT(fb_fs_read_at(disk, bytes, sizeof bytes, offset, &got) == 0 && got == sizeof bytes);
    FB_ASSERT(fb_spool_header_decode(bytes, &again) == FB_OK);
    FB_ASSERT(again.record_len == header->record_len && strcmp(again.msg_id, header->msg_id) == 0 &&
              again.is_erased == header->is_erased);
    s->end = offset + header->record_len;
    return ++s->count < 1000;
}

static void try_segment(struct fb_slice bytes, bool is_promised)
{
    uint8_t *copy = malloc(bytes.len + 1);
    struct fb_error err = {0};
    struct seen seen = {.size = bytes.len};
    uint64_t damaged = 0;
    bool is_stopped = false;
    FB_ASSERT(copy != NULL);
    memcpy(copy, bytes.ptr, bytes.len);
    for (size_t at = 0; at + FB_SPOOL_HEADER <= bytes.len; at += FB_SPOOL_ALIGN) {
        struct fb_spool_header header;
        uint64_t length = fb_get64(copy + at + 24);
        uint64_t batch = fb_get64(copy + at + 32);
        if (copy[at] != 0) {
            fb_spool_header_finish(copy + at, length, batch);
        }
        if (fb_spool_header_decode(copy + at, &header) == FB_OK &&
            header.record_len > FB_SPOOL_ALIGN) {
            at += (size_t)(header.record_len < bytes.len ? header.record_len : bytes.len) -
                  FB_SPOOL_ALIGN;
        }
    }
    put_on_disk(fb_slice_of(copy, bytes.len));
    const struct fb_sealed_src src = {.fd = disk};
    FB_ASSERT(fb_spool_walk(src, bytes.len, is_promised, see_record, &seen, &damaged, &is_stopped,
                            &err) == FB_OK);
    FB_ASSERT(damaged + seen.count <= bytes.len / FB_SPOOL_ALIGN + 1);
    free(copy);
}

/* ---- a sealed file ---- */

static void try_sealed(struct fb_slice bytes)
{
    static const uint8_t key[FB_KEY_SIZE] = {1, 2, 3};
    struct fb_sealed_out out = {0};
    struct fb_sealed_chunks in;
    struct fb_buf back;
    struct fb_error err = {0};
    /* Octets 0 to 2: where, and how, something is changed; the content is long where octet 3 is. */
    uint32_t at = bytes.len > 2 ? bytes.ptr[0] + 256U * bytes.ptr[1] : 0;
    uint8_t change = bytes.len > 2 ? bytes.ptr[2] : 0;
    size_t repeat = bytes.len > 3 && bytes.ptr[3] == 255 ? 70000 / bytes.len + 1 : 1;
    FB_ASSERT(ftruncate(disk, 0) == 0);
    FB_ASSERT(fb_sealed_begin(&out, (struct fb_sealed_dst){.fd = disk}, 0, 1U << 20,
                              FB_SEAL_MANIFEST, SPOOL_ID, key, &err) == FB_OK);
    for (size_t i = 0; i < repeat; i++) {
        FB_ASSERT(fb_sealed_add(&out, bytes.ptr, bytes.len, &err) == FB_OK);
    }
    FB_ASSERT(fb_sealed_end(&out, &err) == FB_OK);
    fb_sealed_deinit(&out);
    uint64_t size = fb_sealed_len((uint64_t)bytes.len * repeat);
    uint8_t octet = 0;
    size_t got = 0;
    FB_ASSERT(fb_fs_read_at(disk, &octet, 1, at % size, &got) == 0 && got == 1);
    octet ^= change;
    FB_ASSERT(fb_fs_write_at(disk, &octet, 1, at % size) == 0);
    const struct fb_sealed_src src = {.fd = dup(disk)};
    enum fb_status s = fb_sealed_open(&in, src, size, 0, FB_SEAL_MANIFEST, SPOOL_ID, key, &err);
    if (s == FB_OK) {
        s = fb_sealed_read_all(&in, 1U << 20, &back, &err);
        FB_ASSERT(s != FB_OK || back.len == bytes.len * repeat);
        for (size_t i = 0; s == FB_OK && i < repeat; i++) {
            FB_ASSERT(bytes.len == 0 ||
                      memcmp(back.ptr + i * bytes.len, bytes.ptr, bytes.len) == 0);
        }
        fb_buf_deinit(&back);
        fb_sealed_chunks_deinit(&in);
    }
    FB_ASSERT((s == FB_OK) == (change == 0) && (s == FB_OK || s == FB_CORRUPT));
}

/* ---- a journal's entries, and a reference ---- */

static void try_journal(struct fb_slice bytes)
{
    struct fb_journal_index *index = fb_journal_index_new();
    while (bytes.len >= FB_JOURNAL_ENTRY) {
        uint8_t in[FB_JOURNAL_ENTRY];
        uint8_t digest[FB_SHA256_SIZE];
        struct fb_journal_entry entry;
        memcpy(in, bytes.ptr, sizeof in);
        fb_sha256(in, 56, digest);
        memcpy(in + 56, digest, 8);
        if (fb_journal_decode(in, &entry)) {
            FB_ASSERT(fb_id_is_valid(entry.msg_id) && entry.recipient < FB_MAX_RECIPIENTS);
            FB_ASSERT(fb_journal_add(index, &entry));
        }
        bytes = fb_slice_sub(bytes, sizeof in, SIZE_MAX);
    }
    fb_journal_index_free(&index);
}

static void try_ref(struct fb_slice bytes)
{
    static const struct fb_spool spool = {.id = SPOOL_ID};
    char *ref = fb_slice_dup_str(bytes);
    char name[FB_SPOOL_NAME_SIZE] = "";
    bool is_large = false;
    uint64_t offset = 0;
    struct fb_error err = {0};
    if (ref == NULL) {
        return;
    }
    enum fb_status s = fb_spool_ref_parse(&spool, ref, &is_large, name, &offset, &err);
    if (s == FB_OK) {
        char again[FB_REF_SIZE], id[FB_ID_SIZE] = "";
        FB_ASSERT(name[0] != '\0' && name[0] != '.' && strchr(name, '/') == NULL);
        memcpy(id, name, is_large ? FB_ID_SIZE - 1 : 0);
        fb_spool_ref_make(&spool, is_large ? NULL : name, offset, id, again);
        FB_ASSERT(strcmp(again, ref) == 0);
    } else {
        FB_ASSERT(err.text[0] != '\0');
    }
    free(ref);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    fb_log_init("fuzz", FB_FATAL, true);
    disk = memfd_create("fuzz", MFD_CLOEXEC);
    FB_ASSERT(disk >= 0);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    struct fb_slice bytes = fb_slice_of(data + 1, size - 1);
    switch (data[0] % 8) {
    case 0:
        try_sealed(bytes);
        break;
    case 1:
        try_journal(bytes);
        break;
    case 2:
        try_ref(bytes);
        break;
    default:
        try_segment(bytes, (data[0] & 1) != 0);
        break;
    }
    return 0;
}
