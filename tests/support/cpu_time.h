/* SPDX-License-Identifier: Apache-2.0
 *
 * The time that this process worked, which is the same on a busy machine: for tests of what something costs. */
#ifndef FB_TESTS_SUPPORT_CPU_TIME_H
#define FB_TESTS_SUPPORT_CPU_TIME_H

#include <stdint.h>
#include <time.h>

#include "common/status.h"

static inline int64_t cpu_us(void)
{
    struct timespec t;
    FB_ASSERT(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static inline int64_t cpu_ms(void)
{
    return cpu_us() / 1000;
}

#endif
