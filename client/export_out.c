#include "client/export_out.h"

#include <stdlib.h>
#include <string.h>

#include "client/json.h"

void export_out_init(struct export_out *o, FILE *f, enum export_form form)
{
    *o = (struct export_out){.f = f, .form = form, .csv = {.f = f}};
    if (form == EXPORT_JSON)
        o->rows = json_array();
}

void export_out_fini(struct export_out *o)
{
    for (size_t i = 0; i < o->n; i++)
        free(o->names[i]);
    free(o->names);
    json_decref(o->rows);
    if (o->form == EXPORT_PEOPLE)
        table_fini(&o->table_of);
    *o = (struct export_out){0};
}

static int on_names(void *arg, const char *const *names, size_t n)
{
    struct export_out *o = arg;
    o->names = base_alloc((n + 1) * sizeof(char *));
    o->n = n;
    for (size_t i = 0; i < n; i++) {
        o->names[i] = base_strdup(names[i] ? names[i] : "");
        if (o->form == EXPORT_CSV)
            csv_str(&o->csv, o->names[i]);
    }
    if (o->form == EXPORT_CSV)
        csv_end(&o->csv);
    if (o->form == EXPORT_PEOPLE)
        table_init(&o->table_of, NULL, n); /* the heads come when it is known what are numbers */
    return 0;
}

static char *hex(const struct export_cell *c)
{
    const uint8_t *b = c->data;
    char *s = base_alloc(2 * c->bytes + 1);
    for (size_t i = 0; i < c->bytes; i++)
        (void)snprintf(s + 2 * i, 3, "%02x", b[i]);
    return s;
}

static void to_csv(struct csv_out *o, const struct export_cell *c)
{
    char *text CLEANUP(base_freep) = NULL;
    switch (c->type) {
    case EXPORT_NIL:
        csv_none(o);
        break;
    case EXPORT_INT:
        csv_int(o, c->i);
        break;
    case EXPORT_REAL:
        csv_real(o, c->d);
        break;
    case EXPORT_TEXT:
        csv_text(o, c->text, c->bytes);
        break;
    case EXPORT_BLOB:
        text = hex(c);
        csv_str(o, text);
        break;
    }
}

static bool is_ns(const char *name)
{
    size_t n = strlen(name);
    return n > 3 && strcmp(name + n - 3, "_ns") == 0;
}

static json_t *to_json(const char *name, const struct export_cell *c)
{
    char *text CLEANUP(base_freep) = NULL;
    char number[32];
    switch (c->type) {
    case EXPORT_NIL:
        return json_null();
    case EXPORT_INT:
        if (!is_ns(name))
            return json_integer((json_int_t)c->i);
        (void)snprintf(number, sizeof number, "%lld", (long long)c->i);
        return json_string(number);
    case EXPORT_REAL:
        return json_number(c->d);
    case EXPORT_TEXT:
        return json_text(c->text, c->bytes);
    case EXPORT_BLOB:
        text = hex(c);
        return json_string(text);
    }
    return json_null();
}

static void to_people(struct table *t, const struct export_cell *c)
{
    switch (c->type) {
    case EXPORT_NIL:
        table_put(t, "-");
        break;
    case EXPORT_INT:
        table_put(t, "%lld", (long long)c->i);
        break;
    case EXPORT_REAL:
        table_put(t, "%.6g", c->d);
        break;
    case EXPORT_TEXT:
        table_put(t, "%s", c->text);
        break;
    case EXPORT_BLOB:
        table_put(t, "(%zu bytes)", c->bytes);
        break;
    }
}

static int on_row(void *arg, const struct export_cell *cells, size_t n)
{
    struct export_out *o = arg;
    json_t *row = NULL;
    o->seen++;
    if (o->form == EXPORT_JSON || o->form == EXPORT_JSONL) {
        row = json_object();
        if (o->table)
            json_put(row, "table", json_string(o->table));
    }
    for (size_t i = 0; i < n; i++) {
        if (o->form == EXPORT_CSV)
            to_csv(&o->csv, &cells[i]);
        else if (o->form == EXPORT_PEOPLE)
            to_people(&o->table_of, &cells[i]);
        else
            json_put(row, o->names[i], to_json(o->names[i], &cells[i]));
    }
    if (o->form == EXPORT_CSV)
        csv_end(&o->csv);
    if (o->form == EXPORT_JSON)
        (void)json_array_append_new(o->rows, row);
    if (o->form == EXPORT_JSONL)
        return json_write(o->f, row, true, NULL);
    return 0;
}

struct localdb_sink export_out_sink(struct export_out *o)
{
    return (struct localdb_sink){.names = on_names, .row = on_row, .arg = o};
}

/* A column of numbers goes to the right. */
static bool all_numbers(const struct table *t, size_t column)
{
    bool any = false;
    for (size_t i = column; i < t->n; i += t->columns) {
        const char *s = t->cells[i];
        if (strcmp(s, "-") == 0)
            continue;
        char *end;
        (void)strtod(s, &end);
        if (end == s || *end)
            return false;
        any = true;
    }
    return any;
}

json_t *export_out_end(struct export_out *o)
{
    if (o->form == EXPORT_JSON) {
        json_t *rows = o->rows;
        o->rows = NULL;
        return rows;
    }
    if (o->form != EXPORT_PEOPLE || o->n == 0)
        return NULL;
    const char **heads CLEANUP(base_freep) = base_alloc(o->n * sizeof(char *));
    for (size_t i = 0; i < o->n; i++)
        heads[i] = base_printf("%s%s", all_numbers(&o->table_of, i) ? ">!" : "!", o->names[i]);
    o->table_of.heads = heads;
    table_print(&o->table_of, o->print);
    for (size_t i = 0; i < o->n; i++)
        free((char *)(uintptr_t)heads[i]);
    o->table_of.heads = NULL;
    return NULL;
}
