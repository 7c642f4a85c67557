/* Statements of GPUs that are given to nobody (gpu_out.c). Read stmt.h first. */
#ifndef DAEMON_STORE_SQL_GPU_OUT_H
#define DAEMON_STORE_SQL_GPU_OUT_H

#define SQL_GPU_OUT(X)                                                                             \
    X(GPU_OUT_PUT, "INSERT INTO meta(k, v) VALUES('gpu:' || ?1, json_object('why', ?2, 'by', ?3,"  \
                   " 'boot', ?4, 'utc_ns', ?5)) ON CONFLICT(k) DO UPDATE SET v = excluded.v")      \
    X(GPU_OUT_DROP, "DELETE FROM meta WHERE k = 'gpu:' || ?1")                                     \
    X(GPU_OUT_LIST, "SELECT substr(k, 5), json_extract(v, '$.why'), json_extract(v, '$.by')"       \
                    " FROM meta WHERE k >= 'gpu:' AND k < 'gpu;' AND"                              \
                    " coalesce(json_extract(v, '$.boot'), ?1) = ?1 ORDER BY k")                    \
    X(GPU_OUT_EXPIRE, "DELETE FROM meta WHERE k >= 'gpu:' AND k < 'gpu;' AND"                      \
                      " json_extract(v, '$.boot') <> ?1")

#endif
