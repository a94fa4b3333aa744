/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as the configuration file, and as every secret file that it names.
 *
 * Checked: a refusal is FB_CONFIG with a text that begins with the file; what is accepted can be
 * dumped, shows no secret, and its dump is accepted and dumps to the same text.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
enum fb_status __wrap_fb_read_file(const char *path, size_t max, struct fb_buf *out,
                                   struct fb_error *err);

#define SECRET "this-is-a-secret-of-more-than-32-characters"

static struct fb_slice document;

enum fb_status __wrap_fb_read_file(const char *path, size_t max, struct fb_buf *out,
                                   struct fb_error *err)
{
    struct fb_slice text =
        strcmp(path, "fuzz.yaml") == 0 ? document : FB_SLICE_LITERAL(SECRET "\n");
    fb_buf_init(out, max);
    if (fb_buf_add_slice(out, text) != FB_OK) {
        fb_buf_deinit(out);
        return fb_error_set(err, FB_TOO_BIG, "%s: larger than %zu bytes", path, max);
    }
    return FB_OK;
}

static struct fb_config *load(struct fb_slice text)
{
    struct fb_config *config = NULL;
    struct fb_error err = {0};
    document = text;
    enum fb_status s = fb_config_load("fuzz.yaml", &config, &err);
    if (s != FB_OK) {
        FB_ASSERT(s == FB_CONFIG && err.status == FB_CONFIG && config == NULL);
        FB_ASSERT(strstr(err.text, "fuzz.yaml") != NULL);
    }
    return config;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fb_config *first = load(fb_slice_of(data, size));
    if (first == NULL) {
        return 0;
    }
    struct fb_buf once, twice;
    fb_buf_init(&once, 8U << 20);
    fb_buf_init(&twice, 8U << 20);
    FB_ASSERT(fb_config_dump(first, &once) == FB_OK);
    bool is_in_the_open =
        fb_slice_find(fb_slice_of(data, size), FB_SLICE_LITERAL(SECRET)) != SIZE_MAX;
    FB_ASSERT(is_in_the_open || strstr(fb_buf_str(&once), SECRET) == NULL);
    bool has_key = first->rewrite.key != NULL; /* *** is too short for it */
    fb_config_free(&first);
    struct fb_config *second = has_key ? NULL : load(fb_slice_buf(&once));
    if (!has_key) {
        FB_ASSERT(second != NULL && fb_config_dump(second, &twice) == FB_OK);
        FB_ASSERT(fb_slice_eq(fb_slice_buf(&once), fb_slice_buf(&twice)));
    }
    fb_config_free(&second);
    fb_buf_deinit(&once);
    fb_buf_deinit(&twice);
    return 0;
}
