/* The floor of a process for each task: starts a program so often, so many at a time, and does nothing else.
 *
 *   spawn_slots COUNT SLOTS PROGRAM [ARGUMENT ...]      prints the seconds that it took */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    long count = atol(argv[1]), slots = atol(argv[2]), started = 0, ended = 0;
    double began = now();
    while (ended < count) {
        pid_t pid;
        if (started < count && started - ended < slots) {
            if (posix_spawn(&pid, argv[3], 0, 0, argv + 3, environ)) return 1;
            started++;
        } else {
            if (wait(0) < 0) return 1;
            ended++;
        }
    }
    printf("%.6f\n", now() - began);
    return 0;
}
