/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/crypto.h"
#include "common/keyring.h"
#include "tests/support/s3_fixture.h"

static struct s3_fixture server; /* one for the program */
static int remote_count;

static void stop_server(void)
{
    s3_fixture_stop(&server);
}

/* A prefix of its own for each test. */
static void use_bucket(struct vfx *fx)
{
    if (server.pid == 0) {
        if (!s3_fixture_start(&server)) {
            exit(77); /* ctest counts it as skipped */
        }
        (void)atexit(stop_server);
    }
    fx->is_remote = true;
    (void)snprintf(fx->url, sizeof fx->url, "s3://%s/tests/versioned/vault-%d", S3_FIXTURE_BUCKET,
                   ++remote_count);
}

long vfx_versions(const struct vfx *fx)
{
    (void)fx;
    char *answer = s3_fixture_ask(&server, "GET", "/-/counts");
    const char *at = strstr(answer, "\"versions\":");
    long count = at != NULL ? strtol(at + strlen("\"versions\":"), NULL, 10) : -1;
    free(answer);
    return count;
}

void vfx_reopen(struct vfx *fx)
{
    struct fb_error err = {0};
    fb_vault_close(&fx->vault);
    if (fb_vault_open(fx->url, fx->key_file, &fx->vault, &err) != FB_OK) {
        fail_msg("open: %s", err.text);
    }
}

int vfx_setup(void **state)
{
    struct vfx *fx = fb_xcalloc(1, sizeof *fx);
    struct fb_error err = {0};
    const char *base = getenv("TMPDIR");
    const char *kind = getenv("FB_TEST_VAULT");
    (void)snprintf(fx->dir, sizeof fx->dir, "%s/fumibako-vault-XXXXXX",
                   base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(fx->dir));
    (void)snprintf(fx->path, sizeof fx->path, "%s/vault", fx->dir);
    (void)snprintf(fx->url, sizeof fx->url, "file://%s", fx->path);
    if (kind != NULL && strcmp(kind, "s3") == 0) {
        use_bucket(fx);
    }
    (void)snprintf(fx->key_file, sizeof fx->key_file, "%s/key", fx->dir);
    assert_int_equal(fb_keyring_make_file(fx->key_file, &err), FB_OK);
    vfx_reopen(fx);
    *state = fx;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

int vfx_teardown(void **state)
{
    struct vfx *fx = *state;
    fb_vault_close(&fx->vault);
    if (fx->is_remote) {
        s3_fixture_check(&server);
    }
    (void)nftw(fx->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(fx);
    return 0;
}

/* ---- content ---- */

void vfx_id(char id_r[FB_PARCEL_ID_SIZE])
{
    char msg_id[FB_ID_SIZE];
    fb_id_new(msg_id);
    fb_parcel_id_make(msg_id, 3, id_r);
}

static void fill(uint8_t *out, size_t len, uint64_t seed, uint64_t offset)
{
    for (size_t i = 0; i < len; i++) {
        uint64_t x = (offset + i) / 8 * 0x9E3779B97F4A7C15ULL + seed * 0xD1B54A32D192ED03ULL;
        x ^= x >> 29;
        out[i] = (uint8_t)(x >> ((offset + i) % 8 * 8));
    }
}

enum fb_status vfx_read(void *ctx, void *out, size_t len, size_t *read_r, struct fb_error *err)
{
    struct vfx_source *s = ctx;
    uint64_t left = s->size - s->at;
    size_t n = left < len ? (size_t)left : len;
    n = n > 1000 && s->reads % 3 == 0 ? n - 777 : n; /* short reads are no end */
    s->reads++;
    if (s->fail_at > 0 && s->at >= s->fail_at) {
        return fb_error_set(err, FB_NETWORK, "the source broke off");
    }
    fill(out, n, s->seed, s->at);
    s->at += n;
    *read_r = n;
    return FB_OK;
}

void vfx_content(uint64_t size, uint64_t seed, struct fb_vault_content *content_r)
{
    uint8_t bytes[4096];
    struct fb_hash hash;
    *content_r = (struct fb_vault_content){
        .size = size, .type = seed == 0 ? "application/pdf" : "image/png", .is_body = seed == 0};
    fb_hash_init(&hash, FB_HASH_SHA1);
    for (uint64_t at = 0; at < size;) {
        size_t n = size - at < sizeof bytes ? (size_t)(size - at) : sizeof bytes;
        fill(bytes, n, seed, at);
        fb_hash_update(&hash, bytes, n);
        at += n;
    }
    fb_hash_final(&hash, content_r->sha1);
    fb_hash_deinit(&hash);
}

enum fb_status vfx_put(struct vfx *fx, const char *parcel_id, uint32_t number, uint64_t size,
                       uint64_t seed, char id_r[FB_VAULT_FILE_ID], uint64_t *reads_r)
{
    struct fb_error err = {0};
    struct fb_vault_content content;
    struct vfx_source source = {.size = size, .seed = seed};
    vfx_content(size, seed, &content);
    fb_vault_file_id(parcel_id, number, id_r);
    enum fb_status s = fb_vault_put(fx->vault, parcel_id, id_r, &content, vfx_read, &source, &err);
    if (reads_r != NULL) {
        *reads_r = source.reads;
    }
    return s;
}

enum fb_status vfx_check(struct vfx *fx, const char *parcel_id, const char *file_id, uint64_t size,
                         uint64_t seed)
{
    struct fb_vault_reader *r = NULL;
    struct fb_error err = {0};
    static const size_t steps[] = {65536, 1, 70000, 4096, 200000, 333};
    uint8_t *bytes = malloc(200000);
    uint8_t *want = malloc(200000);
    uint64_t has = 0;
    enum fb_status s = fb_vault_file_open(fx->vault, parcel_id, file_id, &r, &has, &err);
    assert_true(s != FB_OK || has == size);
    for (uint64_t at = 0, i = 0; s == FB_OK && at <= size; i++) {
        size_t len = steps[i % (sizeof steps / sizeof steps[0])];
        size_t got = 0;
        s = fb_vault_file_read(r, at, bytes, len, &got, &err);
        if (s == FB_OK) {
            assert_int_equal(got, size - at < len ? size - at : len);
            fill(want, got, seed, at);
            assert_memory_equal(bytes, want, got);
        }
        at += got > 0 ? got : 1;
    }
    fb_vault_file_close(&r);
    free(bytes);
    free(want);
    return s;
}

struct fb_vault_parcel vfx_parcel(struct vfx *fx, const uint64_t *sizes, uint32_t count)
{
    struct fb_error err = {0};
    struct fb_vault_parcel p = {.accepted_ms = 1764288000000,
                                .expires_ms = 1766880000000,
                                .access = FB_ACCESS_RECIPIENTS,
                                .proof = FB_PROOF_TOTP,
                                .can_download = true,
                                .may_reply = true,
                                .max_downloads = 5,
                                .trusted_days = 30};
    vfx_id(p.parcel_id);
    if (fb_vault_create(fx->vault, &p, NULL, &err) != FB_OK) {
        fail_msg("create: %s", err.text);
    }
    p.storage = fb_xstrdup("vault");
    p.from = fb_xstrdup("sender@example.jp");
    p.subject = fb_xstrdup("見積書の件");
    p.language = fb_xstrdup("ja");
    p.grants = fb_xcalloc(2, sizeof *p.grants);
    for (uint32_t i = 0; i < 2; i++) {
        char address[64];
        (void)snprintf(address, sizeof address, "reader%u@example.com", (unsigned)i);
        p.grants[i].recipient = i * 7;
        p.grants[i].address = fb_xstrdup(address);
        fb_random(p.grants[i].secret_hash, sizeof p.grants[i].secret_hash);
    }
    p.grant_count = 2;
    p.files = fb_xcalloc(count + 1, sizeof *p.files);
    for (uint32_t i = 0; i < count; i++) {
        struct fb_vault_content content;
        struct fb_vault_file *f = &p.files[p.file_count++];
        assert_int_equal(vfx_put(fx, p.parcel_id, i, sizes[i], i, f->id, NULL), FB_OK);
        vfx_content(sizes[i], i, &content);
        f->name = fb_xstrdup(i == 0 ? "本文.pdf" : "図面 1.png");
        f->type = fb_xstrdup(content.type);
        f->size = sizes[i];
        f->is_body = i == 0;
        memcpy(f->sha1, content.sha1, sizeof f->sha1);
    }
    if (fb_vault_save(fx->vault, &p, &err) != FB_OK) {
        fail_msg("save: %s", err.text);
    }
    return p;
}

enum fb_status vfx_load(struct vfx *fx, const char *parcel_id, char words_r[FB_ERROR_MAX])
{
    struct fb_vault_parcel p = {0};
    struct fb_error err = {0};
    enum fb_status s = fb_vault_load(fx->vault, parcel_id, &p, &err);
    fb_vault_parcel_deinit(&p);
    if (words_r != NULL) {
        (void)snprintf(words_r, FB_ERROR_MAX, "%s", err.text);
    }
    return s;
}

/* ---- files of the vault ---- */

void vfx_path(const struct vfx *fx, const char *parcel_id, const char *name, char path_r[700])
{
    int n = snprintf(path_r, 700, "%s/parcels/%.2s/%s/%s", fx->path, parcel_id + FB_ID_SIZE - 3,
                     parcel_id, name);
    assert_true(n > 0 && n < 700);
}

uint8_t *vfx_bytes(const char *path, size_t *len_r)
{
    struct fb_buf bytes;
    struct fb_error err = {0};
    if (fb_read_file(path, (size_t)64 << 20, &bytes, &err) != FB_OK) {
        fail_msg("%s", err.text);
    }
    *len_r = bytes.len;
    uint8_t *copy = malloc(bytes.len + 1);
    assert_non_null(copy);
    memcpy(copy, fb_buf_str(&bytes), bytes.len);
    fb_buf_deinit(&bytes);
    return copy;
}

void vfx_store(const char *path, const void *bytes, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
    assert_int_equal(close(fd), 0);
}

void vfx_age(const char *path)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = time(NULL) - 7200}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}
