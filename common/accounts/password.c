/* SPDX-License-Identifier: Apache-2.0 */
#include "common/accounts/password.h"

#include <pthread.h>
#include <sodium.h>
#include <string.h>
#include <strings.h>

#include "common/id.h"

#define LETTERS "abcdefghjkmnpqrstvwxyz0123456789" /* 32, and nothing that looks like another */

_Static_assert(FB_ACCOUNT_PASSWORD >= crypto_pwhash_STRBYTES, "room for a hash");

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool is_ready;

static void prepare(void)
{
    is_ready = sodium_init() >= 0;
}

struct fb_password_cost fb_password_cost_of(const struct fb_config *config)
{
    return (struct fb_password_cost){.memory = (size_t)config->console.password_memory,
                                     .passes = (unsigned)config->console.password_passes};
}

/* Characters of UTF-8; SIZE_MAX for what is none. */
static size_t characters(const char *text)
{
    size_t n = 0;
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; n++) {
        size_t more = *p < 0x80                 ? 0
                      : *p >= 0xc2 && *p < 0xe0 ? 1
                      : (*p & 0xf0) == 0xe0     ? 2
                      : *p >= 0xf0 && *p < 0xf5 ? 3
                                                : SIZE_MAX;
        if (more == SIZE_MAX) {
            return SIZE_MAX;
        }
        p++;
        for (; more > 0; more--, p++) {
            if ((*p & 0xc0) != 0x80) {
                return SIZE_MAX;
            }
        }
    }
    return n;
}

/* One character, or two, all the way. */
static bool is_monotonous(const char *password)
{
    return strspn(password, (const char[]){password[0], password[1], '\0'}) == strlen(password);
}

enum fb_status fb_password_check(const char *password, const char *user, struct fb_error *err)
{
    size_t len = strlen(password);
    size_t count = len <= FB_PASSWORD_MAX ? characters(password) : 0;
    if (len > FB_PASSWORD_MAX) {
        return fb_error_set(err, FB_INVALID, "a password has at most %d bytes", FB_PASSWORD_MAX);
    }
    if (count == SIZE_MAX) {
        return fb_error_set(err, FB_INVALID, "a password is text in UTF-8");
    }
    if (count < FB_PASSWORD_MIN) {
        return fb_error_set(err, FB_INVALID, "a password has at least %d characters",
                            FB_PASSWORD_MIN);
    }
    if (is_monotonous(password) || strcasestr(password, "fumibako") != NULL ||
        (strlen(user) >= 4 && strcasestr(password, user) != NULL)) {
        return fb_error_set(err, FB_INVALID, "this password is too easy to guess");
    }
    return FB_OK;
}

enum fb_status fb_password_hash(const char *password, const struct fb_password_cost *cost,
                                char out_r[FB_ACCOUNT_PASSWORD], struct fb_error *err)
{
    (void)pthread_once(&once, prepare);
    if (!is_ready || crypto_pwhash_str_alg(out_r, password, strlen(password), cost->passes,
                                           cost->memory, crypto_pwhash_ALG_ARGON2ID13) != 0) {
        return fb_error_set(err, FB_NO_SPACE, "no memory to hash a password (argon2id)");
    }
    return FB_OK;
}

bool fb_password_verify(const char *hash, const char *password, const struct fb_password_cost *cost,
                        bool *needs_rehash_r)
{
    uint8_t unused[32];
    static const uint8_t salt[crypto_pwhash_SALTBYTES];
    *needs_rehash_r = false;
    (void)pthread_once(&once, prepare);
    if (!is_ready || strlen(password) > FB_PASSWORD_MAX) {
        return false;
    }
    if (hash == NULL || strncmp(hash, "$argon2id$", 10) != 0) {
        int unused_rc = crypto_pwhash(unused, sizeof unused, password, strlen(password), salt,
                                      cost->passes, cost->memory, crypto_pwhash_ALG_ARGON2ID13);
        (void)unused_rc; /* only its time is wanted */
        fb_wipe(unused, sizeof unused);
        return false;
    }
    bool is_right = crypto_pwhash_str_verify(hash, password, strlen(password)) == 0;
    *needs_rehash_r =
        is_right && crypto_pwhash_str_needs_rehash(hash, cost->passes, cost->memory) != 0;
    return is_right;
}

void fb_password_new(char out_r[FB_PASSWORD_GIVEN])
{
    for (size_t i = 0; i < FB_PASSWORD_GIVEN - 1; i++) {
        out_r[i] = i % 5 == 4 ? '-' : LETTERS[fb_random_below(32)];
    }
    out_r[FB_PASSWORD_GIVEN - 1] = '\0';
}
