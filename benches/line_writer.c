/* Writes each line of a file with a write of its own, as a worker does whose output is line-buffered, and writes to
 * $LINE_WRITER_REPORT how long that took and how much CPU: "seconds cpu_seconds\n". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    FILE *file = fopen(argv[1], "r");
    if (!file) return 1;
    fseek(file, 0, SEEK_END);
    size_t size = ftell(file);
    rewind(file);
    char *text = malloc(size);
    if (!text || fread(text, 1, size, file) != size) return 1;
    double start = now();
    for (char *at = text, *end = text + size; at < end;) {
        char *newline = memchr(at, '\n', end - at);
        size_t length = (newline ? newline + 1 : end) - at;
        for (size_t done = 0; done < length;) {
            ssize_t n = write(1, at + done, length - done);
            if (n < 0) return 1;
            done += n;
        }
        at += length;
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double cpu = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    const char *report = getenv("LINE_WRITER_REPORT");
    FILE *out = report ? fopen(report, "w") : stderr;
    if (!out) return 1;
    fprintf(out, "%f %f\n", now() - start, cpu);
    return 0;
}
