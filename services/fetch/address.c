/* SPDX-License-Identifier: Apache-2.0 */
#include "services/fetch/address.h"

#include <string.h>

struct range {
    uint8_t bytes[16];
    int bits;
};

/* RFC 6890 and the registry https://www.iana.org/assignments/iana-ipv4-special-registry */
static const struct range v4_ranges[] = {
    {{0}, 8},                /* this network (RFC 791) */
    {{10}, 8},               /* private (RFC 1918) */
    {{100, 64}, 10},         /* shared, CGNAT (RFC 6598) */
    {{127}, 8},              /* loopback */
    {{169, 254}, 16},        /* link-local (RFC 3927); clouds answer with credentials there */
    {{172, 16}, 12},         /* private */
    {{192, 0, 0}, 24},       /* IETF protocol assignments */
    {{192, 0, 2}, 24},       /* documentation (RFC 5737) */
    {{192, 88, 99}, 24},     /* 6to4 relays (RFC 7526) */
    {{192, 168}, 16},        /* private */
    {{198, 18}, 15},         /* benchmarks (RFC 2544) */
    {{198, 51, 100}, 24},    /* documentation */
    {{203, 0, 113}, 24},     /* documentation */
    {{224}, 4},              /* multicast */
    {{240}, 4},              /* reserved, and broadcast */
    {{168, 63, 129, 16}, 32} /* Azure's own services, for its guests (public by its number only) */
};

/* Inside 2000::/3, the only part of IPv6 that is handed out (RFC 4291 2.5.4, IANA). */
static const struct range v6_ranges[] = {
    {{0x20, 0x01}, 23},             /* protocol assignments: Teredo, ORCHID, benchmarks */
    {{0x20, 0x01, 0x0d, 0xb8}, 32}, /* documentation (RFC 3849) */
    {{0x20, 0x02}, 16},             /* 6to4: carries an IPv4 address */
    {{0x3f, 0xff}, 20},             /* documentation (RFC 9637) */
    {{0x26, 0x20, 0x00, 0x4f, 0x80, 0x00}, 48}, /* AS112: sinks of DNS */
};

static bool is_in(const uint8_t *address, const struct range *r)
{
    size_t whole = (size_t)r->bits / 8;
    int rest = r->bits % 8;
    if (memcmp(address, r->bytes, whole) != 0) {
        return false;
    }
    return rest == 0 || ((address[whole] ^ r->bytes[whole]) >> (8 - rest)) == 0;
}

static bool is_in_any(const uint8_t *address, const struct range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (is_in(address, &ranges[i])) {
            return true;
        }
    }
    return false;
}

bool fetch_address_is_public(const struct fb_net_address *address)
{
    static const struct range mapped = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96};
    static const struct range unicast = {{0x20}, 3};
    if (is_in(address->bytes, &mapped)) {
        return !is_in_any(address->bytes + 12, v4_ranges, sizeof v4_ranges / sizeof v4_ranges[0]);
    }
    return is_in(address->bytes, &unicast) &&
           !is_in_any(address->bytes, v6_ranges, sizeof v6_ranges / sizeof v6_ranges[0]);
}
