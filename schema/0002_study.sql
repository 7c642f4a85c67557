-- Asking of past runs, the study on this machine, publishing. Units as in 0001.

-- Where runs came from that were not measured by this daemon; `run.origin` names it. Writer: queue (import).
CREATE TABLE origin(
    id INTEGER PRIMARY KEY,
    machine TEXT NOT NULL,           -- whose: the host name the file gives
    format TEXT NOT NULL CHECK(format IN ('wattq','standalone','butter')),
    sha256 TEXT NOT NULL,            -- of the file as it was read
    facts TEXT NOT NULL,             -- JSON: what the file says of its machine and its meters
    uid INTEGER NOT NULL,            -- who imported it
    imported_utc_ns INTEGER NOT NULL
) STRICT;
ALTER TABLE run ADD COLUMN origin INTEGER REFERENCES origin(id); -- NULL = measured here
CREATE INDEX run_origin ON run(origin) WHERE origin IS NOT NULL;
CREATE INDEX run_uid ON run(uid, id);
CREATE INDEX run_submitted ON run(submitted_utc_ns);
CREATE INDEX run_started ON run(started_utc_ns) WHERE started_utc_ns IS NOT NULL;
CREATE INDEX run_project ON run(project, id) WHERE project <> '';
CREATE INDEX tag_of ON tag(tag, run);
CREATE INDEX note_run ON note(run, id);

-- The figure people mean by "the energy of a run": machine, whole window, total, newest. A copy of that
-- `energy` row, so that lists sort and filter by it. Writer: queue, with the energy row.
CREATE TABLE run_total(
    run INTEGER PRIMARY KEY REFERENCES run(id),
    energy INTEGER NOT NULL REFERENCES energy(id),
    energy_uj INTEGER,               -- NULL = unknown
    lo_uj INTEGER,
    hi_uj INTEGER,
    quality TEXT NOT NULL CHECK(quality IN ('measured','modelled','estimated','none')),
    flags TEXT NOT NULL
) STRICT;
CREATE INDEX energy_superseded ON energy(supersedes) WHERE supersedes IS NOT NULL;
CREATE INDEX run_total_energy ON run_total(energy_uj);
INSERT INTO run_total(run, energy, energy_uj, lo_uj, hi_uj, quality, flags)
    SELECT e.run, e.id, e.energy_uj, e.lo_uj, e.hi_uj, coalesce((SELECT CASE max(CASE c.quality
        WHEN 'estimated' THEN 3 WHEN 'modelled' THEN 2 WHEN 'measured' THEN 1 ELSE 0 END)
        WHEN 3 THEN 'estimated' WHEN 2 THEN 'modelled' WHEN 1 THEN 'measured' ELSE 'none' END
        FROM energy_part p JOIN channel c ON c.id = p.channel WHERE p.total = e.id), 'none'), e.flags
    FROM energy e WHERE e.id IN (SELECT max(id) FROM energy
        WHERE channel IS NULL AND figure = 'machine' AND part = 'window' GROUP BY run);

-- What became of a metric, so that a filter or a list reads one row and not a curve. Writer: the trigger
-- below, and queue for values that a person wrote (`wattq metric RUN k=v`).
CREATE TABLE metric_head(
    run INTEGER NOT NULL REFERENCES run(id),
    key TEXT NOT NULL,
    n INTEGER NOT NULL,              -- lines that had it
    first REAL NOT NULL,
    last REAL NOT NULL,
    min REAL NOT NULL,
    max REAL NOT NULL,
    last_step INTEGER,
    by_uid INTEGER,                  -- who wrote it by hand; NULL = the program
    PRIMARY KEY(run, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX metric_head_key ON metric_head(key, last);
INSERT INTO metric_head(run, key, n, first, last, min, max, last_step)
    SELECT run, key, count(*),
        (SELECT value FROM metric f WHERE f.run = m.run AND f.key = m.key ORDER BY f.seq LIMIT 1),
        (SELECT value FROM metric l WHERE l.run = m.run AND l.key = m.key ORDER BY l.seq DESC LIMIT 1),
        min(value), max(value),
        (SELECT step FROM metric l WHERE l.run = m.run AND l.key = m.key ORDER BY l.seq DESC LIMIT 1)
    FROM metric m GROUP BY run, key;
CREATE TRIGGER metric_kept AFTER INSERT ON metric BEGIN
    INSERT INTO metric_head(run, key, n, first, last, min, max, last_step)
        VALUES(new.run, new.key, 1, new.value, new.value, new.value, new.value, new.step)
        ON CONFLICT(run, key) DO UPDATE SET -- what a person wrote gives way to the program's own
            n = iif(by_uid IS NULL, n + 1, 1), first = iif(by_uid IS NULL, first, new.value),
            last = new.value, min = iif(by_uid IS NULL, min(min, new.value), new.value),
            max = iif(by_uid IS NULL, max(max, new.value), new.value), last_step = new.step, by_uid = NULL;
END;

-- Runs whose raw samples are kept whatever the size budget says. Writer: queue.
CREATE TABLE pin(
    run INTEGER PRIMARY KEY REFERENCES run(id),
    uid INTEGER NOT NULL,
    utc_ns INTEGER NOT NULL,
    reason TEXT NOT NULL             -- 'bundle FILE sha256:...', or a person's words
) STRICT;

-- Fitted models of a machine and backend. A fit is never changed, only followed by a newer one.
-- (0001 had these tables without a writer.) Writer: queue, on behalf of the client that computed it.
DROP TABLE model_run;
DROP TABLE model_term;
DROP TABLE model;
CREATE TABLE model(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    created_utc_ns INTEGER NOT NULL,
    uid INTEGER NOT NULL,            -- who fitted it
    machine TEXT NOT NULL,           -- host whose runs these are
    backend TEXT NOT NULL,           -- of wattq-train, with its precision: 'openblas f32'
    selection TEXT NOT NULL,         -- the runs, as it was asked for
    energy TEXT NOT NULL CHECK(energy IN ('measured','none')), -- none: the joules are estimates, time only
    version TEXT NOT NULL,           -- of the program that fitted it
    caches TEXT NOT NULL,            -- JSON: the hierarchy the working sets were placed in
    report TEXT NOT NULL             -- JSON: form, errors, cross-validation, rivals, placebo scan
) STRICT;
CREATE TABLE model_term(
    model INTEGER NOT NULL REFERENCES model(id),
    part TEXT NOT NULL CHECK(part IN ('time','power')),
    name TEXT NOT NULL,
    unit TEXT NOT NULL,
    meaning TEXT NOT NULL,           -- its physical reading
    value REAL NOT NULL,
    lo REAL,                         -- 95 % bootstrap interval; NULL = none could be had
    hi REAL,
    PRIMARY KEY(model, part, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE model_run(
    model INTEGER NOT NULL REFERENCES model(id),
    run INTEGER NOT NULL REFERENCES run(id),
    used INTEGER NOT NULL,           -- 0 = left out, and why:
    reason TEXT,
    PRIMARY KEY(model, run)
) STRICT, WITHOUT ROWID;
