#include "client/train_backends.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/json.h"

#define ANSWER_MAX 65536

extern char **environ;

/* The write end is the program's standard output, and it has nothing else of ours. */
static int start(pid_t *pid, const char *program, int out, int other)
{
    char *name CLEANUP(base_freep) = base_strdup(program);
    char option[] = "--backends";
    char *argv[] = {name, option, NULL};
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, out, 1);
    posix_spawn_file_actions_addclose(&files, other);
    int rc = posix_spawn(pid, program, &files, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    return rc;
}

/* Up to ANSWER_MAX - 1 bytes, then a NUL. */
static void read_all(int fd, char *text)
{
    size_t at = 0;
    ssize_t n;
    while (at < ANSWER_MAX - 1 && (n = read(fd, text + at, ANSWER_MAX - 1 - at)) > 0)
        at += (size_t)n;
    text[at] = '\0';
}

/* Its answer as JSON, or NULL with the reason. */
static json_t *ask(const char *program, const char **reason)
{
    int end[2];
    pid_t pid = -1;
    int status = 0;
    char *text CLEANUP(base_freep) = base_alloc(ANSWER_MAX);
    *reason = "it cannot be started";
    if (access(program, X_OK) != 0 || pipe2(end, O_CLOEXEC) != 0)
        return NULL;
    int rc = start(&pid, program, end[1], end[0]);
    close(end[1]);
    if (rc == 0)
        read_all(end[0], text);
    close(end[0]);
    if (rc != 0)
        return NULL;
    if (waitpid(pid, &status, 0) != pid || status != 0) {
        *reason = "it is of another version and does not know --backends";
        return NULL;
    }
    json_t *j = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    *reason = j ? NULL : "its answer is no JSON";
    return j;
}

static void copy(json_t *to, const char *key, const json_t *from)
{
    json_t *value = json_object_get(from, key);
    json_put(to, key, value ? json_incref(value) : json_null());
}

json_t *train_backends(const char *program)
{
    const char *reason = "the daemon does not say where it is";
    json_t *answer = program ? ask(program, &reason) : NULL;
    json_t *j = json_object();
    json_put(j, "path", program ? json_text(program, strlen(program)) : json_null());
    copy(j, "version", answer);
    copy(j, "backends", answer);
    json_put(j, "reason", reason ? json_string(reason) : json_null());
    json_decref(answer);
    return j;
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void append(char **line, const char *word)
{
    char *longer = base_printf("%s%s", *line, word);
    free(*line);
    *line = longer;
}

/* The usable ones, or the others, each with what it computes on or why it cannot. */
static void append_backends(char **line, json_t *all, bool usable, const char *before)
{
    const char *name;
    json_t *b;
    size_t n = 0;
    json_object_foreach(all, name, b)
    {
        const char *device = text_of(b, "device_name");
        const char *what = !usable ? text_of(b, "reason") : device ? device : text_of(b, "isa");
        if (json_is_true(json_object_get(b, "usable")) != usable)
            continue;
        char *word CLEANUP(base_freep) =
            base_printf("%s%.60s (%.300s)", n++ ? ", " : before, name, what ? what : "not told");
        append(line, word);
    }
}

char *train_backends_line(const json_t *trainer)
{
    const char *reason = text_of(trainer, "reason");
    json_t *all = json_object_get(trainer, "backends");
    char *line = base_strdup("trainer: ");
    if (reason || !json_is_object(all)) {
        append(&line, "not known: ");
        append(&line, reason ? reason : "its answer names no backends");
        return line;
    }
    append_backends(&line, all, true, "");
    append_backends(&line, all, false, "; not usable here: ");
    return line;
}
