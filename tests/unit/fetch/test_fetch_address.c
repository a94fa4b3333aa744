/* SPDX-License-Identifier: Apache-2.0
 *
 * The border between the public Internet and everything else: the first and the last address of each range that is not
 * fetched from, and their neighbours outside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "services/fetch/address.h"

static const struct {
    const char *address;
    bool is_public;
} rows[] = {
    {"0.0.0.0", false},
    {"0.255.255.255", false},
    {"1.0.0.0", true},
    {"1.1.1.1", true},
    {"8.8.8.8", true},
    {"9.255.255.255", true},
    {"10.0.0.0", false},
    {"10.255.255.255", false},
    {"11.0.0.0", true},
    {"100.63.255.255", true},
    {"100.64.0.0", false},
    {"100.100.100.200", false}, /* Alibaba's metadata */
    {"100.127.255.255", false},
    {"100.128.0.0", true},
    {"126.255.255.255", true},
    {"127.0.0.0", false},
    {"127.0.0.1", false},
    {"127.255.255.255", false},
    {"128.0.0.0", true},
    {"168.63.129.15", true},
    {"168.63.129.16", false}, /* Azure's wire server */
    {"169.253.255.255", true},
    {"169.254.0.0", false},
    {"169.254.169.254", false}, /* metadata of most clouds */
    {"169.254.255.255", false},
    {"169.255.0.0", true},
    {"172.15.255.255", true},
    {"172.16.0.0", false},
    {"172.31.255.255", false},
    {"172.32.0.0", true},
    {"192.0.0.0", false},
    {"192.0.0.192", false}, /* Oracle's metadata, once */
    {"192.0.1.0", true},
    {"192.0.2.0", false},
    {"192.0.2.255", false},
    {"192.0.3.0", true},
    {"192.88.98.255", true},
    {"192.88.99.1", false},
    {"192.167.255.255", true},
    {"192.168.0.0", false},
    {"192.168.255.255", false},
    {"192.169.0.0", true},
    {"198.17.255.255", true},
    {"198.18.0.0", false},
    {"198.19.255.255", false},
    {"198.20.0.0", true},
    {"198.51.99.255", true},
    {"198.51.100.0", false},
    {"198.51.101.0", true},
    {"203.0.112.255", true},
    {"203.0.113.255", false},
    {"203.0.114.0", true},
    {"223.255.255.255", true},
    {"224.0.0.0", false},
    {"239.255.255.255", false},
    {"240.0.0.0", false},
    {"255.255.255.255", false},
    /* IPv4 in IPv6 */
    {"::ffff:8.8.8.8", true},
    {"::ffff:127.0.0.1", false},
    {"::ffff:10.0.0.1", false},
    {"::ffff:169.254.169.254", false},
    {"::ffff:a9fe:a9fe", false},
    {"::8.8.8.8", false},        /* compatible, given up (RFC 4291) */
    {"::ffff:0:8.8.8.8", false}, /* SIIT (RFC 2765) */
    {"64:ff9b::8.8.8.8", false}, /* NAT64 (RFC 6052) */
    {"64:ff9b::127.0.0.1", false},
    {"64:ff9b:1::1", false},   /* NAT64 of a network's own (RFC 8215) */
    {"2002:7f00:1::1", false}, /* 6to4 of 127.0.0.1 */
    {"2002:808:808::1", false},
    {"2001:0:7f00:1::", false}, /* Teredo */
    /* IPv6 */
    {"::", false},
    {"::1", false},
    {"100::1", false}, /* discard */
    {"1fff:ffff::1", false},
    {"2000::1", true},
    {"2001:1ff:ffff::1", false}, /* protocol assignments */
    {"2001:200::1", true},       /* WIDE */
    {"2001:db7:ffff::1", true},
    {"2001:db8::", false},
    {"2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", false},
    {"2001:db9::1", true},
    {"2003::1", true},
    {"2404:6800:4004::1", true},
    {"2606:4700:4700::1111", true},
    {"2620:4f:8000::1", false},
    {"3fff::1", false},
    {"3fff:fff::1", false},
    {"3fff:1000::1", true},
    {"3ffe:ffff::1", true},
    {"4000::1", false},
    {"5f00::1", false}, /* segment routing */
    {"fc00::1", false},
    {"fd00:ec2::254", false}, /* Amazon's metadata */
    {"fdff::1", false},
    {"fe80::1", false},
    {"febf::1", false},
    {"fec0::1", false}, /* site-local */
    {"ff02::1", false},
    {"ff0e::1", false},
};

static void test_only_addresses_of_the_public_internet_are_public(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fb_net_address address;
        assert_true(fb_net_address_parse(rows[i].address, &address));
        if (fetch_address_is_public(&address) != rows[i].is_public) {
            fail_msg("%s: want %s", rows[i].address, rows[i].is_public ? "public" : "not public");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_addresses_of_the_public_internet_are_public),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
