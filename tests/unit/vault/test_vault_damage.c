/* SPDX-License-Identifier: Apache-2.0
 *
 * What lies in a folder may be changed by anybody who can write there, and copied by anybody who
 * can read: nothing that was changed is given out, nothing that was purged can be read, and
 * verifying finds it.
 */
#include "fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/sealed/sealed.h"

static const uint64_t sizes[] = {200000, 200000};

/* ---- changed bytes ---- */

static void each_changed_byte_is_noticed(void **state)
{
    struct vfx *fx = *state;
    struct fb_vault_parcel p = vfx_parcel(fx, sizes, 1);
    const char *const names[] = {"key", "state", p.files[0].id};
    for (size_t n = 0; n < 3; n++) {
        char path[700];
        size_t len = 0;
        vfx_path(fx, p.parcel_id, names[n], path);
        uint8_t *bytes = vfx_bytes(path, &len);
        /* All of the small ones, every header byte and some of each chunk of a file. */
        for (size_t i = 0; i < len; i += i < 512 || len < 2000 ? 1 : 7919) {
            bytes[i] ^= 0x10;
            vfx_store(path, bytes, len);
            enum fb_status s = n < 2 ? vfx_load(fx, p.parcel_id, NULL)
                                     : vfx_check(fx, p.parcel_id, names[n], sizes[0], 0);
            /* A key's id and print may be of a key that we lack; GONE has more bits of difference. */
            if (s != FB_CORRUPT && !(n == 0 && s == FB_CONFIG)) {
                fail_msg("%s, byte %zu: %s", names[n], i, fb_status_name(s));
            }
            bytes[i] ^= 0x10;
        }
        vfx_store(path, bytes, len);
        free(bytes);
    }
    assert_int_equal(vfx_check(fx, p.parcel_id, p.files[0].id, sizes[0], 0), FB_OK);
    fb_vault_parcel_deinit(&p);
}

static void a_cut_or_longer_file_is_given_to_nobody(void **state)
{
    struct vfx *fx = *state;
    struct fb_vault_parcel p = vfx_parcel(fx, sizes, 1);
    char path[700];
    size_t len = 0;
    vfx_path(fx, p.parcel_id, p.files[0].id, path);
    uint8_t *bytes = vfx_bytes(path, &len);
    const size_t cuts[] = {0,
                           1,
                           255,
                           256,
                           256 + FB_TAG_SIZE,
                           256 + FB_SEALED_CHUNK,
                           256 + 2 * FB_SEALED_CHUNK,
                           256 + 2 * FB_SEALED_CHUNK + 5,
                           len - 1};
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        vfx_store(path, bytes, cuts[i]);
        assert_int_equal(vfx_check(fx, p.parcel_id, p.files[0].id, sizes[0], 0), FB_CORRUPT);
    }
    uint8_t *longer = malloc(len + FB_SEALED_CHUNK);
    memcpy(longer, bytes, len);
    memset(longer + len, 0, FB_SEALED_CHUNK);
    vfx_store(path, longer, len + FB_SEALED_CHUNK);
    assert_int_equal(vfx_check(fx, p.parcel_id, p.files[0].id, sizes[0], 0), FB_CORRUPT);
    char state_path[700];
    vfx_path(fx, p.parcel_id, "state", state_path);
    assert_int_equal(truncate(state_path, 40), 0);
    assert_int_equal(vfx_load(fx, p.parcel_id, NULL), FB_CORRUPT);
    free(longer);
    free(bytes);
    fb_vault_parcel_deinit(&p);
}

static void chunks_cannot_change_places(void **state)
{
    struct vfx *fx = *state;
    struct fb_vault_parcel p = vfx_parcel(fx, sizes, 1);
    char path[700];
    size_t len = 0;
    vfx_path(fx, p.parcel_id, p.files[0].id, path);
    uint8_t *bytes = vfx_bytes(path, &len);
    uint8_t *swapped = malloc(len);
    memcpy(swapped, bytes, len);
    memcpy(swapped + 256, bytes + 256 + FB_SEALED_CHUNK, FB_SEALED_CHUNK);
    memcpy(swapped + 256 + FB_SEALED_CHUNK, bytes + 256, FB_SEALED_CHUNK);
    vfx_store(path, swapped, len);
    assert_int_equal(vfx_check(fx, p.parcel_id, p.files[0].id, sizes[0], 0), FB_CORRUPT);
    /* One left out, so that the last one is in its place. */
    memcpy(swapped, bytes, len);
    memmove(swapped + 256, swapped + 256 + FB_SEALED_CHUNK, len - 256 - FB_SEALED_CHUNK);
    vfx_store(path, swapped, len - FB_SEALED_CHUNK);
    assert_int_equal(vfx_check(fx, p.parcel_id, p.files[0].id, sizes[0], 0), FB_CORRUPT);
    free(swapped);
    free(bytes);
    fb_vault_parcel_deinit(&p);
}

static void files_states_and_keys_cannot_change_places(void **state)
{
    struct vfx *fx = *state;
    struct fb_vault_parcel p = vfx_parcel(fx, sizes, 2);
    struct fb_vault_parcel q = vfx_parcel(fx, sizes, 2);
    char one[700];
    char other[700];
    /* Two files of a parcel: same size, both in order. */
    vfx_path(fx, p.parcel_id, p.files[0].id, one);
    vfx_path(fx, p.parcel_id, p.files[1].id, other);
    assert_int_equal(renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE), 0);
    assert_int_equal(vfx_check(fx, p.parcel_id, p.files[0].id, sizes[0], 0), FB_CORRUPT);
    assert_int_equal(vfx_check(fx, p.parcel_id, p.files[1].id, sizes[1], 1), FB_CORRUPT);
    assert_int_equal(renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE), 0);
    assert_int_equal(vfx_check(fx, p.parcel_id, p.files[0].id, sizes[0], 0), FB_OK);
    /* The same things of two parcels. */
    const char *const names[] = {"key", "state", "file"};
    for (size_t i = 0; i < 3; i++) {
        bool is_file = i == 2;
        vfx_path(fx, p.parcel_id, is_file ? p.files[0].id : names[i], one);
        vfx_path(fx, q.parcel_id, is_file ? q.files[0].id : names[i], other);
        assert_int_equal(renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE), 0);
        assert_int_equal(is_file ? vfx_check(fx, p.parcel_id, p.files[0].id, sizes[0], 0)
                                 : vfx_load(fx, p.parcel_id, NULL),
                         FB_CORRUPT);
        assert_int_equal(renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE), 0);
    }
    /* A whole parcel under another one's name. */
    vfx_path(fx, p.parcel_id, "", one);
    vfx_path(fx, q.parcel_id, "", other);
    one[strlen(one) - 1] = other[strlen(other) - 1] = '\0';
    assert_int_equal(renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE), 0);
    assert_int_equal(vfx_load(fx, p.parcel_id, NULL), FB_CORRUPT);
    fb_vault_parcel_deinit(&p);
    fb_vault_parcel_deinit(&q);
}

static void nobody_else_may_read_or_write_it(void **state)
{
    struct vfx *fx = *state;
    struct fb_vault_parcel p = vfx_parcel(fx, sizes, 1);
    const char *const names[] = {"", "key", "state", p.files[0].id};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[700];
        struct stat st;
        vfx_path(fx, p.parcel_id, names[i], path);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, i == 0 ? 0700 : 0600);
    }
    fb_vault_parcel_deinit(&p);
}

static void links_and_pipes_are_not_followed(void **state)
{
    struct vfx *fx = *state;
    struct fb_vault_parcel p = vfx_parcel(fx, sizes, 1);
    char path[700];
    vfx_path(fx, p.parcel_id, p.files[0].id, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(vfx_check(fx, p.parcel_id, p.files[0].id, sizes[0], 0), FB_CORRUPT);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(vfx_check(fx, p.parcel_id, p.files[0].id, sizes[0], 0), FB_CORRUPT);
    fb_vault_parcel_deinit(&p);
}

/* ---- later versions, other folders ---- */

static void a_newer_version_waits_for_an_upgrade(void **state)
{
    struct vfx *fx = *state;
    struct fb_error err = {0};
    struct fb_vault_parcel p = vfx_parcel(fx, sizes, 1);
    const char *const names[] = {"key", "state", p.files[0].id};
    for (size_t n = 0; n < 3; n++) {
        char path[700];
        size_t len = 0;
        vfx_path(fx, p.parcel_id, names[n], path);
        uint8_t *bytes = vfx_bytes(path, &len);
        bytes[7] = '2';
        vfx_store(path, bytes, len);
        assert_int_equal(n < 2 ? vfx_load(fx, p.parcel_id, NULL)
                               : vfx_check(fx, p.parcel_id, names[n], sizes[0], 0),
                         FB_AGAIN);
        if (n < 2) { /* and is not written over */
            assert_int_equal(fb_vault_save(fx->vault, &p, &err), FB_AGAIN);
        }
        bytes[7] = '1';
        vfx_store(path, bytes, len);
        free(bytes);
    }
    assert_int_equal(vfx_load(fx, p.parcel_id, NULL), FB_OK);
    fb_vault_parcel_deinit(&p);
}

static void a_folder_that_is_no_vault_is_refused(void **state)
{
    struct vfx *fx = *state;
    struct fb_error err = {0};
    struct fb_vault *v = NULL;
    char path[700];
    char url[720];
    (void)snprintf(path, sizeof path, "%s/vault.id", fx->path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(fb_vault_open(fx->url, fx->key_file, &v, &err), FB_CONFIG);
    assert_non_null(strstr(err.text, "it is no vault, or a damaged one"));
    vfx_store(path, "not an id", 9);
    assert_int_equal(fb_vault_open(fx->url, fx->key_file, &v, &err), FB_CONFIG);
    const char *const urls[] = {"file://", "file://relative", "http://x/", "", "s3:/x"};
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        assert_int_equal(fb_vault_open(urls[i], fx->key_file, &v, &err), FB_CONFIG);
    }
    (void)snprintf(url, sizeof url, "file://%s/missing/vault", fx->dir);
    assert_int_equal(fb_vault_open(url, fx->key_file, &v, &err), FB_CONFIG);
    (void)snprintf(url, sizeof url, "file://%s", fx->dir);
    assert_int_equal(chmod(fx->dir, 0777), 0);
    assert_int_equal(fb_vault_open(url, fx->key_file, &v, &err), FB_CONFIG);
    assert_int_equal(chmod(fx->dir, 0700), 0);
    assert_int_equal(chmod(fx->key_file, 0644), 0);
    assert_int_equal(fb_vault_open(fx->url, fx->key_file, &v, &err), FB_CONFIG);
    assert_null(v);
}

static void *open_fresh(void *ctx)
{
    const struct vfx *fx = ctx;
    char url[400];
    struct fb_error err = {0};
    struct fb_vault *v = NULL;
    char *id = NULL;
    (void)snprintf(url, sizeof url, "file://%s/fresh", fx->dir);
    if (fb_vault_open(url, fx->key_file, &v, &err) == FB_OK) {
        id = fb_xstrdup(fb_vault_id(v));
    } else {
        (void)fprintf(stderr, "open: %s\n", err.text);
    }
    fb_vault_close(&v);
    return id;
}

static void threads_that_start_together_make_one_vault(void **state)
{
    struct vfx *fx = *state;
    char path[700];
    (void)snprintf(path, sizeof path, "%s/fresh", fx->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/fresh/lost+found", fx->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    pthread_t threads[16];
    char *first = NULL;
    for (size_t i = 0; i < 16; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, open_fresh, fx), 0);
    }
    for (size_t i = 0; i < 16; i++) {
        void *id = NULL;
        assert_int_equal(pthread_join(threads[i], &id), 0);
        assert_non_null(id);
        if (first == NULL) {
            first = id;
        } else {
            assert_string_equal(id, first);
            free(id);
        }
    }
    free(first);
}

static void a_vault_lies_beneath_the_roots(void **state)
{
    (void)state;
    char *items[] = {(char[]){"/srv/vault"}, (char[]){"/var/lib/fumibako/vault/"}};
    const struct fb_config config = {.vault.roots = {.items = items, .count = 2}};
    static const struct {
        const char *url;
        enum fb_status want;
    } rows[] = {
        {"file:///srv/vault", FB_OK},
        {"file:///srv/vault/", FB_OK},
        {"file:///srv/vault/a/b", FB_OK},
        {"file:///var/lib/fumibako/vault", FB_OK},
        {"file:///srv/vaults", FB_CONFIG},
        {"file:///srv", FB_CONFIG},
        {"file:///", FB_CONFIG},
        {"file:///srv/vault/../other", FB_CONFIG},
        {"file:///srv/vault/..", FB_CONFIG},
        {"file:///srv/vault/../", FB_CONFIG},
        {"s3://bucket/prefix", FB_OK},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fb_error err = {0};
        if (fb_vault_check_root(&config, rows[i].url, &err) != rows[i].want) {
            fail_msg("%s: %s", rows[i].url, err.text);
        }
    }
}

/* ---- crashes ---- */

static void what_a_crash_left_is_gone_on_from(void **state)
{
    struct vfx *fx = *state;
    struct fb_error err = {0};
    struct fb_vault_parcel p = vfx_parcel(fx, sizes, 1);
    char path[700];
    bool is_new = true;
    /* Between key and state: nobody is let in, and the next create goes on. */
    vfx_path(fx, p.parcel_id, "state", path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(vfx_load(fx, p.parcel_id, NULL), FB_NOT_FOUND);
    struct fb_vault_parcel again = {0};
    memcpy(again.parcel_id, p.parcel_id, sizeof again.parcel_id);
    assert_int_equal(fb_vault_create(fx->vault, &again, &is_new, &err), FB_OK);
    assert_int_equal(vfx_check(fx, p.parcel_id, p.files[0].id, sizes[0], 0), FB_OK);
    /* In the middle of a purge: it goes on, and so does who makes the parcel anew. */
    size_t len = 0;
    vfx_path(fx, p.parcel_id, "key", path);
    uint8_t *bytes = vfx_bytes(path, &len);
    memset(bytes + 64, 0, 64);
    memcpy(bytes + 64, "GONE", 4);
    vfx_store(path, bytes, len);
    assert_int_equal(vfx_load(fx, p.parcel_id, NULL), FB_NOT_FOUND);
    assert_int_equal(fb_vault_create(fx->vault, &again, &is_new, &err), FB_OK);
    assert_true(is_new);
    assert_int_equal(vfx_check(fx, p.parcel_id, p.files[0].id, sizes[0], 0), FB_NOT_FOUND);
    vfx_store(path, bytes, len);
    assert_int_equal(fb_vault_purge(fx->vault, p.parcel_id, &err), FB_OK);
    assert_int_equal(access(path, F_OK), -1);
    /* A key that was cut is destroyed, too. */
    struct fb_vault_parcel q = vfx_parcel(fx, sizes, 1);
    vfx_path(fx, q.parcel_id, "key", path);
    assert_int_equal(truncate(path, 100), 0);
    assert_int_equal(vfx_load(fx, q.parcel_id, NULL), FB_CORRUPT);
    assert_int_equal(fb_vault_purge(fx->vault, q.parcel_id, &err), FB_OK);
    assert_int_equal(access(path, F_OK), -1);
    free(bytes);
    fb_vault_parcel_deinit(&p);
    fb_vault_parcel_deinit(&q);
}

/* An attacker who kept a second name of every file of the parcel (as an undelete would), and has the
 * key file: what the purge left on the disk opens nothing. */
static void what_a_purge_leaves_on_the_disk_opens_nothing(void **state)
{
    struct vfx *fx = *state;
    struct fb_error err = {0};
    struct fb_vault_parcel p = vfx_parcel(fx, sizes, 1);
    const char *const names[] = {"key", "state", p.files[0].id};
    char path[700];
    char kept[3][300];
    size_t len = 0;
    vfx_path(fx, p.parcel_id, "key", path);
    uint8_t *before = vfx_bytes(path, &len);
    for (size_t i = 0; i < 3; i++) {
        vfx_path(fx, p.parcel_id, names[i], path);
        (void)snprintf(kept[i], sizeof kept[i], "%s/kept-%zu", fx->dir, i);
        assert_int_equal(link(path, kept[i]), 0);
    }
    assert_int_equal(fb_vault_purge(fx->vault, p.parcel_id, &err), FB_OK);
    vfx_path(fx, p.parcel_id, "", path);
    assert_int_equal(access(path, F_OK), -1);
    /* The key's own blocks hold nothing of it any more. */
    uint8_t *after = vfx_bytes(kept[0], &len);
    assert_int_equal(len, 160);
    for (size_t i = 64; i < 128; i++) {
        assert_int_equal(after[i], i < 68 ? "GONE"[i - 64] : 0);
    }
    assert_memory_equal(after, before, 64);
    /* Put back in its place, as it is and as "live", with the right key file. */
    vfx_path(fx, p.parcel_id, "", path);
    assert_int_equal(mkdir(path, 0700), 0);
    for (size_t i = 0; i < 3; i++) {
        vfx_path(fx, p.parcel_id, names[i], path);
        assert_int_equal(link(kept[i], path), 0);
    }
    vfx_reopen(fx);
    assert_int_equal(vfx_load(fx, p.parcel_id, NULL), FB_NOT_FOUND);
    assert_int_equal(vfx_check(fx, p.parcel_id, p.files[0].id, sizes[0], 0), FB_NOT_FOUND);
    memcpy(after + 64, "LIVE", 4);
    vfx_store(kept[0], after, len);
    assert_int_equal(vfx_load(fx, p.parcel_id, NULL), FB_CORRUPT);
    assert_int_equal(vfx_check(fx, p.parcel_id, p.files[0].id, sizes[0], 0), FB_CORRUPT);
    /* The key of another parcel of the same vault does not help either. */
    struct fb_vault_parcel q = vfx_parcel(fx, sizes, 1);
    vfx_path(fx, q.parcel_id, "key", path);
    uint8_t *other = vfx_bytes(path, &len);
    vfx_store(kept[0], other, len);
    assert_int_equal(vfx_load(fx, p.parcel_id, NULL), FB_CORRUPT);
    free(other);
    free(after);
    free(before);
    fb_vault_parcel_deinit(&p);
    fb_vault_parcel_deinit(&q);
}

/* ---- verify ---- */

struct found {
    char text[2000];
};

static void note(void *ctx, const struct fb_vault_finding *f)
{
    struct found *found = ctx;
    size_t len = strlen(found->text);
    (void)snprintf(found->text + len, sizeof found->text - len, "%s %s%s;",
                   fb_vault_fault_name(f->fault), f->name, f->is_repaired ? " removed" : "");
}

static void assert_verify(struct vfx *fx, const char *parcel_id, bool repairs, int64_t half_made_ms,
                          const char *want)
{
    struct found found = {.text = ""};
    struct fb_vault_verified sum = {0};
    struct fb_error err = {0};
    const struct fb_vault_verify how = {
        .repairs_orphans = repairs, .half_made_ms = half_made_ms, .found = note, .ctx = &found};
    if (fb_vault_verify(fx->vault, parcel_id, &how, &sum, &err) != FB_OK) {
        fail_msg("verify: %s", err.text);
    }
    assert_string_equal(found.text, want);
}

static void verifying_finds_what_is_wrong(void **state)
{
    struct vfx *fx = *state;
    struct fb_vault_parcel p = vfx_parcel(fx, sizes, 2);
    char path[700];
    char want[200];
    size_t len = 0;
    assert_verify(fx, p.parcel_id, false, 0, "");
    vfx_path(fx, p.parcel_id, p.files[1].id, path);
    uint8_t *bytes = vfx_bytes(path, &len);
    bytes[300] ^= 1;
    vfx_store(path, bytes, len);
    (void)snprintf(want, sizeof want, "damaged %s;", p.files[1].id);
    assert_verify(fx, p.parcel_id, true, 0, want);
    bytes[300] ^= 1;
    bytes[7] = '2';
    vfx_store(path, bytes, len);
    (void)snprintf(want, sizeof want, "unknown %s;", p.files[1].id);
    assert_verify(fx, p.parcel_id, true, 0, want);
    assert_int_equal(unlink(path), 0);
    (void)snprintf(want, sizeof want, "missing %s;", p.files[1].id);
    assert_verify(fx, p.parcel_id, true, 0, want);
    /* A whole file, but not the one that was shared. */
    char id[FB_VAULT_FILE_ID];
    assert_int_equal(vfx_put(fx, p.parcel_id, 1, sizes[1], 9, id, NULL), FB_OK);
    (void)snprintf(want, sizeof want, "damaged %s;", p.files[1].id);
    assert_verify(fx, p.parcel_id, true, 0, want);
    vfx_path(fx, p.parcel_id, "state", path);
    assert_int_equal(truncate(path, 50), 0);
    assert_verify(fx, p.parcel_id, true, 0, "damaged state;");
    vfx_path(fx, p.parcel_id, "key", path);
    assert_int_equal(truncate(path, 50), 0);
    assert_verify(fx, p.parcel_id, true, 0, "damaged key;");
    free(bytes);
    fb_vault_parcel_deinit(&p);
}

static void orphans_are_removed_when_that_is_asked_for_and_nothing_else(void **state)
{
    struct vfx *fx = *state;
    struct fb_vault_parcel p = vfx_parcel(fx, sizes, 1);
    char path[700];
    char id[FB_VAULT_FILE_ID];
    char want[200];
    /* Of a shared parcel: a file too many, and one half written.  Young ones are left alone. */
    assert_int_equal(vfx_put(fx, p.parcel_id, 5, 10, 1, id, NULL), FB_OK);
    assert_verify(fx, p.parcel_id, true, 0, "");
    vfx_path(fx, p.parcel_id, id, path);
    vfx_age(path);
    vfx_path(fx, p.parcel_id, "ab.tmp", path);
    vfx_store(path, "half", 4);
    vfx_age(path);
    bool is_first = strcmp(id, "ab.tmp") < 0;
    (void)snprintf(want, sizeof want, "orphan %s;orphan %s;", is_first ? id : "ab.tmp",
                   is_first ? "ab.tmp" : id);
    assert_verify(fx, p.parcel_id, false, 0, want);
    (void)snprintf(want, sizeof want, "orphan %s removed;orphan %s removed;",
                   is_first ? id : "ab.tmp", is_first ? "ab.tmp" : id);
    assert_verify(fx, p.parcel_id, true, 0, want);
    assert_verify(fx, p.parcel_id, true, 0, "");
    assert_int_equal(vfx_check(fx, p.parcel_id, p.files[0].id, sizes[0], 0), FB_OK);
    /* What is left of a purge. */
    const char *const names[] = {"state", p.files[0].id};
    vfx_path(fx, p.parcel_id, "key", path);
    assert_int_equal(unlink(path), 0);
    assert_verify(fx, p.parcel_id, true, 0, "");
    for (size_t i = 0; i < 2; i++) {
        vfx_path(fx, p.parcel_id, names[i], path);
        vfx_age(path);
    }
    assert_verify(fx, p.parcel_id, true, 0, "orphan  removed;");
    struct fb_vault_verified sum = {0};
    const struct fb_vault_verify how = {0};
    assert_int_equal(fb_vault_verify(fx->vault, p.parcel_id, &how, &sum, NULL), FB_NOT_FOUND);
    /* Never shared: left to its job, until no job can be left. */
    struct fb_vault_parcel half = {.parcel_id = "01ARZ3NDEKTSV4RRFFQ69G5FAV-2"};
    assert_int_equal(fb_vault_create(fx->vault, &half, NULL, NULL), FB_OK);
    assert_int_equal(vfx_put(fx, half.parcel_id, 0, 10, 1, id, NULL), FB_OK);
    assert_verify(fx, half.parcel_id, true, 0, "half_made ;");
    assert_verify(fx, half.parcel_id, false, 1000, "orphan ;");
    assert_verify(fx, half.parcel_id, true, 1000, "orphan  removed;");
    assert_int_equal(vfx_load(fx, half.parcel_id, NULL), FB_NOT_FOUND);
    fb_vault_parcel_deinit(&p);
}

/* ---- the format ---- */

/* proto/vectors/vault, as version 1 wrote it. */
static void the_golden_vault_is_read(void **state)
{
    struct vfx *fx = *state;
    struct fb_error err = {0};
    static const char parcel_id[] = "01JDQ0000000000000000000VA-1";
    static const char *const names[] = {"vault.id", "parcels/VA/01JDQ0000000000000000000VA-1/key",
                                        "parcels/VA/01JDQ0000000000000000000VA-1/state",
                                        "parcels/VA/01JDQ0000000000000000000VA-1/@", "vault.key"};
    char id[FB_VAULT_FILE_ID];
    char path[900];
    char url[400];
    struct fb_vault *v = NULL;
    struct fb_vault_parcel p = {0};
    fb_vault_file_id(parcel_id, 0, id);
    (void)snprintf(url, sizeof url, "file://%s/golden", fx->dir);
    const char *const dirs[] = {"", "/parcels", "/parcels/VA",
                                "/parcels/VA/01JDQ0000000000000000000VA-1"};
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/golden%s", fx->dir, dirs[i]);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t len = 0;
        size_t stem = strcspn(names[i], "@");
        const char *end = names[i][stem] == '@' ? id : "";
        (void)snprintf(path, sizeof path, FB_VECTORS "/vault/%.*s%s", (int)stem, names[i], end);
        uint8_t *bytes = vfx_bytes(path, &len);
        (void)snprintf(path, sizeof path, "%s/golden/%.*s%s", fx->dir, (int)stem, names[i], end);
        vfx_store(path, bytes, len);
        free(bytes);
    }
    (void)snprintf(path, sizeof path, "%s/golden/vault.key", fx->dir);
    if (fb_vault_open(url, path, &v, &err) != FB_OK) {
        fail_msg("%s", err.text);
    }
    struct fb_vault *own = fx->vault;
    fx->vault = v;
    assert_int_equal(fb_vault_load(v, parcel_id, &p, &err), FB_OK);
    assert_string_equal(p.subject, "見積書の件");
    assert_int_equal(p.revision, 2);
    assert_int_equal(p.grant_count, 2);
    assert_int_equal(p.grants[1].secret_hash[31], 0x22);
    assert_true(p.grants[1].is_recalled && p.has_password && p.password_hash[0] == 0x44);
    assert_string_equal(p.files[0].id, id);
    assert_int_equal(vfx_check(fx, parcel_id, id, 70000, 0), FB_OK);
    fx->vault = own;
    fb_vault_parcel_deinit(&p);
    fb_vault_close(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_changed_byte_is_noticed, vfx_setup, vfx_teardown),
        cmocka_unit_test_setup_teardown(a_cut_or_longer_file_is_given_to_nobody, vfx_setup,
                                        vfx_teardown),
        cmocka_unit_test_setup_teardown(chunks_cannot_change_places, vfx_setup, vfx_teardown),
        cmocka_unit_test_setup_teardown(files_states_and_keys_cannot_change_places, vfx_setup,
                                        vfx_teardown),
        cmocka_unit_test_setup_teardown(nobody_else_may_read_or_write_it, vfx_setup, vfx_teardown),
        cmocka_unit_test_setup_teardown(links_and_pipes_are_not_followed, vfx_setup, vfx_teardown),
        cmocka_unit_test_setup_teardown(a_newer_version_waits_for_an_upgrade, vfx_setup,
                                        vfx_teardown),
        cmocka_unit_test_setup_teardown(a_folder_that_is_no_vault_is_refused, vfx_setup,
                                        vfx_teardown),
        cmocka_unit_test_setup_teardown(threads_that_start_together_make_one_vault, vfx_setup,
                                        vfx_teardown),
        cmocka_unit_test(a_vault_lies_beneath_the_roots),
        cmocka_unit_test_setup_teardown(what_a_crash_left_is_gone_on_from, vfx_setup, vfx_teardown),
        cmocka_unit_test_setup_teardown(what_a_purge_leaves_on_the_disk_opens_nothing, vfx_setup,
                                        vfx_teardown),
        cmocka_unit_test_setup_teardown(verifying_finds_what_is_wrong, vfx_setup, vfx_teardown),
        cmocka_unit_test_setup_teardown(orphans_are_removed_when_that_is_asked_for_and_nothing_else,
                                        vfx_setup, vfx_teardown),
        cmocka_unit_test_setup_teardown(the_golden_vault_is_read, vfx_setup, vfx_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
