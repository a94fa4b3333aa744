/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads and writes what crosses a process border, for tests in other languages:
 *
 *   proto_cat decode KIND <bytes >json     exit 1 and the decoder's words on stderr when it refuses
 *   proto_cat encode KIND <json >bytes
 *
 * KIND: job, envelope, plan, parcel.  The JSON is described in proto_json.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/proto/proto_json.h"

#define MAX_INPUT (64U << 20)

static bool read_all(FILE *from, struct fb_buf *out)
{
    char chunk[16384];
    size_t n = 0;
    while ((n = fread(chunk, 1, sizeof chunk, from)) > 0) {
        if (fb_buf_add(out, chunk, n) != FB_OK) {
            return false;
        }
    }
    return ferror(from) == 0;
}

static enum fb_status decode(const char *kind, const struct fb_buf *in, struct fb_error *err)
{
    json_t *json = NULL;
    enum fb_status s = proto_json_decode(kind, fb_slice_buf(in), &json, err);
    if (s == FB_OK && (json_dumpf(json, stdout, JSON_INDENT(2)) != 0 || puts("") < 0)) {
        s = fb_error_set(err, FB_IO, "standard output cannot be written");
    }
    json_decref(json);
    return s;
}

static enum fb_status encode(const char *kind, const struct fb_buf *in, struct fb_error *err)
{
    json_error_t why;
    struct fb_buf out;
    fb_buf_init(&out, MAX_INPUT);
    json_t *json = json_loadb(fb_buf_str(in), in->len, JSON_REJECT_DUPLICATES, &why);
    enum fb_status s = json != NULL
                           ? proto_json_encode(kind, json, &out, err)
                           : fb_error_set(err, FB_INVALID, "line %d: %s", why.line, why.text);
    if (s == FB_OK && fwrite(out.ptr, 1, out.len, stdout) != out.len) {
        s = fb_error_set(err, FB_IO, "standard output cannot be written");
    }
    json_decref(json);
    fb_buf_deinit(&out);
    return s;
}

int main(int argc, char **argv)
{
    struct fb_error err = {0};
    struct fb_buf in;
    bool is_decoding = argc == 3 && strcmp(argv[1], "decode") == 0;
    if (!is_decoding && (argc != 3 || strcmp(argv[1], "encode") != 0)) {
        (void)fprintf(stderr, "usage: proto_cat decode|encode job|envelope|plan|parcel\n");
        return 2;
    }
    fb_buf_init(&in, MAX_INPUT);
    enum fb_status s = FB_IO;
    if (!read_all(stdin, &in)) {
        (void)fb_error_set(&err, FB_IO, "standard input cannot be read, or is too large");
    } else {
        s = is_decoding ? decode(argv[2], &in, &err) : encode(argv[2], &in, &err);
    }
    fb_buf_deinit(&in);
    if (s != FB_OK) {
        (void)fprintf(stderr, "%s: %s\n", fb_status_name(s), err.text);
        return 1;
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
