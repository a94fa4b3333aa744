/* SPDX-License-Identifier: Apache-2.0
 *
 * Endpoint, region and credentials are found where the AWS tools find them, in their order; roles
 * are asked for at STS, at the container's agent and at the machine (EC2); credentials that were
 * rotated are read anew.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/s3/internal.h"

static char dir[64];

static void write_file(const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void set_path(const char *variable, const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    (void)setenv(variable, path, 1);
}

static int setup(void **state)
{
    static const char *const all[] = {"AWS_ACCESS_KEY_ID",
                                      "AWS_SECRET_ACCESS_KEY",
                                      "AWS_SESSION_TOKEN",
                                      "AWS_PROFILE",
                                      "AWS_REGION",
                                      "AWS_DEFAULT_REGION",
                                      "AWS_ENDPOINT_URL",
                                      "AWS_ENDPOINT_URL_S3",
                                      "AWS_ENDPOINT_URL_STS",
                                      "AWS_CA_BUNDLE",
                                      "AWS_ROLE_ARN",
                                      "AWS_WEB_IDENTITY_TOKEN_FILE",
                                      "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                                      "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                                      "AWS_EC2_METADATA_SERVICE_ENDPOINT",
                                      "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        (void)unsetenv(all[i]);
    }
    (void)setenv("AWS_EC2_METADATA_DISABLED", "true", 1); /* whatever this test runs on */
    (void)snprintf(dir, sizeof dir, "/tmp/fumibako-s3-XXXXXX");
    assert_non_null(mkdtemp(dir));
    set_path("AWS_SHARED_CREDENTIALS_FILE", "credentials");
    set_path("AWS_CONFIG_FILE", "config");
    write_file("credentials", "");
    write_file("config", "");
    return 0;
}

static int teardown(void **state)
{
    static const char *const names[] = {"credentials", "config", "token"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        (void)unlink(path);
    }
    return rmdir(dir);
}

static void check_origin(const char *url, const char *want)
{
    struct fb_s3 *s3 = NULL;
    struct fb_error err = {0};
    if (fb_s3_open(url, NULL, &s3, &err) != FB_OK) {
        fail_msg("%s: %s", url, err.text);
    }
    assert_string_equal(s3->origin, want);
    fb_s3_close(&s3);
}

static void the_address_follows_endpoint_region_and_style(void **state)
{
    (void)state;
    check_origin("s3://bucket/p", "https://bucket.s3.us-east-1.amazonaws.com/");
    check_origin("s3://dotted.bucket", "https://s3.us-east-1.amazonaws.com/dotted.bucket/");
    check_origin("s3://bucket?style=path", "https://s3.us-east-1.amazonaws.com/bucket/");
    (void)setenv("AWS_DEFAULT_REGION", "eu-west-1", 1);
    (void)setenv("AWS_REGION", "ap-northeast-1", 1);
    check_origin("s3://bucket", "https://bucket.s3.ap-northeast-1.amazonaws.com/");
    (void)setenv("AWS_REGION", "cn-north-1", 1);
    check_origin("s3://bucket", "https://bucket.s3.cn-north-1.amazonaws.com.cn/");
    (void)setenv("AWS_ENDPOINT_URL", "http://other:1", 1);
    (void)setenv("AWS_ENDPOINT_URL_S3", "https://store.example:9000/", 1);
    check_origin("s3://bucket", "https://store.example:9000/bucket/");
    check_origin("s3://bucket?style=virtual", "https://bucket.store.example:9000/");
    write_file("config", "[default]\ns3 =\n  addressing_style = virtual\n");
    check_origin("s3://bucket", "https://bucket.store.example:9000/");
}

static void a_bad_url_is_refused_in_words(void **state)
{
    (void)state;
    static const char *const urls[] = {"s3:/bucket",       "s3://",
                                       "s3://UPPER",       "s3://ab",
                                       "s3://bucket//x",   "s3://bucket/a//b",
                                       "s3://bucket/../x", "s3://bucket/a/..",
                                       "s3://bucket/./x",  "s3://bucket/a b",
                                       "s3://bucket?x=1",  "file:///x"};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        struct fb_s3 *s3 = NULL;
        struct fb_error err = {0};
        if (fb_s3_open(urls[i], NULL, &s3, &err) != FB_CONFIG || err.text[0] == '\0') {
            fail_msg("%s was taken", urls[i]);
        }
    }
}

static struct fb_s3_credentials get(const char *step)
{
    struct fb_s3 *s3 = NULL;
    struct fb_error err = {0};
    struct fb_s3_credentials c = {0};
    assert_int_equal(fb_s3_open("s3://bucket", NULL, &s3, &err), FB_OK);
    if (fb_s3_credentials_get(s3, &c, &err) != FB_OK) {
        fail_msg("%s: %s", step, err.text);
    }
    fb_s3_close(&s3);
    return c;
}

static void credentials_come_from_the_environment_then_the_profile(void **state)
{
    (void)state;
    struct fb_s3 *s3 = NULL;
    struct fb_s3_credentials c = {0};
    struct fb_error err = {0};
    assert_int_equal(fb_s3_open("s3://bucket", NULL, &s3, &err), FB_OK);
    assert_int_equal(fb_s3_credentials_get(s3, &c, &err), FB_CONFIG);
    assert_non_null(strstr(err.text, "AWS_ACCESS_KEY_ID"));
    write_file("credentials", "# kept by hand\n[other]\naws_access_key_id=O\n"
                              "aws_secret_access_key = osecret\n[default]\n"
                              "aws_access_key_id = D\naws_secret_access_key=dsec/ret+=\n"
                              "aws_session_token = dtoken\n");
    assert_int_equal(fb_s3_credentials_get(s3, &c, &err), FB_OK);
    assert_string_equal(c.key_id, "D");
    assert_string_equal(c.secret, "dsec/ret+=");
    assert_string_equal(c.token, "dtoken");
    /* Rotated: refused once, read anew. */
    write_file("credentials", "[default]\naws_access_key_id = D2\naws_secret_access_key = s2\n");
    assert_true(fb_s3_credentials_drop(s3, &c));
    assert_int_equal(fb_s3_credentials_get(s3, &c, &err), FB_OK);
    assert_string_equal(c.key_id, "D2");
    assert_string_equal(c.token, "");
    assert_false(fb_s3_credentials_drop(s3, &c)); /* not again at once */
    fb_s3_close(&s3);
    write_file("config", "[profile work]\naws_access_key_id = W\naws_secret_access_key = w\n"
                         "region = eu-central-1\nendpoint_url = https://w.example\n");
    (void)setenv("AWS_PROFILE", "work", 1);
    assert_string_equal(get("config").key_id, "W");
    check_origin("s3://bucket", "https://w.example/bucket/");
    (void)setenv("AWS_ACCESS_KEY_ID", "E", 1);
    (void)setenv("AWS_SECRET_ACCESS_KEY", "e", 1);
    assert_string_equal(get("environment").key_id, "E");
}

/* Answers one request with a fixed text and keeps what came. */
struct one {
    int fd;
    uint16_t port;
    const char *answer;
    char request[4096];
    pthread_t thread;
};

static void *serve(void *arg)
{
    struct one *o = arg;
    int fd = accept(o->fd, NULL, NULL);
    size_t len = 0;
    char head[256];
    while (fd >= 0 && len < sizeof o->request - 1) {
        ssize_t n = read(fd, o->request + len, sizeof o->request - 1 - len);
        len += n > 0 ? (size_t)n : 0;
        const char *body = strstr(o->request, "\r\n\r\n");
        const char *size = strstr(o->request, "Content-Length: ");
        size_t want = size != NULL ? strtoul(size + 16, NULL, 10) : 0;
        if (n <= 0 || (body != NULL && strlen(body + 4) >= want)) {
            break;
        }
    }
    int n = snprintf(head, sizeof head,
                     "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
                     strlen(o->answer));
    if (write(fd, head, (size_t)n) != n || write(fd, o->answer, strlen(o->answer)) < 0) {
        o->request[0] = '\0';
    }
    (void)close(fd);
    return NULL;
}

static void serve_one(struct one *o, const char *answer)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof a;
    *o = (struct one){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .answer = answer};
    assert_int_equal(bind(o->fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(o->fd, 4), 0);
    assert_int_equal(getsockname(o->fd, (struct sockaddr *)&a, &len), 0);
    o->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&o->thread, NULL, serve, o), 0);
}

static void end_one(struct one *o)
{
    assert_int_equal(pthread_join(o->thread, NULL), 0);
    (void)close(o->fd);
}

static void a_web_identity_becomes_credentials(void **state)
{
    (void)state;
    struct one sts;
    char url[64];
    serve_one(&sts, "<AssumeRoleWithWebIdentityResponse xmlns=\"x\"><Credentials>"
                    "<SessionToken>tok&amp;en</SessionToken><SecretAccessKey>se/c</SecretAccessKey>"
                    "<Expiration>2035-01-02T03:04:05Z</Expiration><AccessKeyId>ASIA</AccessKeyId>"
                    "</Credentials></AssumeRoleWithWebIdentityResponse>");
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", sts.port);
    (void)setenv("AWS_ENDPOINT_URL_STS", url, 1);
    (void)setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/r", 1);
    write_file("token", "ey.J=\n");
    set_path("AWS_WEB_IDENTITY_TOKEN_FILE", "token");
    struct fb_s3_credentials c = get("web");
    end_one(&sts);
    assert_string_equal(c.key_id, "ASIA");
    assert_string_equal(c.secret, "se/c");
    assert_string_equal(c.token, "tok&en");
    assert_true(c.expires_ms == 2051319845000);
    assert_non_null(strstr(sts.request, "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr&"));
    assert_non_null(strstr(sts.request, "WebIdentityToken=ey.J%3D"));
}

static void the_containers_agent_gives_credentials(void **state)
{
    (void)state;
    struct one agent;
    char url[64];
    serve_one(&agent, "{\"AccessKeyId\":\"AC\",\"SecretAccessKey\":\"s\",\"Token\":\"t\","
                      "\"Expiration\":\"2035-01-02T03:04:05Z\"}");
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/v1/credentials", agent.port);
    (void)setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url, 1);
    write_file("token", "pod-token\n");
    set_path("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "token");
    struct fb_s3_credentials c = get("container");
    end_one(&agent);
    assert_string_equal(c.key_id, "AC");
    assert_string_equal(c.token, "t");
    assert_non_null(strstr(agent.request, "Authorization: pod-token"));
    /* Never in the clear to another machine. */
    static const char *const far[] = {"http://192.0.2.1/x", "http://127.0.0.1.example/x",
                                      "http://localhost.example/"};
    for (size_t i = 0; i < 3; i++) {
        struct fb_s3 *s3 = NULL;
        (void)setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", far[i], 1);
        assert_int_equal(fb_s3_open("s3://bucket", NULL, &s3, NULL), FB_OK);
        assert_int_equal(fb_s3_credentials_get(s3, &c, NULL), FB_CONFIG);
        fb_s3_close(&s3);
    }
}

/* A metadata service as EC2 has it, version 2: a token first, then the role, then its credentials. */
struct imds {
    int fd;
    uint16_t port;
    int count; /* requests it answers */
    const char *role;
    bool is_denied; /* the token, as where the hop limit is too small for a container */
    char requests[4][1024];
    pthread_t thread;
};

static void *serve_imds(void *arg)
{
    struct imds *m = arg;
    for (int i = 0; i < m->count; i++) {
        char answer[700], body[400] = "";
        size_t len = 0;
        int fd = accept(m->fd, NULL, NULL);
        while (fd >= 0 && strstr(m->requests[i], "\r\n\r\n") == NULL) {
            ssize_t n = read(fd, m->requests[i] + len, sizeof m->requests[i] - 1 - len);
            if (n <= 0) {
                break;
            }
            len += (size_t)n;
        }
        const char *r = m->requests[i];
        bool has_token = strstr(r, "X-aws-ec2-metadata-token: TOKEN==") != NULL;
        int status = 404;
        if (strncmp(r, "PUT /latest/api/token ", 22) == 0) {
            status = m->is_denied ? 403 : 200;
            (void)snprintf(body, sizeof body, "TOKEN==");
        } else if (!has_token) {
            status = 401;
        } else if (strncmp(r, "GET /latest/meta-data/iam/security-credentials/ ", 48) == 0) {
            status = m->role[0] != '\0' ? 200 : 404;
            (void)snprintf(body, sizeof body, "%s", m->role);
        } else if (strncmp(r, "GET /latest/meta-data/iam/security-credentials/mailer ", 54) == 0) {
            status = 200;
            (void)snprintf(
                body, sizeof body,
                "{\"Code\":\"Success\",\"AccessKeyId\":\"EC2\",\"SecretAccessKey\":\"s\","
                "\"Token\":\"t\",\"Expiration\":\"2035-01-02T03:04:05Z\"}");
        }
        int n = snprintf(answer, sizeof answer,
                         "HTTP/1.1 %d X\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                         status, strlen(body), body);
        if (write(fd, answer, (size_t)n) != n) {
            m->requests[i][0] = '\0';
        }
        (void)close(fd);
    }
    return NULL;
}

static void start_imds(struct imds *m)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof a;
    char url[64];
    m->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(m->fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(m->fd, 4), 0);
    assert_int_equal(getsockname(m->fd, (struct sockaddr *)&a, &len), 0);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/", ntohs(a.sin_port));
    (void)setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url, 1);
    (void)setenv("AWS_EC2_METADATA_DISABLED", "false", 1);
    assert_int_equal(pthread_create(&m->thread, NULL, serve_imds, m), 0);
}

static void end_imds(struct imds *m)
{
    assert_int_equal(pthread_join(m->thread, NULL), 0);
    (void)close(m->fd);
}

static enum fb_status try_to_get(struct fb_s3_credentials *c, struct fb_error *err)
{
    struct fb_s3 *s3 = NULL;
    assert_int_equal(fb_s3_open("s3://bucket", NULL, &s3, NULL), FB_OK);
    enum fb_status s = fb_s3_credentials_get(s3, c, err);
    fb_s3_close(&s3);
    return s;
}

static void the_machine_gives_its_roles_credentials_by_version_2(void **state)
{
    (void)state;
    struct imds m = {.count = 3, .role = "mailer\n"};
    struct fb_s3_credentials c;
    struct fb_error err = {0};
    start_imds(&m);
    c = get("machine");
    end_imds(&m);
    assert_string_equal(c.key_id, "EC2");
    assert_string_equal(c.token, "t");
    assert_true(c.expires_ms == 2051319845000);
    assert_non_null(strstr(m.requests[0], "X-aws-ec2-metadata-token-ttl-seconds: "));
    /* No role: in words.  No service, or switched off: there are no credentials at all. */
    struct imds bare = {.count = 2, .role = ""};
    start_imds(&bare);
    assert_int_equal(try_to_get(&c, &err), FB_CONFIG);
    end_imds(&bare);
    assert_non_null(strstr(err.text, "instance profile"));
    struct imds denied = {.count = 1, .role = "", .is_denied = true};
    start_imds(&denied);
    assert_int_equal(try_to_get(&c, &err), FB_CONFIG);
    end_imds(&denied);
    assert_non_null(strstr(err.text, "no credentials for S3"));
    assert_int_equal(try_to_get(&c, &err), FB_CONFIG); /* nobody listens there any more */
    assert_non_null(strstr(err.text, "no credentials for S3"));
    (void)setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://192.0.2.1", 1);
    assert_int_equal(try_to_get(&c, &err), FB_CONFIG);
    assert_non_null(strstr(err.text, "another machine"));
    (void)setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    assert_int_equal(try_to_get(&c, &err), FB_CONFIG);
    assert_non_null(strstr(err.text, "no credentials for S3"));
}

static void xml_is_read_with_care(void **state)
{
    (void)state;
    struct fb_slice xml = FB_SLICE_LITERAL("<A><K>a&amp;b&lt;</K><Key>x</Key><K a=\"1\">2</K><K>");
    struct fb_slice inner = {0};
    char out[8];
    assert_true(fb_s3_xml_get(xml, "Key", out, sizeof out));
    assert_string_equal(out, "x");
    assert_true(fb_s3_xml_next(&xml, "K", &inner));
    assert_true(fb_s3_xml_text(inner, out, sizeof out));
    assert_string_equal(out, "a&b<");
    assert_false(fb_s3_xml_text(inner, out, 4));
    assert_true(fb_s3_xml_next(&xml, "K", &inner));
    assert_true(fb_slice_eq_str(inner, "2"));
    assert_false(fb_s3_xml_next(&xml, "K", &inner));
    assert_false(fb_s3_xml_text(FB_SLICE_LITERAL("&unknown;"), out, sizeof out));
    assert_false(fb_s3_xml_text(FB_SLICE_LITERAL("<b>"), out, sizeof out));
    assert_true(fb_s3_time_ms("2013-05-24T00:00:00.500Z") == 1369353600500);
    assert_true(fb_s3_time_ms("yesterday") == 0);
    assert_true(fb_s3_number("123456789012345678") == 123456789012345678);
    assert_true(fb_s3_number("1x") == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_address_follows_endpoint_region_and_style, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_bad_url_is_refused_in_words, setup, teardown),
        cmocka_unit_test_setup_teardown(credentials_come_from_the_environment_then_the_profile,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_web_identity_becomes_credentials, setup, teardown),
        cmocka_unit_test_setup_teardown(the_containers_agent_gives_credentials, setup, teardown),
        cmocka_unit_test_setup_teardown(the_machine_gives_its_roles_credentials_by_version_2, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(xml_is_read_with_care, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
