#include "daemon/launch/launcher_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/sha256.h"

#define NAME          "starts"
#define MAGIC         0x746c7771u
#define CHUNK_RECORDS 1024 /* the file grows by so many */
#define FILE_MAX      (64u << 20)
#define COMPACT_AFTER 8192 /* records, before it is worth the work */

static uint64_t checksum(const struct journal_record *r)
{
    struct sha256 s;
    uint8_t sum[SHA256_BYTES];
    uint64_t out;
    sha256_init(&s);
    sha256_add(&s, r, offsetof(struct journal_record, check));
    sha256_end(&s, sum);
    memcpy(&out, sum, sizeof(out));
    return out;
}

static bool is_good(const struct journal_record *r)
{
    return r->magic == MAGIC && r->check == checksum(r) && r->starts > 0 && r->token > 0;
}

static bool is_blank(const struct journal_record *r)
{
    static const struct journal_record blank;
    return memcmp(r, &blank, sizeof(blank)) == 0;
}

static struct journal_warrant *find(const struct journal *j, const uint8_t id[16])
{
    for (size_t i = j->n; i-- > 0;) /* what is started was signed of late */
        if (memcmp(j->warrants[i].id, id, sizeof(j->warrants[i].id)) == 0)
            return &j->warrants[i];
    return NULL;
}

uint32_t journal_starts(const struct journal *j, const uint8_t warrant[16])
{
    const struct journal_warrant *w = find(j, warrant);
    return w ? w->starts : 0;
}

static int count(struct journal *j, const struct journal_record *r, struct err *e)
{
    struct journal_warrant *w = find(j, r->warrant);
    if (r->token > j->high)
        j->high = r->token;
    if (w) {
        w->starts = w->starts > UINT32_MAX - r->starts ? UINT32_MAX : w->starts + r->starts;
        return 0;
    }
    if (j->n == j->cap) {
        size_t cap = j->cap ? j->cap * 2 : 64;
        struct journal_warrant *v = realloc(j->warrants, cap * sizeof(*v));
        if (!v)
            return err_errno(e, WATTQ_E_IO, "no memory for the journal of starts");
        j->warrants = v;
        j->cap = cap;
    }
    w = &j->warrants[j->n++];
    memcpy(w->id, r->warrant, sizeof(w->id));
    w->until_utc_s = r->until_utc_s;
    w->starts = r->starts;
    return 0;
}

/* Nothing but zeroes from that record on? */
static bool rest_is_blank(const char *data, size_t bytes, size_t at)
{
    for (size_t i = at; i < bytes; i++)
        if (data[i])
            return false;
    return true;
}

int journal_parse(struct journal *j, const void *data, size_t bytes, struct err *e)
{
    const char *p = data;
    struct journal_record r;
    for (size_t at = 0; at + sizeof(r) <= bytes; at += sizeof(r)) {
        memcpy(&r, p + at, sizeof(r));
        if (is_blank(&r) || !is_good(&r)) {
            if (rest_is_blank(p, bytes, is_blank(&r) ? at : at + sizeof(r)))
                return 0;
            err_set(e, WATTQ_E_CORRUPT, "the journal of starts is damaged at byte %zu", at);
            err_next(e, "move it away and restart the launcher: what waits in the queue must be "
                        "submitted again");
            return WATTQ_E_CORRUPT;
        }
        int rc = count(j, &r, e);
        if (rc < 0)
            return rc;
        j->records++;
    }
    return 0;
}

/* ---- the file ------------------------------------------------------------------------------------ */

/* Zeroes for the next chunk, durable before anything is written into them. */
static int grow(struct journal *j, struct err *e)
{
    static const struct journal_record zero[CHUNK_RECORDS];
    size_t room = (j->records / CHUNK_RECORDS + 1) * CHUNK_RECORDS;
    off_t at = (off_t)(j->records * sizeof(zero[0]));
    size_t bytes = (room - j->records) * sizeof(zero[0]);
    if (pwrite(j->fd, zero, bytes, at) != (ssize_t)bytes || fsync(j->fd) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot make room in the journal of starts");
    j->room = room;
    return 0;
}

/* One record per warrant that can still be used; the high-water mark goes into the first. */
static int compact(struct journal *j, int64_t now_utc_s, struct err *e)
{
    struct journal_record *v = calloc(j->n + 1, sizeof(*v));
    size_t n = 0, kept = 0;
    if (!v)
        return err_errno(e, WATTQ_E_IO, "no memory for the journal of starts");
    v[n++] = (struct journal_record){.token = j->high, .starts = 1};
    for (size_t i = 0; i < j->n; i++) {
        struct journal_warrant w = j->warrants[i];
        if (w.until_utc_s < now_utc_s)
            continue;
        j->warrants[kept++] = w;
        v[n] = (struct journal_record){
            .token = j->high, .until_utc_s = w.until_utc_s, .starts = w.starts};
        memcpy(v[n++].warrant, w.id, sizeof(w.id));
    }
    for (size_t i = 0; i < n; i++) {
        v[i].magic = MAGIC;
        v[i].check = checksum(&v[i]);
    }
    int rc = base_replace_file(j->dirfd, NAME, v, n * sizeof(*v), 0600);
    free(v);
    if (rc < 0)
        return err_errno(e, WATTQ_E_IO, "cannot rewrite the journal of starts");
    j->n = kept;
    base_closep(&j->fd);
    j->fd = openat(j->dirfd, NAME, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (j->fd < 0)
        return err_errno(e, WATTQ_E_IO, "cannot open the journal of starts");
    j->records = n;
    return grow(j, e);
}

static bool is_worth_it(const struct journal *j, int64_t now_utc_s)
{
    size_t live = 1;
    if (j->records < COMPACT_AFTER)
        return false;
    for (size_t i = 0; i < j->n; i++)
        live += j->warrants[i].until_utc_s >= now_utc_s;
    return live <= j->records / 2;
}

static int load(struct journal *j, struct err *e)
{
    struct stat st;
    if (fstat(j->fd, &st) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot read the journal of starts");
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_nlink != 1 || st.st_size > FILE_MAX)
        return err_set(e, WATTQ_E_CORRUPT, "the journal of starts is not the file we made");
    size_t bytes;
    char *data CLEANUP(base_freep) = base_read_file(j->dirfd, NAME, FILE_MAX, &bytes);
    if (!data)
        return err_errno(e, WATTQ_E_IO, "cannot read the journal of starts");
    int rc = journal_parse(j, data, bytes, e);
    return rc < 0 ? rc : grow(j, e); /* also blanks a torn record */
}

int journal_open(struct journal *j, int dirfd, int64_t now_utc_s, struct err *e)
{
    *j = (struct journal){.dirfd = dirfd};
    j->fd = openat(dirfd, NAME, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    bool made = j->fd < 0 && errno == ENOENT;
    if (made)
        j->fd = openat(dirfd, NAME, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (j->fd < 0)
        return err_errno(e, WATTQ_E_IO, "cannot open the journal of starts");
    int rc = load(j, e);
    if (rc == 0 && is_worth_it(j, now_utc_s))
        rc = compact(j, now_utc_s, e);
    if (rc == 0 && made && fsync(dirfd) < 0)
        rc = err_errno(e, WATTQ_E_IO, "cannot make the journal of starts durable");
    if (rc < 0)
        journal_close(j);
    return rc < 0 ? rc : made;
}

void journal_close(struct journal *j)
{
    if (j->fd >= 0)
        close(j->fd);
    j->fd = -1;
    free(j->warrants);
    j->warrants = NULL;
    j->n = j->cap = 0;
}

int journal_begin(struct journal *j, struct journal_record *r, int64_t now_utc_s, struct err *e)
{
    int rc = 0;
    if (j->records == j->room)
        rc = is_worth_it(j, now_utc_s) ? compact(j, now_utc_s, e) : grow(j, e);
    if (rc < 0)
        return rc;
    r->starts = 1;
    r->magic = MAGIC;
    r->check = checksum(r);
    off_t at = (off_t)(j->records * sizeof(*r));
    if (pwrite(j->fd, r, sizeof(*r), at) != (ssize_t)sizeof(*r))
        return err_errno(e, WATTQ_E_IO, "the start could not be made durable");
    (void)sync_file_range(j->fd, at, sizeof(*r), SYNC_FILE_RANGE_WRITE); /* begins; no more */
    return 0;
}

int journal_end(struct journal *j, const struct journal_record *r, struct err *e)
{
    if (fdatasync(j->fd) < 0)
        return err_errno(e, WATTQ_E_IO, "the start could not be made durable");
    j->records++;
    return count(j, r, e);
}
