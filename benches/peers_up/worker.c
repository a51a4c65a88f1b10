/* A worker that says when it runs: worker FIFO NUMBER [MODE [FILE]]
 *
 * It writes "NUMBER PID NANOSECONDS\n" (CLOCK_MONOTONIC) to FIFO when it starts, and then, by MODE:
 *   idle   waits for a signal, which ends it (what is done without MODE)
 *   flood  writes FILE for ever, 8 KiB at a time, as a program does whose output is block-buffered
 *   talk   writes a line every 100 ms
 *   term   announces itself again whenever a TERM arrives, and does not end */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 8192 };

static int announce(const char *fifo, const char *number) {
    struct timespec t;
    char text[64];
    clock_gettime(CLOCK_MONOTONIC, &t);
    int length = snprintf(text, sizeof text, "%s %d %lld\n", number, getpid(), t.tv_sec * 1000000000LL + t.tv_nsec);
    int fd = open(fifo, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, length) != length) return 1;
    return close(fd);
}

static int flood(const char *path) {
    struct stat about;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &about)) return 1;
    size_t size = about.st_size;
    char *text = mmap(0, size, PROT_READ, MAP_SHARED, fd, 0);
    if (text == MAP_FAILED) return 1;
    for (size_t at = 0;; at = at < size ? at : 0) {
        ssize_t written = write(1, text + at, size - at < PIECE ? size - at : PIECE);
        if (written < 0) return 1;
        at += written;
    }
}

static int talk(void) {
    const struct timespec pause = {.tv_nsec = 100 * 1000 * 1000};
    for (long line = 1;; line++) {
        if (dprintf(1, "line %ld\n", line) < 0) return 1;
        nanosleep(&pause, 0);
    }
}

static int term(const char *fifo, const char *number) {
    sigset_t set;
    int got;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, 0);
    do {
        if (announce(fifo, number)) return 1;
    } while (!sigwait(&set, &got));
    return 1;
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    const char *mode = argc > 3 ? argv[3] : "idle";
    if (!strcmp(mode, "term")) return term(argv[1], argv[2]);
    if (announce(argv[1], argv[2])) return 1;
    if (!strcmp(mode, "flood") && argc > 4) return flood(argv[4]);
    if (!strcmp(mode, "talk")) return talk();
    for (;;) pause();
}
