#include "tests/support/disk.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base.h"

enum op_kind { OP_CREATE, OP_DELETE, OP_WRITE, OP_TRUNCATE, OP_SYNC, OP_SYNC_FAILED, OP_MARK };

struct disk_op {
    enum op_kind kind;
    int file;      /* of a mark: its kind */
    int64_t at;    /* offset, size or the mark's value */
    size_t n;      /* bytes of a write; of a removal: 1 = the directory was synced */
    uint8_t *data; /* of a write; of a creation: what was there, n bytes */
};

struct disk_file {
    sqlite3_file base;
    struct disk *disk;
    sqlite3_file *real;
    int name; /* -1: a temporary file */
};

static struct disk_file *file_of(sqlite3_file *f)
{
    return (struct disk_file *)(void *)f;
}

static void require(bool ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    abort();
}

/* ---- the record --------------------------------------------------------------------------------- */

static void record(struct disk *d, const struct disk_op *op, const void *data)
{
    if (op->kind != OP_MARK && (op->file < 0 || atomic_load(&d->off)))
        return;
    pthread_mutex_lock(&d->lock);
    if (d->n == d->cap) {
        d->cap = d->cap ? d->cap * 2 : 1024;
        d->ops = realloc(d->ops, d->cap * sizeof(*d->ops));
        require(d->ops != NULL, "realloc");
    }
    d->ops[d->n] = *op;
    if (data) {
        d->ops[d->n].data = base_alloc(op->n + 1);
        memcpy(d->ops[d->n].data, data, op->n);
    }
    d->n++;
    pthread_mutex_unlock(&d->lock);
}

void disk_mark(struct disk *d, int kind, int64_t value)
{
    record(d, &(struct disk_op){.kind = OP_MARK, .file = kind, .at = value}, NULL);
}

size_t disk_length(struct disk *d)
{
    pthread_mutex_lock(&d->lock);
    size_t n = d->n;
    pthread_mutex_unlock(&d->lock);
    return n;
}

void disk_marks(struct disk *d, size_t cut, void (*fn)(void *arg, int kind, int64_t value),
                void *arg)
{
    for (size_t i = 0; i < cut; i++)
        if (d->ops[i].kind == OP_MARK)
            fn(arg, d->ops[i].file, d->ops[i].at);
}

static int name_of(struct disk *d, const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    int i = 0;
    if (!path || atomic_load(&d->off))
        return -1;
    pthread_mutex_lock(&d->lock);
    while (i < DISK_FILES && d->names[i] && strcmp(d->names[i], slash ? slash + 1 : path) != 0)
        i++;
    require(i < DISK_FILES, "a session of more files");
    if (!d->names[i])
        d->names[i] = base_strdup(slash ? slash + 1 : path);
    pthread_mutex_unlock(&d->lock);
    return i;
}

/* ---- files -------------------------------------------------------------------------------------- */

static int file_close(sqlite3_file *f)
{
    return file_of(f)->real->pMethods->xClose(file_of(f)->real);
}

static int file_read(sqlite3_file *f, void *buf, int n, sqlite3_int64 at)
{
    return file_of(f)->real->pMethods->xRead(file_of(f)->real, buf, n, at);
}

static int refused(const struct disk_file *f, const atomic_int *code)
{
    return f->name < 0 || atomic_load(&f->disk->off) ? SQLITE_OK : atomic_load(code);
}

static int file_write(sqlite3_file *f, const void *buf, int n, sqlite3_int64 at)
{
    struct disk_file *x = file_of(f);
    int rc = refused(x, &x->disk->fail_write);
    if (rc == SQLITE_OK)
        rc = x->real->pMethods->xWrite(x->real, buf, n, at);
    if (rc == SQLITE_OK)
        record(x->disk,
               &(struct disk_op){.kind = OP_WRITE, .file = x->name, .at = at, .n = (size_t)n}, buf);
    return rc;
}

static int file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    struct disk_file *x = file_of(f);
    int rc = x->real->pMethods->xTruncate(x->real, size);
    if (rc == SQLITE_OK)
        record(x->disk, &(struct disk_op){.kind = OP_TRUNCATE, .file = x->name, .at = size}, NULL);
    return rc;
}

static int file_sync(sqlite3_file *f, int flags)
{
    struct disk_file *x = file_of(f);
    int rc = refused(x, &x->disk->fail_sync);
    (void)flags;
    if (rc != SQLITE_OK || !atomic_load(&x->disk->lies))
        record(x->disk, &(struct disk_op){.kind = rc ? OP_SYNC_FAILED : OP_SYNC, .file = x->name},
               NULL);
    return rc;
}

static int file_size(sqlite3_file *f, sqlite3_int64 *out)
{
    return file_of(f)->real->pMethods->xFileSize(file_of(f)->real, out);
}

static int file_lock(sqlite3_file *f, int level)
{
    return file_of(f)->real->pMethods->xLock(file_of(f)->real, level);
}

static int file_unlock(sqlite3_file *f, int level)
{
    return file_of(f)->real->pMethods->xUnlock(file_of(f)->real, level);
}

static int file_reserved(sqlite3_file *f, int *out)
{
    return file_of(f)->real->pMethods->xCheckReservedLock(file_of(f)->real, out);
}

static int file_control(sqlite3_file *f, int op, void *arg)
{
    return file_of(f)->real->pMethods->xFileControl(file_of(f)->real, op, arg);
}

static int file_sector(sqlite3_file *f)
{
    return file_of(f)->real->pMethods->xSectorSize(file_of(f)->real);
}

static int file_traits(sqlite3_file *f)
{
    return file_of(f)->real->pMethods->xDeviceCharacteristics(file_of(f)->real);
}

static int file_shm_map(sqlite3_file *f, int page, int bytes, int extend, void volatile **out)
{
    return file_of(f)->real->pMethods->xShmMap(file_of(f)->real, page, bytes, extend, out);
}

static int file_shm_lock(sqlite3_file *f, int at, int n, int flags)
{
    return file_of(f)->real->pMethods->xShmLock(file_of(f)->real, at, n, flags);
}

static void file_shm_barrier(sqlite3_file *f)
{
    file_of(f)->real->pMethods->xShmBarrier(file_of(f)->real);
}

static int file_shm_unmap(sqlite3_file *f, int remove)
{
    return file_of(f)->real->pMethods->xShmUnmap(file_of(f)->real, remove);
}

/* Version 2: no memory-mapped pages, which nobody could see being written. */
static const sqlite3_io_methods file_methods = {
    2,           file_close,   file_read,     file_write,       file_truncate,  file_sync,
    file_size,   file_lock,    file_unlock,   file_reserved,    file_control,   file_sector,
    file_traits, file_shm_map, file_shm_lock, file_shm_barrier, file_shm_unmap, NULL,
    NULL,
};

/* ---- the file system ---------------------------------------------------------------------------- */

/* Does the file as it is now stand in the record, or has it been removed since? */
static bool is_recorded(struct disk *d, int name)
{
    bool there = false;
    pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < d->n; i++)
        if (d->ops[i].file == name && (d->ops[i].kind == OP_CREATE || d->ops[i].kind == OP_DELETE))
            there = d->ops[i].kind == OP_CREATE;
    pthread_mutex_unlock(&d->lock);
    return there;
}

/* What a file held before the session: that is on the disk. */
static void record_creation(struct disk_file *x)
{
    sqlite3_int64 size = 0;
    if (is_recorded(x->disk, x->name))
        return; /* by another connection */
    require(file_size(&x->base, &size) == SQLITE_OK, "size");
    uint8_t *data CLEANUP(base_freep) = base_alloc((size_t)size + 1);
    require(size == 0 || file_read(&x->base, data, (int)size, 0) == SQLITE_OK, "read");
    record(x->disk, &(struct disk_op){.kind = OP_CREATE, .file = x->name, .n = (size_t)size}, data);
}

static int vfs_open(sqlite3_vfs *v, const char *path, sqlite3_file *f, int flags, int *out)
{
    struct disk *d = v->pAppData;
    struct disk_file *x = file_of(f);
    *x = (struct disk_file){.disk = d, .real = (sqlite3_file *)(void *)(x + 1)};
    int rc = d->real->xOpen(d->real, path, x->real, flags, out);
    if (!x->real->pMethods)
        return rc;
    x->base.pMethods = &file_methods;
    x->name = flags & SQLITE_OPEN_DELETEONCLOSE ? -1 : name_of(d, path);
    if (rc == SQLITE_OK && x->name >= 0)
        record_creation(x);
    return rc;
}

static int vfs_delete(sqlite3_vfs *v, const char *path, int sync_dir)
{
    struct disk *d = v->pAppData;
    int rc = d->real->xDelete(d->real, path, 0);
    if (rc == SQLITE_OK)
        record(d,
               &(struct disk_op){.kind = OP_DELETE,
                                 .file = name_of(d, path),
                                 .n = sync_dir && !atomic_load(&d->lies)},
               NULL);
    return rc;
}

void disk_install(struct disk *d)
{
    memset(d, 0, sizeof(*d));
    d->real = sqlite3_vfs_find(NULL);
    require(d->real != NULL && pthread_mutex_init(&d->lock, NULL) == 0, "disk_install");
    d->vfs = *d->real; /* whatever is about names, time and chance */
    d->vfs.szOsFile = (int)sizeof(struct disk_file) + d->real->szOsFile;
    d->vfs.zName = "disk";
    d->vfs.pAppData = d;
    d->vfs.pNext = NULL;
    d->vfs.xOpen = vfs_open;
    d->vfs.xDelete = vfs_delete;
    require(sqlite3_vfs_register(&d->vfs, 1) == SQLITE_OK, "sqlite3_vfs_register");
}

void disk_remove(struct disk *d)
{
    sqlite3_vfs_unregister(&d->vfs);
    sqlite3_vfs_register(d->real, 1);
    for (size_t i = 0; i < d->n; i++)
        free(d->ops[i].data);
    for (size_t i = 0; i < DISK_FILES; i++)
        free(d->names[i]);
    free(d->ops);
    pthread_mutex_destroy(&d->lock);
}

/* ---- images ------------------------------------------------------------------------------------- */

/* One file, as programs see it and as it is on the disk. */
struct cell {
    uint8_t *cache, *disk;
    bool *dirty; /* per sector */
    size_t cache_size, disk_size, room;
    bool cache_there, disk_there;
    bool
        made; /* its first sync is one of the directory too. source: unixSync of SQLite's os_unix.c */
};
struct loss {
    uint64_t seed;
    size_t sector;
    uint64_t chance; /* of 1000: that a sector gets to the disk without a sync */
    bool rubbish;
};

static uint64_t draw(struct loss *l)
{
    l->seed ^= l->seed << 13;
    l->seed ^= l->seed >> 7;
    l->seed ^= l->seed << 17;
    return l->seed;
}

static bool happens(struct loss *l)
{
    return (draw(l) >> 20) % 1000 < l->chance;
}

/* New room on the disk is what was there before. */
static void reserve(struct cell *c, size_t size, struct loss *l)
{
    size_t room = c->room ? c->room : 1 << 16;
    while (room < size)
        room *= 2;
    if (room == c->room)
        return;
    c->cache = realloc(c->cache, room);
    c->disk = realloc(c->disk, room);
    c->dirty = realloc(c->dirty, room / 512);
    require(c->cache && c->disk && c->dirty, "realloc");
    memset(c->cache + c->room, 0, room - c->room);
    memset(c->dirty + c->room / 512, 0, (room - c->room) / 512);
    for (size_t i = c->room; i < room; i++)
        c->disk[i] = l->rubbish ? (uint8_t)draw(l) : 0;
    c->room = room;
}

static void write_back(struct cell *c, size_t sector, const struct loss *l)
{
    memcpy(c->disk + sector * l->sector, c->cache + sector * l->sector, l->sector);
    c->dirty[sector] = false;
}

static void cell_write(struct cell *c, const struct disk_op *op, struct loss *l)
{
    size_t at = (size_t)op->at, end = at + op->n;
    reserve(c, end + l->sector, l);
    memcpy(c->cache + at, op->data, op->n);
    bool grows = end > c->cache_size;
    if (grows)
        c->cache_size = end;
    for (size_t s = at / l->sector; s * l->sector < end; s++) {
        c->dirty[s] = true;
        if (happens(l))
            write_back(c, s, l);
    }
    if (grows && happens(l))
        c->disk_size = c->cache_size;
}

static void cell_truncate(struct cell *c, size_t size, struct loss *l)
{
    reserve(c, size + l->sector, l);
    memset(c->cache + size, 0, c->room - size);
    c->cache_size = size;
    for (size_t s = size / l->sector + 1; s < c->room / l->sector; s++)
        c->dirty[s] = false;
    if (happens(l))
        c->disk_size = size;
}

static void cell_sync(struct cell *c, bool worked, const struct loss *l)
{
    for (size_t s = 0; s < c->room / l->sector; s++) {
        if (c->dirty[s] && worked)
            write_back(c, s, l);
        c->dirty[s] = false;
    }
    if (!worked)
        return;
    c->disk_size = c->cache_size;
}

static void cell_create(struct cell *c, const struct disk_op *op, struct loss *l)
{
    c->cache_there = true;
    c->made = op->file != 0;
    c->disk_there = op->n > 0 || !c->made || happens(l); /* the database was there before */
    cell_truncate(c, 0, l);
    cell_write(c, &(struct disk_op){.n = op->n, .data = op->data}, l);
    if (c->disk_there && op->n > 0)
        cell_sync(c, true, l);
}

static void sync_directory(struct cell cells[DISK_FILES])
{
    for (size_t i = 0; i < DISK_FILES; i++)
        cells[i].disk_there = cells[i].cache_there;
}

static void apply(struct cell cells[DISK_FILES], const struct disk_op *op, struct loss *l)
{
    struct cell *c = op->kind == OP_MARK ? NULL : &cells[op->file];
    switch (op->kind) {
    case OP_CREATE:
        cell_create(c, op, l);
        break;
    case OP_DELETE:
        c->cache_there = false;
        if (op->n)
            sync_directory(cells);
        else if (happens(l))
            c->disk_there = false;
        break;
    case OP_WRITE:
        cell_write(c, op, l);
        break;
    case OP_TRUNCATE:
        cell_truncate(c, (size_t)op->at, l);
        break;
    case OP_SYNC:
    case OP_SYNC_FAILED:
        cell_sync(c, op->kind == OP_SYNC, l);
        if (op->kind == OP_SYNC && c->made)
            sync_directory(cells);
        c->made = c->made && op->kind != OP_SYNC;
        break;
    case OP_MARK:
        break;
    }
}

static void put_file(const char *dir, const char *name, const void *data, size_t n)
{
    char *path CLEANUP(base_freep) = base_printf("%s/%s", dir, name);
    int fd CLEANUP(base_closep) = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    require(fd >= 0 && write(fd, data, n) == (ssize_t)n, path);
}

static void put_shm(const char *dir, const char *name, struct loss *l)
{
    uint64_t rubbish[4096];
    char *shm CLEANUP(base_freep) = base_printf("%s-shm", name);
    for (size_t i = 0; i < ARRAY_LEN(rubbish); i++)
        rubbish[i] = draw(l);
    put_file(dir, shm, rubbish, sizeof(rubbish));
}

void disk_image(struct disk *d, size_t cut, uint64_t seed, const char *dir)
{
    static const uint64_t chances[] = {0, 20, 200, 500, 800, 980, 1000};
    struct loss l = {.seed = seed * 0x9e3779b97f4a7c15u + 1};
    struct cell cells[DISK_FILES] = {0};
    l.sector = draw(&l) >> 40 & 1 ? 4096 : 512;
    l.chance = chances[(draw(&l) >> 20) % ARRAY_LEN(chances)];
    l.rubbish = draw(&l) >> 40 & 1;
    for (size_t i = 0; i < cut; i++)
        apply(cells, &d->ops[i], &l);
    for (size_t i = 0; i < DISK_FILES; i++) {
        if (cells[i].disk_there)
            put_file(dir, d->names[i], cells[i].disk, cells[i].disk_size);
        free(cells[i].cache);
        free(cells[i].disk);
        free(cells[i].dirty);
    }
    if (draw(&l) >> 40 & 1)
        put_shm(dir, d->names[0], &l);
}
