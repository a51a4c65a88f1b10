/* A task that says when it runs: writes the time (CLOCK_MONOTONIC, nanoseconds) and what is to be done, which is "bare" where it
 * is no task.   stamp FIFO */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
    struct timespec t;
    char text[256], body[128] = "bare";
    clock_gettime(CLOCK_MONOTONIC, &t);
    const char *payload = getenv("QUELL_PAYLOAD");
    if (payload) {
        int fd = open(payload, O_RDONLY | O_CLOEXEC);
        ssize_t size = read(fd, body, sizeof body - 1);
        if (size < 0) return 1;
        body[size] = 0;
    }
    int fd = open(argv[argc - 1], O_WRONLY | O_CLOEXEC);
    int length = snprintf(text, sizeof text, "%lld %s\n", t.tv_sec * 1000000000LL + t.tv_nsec, body);
    return fd < 0 || write(fd, text, length) != length;
}
