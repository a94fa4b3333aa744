/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/netlist.h"

static struct fb_net_address address(const char *text)
{
    struct sockaddr_storage ss = {0};
    struct sockaddr_in *four = (struct sockaddr_in *)&ss;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&ss;
    struct fb_net_address a;
    if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
        ss.ss_family = AF_INET;
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &six->sin6_addr), 1);
        ss.ss_family = AF_INET6;
    }
    assert_true(fb_net_address_of((struct sockaddr *)&ss, &a));
    return a;
}

static bool matches(const char *network, const char *who)
{
    char item[64];
    (void)snprintf(item, sizeof item, "%s", network);
    char *items[] = {item};
    struct fb_string_list list = {items, 1};
    struct fb_netlist *nets = NULL;
    struct fb_error err = {0};
    assert_int_equal(fb_netlist_new(&list, "ingest.allow", &nets, &err), FB_OK);
    struct fb_net_address a = address(who);
    bool has = fb_netlist_has(nets, &a);
    fb_netlist_free(&nets);
    return has;
}

static void test_addresses_belong_to_their_networks(void **state)
{
    (void)state;
    static const struct {
        const char *network, *who;
        bool want;
    } rows[] = {
        {"127.0.0.0/8", "127.255.255.255", true},
        {"127.0.0.0/8", "128.0.0.0", false},
        {"10.20.30.0/23", "10.20.31.255", true},
        {"10.20.30.0/23", "10.20.30.1", true},
        {"10.20.30.0/23", "10.20.31.1", true},
        {"192.0.2.7", "192.0.2.7", true},
        {"192.0.2.7", "192.0.2.6", false},
        {"0.0.0.0/0", "8.8.8.8", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "2001:db8::1", true},
        {"::/0", "8.8.8.8", true},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"::1", "::1", true},
        {"127.0.0.0/8", "::ffff:127.0.0.1", true},
        {"127.0.0.0/8", "::1", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (matches(rows[i].network, rows[i].who) != rows[i].want) {
            fail_msg("%s in %s: want %d", rows[i].who, rows[i].network, rows[i].want);
        }
    }
}

static void test_what_is_no_network_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "/8",
                                      "127.0.0.0/",
                                      "127.0.0.0/33",
                                      "127.0.0.0/-1",
                                      "127.0.0.1/8",
                                      "127.0.0",
                                      "localhost",
                                      "::/129",
                                      "2001:db8::1/32",
                                      "10.0.0.0/8 ",
                                      "10.0.0.0/+8",
                                      "1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111/8"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char item[128];
        (void)snprintf(item, sizeof item, "%s", bad[i]);
        char *items[] = {item};
        struct fb_string_list list = {items, 1};
        struct fb_netlist *nets = NULL;
        struct fb_error err = {0};
        if (fb_netlist_new(&list, "ingest.allow", &nets, &err) != FB_CONFIG) {
            fail_msg("\"%s\" was taken", bad[i]);
        }
        assert_null(nets);
        assert_non_null(strstr(err.text, "ingest.allow"));
    }
}

static void test_empty_list_matches_nobody(void **state)
{
    (void)state;
    struct fb_string_list none = {NULL, 0};
    struct fb_netlist *nets = NULL;
    assert_int_equal(fb_netlist_new(&none, "ingest.allow", &nets, NULL), FB_OK);
    struct fb_net_address a = address("127.0.0.1");
    assert_false(fb_netlist_has(nets, &a));
    fb_netlist_free(&nets);
}

static void test_addresses_as_text(void **state)
{
    (void)state;
    char text[46];
    struct fb_net_address a = address("::ffff:192.0.2.1");
    fb_net_address_text(&a, text, sizeof text);
    assert_string_equal(text, "192.0.2.1");
    a = address("2001:db8::1");
    fb_net_address_text(&a, text, sizeof text);
    assert_string_equal(text, "2001:db8::1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_belong_to_their_networks),
        cmocka_unit_test(test_what_is_no_network_is_refused),
        cmocka_unit_test(test_empty_list_matches_nobody),
        cmocka_unit_test(test_addresses_as_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
