/* SPDX-License-Identifier: Apache-2.0
 *
 * Ids and random numbers.  Random bytes come from the kernel (getrandom): no state of ours that a
 * fork could duplicate.
 */
#include "common/id.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/crypto.h"

#define RANDOM_SIZE 10 /* of a ULID */
#define TEXT_SIZE   26

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"; /* Crockford: no I, L, O, U */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    pid_t pid; /* a forked child must not go on with its parent's numbers */
    int64_t ms;
    uint8_t random[RANDOM_SIZE];
} last;

void fb_random(void *out, size_t len)
{
    uint8_t *to = out;
    while (len > 0) {
        ssize_t n = getrandom(to, len, 0);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        FB_ASSERT(n > 0);
        to += n;
        len -= (size_t)n;
    }
}

uint64_t fb_random_below(uint64_t below)
{
    FB_ASSERT(below > 0);
    /* The numbers from 2^64 mod below upwards are a whole multiple of below. */
    uint64_t skip = (UINT64_MAX - below + 1) % below;
    for (;;) {
        uint64_t n = 0;
        fb_random(&n, sizeof n);
        if (n >= skip) {
            return n % below;
        }
    }
}

/* False when all bits were ones. */
static bool increment(uint8_t random[RANDOM_SIZE])
{
    for (size_t i = RANDOM_SIZE; i-- > 0;) {
        if (++random[i] != 0) {
            return true;
        }
    }
    return false;
}

/* 26 digits of 5 bits hold 130: the first two bits are zero. */
void fb_id_unpack(const uint8_t in[FB_ID_BYTES], char id_r[FB_ID_SIZE])
{
    uint32_t bits = 0;
    int have = 2;
    size_t to = 0;
    for (size_t i = 0; i < FB_ID_BYTES; i++) {
        bits = (bits << 8 | in[i]) & 0xFFFF;
        have += 8;
        while (have >= 5) {
            have -= 5;
            id_r[to++] = alphabet[bits >> have & 31];
        }
    }
    id_r[to] = '\0';
}

void fb_id_new(char id[FB_ID_SIZE])
{
    uint8_t bytes[FB_ID_BYTES];
    int64_t now = fb_now_ms();
    FB_ASSERT(pthread_mutex_lock(&lock) == 0);
    pid_t pid = getpid();
    /* A clock that was set back does not take the order of ids back. */
    if (last.pid != pid || now > last.ms) {
        last.pid = pid;
        last.ms = now > last.ms ? now : last.ms;
        fb_random(last.random, sizeof last.random);
    } else if (!increment(last.random)) {
        last.ms++;
        fb_random(last.random, sizeof last.random);
    }
    for (int i = 0; i < 6; i++) {
        bytes[i] = (uint8_t)((uint64_t)last.ms >> (40 - 8 * i));
    }
    memcpy(bytes + 6, last.random, RANDOM_SIZE);
    FB_ASSERT(pthread_mutex_unlock(&lock) == 0);

    fb_id_unpack(bytes, id);
}

static int digit_of(char c)
{
    const char *at = c != '\0' ? strchr(alphabet, c) : NULL;
    return at != NULL ? (int)(at - alphabet) : -1;
}

bool fb_id_is_valid(const char *id)
{
    if (id == NULL || id[0] < '0' || id[0] > '7') { /* more than 7 would pass 128 bits */
        return false;
    }
    for (size_t i = 0; i < TEXT_SIZE; i++) {
        if (digit_of(id[i]) < 0) {
            return false;
        }
    }
    return id[TEXT_SIZE] == '\0';
}

void fb_id_pack(const char *id, uint8_t out_r[FB_ID_BYTES])
{
    FB_ASSERT(fb_id_is_valid(id));
    uint32_t bits = 0;
    int have = -2;
    for (size_t i = 0; i < TEXT_SIZE; i++) {
        bits = (bits << 5 | (uint32_t)digit_of(id[i])) & 0xFFFF;
        have += 5;
        if (have >= 8) {
            have -= 8;
            *out_r++ = (uint8_t)(bits >> have);
        }
    }
}

int64_t fb_id_time_ms(const char *id)
{
    if (!fb_id_is_valid(id)) {
        return 0;
    }
    int64_t ms = 0;
    for (size_t i = 0; i < 10; i++) {
        ms = ms << 5 | digit_of(id[i]);
    }
    return ms;
}

void fb_parcel_id_make(const char *msg_id, uint32_t branch, char parcel_id[FB_PARCEL_ID_SIZE])
{
    FB_ASSERT(fb_id_is_valid(msg_id) && branch < FB_MAX_BRANCHES);
    int n = snprintf(parcel_id, FB_PARCEL_ID_SIZE, "%s-%u", msg_id, (unsigned)branch);
    FB_ASSERT(n > 0 && n < FB_PARCEL_ID_SIZE);
}

bool fb_parcel_id_split(const char *parcel_id, char msg_id[FB_ID_SIZE], uint32_t *branch_r)
{
    if (parcel_id == NULL || strnlen(parcel_id, FB_PARCEL_ID_SIZE) < FB_ID_SIZE + 1 ||
        parcel_id[TEXT_SIZE] != '-') {
        return false;
    }
    char id[FB_ID_SIZE];
    memcpy(id, parcel_id, TEXT_SIZE);
    id[TEXT_SIZE] = '\0';
    const char *digits = parcel_id + TEXT_SIZE + 1;
    size_t count = strnlen(digits, 5);
    if (!fb_id_is_valid(id) || count > 4 || (count > 1 && digits[0] == '0')) {
        return false;
    }
    uint32_t branch = 0;
    for (size_t i = 0; i < count; i++) {
        if (digits[i] < '0' || digits[i] > '9') {
            return false;
        }
        branch = branch * 10 + (uint32_t)(digits[i] - '0');
    }
    if (branch >= FB_MAX_BRANCHES) {
        return false;
    }
    memcpy(msg_id, id, sizeof id);
    *branch_r = branch;
    return true;
}

void fb_trace_new(char trace[FB_TRACE_SIZE])
{
    uint8_t bytes[24];
    char hex[2 * sizeof bytes + 1];
    fb_random(bytes, sizeof bytes);
    bytes[0] |= 1; /* all zeros is invalid in both ids */
    bytes[16] |= 1;
    fb_hex(bytes, sizeof bytes, hex);
    int n = snprintf(trace, FB_TRACE_SIZE, "00-%.32s-%.16s-01", hex, hex + 32);
    FB_ASSERT(n == FB_TRACE_SIZE - 1);
}

/* Lower-case hex; is_zero_r: only zeros. */
static bool is_hex(const char *s, size_t len, bool *is_zero_r)
{
    *is_zero_r = true;
    for (size_t i = 0; i < len; i++) {
        if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f'))) {
            return false;
        }
        *is_zero_r = *is_zero_r && s[i] == '0';
    }
    return true;
}

bool fb_trace_is_valid(const char *trace)
{
    bool is_zero = false;
    if (trace == NULL || strnlen(trace, FB_TRACE_SIZE) != FB_TRACE_SIZE - 1 ||
        strncmp(trace, "00-", 3) != 0 || trace[35] != '-' || trace[52] != '-') {
        return false;
    }
    if (!is_hex(trace + 3, 32, &is_zero) || is_zero) {
        return false;
    }
    if (!is_hex(trace + 36, 16, &is_zero) || is_zero) {
        return false;
    }
    return is_hex(trace + 53, 2, &is_zero);
}

void fb_random_text(char out_r[FB_RANDOM_TEXT])
{
    uint8_t raw[32];
    struct fb_buf text;
    fb_random(raw, sizeof raw);
    fb_buf_init(&text, FB_RANDOM_TEXT);
    FB_ASSERT(fb_base64url_encode(fb_slice_of(raw, sizeof raw), &text) == FB_OK &&
              text.len == FB_RANDOM_TEXT - 1);
    memcpy(out_r, fb_buf_str(&text), FB_RANDOM_TEXT);
    fb_wipe(raw, sizeof raw);
    fb_wipe(text.ptr, text.len);
    fb_buf_deinit(&text);
}

bool fb_random_text_is_valid(const char *text)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    return text != NULL && strlen(text) == FB_RANDOM_TEXT - 1 &&
           strspn(text, letters) == FB_RANDOM_TEXT - 1;
}
