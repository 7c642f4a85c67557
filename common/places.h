/* Where state, socket and settings are when nobody says otherwise: the same answer for the daemon, which
 * creates them, and for the client, which only looks. Nothing is created or checked here but the length
 * of a socket's path. Pure but for the environment and one stat; any thread. */
#ifndef COMMON_PLACES_H
#define COMMON_PLACES_H

#include "common/err.h"

#define PLACES_SOCKET_MAX                                                                          \
    107 /* sun_path without its NUL; libuv would cut a longer one off silently */

/* Of a machine that many people share (system mode). */
#define PLACES_SYSTEM_STATE  "/var/lib/wattq"
#define PLACES_SYSTEM_SOCKET "/run/wattq/wattqd.sock"
#define PLACES_SYSTEM_CONFIG "/etc/wattq/wattqd.conf"
#define PLACES_LAUNCHER      "/run/wattq-launcher" /* wattq-launcher's sockets */

/* Each writes an absolute path of at most WATTQ_PATH_MAX - 1 bytes into out[WATTQ_PATH_MAX].
 * WATTQ_E_LIMIT for a longer one, WATTQ_E_NOT_FOUND when this user has no home. */

/* $XDG_STATE_HOME/wattq, else ~/.local/state/wattq. */
int places_state(char *out, struct err *e) MUST_USE;
/* $XDG_CONFIG_HOME/wattq/wattqd.conf, else ~/.config/wattq/wattqd.conf. */
int places_config(char *out, struct err *e) MUST_USE;
/* $XDG_RUNTIME_DIR/wattq when that directory exists and is ours, else <state>/run. state NULL = the
 * default one. */
int places_runtime(char *out, const char *state, struct err *e) MUST_USE;
/* <runtime>/wattqd.sock. runtime NULL = the default one. */
int places_socket(char *out, const char *runtime, struct err *e) MUST_USE;

/* WATTQ_E_USAGE, naming --socket, for a path over 107 bytes. */
int places_check_socket(const char *path, struct err *e) MUST_USE;
/* dir "/" name into out. */
int places_join(char *out, const char *dir, const char *name, struct err *e) MUST_USE;

#endif
