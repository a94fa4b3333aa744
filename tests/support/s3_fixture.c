/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/s3_fixture.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_MS 90000
#define MAX_BODY ((size_t)1 << 20)

static _Noreturn void give_up(const char *why)
{
    (void)fprintf(stderr, "s3 fixture: %s\n", why);
    abort();
}

static void run_server(int in, int out, pid_t parent)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0) {
        _exit(1);
    }
    (void)unsetenv("LD_PRELOAD");
    execlp("node", "node", FB_SOURCE_DIR "/tests/support/s3.mjs", (char *)NULL);
    _exit(127);
}

static bool read_line(struct s3_fixture *f)
{
    char line[512] = "";
    size_t len = 0;
    while (len < sizeof line - 1 && memchr(line, '\n', len) == NULL) {
        struct pollfd p = {.fd = f->from, .events = POLLIN};
        ssize_t n =
            poll(&p, 1, START_MS) == 1 ? read(f->from, line + len, sizeof line - 1 - len) : -1;
        if (n <= 0) {
            return false;
        }
        len += (size_t)n;
    }
    line[len] = '\0';
    const char *port = strstr(line, "\"port\":");
    const char *dir = strstr(line, "\"directory\":\"");
    const char *end = dir != NULL ? strchr(dir + 13, '"') : NULL;
    if (port == NULL || end == NULL) {
        return false;
    }
    f->port = (uint16_t)strtoul(port + 7, NULL, 10);
    (void)snprintf(f->directory, sizeof f->directory, "%.*s", (int)(end - dir - 13), dir + 13);
    return f->port != 0;
}

bool s3_fixture_start(struct s3_fixture *f)
{
    int to[2];
    int from[2];
    char endpoint[64];
    *f = (struct s3_fixture){.to = -1, .from = -1};
    if (access(FB_SOURCE_DIR "/tests/node_modules/s3rver/package.json", R_OK) != 0) {
        (void)fprintf(stderr, "skipped: s3rver is missing (npm ci in tests/)\n");
        return false;
    }
    if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0) {
        give_up("pipe");
    }
    pid_t parent = getpid();
    f->pid = fork();
    if (f->pid < 0) {
        give_up("fork");
    }
    if (f->pid == 0) {
        run_server(to[0], from[1], parent);
    }
    (void)close(to[0]);
    (void)close(from[1]);
    f->to = to[1];
    f->from = from[0];
    if (!read_line(f)) {
        give_up("the server does not start");
    }
    (void)snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", f->port);
    (void)setenv("AWS_ENDPOINT_URL_S3", endpoint, 1);
    (void)setenv("AWS_ACCESS_KEY_ID", "S3RVER", 1);
    (void)setenv("AWS_SECRET_ACCESS_KEY", "S3RVER", 1);
    (void)setenv("AWS_REGION", "us-east-1", 1);
    (void)unsetenv("AWS_SESSION_TOKEN");
    (void)unsetenv("AWS_PROFILE");
    return true;
}

void s3_fixture_stop(struct s3_fixture *f)
{
    if (f->pid > 0) {
        (void)close(f->to);
        (void)waitpid(f->pid, NULL, 0);
        (void)close(f->from);
        f->pid = 0;
    }
}

char *s3_fixture_ask(const struct s3_fixture *f, const char *method, const char *path)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(f->port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    char request[512];
    char *answer = calloc(1, MAX_BODY);
    size_t len = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int n = snprintf(request, sizeof request,
                     "%s %s HTTP/1.1\r\nHost: front\r\nConnection: close\r\n\r\n", method, path);
    if (answer == NULL || fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) != 0 ||
        write(fd, request, (size_t)n) != n) {
        give_up("the front does not listen");
    }
    for (ssize_t got = 1; got > 0 && len < MAX_BODY - 1;) {
        got = read(fd, answer + len, MAX_BODY - 1 - len);
        len += got > 0 ? (size_t)got : 0;
    }
    (void)close(fd);
    char *body = strstr(answer, "\r\n\r\n");
    if (body == NULL) {
        give_up("the front does not answer");
    }
    (void)memmove(answer, body + 4, strlen(body + 4) + 1);
    return answer;
}

void s3_fixture_check(const struct s3_fixture *f)
{
    char *counts = s3_fixture_ask(f, "GET", "/-/counts");
    if (strstr(counts, "\"bad\":[]") == NULL) {
        (void)fprintf(stderr, "%s\n", counts);
        give_up("a request was wrong");
    }
    free(counts);
}
