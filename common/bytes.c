/* SPDX-License-Identifier: Apache-2.0 */
#include "common/bytes.h"

void fb_put16(uint8_t *to, uint16_t v)
{
    to[0] = (uint8_t)v;
    to[1] = (uint8_t)(v >> 8);
}

void fb_put32(uint8_t *to, uint32_t v)
{
    for (int i = 0; i < 4; i++) {
        to[i] = (uint8_t)(v >> (8 * i));
    }
}

void fb_put64(uint8_t *to, uint64_t v)
{
    for (int i = 0; i < 8; i++) {
        to[i] = (uint8_t)(v >> (8 * i));
    }
}

uint16_t fb_get16(const uint8_t *from)
{
    return (uint16_t)(from[0] | from[1] << 8);
}

uint32_t fb_get32(const uint8_t *from)
{
    uint32_t v = 0;
    for (int i = 3; i >= 0; i--) {
        v = v << 8 | from[i];
    }
    return v;
}

uint64_t fb_get64(const uint8_t *from)
{
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--) {
        v = v << 8 | from[i];
    }
    return v;
}
