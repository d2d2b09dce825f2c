/* measure ENDS ORPHANS SECONDS PROGRAM [ARG...]: runs the program as PID 1 of a PID namespace, and prints JSON.
 * In C, since what is measured takes microseconds, and a namespace needs clone(2) with a child that runs on. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How often orphans are left to it. */
#define ROUNDS 3

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

/* When the program was started last: what the kernel takes for the namespace before that is the same for all. */
static double *started;

/* The program as PID 1 of a new namespace, its output nowhere. */
static pid_t start(char **argv) {
    int flags = CLONE_NEWPID | (geteuid() ? CLONE_NEWUSER : 0);
    pid_t pid = syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, 0);
    if (pid < 0)
        fail("clone");
    if (pid > 0)
        return pid;
    int null = open("/dev/null", O_RDWR);
    dup2(null, 1);
    dup2(null, 2);
    *started = now();
    execvp(argv[0], argv);
    _exit(127);
}

/* A field of /proc/PID/FILE, by its name; of all lines that have it, the sum. */
static unsigned long long field(pid_t pid, const char *file, const char *name) {
    char path[64], line[256];
    unsigned long long sum = 0;
    snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
    FILE *from = fopen(path, "r");
    if (!from)
        fail(path);
    while (fgets(line, sizeof line, from))
        if (!strncmp(line, name, strlen(name)))
            sum += strtoull(line + strlen(name), NULL, 10);
    fclose(from);
    return sum;
}

/* A file of /proc/PID, to be read again and again. */
static int proc(pid_t pid, const char *file) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
    int from = open(path, O_RDONLY | O_CLOEXEC);
    if (from < 0)
        fail(path);
    return from;
}

/* What it holds now. */
static const char *text(int from) {
    static char read[8192];
    ssize_t length = pread(from, read, sizeof read - 1, 0);
    read[length < 0 ? 0 : length] = 0;
    return read;
}

/* A set of signals in /proc/PID/status. */
static unsigned long long signals(const char *status, const char *name) {
    const char *line = strstr(status, name);
    return line ? strtoull(line + strlen(name), NULL, 16) : 0;
}

/* Until TERM is caught or blocked: from then on it is not lost. How long it takes to see that is a part of what is
 * measured, so all is opened before. */
static void wait_ready(pid_t pid) {
    unsigned long long bit = 1ULL << (SIGTERM - 1);
    int status = proc(pid, "status"), call = proc(pid, "syscall");
    double began = now();
    for (unsigned looks = 0;; looks++) {
        const char *said = text(status);
        if ((signals(said, "\nSigCgt:") | signals(said, "\nSigBlk:")) & bit)
            break;
        if (looks % 64 != 63)
            continue;
        /* It may sleep in sigtimedwait(2), for whose time the kernel lifts the block of what is waited for. */
        if (atol(text(call)) == SYS_rt_sigtimedwait)
            break;
        int ended;
        if (waitpid(pid, &ended, WNOHANG) == pid) {
            fprintf(stderr, "it ended before it handled TERM: wait status %#x\n", ended);
            exit(1);
        }
        if (now() - began > 10e6) {
            fprintf(stderr, "it does not handle TERM\n");
            exit(1);
        }
    }
    close(status), close(call);
}

/* It sleeps, and so says the kernel of its child, if it has one. */
static int asleep(pid_t pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
    FILE *from = fopen(path, "r");
    if (!from)
        fail(path);
    pid_t child = 0;
    int children = fscanf(from, "%d", &child);
    fclose(from);
    if (children == 1 && !asleep(child))
        return 0;
    int stat = proc(pid, "stat");
    const char *state = strrchr(text(stat), ')');
    close(stat);
    return state && state[2] == 'S';
}

/* Some have more to do once they are ready, which is not what is measured; and dumb-init loses a TERM that comes before
 * its child is in a session of its own. */
static void wait_asleep(pid_t pid) {
    double began = now();
    do {
        usleep(1000);
        if (now() - began > 10e6) {
            fprintf(stderr, "it does not come to rest\n");
            exit(1);
        }
    } while (!asleep(pid));
}

static void wait_end(pid_t pid) {
    int status;
    if (waitpid(pid, &status, 0) != pid)
        fail("waitpid");
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
        fprintf(stderr, "it cannot be started\n");
        exit(1);
    }
}

static int compare(const void *one, const void *other) {
    double a = *(const double *)one, b = *(const double *)other;
    return (a > b) - (a < b);
}

static double middle(double *values, int count) {
    qsort(values, count, sizeof *values, compare);
    return values[count / 2];
}

/* In the namespace of that PID 1, while it is stopped: children that leave children behind, which have ended. From its
 * continuing until all are gone; the middle of some rounds. */
static double orphans(pid_t init, int count) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/pid", init);
    int namespace = open(path, O_RDONLY);
    if (namespace < 0 || setns(namespace, CLONE_NEWPID))
        fail("setns");
    double *took = mmap(NULL, ROUNDS * sizeof *took, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    double *began = mmap(NULL, sizeof *began, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int round = 0; round < ROUNDS; round++) {
        int go[2], made[2];
        if (pipe(go) || pipe(made))
            fail("pipe");
        if (kill(init, SIGSTOP))
            fail("SIGSTOP");
        pid_t worker = fork();
        if (worker < 0)
            fail("fork");
        if (worker == 0) {
            pid_t *left = mmap(NULL, count * sizeof *left, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
            for (int i = 0; i < count; i++) {
                pid_t child = vfork();
                if (child == 0) {
                    pid_t orphan = fork();
                    if (orphan == 0)
                        _exit(0);
                    left[i] = orphan;
                    _exit(0);
                }
                if (child < 0 || waitpid(child, NULL, 0) != child || left[i] < 0)
                    fail("fork");
            }
            char byte = 0;
            if (write(made[1], &byte, 1) != 1 || read(go[0], &byte, 1) != 1)
                fail("pipe");
            /* It sleeps in between: a processor that spins beside it slows what is measured. */
            for (int i = 0; i < count; i++)
                while (kill(left[i], 0) == 0)
                    usleep(50);
            took[round] = now() - *began;
            _exit(0);
        }
        char byte = 0;
        if (read(made[0], &byte, 1) != 1)
            fail("pipe");
        if (write(go[1], &byte, 1) != 1)
            fail("pipe");
        *began = now();
        kill(init, SIGCONT);
        int ended;
        if (waitpid(worker, &ended, 0) != worker || ended)
            fail("orphans");
        close(go[0]), close(go[1]), close(made[0]), close(made[1]);
    }
    return count / (middle(took, ROUNDS) / 1e6);
}

int main(int argc, char **argv) {
    if (argc < 5)
        return 64;
    int ends = atoi(argv[1]), count = atoi(argv[2]), seconds = atoi(argv[3]);
    char **program = argv + 4;
    double *ready = calloc(ends, sizeof *ready), *exited = calloc(ends, sizeof *exited);
    started = mmap(NULL, sizeof *started, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < ends; i++) {
        pid_t pid = start(program);
        wait_ready(pid);
        ready[i] = now() - *started;
        wait_asleep(pid);
        double began = now();
        kill(pid, SIGTERM);
        wait_end(pid);
        exited[i] = now() - began;
    }
    pid_t pid = start(program);
    wait_ready(pid);
    wait_asleep(pid);
    unsigned long long before = field(pid, "status", "voluntary_ctxt_switches:");
    before += field(pid, "status", "nonvoluntary_ctxt_switches:");
    sleep(seconds);
    unsigned long long after = field(pid, "status", "voluntary_ctxt_switches:");
    after += field(pid, "status", "nonvoluntary_ctxt_switches:");
    unsigned long long resident = field(pid, "status", "VmRSS:");
    unsigned long long private = field(pid, "smaps_rollup", "Private_Clean:") + field(pid, "smaps_rollup", "Private_Dirty:");
    double reaped = orphans(pid, count);
    kill(pid, SIGKILL);
    wait_end(pid);
    printf("{\"ready_us\": %.1f, \"exit_us\": %.1f, \"switches\": %llu, \"resident_kb\": %llu, \"private_kb\": %llu, "
           "\"orphans_per_s\": %.0f}\n",
           middle(ready, ends), middle(exited, ends), after - before, resident, private, reaped);
    return 0;
}
