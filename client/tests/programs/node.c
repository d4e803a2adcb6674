// SPDX-License-Identifier: MIT
// An ordinary program that uses a node: one test per argument. Knows nothing of drvhost.

#define _GNU_SOURCE
#include <drm.h>
#include <drm_mode.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

// Not a constant: the compiler would warn of it.
static void *volatile nowhere = (void *)8;
static const char *path = "/dev/dri/card63";

#define CHECK(condition)                                                                          \
	do {                                                                                      \
		if (!(condition)) {                                                               \
			fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #condition, \
				errno);                                                           \
			exit(1);                                                                  \
		}                                                                                 \
	} while (0)
#define ECHO _IOWR('d', 0x40, uint64_t)

static int node(int flags)
{
	int fd = open(path, O_RDWR | flags);
	CHECK(fd >= 0);
	return fd;
}

static void works(int fd)
{
	uint64_t value = 0x1234;
	CHECK(ioctl(fd, ECHO, &value) == 0);
	CHECK(value == ~(uint64_t)0x1234);
}

static void ask_events(int fd, unsigned count)
{
	union drm_wait_vblank wait = {.request = {.sequence = count, .signal = 99}};
	CHECK(ioctl(fd, DRM_IOCTL_WAIT_VBLANK, &wait) == 0);
}

static void version(void)
{
	int fd = node(O_CLOEXEC);
	char name[16] = "";
	struct drm_version version = {.name = name, .name_len = sizeof name};
	CHECK(ioctl(fd, DRM_IOCTL_VERSION, &version) == 0);
	CHECK(version.version_major == 4 && version.name_len == 4 && !strcmp(name, "fake"));
	CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
	CHECK(!(fcntl(fd, F_GETFL) & O_NONBLOCK));
	int other = node(O_NONBLOCK);
	CHECK(fcntl(other, F_GETFD) == 0);
	CHECK(fcntl(other, F_GETFL) & O_NONBLOCK);
	CHECK(other == fd + 1);
	close(fd);
	CHECK(node(0) == fd);
	CHECK(open("/dev/dri/card62", O_RDWR) == -1 && errno == ENOENT);
	int directory = open("/", O_RDONLY | O_DIRECTORY);
	CHECK(directory >= 0);
	CHECK(openat(directory, path, O_RDWR) >= 0);
	errno = 77;
	works(other);
	CHECK(errno == 77);
}

static void looks(void)
{
	int fd = node(0);
	struct stat status;
	CHECK(fstat(fd, &status) == 0);
	CHECK(S_ISCHR(status.st_mode) && status.st_rdev == makedev(226, 63));
	CHECK(fstatat(fd, "", &status, AT_EMPTY_PATH) == 0);
	CHECK(S_ISCHR(status.st_mode) && status.st_rdev == makedev(226, 63));
	struct statx extended;
	CHECK(statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &extended) == 0);
	CHECK(S_ISCHR(extended.stx_mode));
	CHECK(extended.stx_rdev_major == 226 && extended.stx_rdev_minor == 63);
	int pair[2];
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	CHECK(fstat(pair[0], &status) == 0 && S_ISSOCK(status.st_mode));
	CHECK(fstat(fd, (void *)8) == -1 && errno == EFAULT);
	CHECK(fstat(-1, &status) == -1 && errno == EBADF);
}

static void maps(void)
{
	int fd = node(0);
	struct drm_mode_create_dumb dumb = {.width = 64, .height = 64, .bpp = 32};
	CHECK(ioctl(fd, DRM_IOCTL_MODE_CREATE_DUMB, &dumb) == 0);
	struct drm_mode_map_dumb where = {.handle = dumb.handle};
	CHECK(ioctl(fd, DRM_IOCTL_MODE_MAP_DUMB, &where) == 0);
	int both = PROT_READ | PROT_WRITE;
	unsigned *one = mmap(0, dumb.size, both, MAP_SHARED, fd, where.offset);
	unsigned *two = mmap(0, dumb.size, both, MAP_SHARED, fd, where.offset);
	CHECK(one != MAP_FAILED && two != MAP_FAILED && one != two);
	one[100] = 0xabcdef;
	CHECK(two[100] == 0xabcdef);
	unsigned *same = mmap(two, dumb.size, both, MAP_SHARED | MAP_FIXED, fd, where.offset);
	CHECK(same == two && two[100] == 0xabcdef);
	CHECK(mmap(0, dumb.size, both, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EINVAL);
	CHECK(mmap(0, dumb.size, both, MAP_PRIVATE, fd, where.offset) == MAP_FAILED);
	CHECK(errno == EINVAL);
	void *anonymous = mmap(0, 4096, both, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(anonymous != MAP_FAILED);

	struct drm_prime_handle prime = {.handle = dumb.handle, .flags = DRM_CLOEXEC | DRM_RDWR};
	CHECK(ioctl(fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime) == 0);
	CHECK(fcntl(prime.fd, F_GETFD) == FD_CLOEXEC);
	unsigned *three = mmap(0, dumb.size, both, MAP_SHARED, prime.fd, 0);
	CHECK(three != MAP_FAILED && three[100] == 0xabcdef);
	prime.flags = 0;
	CHECK(ioctl(fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime) == 0);
	CHECK(fcntl(prime.fd, F_GETFD) == 0);
	struct drm_prime_handle back = {.fd = prime.fd};
	CHECK(ioctl(fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &back) == 0 && back.handle > dumb.handle);
	back.fd = 999;
	CHECK(ioctl(fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &back) == -1 && errno == EBADF);
	back.fd = -1;
	CHECK(ioctl(fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &back) == -1 && errno == EBADF);
	prime.handle = 77;
	CHECK(ioctl(fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime) == -1 && errno == ENOENT);
}

static void fences(void)
{
	int fd = node(0), pipes[2], got = -1;
	CHECK(pipe(pipes) == 0);
	uint32_t object = 5, properties[] = {7, 1000, 1001}, count = 3;
	uint64_t values[] = {1, pipes[1], (uintptr_t)&got};
	struct drm_mode_atomic commit = {
		.count_objs = 1,
		.objs_ptr = (uintptr_t)&object,
		.count_props_ptr = (uintptr_t)&count,
		.props_ptr = (uintptr_t)properties,
		.prop_values_ptr = (uintptr_t)values,
	};
	CHECK(ioctl(fd, DRM_IOCTL_MODE_ATOMIC, &commit) == 0);
	CHECK(got > pipes[1] && fcntl(got, F_GETFD) == FD_CLOEXEC);
	CHECK(write(got, "x", 1) == 1);
	char letter;
	CHECK(read(pipes[0], &letter, 1) == 1 && letter == 'x');
	values[2] = 8;
	CHECK(ioctl(fd, DRM_IOCTL_MODE_ATOMIC, &commit) == -1 && errno == EFAULT);
	values[1] = 999;
	CHECK(ioctl(fd, DRM_IOCTL_MODE_ATOMIC, &commit) == -1 && errno == EINVAL);
	CHECK(fcntl(got + 1, F_GETFD) == -1);
}

static void events(void)
{
	int fd = node(O_NONBLOCK);
	char buffer[1024];
	CHECK(read(fd, buffer, sizeof buffer) == -1 && errno == EAGAIN);
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	CHECK(poll(&ready, 1, 0) == 0);
	int epoll = epoll_create1(0);
	struct epoll_event event = {.events = EPOLLIN};
	CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
	ask_events(fd, 5);
	CHECK(poll(&ready, 1, 10000) == 1 && ready.revents == POLLIN);
	CHECK(epoll_wait(epoll, &event, 1, 10000) == 1);
	// Too small for one: nothing is read and nothing lost.
	CHECK(read(fd, buffer, 31) == 0);
	CHECK(read(fd, nowhere, sizeof buffer) == -1 && errno == EFAULT);
	// Two fit, of the third a part would.
	CHECK(read(fd, buffer, 80) == 64);
	struct drm_event_vblank *first = (void *)buffer;
	CHECK(first->base.type == DRM_EVENT_VBLANK && first->base.length == 32);
	CHECK(first->user_data == 99 && first[0].sequence == 0 && first[1].sequence == 1);
	CHECK(read(fd, buffer, sizeof buffer) == 96 && first[2].sequence == 4);
	CHECK(read(fd, buffer, sizeof buffer) == -1 && errno == EAGAIN);
	// Waits for one.
	fcntl(fd, F_SETFL, 0);
	if (fork() == 0) {
		ask_events(fd, 1);
		_exit(0);
	}
	CHECK(read(fd, buffer, sizeof buffer) == 32);
	wait(NULL);
}

static void bad_pointers(void)
{
	int fd = node(0);
	uintptr_t bad[] = {0, 1, 4096, (uintptr_t)-1, (uintptr_t)-4096, 1ull << 47};
	for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
		CHECK(ioctl(fd, ECHO, (void *)bad[i]) == -1 && errno == EFAULT);
		CHECK(ioctl(fd, DRM_IOCTL_VERSION, (void *)bad[i]) == -1 && errno == EFAULT);
		struct drm_version version = {.name = (void *)bad[i], .name_len = 16};
		if (bad[i])
			CHECK(ioctl(fd, DRM_IOCTL_VERSION, &version) == -1 && errno == EFAULT);
	}
	static const uint64_t constant = 5;
	CHECK(ioctl(fd, ECHO, &constant) == -1 && errno == EFAULT);
	char *last = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(mprotect(last + 4096, 4096, PROT_NONE) == 0);
	CHECK(ioctl(fd, ECHO, last + 4092) == -1 && errno == EFAULT);
	works(fd);
}

static int stack_node;
static char *stack_end;
static volatile int asked;

// A page that nobody may touch begins at `end`, and we run right below it.
static void asks_at(char *end)
{
	for (int at = -7; at <= 4088; at += at < 64 ? 1 : 4024)
		CHECK(ioctl(stack_node, ECHO, end + at) == -1 && errno == EFAULT);
	works(stack_node);
	asked++;
}

static void on_signal(int signal)
{
	(void)signal;
	asks_at(stack_end);
}

// Memory of `size` between two pages that nobody may touch; the one below only if asked for.
static char *between(size_t size, int guard)
{
	int both = PROT_READ | PROT_WRITE;
	char *all = mmap(0, size + 8192, both, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(all != MAP_FAILED);
	CHECK(mprotect(all + 4096 + size, 4096, PROT_NONE) == 0);
	CHECK(!guard || mprotect(all, 4096, PROT_NONE) == 0);
	return all + 4096;
}

// Once on its own stack, once on a signal stack that ends at `end`.
static void asks_on_signal_stack(char *end, size_t size)
{
	stack_t stack = {.ss_sp = end - size, .ss_size = size};
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
	CHECK(sigaltstack(&stack, 0) == 0);
	CHECK(sigaction(SIGUSR1, &action, 0) == 0);
	stack_end = end;
	CHECK(raise(SIGUSR1) == 0);
	stack.ss_flags = SS_DISABLE;
	CHECK(sigaltstack(&stack, 0) == 0);
}

static void *asks_on_thread(void *end)
{
	works(stack_node);
	asks_at(end);
	asks_on_signal_stack(between(65536, 1) + 65536, 65536);
	asks_at(end);
	return 0;
}

// The signal stack lies right below the thread's own, with a guard between.
static void *asks_below(void *end)
{
	char *guard = (char *)end - 65536 - 4096;
	asks_on_signal_stack(guard, 65536);
	asks_at(end);
	asks_on_signal_stack(guard, 65536);
	return 0;
}

static void on_stack(char *start, size_t size, void *(*run)(void *))
{
	pthread_t thread;
	pthread_attr_t attributes;
	CHECK(pthread_attr_init(&attributes) == 0);
	CHECK(pthread_attr_setstack(&attributes, start, size) == 0);
	CHECK(pthread_create(&thread, &attributes, run, start + size) == 0);
	CHECK(pthread_join(thread, 0) == 0);
}

static void stack_ends(void)
{
	stack_node = node(0);
	char line[4096];
	uintptr_t start, end = 0;
	FILE *maps = fopen("/proc/self/maps", "r");
	CHECK(maps);
	while (fgets(line, sizeof line, maps))
		if (strstr(line, "[stack]"))
			CHECK(sscanf(line, "%lx-%lx", &start, &end) == 2);
	fclose(maps);
	CHECK(end != 0);
	works(stack_node);
	asks_at((char *)end);
	asks_on_signal_stack(between(65536, 1) + 65536, 65536);
	on_stack(between(65536, 1), 65536, asks_on_thread);
	on_stack(between(65536, 0), 65536, asks_on_thread);
	char *both = between(65536 + 4096 + 65536, 1);
	CHECK(mprotect(both + 65536, 4096, PROT_NONE) == 0);
	on_stack(both + 65536 + 4096, 65536, asks_below);
	CHECK(asked == 2 + 3 + 3 + 3);
}

static void errors(void)
{
	int fd = node(0), pipes[2];
	CHECK(ioctl(fd, _IO('d', 0x1f), 0) == -1 && errno == EOPNOTSUPP);
	CHECK(ioctl(fd, _IOR('x', 1, int), 0) == -1 && errno == ENOTTY);
	struct { char bytes[60]; } terminal;
	CHECK(ioctl(fd, 0x5401, &terminal) == -1 && errno == ENOTTY);
	CHECK(!isatty(fd));
	CHECK(pipe(pipes) == 0);
	uint64_t value = 0;
	CHECK(ioctl(pipes[0], ECHO, &value) == -1 && errno == ENOTTY);
	CHECK(ioctl(-1, ECHO, &value) == -1 && errno == EBADF);
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pipes) == 0);
	CHECK(ioctl(pipes[0], ECHO, &value) == -1 && errno == ENOTTY);
	struct drm_get_cap cap = {.capability = 1000};
	CHECK(ioctl(fd, DRM_IOCTL_GET_CAP, &cap) == -1 && errno == EINVAL);
	struct drm_gem_close gone = {.handle = 1};
	CHECK(ioctl(fd, DRM_IOCTL_GEM_CLOSE, &gone) == -1 && errno == EOPNOTSUPP);
}

static void large(void)
{
	int fd = node(0);
	static unsigned char bytes[300000];
	struct drm_mode_get_blob blob = {.blob_id = sizeof bytes, .length = sizeof bytes};
	blob.data = (uintptr_t)bytes;
	CHECK(ioctl(fd, DRM_IOCTL_MODE_GETPROPBLOB, &blob) == 0 && blob.length == sizeof bytes);
	for (unsigned i = 0; i < sizeof bytes; i++)
		CHECK(bytes[i] == (unsigned char)i);
}

static void child(int fd)
{
	pid_t pid = fork();
	if (pid == 0) {
		works(fd);
		int own = node(0);
		works(own);
		_exit(0);
	}
	int status;
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static void forks(void)
{
	int fd = node(0);
	works(fd);
	child(fd);
	works(fd);
	int copy = dup(fd);
	works(copy);
	CHECK(dup2(fd, 100) == 100);
	close(fd);
	works(copy);
	works(100);
	child(100);
	// A fork that libc knows nothing of.
	pid_t pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (pid == 0) {
		works(100);
		_exit(0);
	}
	int status;
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	works(100);
}

static void inherits(char *self)
{
	int fd = node(0);
	works(fd);
	char number[16];
	sprintf(number, "%d", fd);
	execl(self, self, "inherited", number, NULL);
	CHECK(0);
}

static void inherited(int fd)
{
	struct stat status;
	CHECK(fstat(fd, &status) == 0 && S_ISCHR(status.st_mode));
	works(fd);
	int other = node(O_CLOEXEC);
	works(other);
}

static void passes(void)
{
	int pair[2];
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	char byte = 0;
	struct iovec part = {&byte, 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control};
	message.msg_controllen = sizeof control;
	if (fork() == 0) {
		int fd = node(0);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof fd);
		memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
		CHECK(sendmsg(pair[0], &message, 0) == 1);
		_exit(0);
	}
	CHECK(recvmsg(pair[1], &message, 0) == 1);
	int status, fd;
	wait(&status);
	CHECK(status == 0);
	memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
	works(fd);
	ask_events(fd, 1);
	char buffer[64];
	CHECK(read(fd, buffer, sizeof buffer) == 32);
}

static void *many_calls(void *fd)
{
	for (int i = 0; i < 2000; i++) {
		works((intptr_t)fd);
		if (i % 100 == 0)
			close(node(O_CLOEXEC));
	}
	return NULL;
}

static void threads(void)
{
	int fd = node(0);
	pthread_t threads[24];
	for (int i = 0; i < 24; i++)
		CHECK(!pthread_create(&threads[i], 0, many_calls, (void *)(intptr_t)fd));
	for (int i = 0; i < 24; i++)
		pthread_join(threads[i], NULL);
}

static void reopens(void)
{
	for (int i = 0; i < 1500; i++) {
		int fd = node(0);
		works(fd);
		CHECK(fd < 10);
		close(fd);
	}
}

#ifdef __x86_64__
// As a program without libc makes them.
static long raw_call(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
	long result;
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

static volatile int ticks;

static void tick(int signal)
{
	(void)signal;
	uint64_t value = 7;
	// A call within a call, on the signal stack.
	CHECK(raw_call(SYS_ioctl, 200, ECHO, (long)&value, 0, 0, 0) == 0 && value == ~7ull);
	ticks++;
}

static void raw(void)
{
	int fd = raw_call(SYS_openat, AT_FDCWD, (long)path, O_RDWR | O_CLOEXEC, 0, 0, 0);
	CHECK(fd >= 0);
	int other = raw_call(SYS_open, (long)path, O_RDWR, 0, 0, 0, 0);
	CHECK(other >= 0);
	uint64_t value = 5;
	CHECK(raw_call(SYS_ioctl, other, ECHO, (long)&value, 0, 0, 0) == 0 && value == ~5ull);
	CHECK(raw_call(SYS_ioctl, fd, ECHO, 8, 0, 0, 0) == -EFAULT);
	CHECK(raw_call(SYS_ioctl, 0, ECHO, (long)&value, 0, 0, 0) == -ENOTTY);
	CHECK(raw_call(SYS_ioctl, -1, ECHO, (long)&value, 0, 0, 0) == -EBADF);
	struct stat status;
	CHECK(raw_call(SYS_fstat, fd, (long)&status, 0, 0, 0, 0) == 0);
	CHECK(status.st_rdev == makedev(226, 63));
	struct drm_mode_create_dumb dumb = {.width = 64, .height = 64, .bpp = 32};
	long create = DRM_IOCTL_MODE_CREATE_DUMB, map_dumb = DRM_IOCTL_MODE_MAP_DUMB;
	CHECK(raw_call(SYS_ioctl, fd, create, (long)&dumb, 0, 0, 0) == 0);
	struct drm_mode_map_dumb where = {.handle = dumb.handle};
	CHECK(raw_call(SYS_ioctl, fd, map_dumb, (long)&where, 0, 0, 0) == 0);
	long map = raw_call(SYS_mmap, 0, dumb.size, PROT_READ, MAP_SHARED, fd, where.offset);
	CHECK(map > 0 && *(int *)map == 0);
	// The program's wish for SIGSYS is kept, but not carried out.
	struct sigaction ignore = {.sa_handler = SIG_IGN}, was;
	CHECK(sigaction(SIGSYS, &ignore, &was) == 0 && was.sa_handler == SIG_DFL);
	CHECK(signal(SIGSYS, SIG_DFL) == SIG_IGN);
	sigset_t all, none;
	sigfillset(&all);
	sigemptyset(&none);
	CHECK(pthread_sigmask(SIG_SETMASK, &all, NULL) == 0);
	value = 5;
	CHECK(raw_call(SYS_ioctl, fd, ECHO, (long)&value, 0, 0, 0) == 0 && value == ~5ull);
	CHECK(pthread_sigmask(SIG_SETMASK, &none, NULL) == 0);
	// Signals during trapped calls, all of them on one small stack.
	static char small[16384];
	stack_t stack = {.ss_sp = small, .ss_size = sizeof small}, after;
	CHECK(sigaltstack(&stack, NULL) == 0);
	CHECK(dup2(fd, 200) == 200);
	struct sigaction action = {.sa_handler = tick, .sa_flags = SA_ONSTACK | SA_RESTART};
	CHECK(sigaction(SIGALRM, &action, NULL) == 0);
	struct itimerval often = {{0, 200}, {0, 200}}, never = {{0, 0}, {0, 0}};
	CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
	while (ticks < 300) {
		value = 5;
		CHECK(raw_call(SYS_ioctl, fd, ECHO, (long)&value, 0, 0, 0) == 0);
		CHECK(value == ~5ull);
	}
	CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
	CHECK(sigaltstack(NULL, &after) == 0 && after.ss_sp == small && after.ss_flags == 0);
	works(fd);
	// What is started without the library has no handler, and lives.
	CHECK(system("env -i /bin/sh -c 'ls -l /dev/null > /dev/null && exec cat /dev/null'") == 0);
}
#else
static void raw(void) {}
#endif

int main(int argc, char **argv)
{
	const char *test = argc > 1 ? argv[1] : "";
	if (!strcmp(test, "inherited"))
		return inherited(atoi(argv[2])), 0;
	if (!strcmp(test, "inherits"))
		return inherits(argv[0]), 0;
	struct { const char *name; void (*run)(void); } tests[] = {
		{"version", version}, {"looks", looks}, {"maps", maps}, {"fences", fences},
		{"events", events}, {"bad_pointers", bad_pointers}, {"errors", errors},
		{"stack_ends", stack_ends},
		{"large", large}, {"forks", forks}, {"passes", passes}, {"threads", threads},
		{"reopens", reopens}, {"raw", raw},
	};
	for (unsigned i = 0; i < sizeof tests / sizeof *tests; i++)
		if (!strcmp(test, tests[i].name))
			return tests[i].run(), 0;
	return 2;
}
