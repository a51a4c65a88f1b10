/* The floor: starts workers as fast as that can be done, and supervises nothing. spawn_loop COUNT WORKER FIFO
 *
 * A TERM ends them, and then itself. */
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    int count = atoi(argv[1]), got;
    pid_t *pids = calloc(count, sizeof *pids);
    sigset_t set, none;
    posix_spawnattr_t attributes;
    sigemptyset(&none);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, 0);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attributes, &none);
    for (int i = 0; i < count; i++) {
        char number[16];
        snprintf(number, sizeof number, "%d", i + 1);
        char *arguments[] = {argv[2], argv[3], number, 0};
        if (posix_spawn(&pids[i], argv[2], 0, &attributes, arguments, environ)) return 1;
    }
    sigwait(&set, &got);
    for (int i = 0; i < count; i++) kill(pids[i], SIGTERM);
    for (int i = 0; i < count; i++) waitpid(pids[i], 0, 0);
    return 0;
}
