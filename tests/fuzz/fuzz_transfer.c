/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes through the decoders of transfer encodings.  Octet 0 chooses the encoding, octet 1 how
 * the rest is cut.
 *
 * Checked: no call gives more than it may, and however the bytes are cut, the output is the same.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "proto/transfer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(enum fb_encoding encoding, struct fb_slice in, size_t piece, struct fb_buf *out)
{
    struct fb_transfer t;
    fb_transfer_init(&t, encoding);
    uint8_t *room = malloc(piece + FB_TRANSFER_SLACK); /* of exactly the size that is promised */
    FB_ASSERT(room != NULL);
    while (in.len > 0) {
        size_t n = in.len < piece ? in.len : piece;
        size_t given = fb_transfer_step(&t, in.ptr, n, room);
        FB_ASSERT(given <= n + FB_TRANSFER_SLACK && fb_buf_add(out, room, given) == FB_OK);
        in = fb_slice_sub(in, n, SIZE_MAX);
    }
    size_t given = fb_transfer_end(&t, room);
    FB_ASSERT(given <= FB_TRANSFER_SLACK && fb_buf_add(out, room, given) == FB_OK);
    free(room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    struct fb_buf whole, pieces;
    fb_buf_init(&whole, size + FB_TRANSFER_SLACK);
    fb_buf_init(&pieces, size + FB_TRANSFER_SLACK);
    enum fb_encoding encoding = (enum fb_encoding)(data[0] % 4);
    struct fb_slice in = fb_slice_of(data + 2, size - 2);
    decode(encoding, in, in.len > 0 ? in.len : 1, &whole);
    decode(encoding, in, data[1] > 0 ? data[1] : 1, &pieces);
    FB_ASSERT(fb_slice_eq(fb_slice_buf(&whole), fb_slice_buf(&pieces)));
    fb_buf_deinit(&whole);
    fb_buf_deinit(&pieces);
    return 0;
}
