/* The floor of workers that stay: tells a worker tasks over a socketpair on its descriptor 3, so many at a time, and does nothing
 * else.
 *
 *   line_loop COUNT CREDIT PROGRAM [ARGUMENT ...]       prints the seconds from the first task to the last "ok" */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

/* How many lines begin with "ok" of those that have come. */
static long answers(int fd) {
    static char heard[1 << 16];
    static size_t kept;
    long oks = 0;
    ssize_t got = read(fd, heard + kept, sizeof heard - kept);
    if (got <= 0) exit(1);
    kept += got;
    char *line = heard, *end;
    while ((end = memchr(line, '\n', heard + kept - line))) {
        oks += end - line >= 2 && !memcmp(line, "ok", 2);
        line = end + 1;
    }
    kept -= line - heard;
    memmove(heard, line, kept);
    return oks;
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    long count = atol(argv[1]), credit = atol(argv[2]), told = 0, done = 0;
    int ends[2];
    pid_t pid;
    posix_spawn_file_actions_t actions;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)) return 1;
    /* Out of the way of 3, so that the copy is one that is inherited. */
    int theirs = dup(ends[1]);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, theirs, 3);
    if (setenv("QUELL_TASK_FD", "3", 1)) return 1;
    int ours = dup2(ends[0], 20);
    close(ends[0]);
    close(ends[1]);
    posix_spawn_file_actions_addclose(&actions, ours);
    if (posix_spawnp(&pid, argv[3], &actions, 0, argv + 3, environ)) return 1;
    close(theirs);
    double began = 0;
    while (done < count) {
        char lines[1 << 14];
        size_t size = 0;
        for (; told < count && told - done < credit && size < sizeof lines - 64; told++)
            size += sprintf(lines + size, "%ld 1 - work\n", told + 1);
        if (size && write(ours, lines, size) != (ssize_t)size) return 1;
        done += answers(ours);
        /* The first answers say that the program has come up. */
        if (!began) began = now();
    }
    printf("%.6f\n", now() - began);
    close(ours);
    return waitpid(pid, 0, 0) < 0;
}
