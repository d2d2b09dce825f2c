/* measure ENDS ORPHANS SECONDS PROGRAM [ARG...] [, PROGRAM [ARG...]]...: runs each program as PID 1 of a PID namespace, and
 * prints a line of JSON for each. They take turns in everything: a busy moment of the machine falls on all of them.
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

/* How often orphans are left to each: where the kernel puts a process makes a difference, so each time it is another one. */
#define ROUNDS 15
/* So many programs at most. */
#define MOST 16

/* The program that was started last. */
static const char *name = "measure";

/* With all that was started: this leads a process group of its own. */
static void end(void) {
    kill(0, SIGKILL);
}

static void fail(const char *what) {
    fprintf(stderr, "%s: %s: %s\n", name, what, strerror(errno));
    end();
}

/* It does not do what is waited for. */
static void give_up(const char *what) {
    fprintf(stderr, "%s %s\n", name, what);
    end();
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
    name = argv[0];
    pid_t pid = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, 0);
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
            fprintf(stderr, "%s ended before it handled TERM: wait status %#x\n", name, ended);
            end();
        }
        if (now() - began > 10e6)
            give_up("does not handle TERM");
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
        if (now() - began > 10e6)
            give_up("does not come to rest");
    } while (!asleep(pid));
}

static pid_t start_and_rest(char **argv) {
    pid_t pid = start(argv);
    wait_ready(pid);
    wait_asleep(pid);
    return pid;
}

static void wait_end(pid_t pid) {
    int status;
    if (waitpid(pid, &status, 0) != pid)
        fail("waitpid");
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        give_up("cannot be started");
}

static int compare(const void *one, const void *other) {
    double a = *(const double *)one, b = *(const double *)other;
    return (a > b) - (a < b);
}

static double middle(double *values, int count) {
    qsort(values, count, sizeof *values, compare);
    return values[count / 2];
}

/* In the namespace of that PID 1, while it is stopped: one that leaves children behind, which have ended. Microseconds
 * from its continuing until all are gone. */
static double orphans(pid_t init, int count) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/pid", init);
    int namespace = open(path, O_RDONLY | O_CLOEXEC), own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
    if (namespace < 0 || own < 0 || setns(namespace, CLONE_NEWPID))
        fail("setns");
    double *began = mmap(NULL, 2 * sizeof *began, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    double *ended = began + 1;
    int go[2], made[2];
    if (pipe(go) || pipe(made))
        fail("pipe");
    if (kill(init, SIGSTOP))
        fail("SIGSTOP");
    pid_t worker = fork();
    if (worker < 0)
        fail("fork");
    if (worker == 0) {
        alarm(60);
        pid_t *left = mmap(NULL, count * sizeof *left, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        pid_t parent = fork();
        if (parent == 0) {
            for (int i = 0; i < count; i++)
                if (!(left[i] = vfork()))
                    _exit(0);
            _exit(0);
        }
        if (parent < 0 || waitpid(parent, NULL, 0) != parent)
            fail("fork");
        for (int i = 0; i < count; i++)
            if (left[i] <= 0)
                fail("vfork");
        char byte = 0;
        if (write(made[1], &byte, 1) != 1 || read(go[0], &byte, 1) != 1)
            fail("pipe");
        /* It sleeps in between: a processor that spins beside it slows what is measured. */
        for (int i = 0; i < count; i++)
            while (kill(left[i], 0) == 0)
                usleep(50);
        *ended = now();
        _exit(0);
    }
    /* What is started next is not in there. */
    if (setns(own, CLONE_NEWPID))
        fail("setns");
    close(namespace), close(own), close(go[0]), close(made[1]);
    char byte = 0;
    if (read(made[0], &byte, 1) != 1 || write(go[1], &byte, 1) != 1)
        fail("pipe");
    *began = now();
    kill(init, SIGCONT);
    int status;
    if (waitpid(worker, &status, 0) != worker || status)
        fail("orphans");
    close(go[1]), close(made[0]);
    double took = *ended - *began;
    munmap(began, 2 * sizeof *began);
    return took;
}

/* In another order each time: what one leaves behind, such as a namespace to be taken down, is not always the same one's
 * burden. */
static void shuffle(int *order, int count) {
    static int seeded;
    if (!seeded++)
        srand(getpid() ^ (unsigned)now());
    for (int i = 0; i < count; i++)
        order[i] = i;
    for (int i = count - 1; i > 0; i--) {
        int other = rand() % (i + 1), kept = order[i];
        order[i] = order[other], order[other] = kept;
    }
}

static unsigned long long switches(pid_t pid) {
    return field(pid, "status", "voluntary_ctxt_switches:") + field(pid, "status", "nonvoluntary_ctxt_switches:");
}

int main(int argc, char **argv) {
    if (argc < 5)
        return 64;
    int ends = atoi(argv[1]), count = atoi(argv[2]), seconds = atoi(argv[3]), programs = 1;
    char **program[MOST] = {argv + 4};
    for (int i = 4; i < argc; i++)
        if (!strcmp(argv[i], ",")) {
            argv[i] = NULL;
            if (programs == MOST || i + 1 == argc)
                return 64;
            program[programs++] = argv + i + 1;
        }
    started = mmap(NULL, sizeof *started, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    double *ready = calloc(programs * ends, sizeof *ready), *exited = calloc(programs * ends, sizeof *exited);
    int order[MOST];
    for (int i = 0; i < ends; i++) {
        shuffle(order, programs);
        for (int turn = 0; turn < programs; turn++) {
            int which = order[turn];
            pid_t pid = start(program[which]);
            wait_ready(pid);
            ready[which * ends + i] = now() - *started;
            wait_asleep(pid);
            double began = now();
            kill(pid, SIGTERM);
            wait_end(pid);
            exited[which * ends + i] = now() - began;
        }
    }
    pid_t pid[MOST];
    unsigned long long before[MOST], woke[MOST];
    for (int i = 0; i < programs; i++)
        pid[i] = start_and_rest(program[i]);
    for (int i = 0; i < programs; i++)
        before[i] = switches(pid[i]);
    sleep(seconds);
    for (int i = 0; i < programs; i++)
        woke[i] = switches(pid[i]) - before[i];
    unsigned long long resident[MOST], private[MOST];
    for (int i = 0; i < programs; i++) {
        resident[i] = field(pid[i], "status", "VmRSS:");
        private[i] = field(pid[i], "smaps_rollup", "Private_Clean:") + field(pid[i], "smaps_rollup", "Private_Dirty:");
    }
    for (int i = 0; i < programs; i++) {
        kill(pid[i], SIGKILL);
        wait_end(pid[i]);
    }
    double took[MOST][ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        shuffle(order, programs);
        for (int turn = 0; turn < programs; turn++) {
            int which = order[turn];
            pid_t init = start_and_rest(program[which]);
            took[which][round] = orphans(init, count);
            kill(init, SIGKILL);
            wait_end(init);
            /* The kernel frees some of it later. */
            usleep(20000);
        }
    }
    for (int i = 0; i < programs; i++)
        printf("{\"ready_us\": %.1f, \"exit_us\": %.1f, \"switches\": %llu, \"resident_kb\": %llu, \"private_kb\": %llu, "
               "\"orphans_per_s\": %.0f}\n",
               middle(ready + i * ends, ends), middle(exited + i * ends, ends), woke[i], resident[i], private[i],
               count / (middle(took[i], ROUNDS) / 1e6));
    return 0;
}
