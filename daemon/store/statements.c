#include "daemon/store/statements.h"

#include <assert.h>
#include <stdlib.h>

struct statements {
    sqlite3 *db;
    sqlite3_stmt *prepared[STMT_COUNT];
    sqlite3_stmt *failing; /* stands in for one that cannot be prepared, ... */
    int failed_rc;         /* ... which went like this */
    char failed_text[200];
};

static const char *const catalogue[STMT_COUNT] = {
#define STMT_SQL(name, text) [STMT_##name] = text,
    SQL_ALL(STMT_SQL)
#undef STMT_SQL
};

static int prepare(const struct statements *t, const char *sql, sqlite3_stmt **out)
{
    return sqlite3_prepare_v3(t->db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);
}

static void fail_as_prepare(sqlite3_context *ctx, int n, sqlite3_value **args)
{
    const struct statements *t = sqlite3_user_data(ctx);
    (void)n;
    (void)args;
    sqlite3_result_error(ctx, t->failed_text, -1);
    sqlite3_result_error_code(ctx, t->failed_rc); /* after the text, which it leaves alone */
}

/* ?99: a parameter of any statement is one of it. */
int statements_new(struct statements **out, sqlite3 *db, struct err *e)
{
    struct statements *t = base_alloc(sizeof(*t));
    t->db = db;
    *out = t;
    int rc = sqlite3_create_function_v2(db, "unprepared", 1, SQLITE_UTF8 | SQLITE_DIRECTONLY, t,
                                        fail_as_prepare, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = prepare(t, "SELECT unprepared(?99)", &t->failing);
    return rc == SQLITE_OK ? 0 : stmt_fail(db, e);
}

void statements_free(struct statements *t)
{
    if (!t)
        return;
    for (int i = 0; i < STMT_COUNT; i++)
        sqlite3_finalize(t->prepared[i]);
    sqlite3_finalize(t->failing);
    free(t);
}

int statements_check(struct statements *t, struct err *e)
{
    for (int i = 0; i < STMT_COUNT; i++) {
        sqlite3_stmt *st = NULL;
        if (prepare(t, catalogue[i], &st) != SQLITE_OK)
            return err_set(e, WATTQ_E_INTERNAL, "statement does not fit the schema: %s (%.80s)",
                           sqlite3_errmsg(t->db), catalogue[i]);
        assert(sqlite3_bind_parameter_count(st) <= sqlite3_bind_parameter_count(t->failing));
        sqlite3_finalize(st);
    }
    return 0;
}

sqlite3_stmt *statements_get(struct statements *t, enum stmt_id id)
{
    assert((unsigned)id < STMT_COUNT);
    sqlite3_stmt **st = &t->prepared[id];
    if (!*st && (t->failed_rc = prepare(t, catalogue[id], st)) != SQLITE_OK) {
        base_strcpy(t->failed_text, sizeof(t->failed_text), sqlite3_errmsg(t->db));
        return t->failing;
    }
    assert(!sqlite3_stmt_busy(*st));
    return *st;
}
