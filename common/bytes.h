/* SPDX-License-Identifier: Apache-2.0
 *
 * Little-endian integers in what is stored. */
#ifndef FB_COMMON_BYTES_H
#define FB_COMMON_BYTES_H

#include <stdint.h>

void fb_put16(uint8_t *to, uint16_t v);
void fb_put32(uint8_t *to, uint32_t v);
void fb_put64(uint8_t *to, uint64_t v);
uint16_t fb_get16(const uint8_t *from);
uint32_t fb_get32(const uint8_t *from);
uint64_t fb_get64(const uint8_t *from);

#endif
