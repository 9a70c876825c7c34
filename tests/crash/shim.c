/* shim.c - preloaded into a process under test: records what reaches data.mdb, and fails calls on demand.
 *
 * PXL_RECORD=file  append one record a call: u8 kind, u64 offset, u32 length, octets (little-endian)
 *     W write  S write through O_DSYNC  T set length (offset is the length)  F everything so far is synced
 *     A the test's own words: what was written to a file named "acks"
 * PXL_FAIL=kind:number:errno  the number-th call of that kind (W or F) on data.mdb, and all after it until
 *     the file named by PXL_HEAL exists, fail with errno.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int log_fd = -2;

static int ends_with(int fd, const char *tail)
{
    char link[64], path[4096];
    ssize_t n;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof path - 1);
    return n > 0 && (size_t)n >= strlen(tail) && !memcmp(path + n - strlen(tail), tail, strlen(tail));
}

static void record(char kind, uint64_t offset, const struct iovec *iov, int count)
{
    uint32_t length = 0;
    struct iovec all[1100];

    if (log_fd == -2) {
        const char *name = getenv("PXL_RECORD");
        log_fd = name ? open(name, O_WRONLY | O_CREAT | O_APPEND, 0644) : -1;
    }
    if (log_fd < 0) return;
    for (int i = 0; i < count; i++) length += (uint32_t)iov[i].iov_len;
    all[0] = (struct iovec){&kind, 1};
    all[1] = (struct iovec){&offset, 8};
    all[2] = (struct iovec){&length, 4};
    memcpy(all + 3, iov, sizeof *iov * (size_t)count);
    if (REAL(writev)(log_fd, all, count + 3) < 0) abort();
}

static int failing(char kind)
{
    static int seen[256];
    const char *order = getenv("PXL_FAIL"), *heal = getenv("PXL_HEAL");
    int number, code;

    if (!order || order[0] != kind || sscanf(order + 1, ":%d:%d", &number, &code) != 2) return 0;
    if (heal && !access(heal, F_OK)) return 0;
    if (++seen[(unsigned char)kind] < number) return 0;
    errno = code;
    return 1;
}

static int before_write(int fd, uint64_t offset, const struct iovec *iov, int count)
{
    if (ends_with(fd, "/data.mdb")) {
        if (failing('W')) return -1;
        record(fcntl(fd, F_GETFL) & O_DSYNC ? 'S' : 'W', offset, iov, count);
    } else if (ends_with(fd, "/acks")) {
        record('A', 0, iov, count);
    }
    return 0;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    struct iovec one = {(void *)data, size};

    return before_write(fd, (uint64_t)offset, &one, 1) ? -1 : REAL(pwrite)(fd, data, size, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
    return pwrite(fd, data, size, offset);
}

ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
    return before_write(fd, (uint64_t)offset, iov, count) ? -1 : REAL(pwritev)(fd, iov, count, offset);
}

ssize_t pwritev64(int fd, const struct iovec *iov, int count, off64_t offset)
{
    return pwritev(fd, iov, count, offset);
}

ssize_t writev(int fd, const struct iovec *iov, int count)
{
    return before_write(fd, (uint64_t)lseek(fd, 0, SEEK_CUR), iov, count) ? -1 : REAL(writev)(fd, iov, count);
}

ssize_t write(int fd, const void *data, size_t size)
{
    struct iovec one = {(void *)data, size};

    return before_write(fd, (uint64_t)lseek(fd, 0, SEEK_CUR), &one, 1) ? -1 : REAL(write)(fd, data, size);
}

static int before_sync(int fd)
{
    if (!ends_with(fd, "/data.mdb")) return 0;
    return failing('F') ? -1 : 1;
}

int fdatasync(int fd)
{
    int mine = before_sync(fd), result = mine < 0 ? -1 : REAL(fdatasync)(fd);

    if (mine > 0 && !result) record('F', 0, NULL, 0);
    return result;
}

int fsync(int fd)
{
    int mine = before_sync(fd), result = mine < 0 ? -1 : REAL(fsync)(fd);

    if (mine > 0 && !result) record('F', 0, NULL, 0);
    return result;
}

int truncate(const char *path, off_t length)
{
    size_t n = strlen(path);

    if (n > 9 && !strcmp(path + n - 9, "/data.mdb")) record('T', (uint64_t)length, NULL, 0);
    return REAL(truncate)(path, length);
}

int truncate64(const char *path, off64_t length)
{
    return truncate(path, length);
}
