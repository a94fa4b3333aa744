/* SPDX-License-Identifier: Apache-2.0
 *
 * A spool of its own, in a temporary directory or (FB_TEST_SPOOL=s3) in a bucket, and messages put
 * into it.
 */
#ifndef FB_TESTS_UNIT_SPOOL_FIXTURE_H
#define FB_TESTS_UNIT_SPOOL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/spool/spool.h"

struct fx {
    char dir[200];
    char url[400];
    char path[300]; /* of the spool */
    char key_file[300];
    struct fb_spool *spool;
    bool is_remote; /* FB_TEST_SPOOL=s3: a bucket of a server that this program started */
};

/* Ends a test that looks at files, or at what only files do, when the spool is a bucket. */
#define FX_FILES_ONLY(fx)                                                                          \
    do {                                                                                           \
        if ((fx)->is_remote) {                                                                     \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

/* cmocka set-up and tear-down; *state is a struct fx. */
int fx_setup(void **state);
int fx_teardown(void **state);
void fx_reopen(struct fx *fx);
/* Set by fixture_bucket.c, where it is linked and FB_TEST_SPOOL=s3. */
extern void (*fx_use_bucket)(struct fx *fx);
extern void (*fx_check_bucket)(void);
/* The S3 server, once a test has set up with it (fixture_bucket.c). */
struct s3_fixture;
const struct s3_fixture *fx_server(void);
void fx_sleep_ms(long ms);

/* Outcome of a submitted message; wait for it with fx_wait. */
struct fx_done {
    int is_done; /* under the fixture's lock */
    enum fb_status status;
    char ref[FB_REF_SIZE];
};
void fx_on_done(void *ctx, enum fb_status status, const char *ref);
void fx_wait(struct fx_done *done);

/* Bytes that depend on seed and position. */
void fx_fill(uint8_t *out, size_t len, uint64_t seed, uint64_t offset);
/* Makes a message with fx_fill content; id_r gets its id. */
struct fb_spool_in *fx_message(struct fb_spool_writer *writer, size_t size, uint64_t seed,
                               char id_r[FB_ID_SIZE]);
/* All in one: a committed message. */
void fx_put(struct fb_spool_writer *writer, size_t size, uint64_t seed, const char *envelope,
            char id_r[FB_ID_SIZE], char ref_r[FB_REF_SIZE]);
struct fb_spool_writer *fx_writer(struct fx *fx, const char *name);
/* FB_OK when the whole content and the envelope are what fx_put wrote; fails the test on wrong
 * bytes. */
enum fb_status fx_check(struct fx *fx, const char *ref, size_t size, uint64_t seed,
                        const char *envelope);

/* Live messages as a scan finds them. */
struct fx_scan {
    struct fb_spool_entry entries[4096];
    size_t count;
    uint64_t damaged;
};
void fx_scan(struct fx *fx, struct fx_scan *scan);
int fx_scan_has(const struct fx_scan *scan, const char *id);

/* Path of the only (or first, by name) file in a directory of the spool; returns how many there
 * are. */
size_t fx_file(struct fx *fx, const char *dir, char path_r[600]);
uint8_t *fx_load(const char *path, size_t *len_r);
void fx_store(const char *path, const uint8_t *bytes, size_t len);
uint64_t fx_blocks(const char *path);
/* Is needle anywhere in any file below the spool? */
int fx_grep(struct fx *fx, const void *needle, size_t len);
void fx_remove_tree(const char *path);

#endif
