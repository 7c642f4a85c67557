-- The first schema. Units stand in the column names: _ns nanoseconds, _uj microjoule, _uw microwatt.
-- An instant is (boot, CLOCK_BOOTTIME ns of that boot); civil time comes only from `anchor`.
-- Writer: "sampler" = storage thread draining the ring, "queue" = storage thread doing a job of the loop.

-- Facts about this file. Writer: store at open.
CREATE TABLE meta(
    k TEXT PRIMARY KEY,              -- 'created_utc_ns', 'machine_id', 'durability'
    v TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One boot of the kernel. Writer: store at open.
CREATE TABLE boot(
    id INTEGER PRIMARY KEY,
    boot_id TEXT NOT NULL UNIQUE,    -- /proc/sys/kernel/random/boot_id
    machine TEXT NOT NULL            -- JSON: host name, kernel, cpu model, cores
) STRICT;

-- (boottime, civil time) pairs; the only way from one to the other. Writer: sampler, at start, every 10 min, at a step.
CREATE TABLE anchor(
    boot INTEGER NOT NULL REFERENCES boot(id),
    boottime_ns INTEGER NOT NULL,
    utc_ns INTEGER NOT NULL,         -- CLOCK_REALTIME at boottime_ns, read within 50 us
    step INTEGER NOT NULL DEFAULT 0, -- 1 = written because the clock was set (> 50 ms off)
    PRIMARY KEY(boot, boottime_ns)
) STRICT, WITHOUT ROWID;
CREATE INDEX anchor_utc ON anchor(utc_ns, boot);

-- A stretch of uninterrupted sampling by one daemon. Writer: sampler.
CREATE TABLE epoch(
    id INTEGER PRIMARY KEY,
    boot INTEGER NOT NULL REFERENCES boot(id),
    t0_ns INTEGER NOT NULL,
    t1_ns INTEGER,                   -- NULL while it runs; after a kill: last committed sample
    reason TEXT                      -- why it ended: 'stop', 'killed', 'suspend'
) STRICT;

-- A meter as found on this machine. Writer: sampler.
CREATE TABLE source(
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,       -- 'powercap', 'hwmon', 'nvml', 'estimate', 'script', 'replay', ...
    detail TEXT NOT NULL DEFAULT ''  -- driver, library or file version where it has one
) STRICT;

-- One quantity of a source, for ever. Writer: sampler.
CREATE TABLE channel(
    id INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,        -- stable identity: sysfs path, GPU UUID + field; never a bare label
    source INTEGER NOT NULL REFERENCES source(id),
    label TEXT NOT NULL,             -- what a person reads: 'package-0'
    kind TEXT NOT NULL CHECK(kind IN ('counter','gauge','average','companion','cpu_time')),
    unit TEXT NOT NULL,              -- stored unit: 'uJ','uW','us','mC','kHz','ppm','mask'
    covers TEXT NOT NULL DEFAULT '', -- sentence: what it contains and what not
    scope TEXT NOT NULL,             -- 'node','psys','package','dram','core','uncore','gpu','module','cpu','other'
    quality TEXT NOT NULL CHECK(quality IN ('measured','modelled','estimated','none')),
    quantum INTEGER NOT NULL,        -- smallest step of the reading, stored unit (1 = unknown)
    wrap_uj INTEGER,                 -- modulus of the raw counter; NULL = no range known
    period_ns INTEGER NOT NULL,      -- update period of the hardware: declared, or assumed
    period_declared INTEGER NOT NULL DEFAULT 0, -- 1 = stated by the maker: bounds that use it are hard
    period_learned_ns INTEGER,       -- what was watched; NULL = not yet
    lag_ns INTEGER NOT NULL DEFAULT 0,
    box_ns INTEGER NOT NULL DEFAULT 0,-- averaging window of an averaged gauge
    pmax_uw INTEGER,                 -- largest power this channel can carry; NULL = unknown
    accuracy_ppm INTEGER,            -- as stated by its maker; NULL = none stated
    parent INTEGER REFERENCES channel(id), -- the channel that contains this one
    mirror_of INTEGER REFERENCES channel(id) -- the same register seen a second time: never added
) STRICT;

-- What was learned or decided about a channel later. Writer: sampler.
CREATE TABLE channel_note(
    channel INTEGER NOT NULL REFERENCES channel(id),
    boot INTEGER NOT NULL REFERENCES boot(id),
    t_ns INTEGER NOT NULL,
    kind TEXT NOT NULL,              -- 'demoted','learned','mirror','disagrees'
    text TEXT NOT NULL,
    PRIMARY KEY(channel, boot, t_ns, kind)
) STRICT, WITHOUT ROWID;

-- A sampling group: a fixed set of channels read in one sweep. Writer: sampler.
CREATE TABLE grp(
    id INTEGER PRIMARY KEY,
    period_ns INTEGER NOT NULL,      -- the deadline grid
    created_boot INTEGER NOT NULL REFERENCES boot(id),
    created_ns INTEGER NOT NULL
) STRICT;

CREATE TABLE grp_slot(
    grp INTEGER NOT NULL REFERENCES grp(id),
    slot INTEGER NOT NULL,           -- column in the group's blobs, from 0
    channel INTEGER NOT NULL REFERENCES channel(id),
    PRIMARY KEY(grp, slot)
) STRICT, WITHOUT ROWID;

-- Compacted samples of all channels of a group. Writer: sampler. Blob: docs/storage.md, codec version 0.
CREATE TABLE chunk(
    id INTEGER PRIMARY KEY,
    grp INTEGER NOT NULL REFERENCES grp(id),
    tier INTEGER NOT NULL,           -- 0 raw; tiers of retained knots are a later codec version
    epoch INTEGER NOT NULL REFERENCES epoch(id),
    t0_ns INTEGER NOT NULL,          -- first and last tick
    t1_ns INTEGER NOT NULL,
    n INTEGER NOT NULL CHECK(n > 0), -- ticks
    b BLOB NOT NULL,
    CHECK(t1_ns >= t0_ns)
) STRICT;
CREATE UNIQUE INDEX chunk_seek ON chunk(grp, tier, epoch, t0_ns, t1_ns, n);

-- Per channel and chunk: where its curve stood at the chunk's first tick, so that a query decodes no
-- chunk but the one it ends in. Writer: sampler, with the chunk. Cumulative columns count from the
-- channel's first sample, over all epochs.
CREATE TABLE head(
    channel INTEGER NOT NULL REFERENCES channel(id),
    boot INTEGER NOT NULL REFERENCES boot(id),
    t0_ns INTEGER NOT NULL,          -- first and last tick of the chunk
    t1_ns INTEGER NOT NULL,
    epoch INTEGER NOT NULL REFERENCES epoch(id),
    chunk INTEGER NOT NULL REFERENCES chunk(id) ON DELETE CASCADE,
    e0_uj INTEGER NOT NULL,          -- E at last_ns; equals e1_uj of the chunk before
    e1_uj INTEGER NOT NULL,          -- E at the newest valid sample up to t1_ns
    rem0 INTEGER NOT NULL DEFAULT 0, -- gauges: remainder of e0_uj in uW ns / 2, so that borders lose nothing
    last_ns INTEGER,                 -- newest valid sample up to t0_ns; NULL = none yet in this epoch
    last_value INTEGER,              -- its value, stored unit
    knot_ns INTEGER,                 -- counters: newest change of the register up to t0_ns
    failed INTEGER NOT NULL DEFAULT 0, -- 1 = reads failed between last_ns and t0_ns
    unknown0_ns INTEGER NOT NULL DEFAULT 0, -- time before last_ns of which nothing is known
    bridged0_ns INTEGER NOT NULL DEFAULT 0, -- time before last_ns that a counter bridged
    bridged0_uj INTEGER NOT NULL DEFAULT 0, -- and the energy in it
    valid INTEGER NOT NULL,          -- ticks of the chunk with a valid sample
    min INTEGER,                     -- smallest and largest value (gauges, companions) or mean power
    max INTEGER,                     -- between changes in uW (counters), rounded outward; NULL = none
    PRIMARY KEY(channel, boot, t0_ns)
) STRICT, WITHOUT ROWID;
CREATE INDEX head_chunk ON head(chunk);

-- The newest seconds, not yet in a chunk: one row per group and commit. Writer: sampler.
CREATE TABLE tail(
    seq INTEGER PRIMARY KEY,
    grp INTEGER NOT NULL REFERENCES grp(id),
    epoch INTEGER NOT NULL REFERENCES epoch(id),
    t0_ns INTEGER NOT NULL,
    t1_ns INTEGER NOT NULL,
    n INTEGER NOT NULL,
    b BLOB NOT NULL
) STRICT;

-- A stretch in which a channel has no samples. Writer: sampler.
CREATE TABLE gap(
    channel INTEGER NOT NULL REFERENCES channel(id),
    boot INTEGER NOT NULL REFERENCES boot(id),
    t0_ns INTEGER NOT NULL,
    t1_ns INTEGER NOT NULL,
    e_uj INTEGER,                    -- energy that went through while nobody looked; NULL = unknown
    -- 'bridged', 'unknown': no daemon sampled; 'suspend': the machine slept; 'stall': the daemon did not
    -- get to run; 'failed': the meter gave no value; 'reset': the register started again.
    kind TEXT NOT NULL CHECK(kind IN ('bridged','unknown','reset','failed','suspend','stall')),
    PRIMARY KEY(channel, boot, t0_ns)
) STRICT, WITHOUT ROWID;

-- Where a channel's curve stood at its first valid sample of an epoch. Writer: sampler.
CREATE TABLE epoch_channel(
    channel INTEGER NOT NULL REFERENCES channel(id),
    boot INTEGER NOT NULL REFERENCES boot(id),
    t_ns INTEGER NOT NULL,           -- that sample
    epoch INTEGER NOT NULL REFERENCES epoch(id),
    grp INTEGER NOT NULL REFERENCES grp(id), -- where the epoch's samples of this channel stand
    slot INTEGER NOT NULL,
    value INTEGER NOT NULL,          -- the sample, stored unit
    raw0 INTEGER NOT NULL,           -- the same as the hardware gave it
    e0_uj INTEGER NOT NULL,          -- E there: goes on from the epoch before
    rem0 INTEGER NOT NULL DEFAULT 0,
    unknown0_ns INTEGER NOT NULL DEFAULT 0,
    bridged0_ns INTEGER NOT NULL DEFAULT 0,
    bridged0_uj INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY(channel, boot, t_ns)
) STRICT, WITHOUT ROWID;

-- CPU-time counters of runs are ordinary channels in a fixed set of slots; this says whose they were. Writer: queue.
CREATE TABLE slot_owner(
    channel INTEGER NOT NULL REFERENCES channel(id),
    run INTEGER NOT NULL REFERENCES run(id),
    boot INTEGER NOT NULL REFERENCES boot(id),
    t0_ns INTEGER NOT NULL,
    t1_ns INTEGER,
    PRIMARY KEY(channel, boot, t0_ns)
) STRICT, WITHOUT ROWID;

-- An environment, once per content; the bytes live in a 0600 file. Writer: queue.
CREATE TABLE env(
    hash TEXT PRIMARY KEY,           -- SHA-256 of the NUL-separated block
    path TEXT NOT NULL,              -- below the state directory
    refs INTEGER NOT NULL,           -- runs that may still need it
    shown TEXT NOT NULL              -- JSON object: the allow-listed variables only
) STRICT, WITHOUT ROWID;

-- What code a run was. Writer: queue.
CREATE TABLE code(
    hash TEXT PRIMARY KEY,           -- SHA-256 over the columns below
    commit_id TEXT,                  -- git commit of the working directory; NULL = not a repository
    dirty INTEGER,                   -- 1 = tracked files differed
    diff TEXT,                       -- capped at 256 KiB
    script_sha256 TEXT,              -- of the script file named in argv, if any
    interpreter TEXT,                -- resolved path and version line
    packages_sha256 TEXT             -- of the sorted package list, where one could be had
) STRICT, WITHOUT ROWID;

-- A family of runs submitted together. Writer: queue.
CREATE TABLE sweep(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uid INTEGER NOT NULL,
    label TEXT NOT NULL,
    spec TEXT NOT NULL,              -- JSON: the grid as submitted
    submitted_utc_ns INTEGER NOT NULL,
    state TEXT NOT NULL CHECK(state IN ('open','held','ended')),
    reason TEXT                      -- why it is held: the breaker's sentence
) STRICT;

-- Facts about the machine that change under a run. Writer: queue, one row per distinct content.
CREATE TABLE machine(
    id INTEGER PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    facts TEXT NOT NULL              -- JSON: cpu, stepping, microcode, kernel, governor, boost, SMT, THP, NUMA, GPU driver
) STRICT;

-- One run. Ids are never used twice. Writer: queue; every change of `state` is one UPDATE that names the old state.
CREATE TABLE run(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid TEXT NOT NULL UNIQUE,       -- so that exports of several machines merge
    token INTEGER NOT NULL DEFAULT 0,-- rises with every start attempt; a shepherd obeys only its own
    uid INTEGER NOT NULL,            -- who submitted
    state TEXT NOT NULL CHECK(state IN ('held','queued','starting','running','paused','stopping',
        'done','failed','timeout','energy_limit','oom','cancelled','skipped','lost')),
    kind TEXT NOT NULL CHECK(kind IN ('command','train','exec')),
    spec TEXT NOT NULL,              -- JSON: argv, cwd, umask, limits
    label TEXT NOT NULL DEFAULT '',
    project TEXT NOT NULL DEFAULT '',
    sweep INTEGER REFERENCES sweep(id),
    sweep_index INTEGER,
    retry_of INTEGER REFERENCES run(id),
    priority INTEGER NOT NULL DEFAULT 0,
    mode TEXT NOT NULL DEFAULT '',   -- 'user', 'system'; how it was supervised: '+cgroup' or '+subreaper'
    env TEXT REFERENCES env(hash),
    code TEXT REFERENCES code(hash),
    boot INTEGER REFERENCES boot(id),-- boot of the *_ns columns below
    submitted_utc_ns INTEGER NOT NULL,
    started_utc_ns INTEGER,          -- for people; computed from anchors
    ended_utc_ns INTEGER,
    t0_ns INTEGER,                   -- window: gate opened
    main_exit_ns INTEGER,            -- main process gone
    t1_ns INTEGER,                   -- window: last process gone
    exit_code INTEGER,
    term_signal INTEGER,
    reason TEXT,                     -- machine-readable word or sentence for the last state
    cpu_us INTEGER,                  -- CPU time of the whole tree; NULL = not known
    cpu_basis TEXT,                  -- 'cgroup', 'rusage' (a lower bound)
    maxrss_bytes INTEGER,
    leftovers INTEGER,               -- processes killed after the main one ended
    machine_start INTEGER REFERENCES machine(id),
    machine_end INTEGER REFERENCES machine(id)
) STRICT;
CREATE INDEX run_state ON run(state, id);
CREATE INDEX run_sweep ON run(sweep, id);
CREATE INDEX run_label ON run(label);
CREATE INDEX run_window ON run(boot, t1_ns, t0_ns) WHERE t1_ns IS NOT NULL; -- what ran beside a run
CREATE INDEX run_retry ON run(retry_of) WHERE retry_of IS NOT NULL;
CREATE INDEX run_ended ON run(ended_utc_ns) WHERE ended_utc_ns IS NOT NULL;

-- A named part of a run: 'setup','warmup','train','test', or anybody's by `wattq phase`. Writer: queue.
CREATE TABLE phase(
    run INTEGER NOT NULL REFERENCES run(id),
    name TEXT NOT NULL,
    t0_ns INTEGER NOT NULL,
    t1_ns INTEGER,                   -- NULL = open: ends with the run
    PRIMARY KEY(run, t0_ns, name)
) STRICT, WITHOUT ROWID;

-- Typed parameters: `01` stays `01`, and 1e-3 compares as a number. Writer: queue.
CREATE TABLE run_param(
    run INTEGER NOT NULL REFERENCES run(id),
    key TEXT NOT NULL,
    type TEXT NOT NULL CHECK(type IN ('int','real','text')),
    value ANY NOT NULL,
    PRIMARY KEY(run, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_param_key ON run_param(key, value);

-- Append-only history of every move. Writer: queue, in the transaction of the move.
CREATE TABLE event(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    boot INTEGER NOT NULL REFERENCES boot(id),
    t_ns INTEGER NOT NULL,
    run INTEGER REFERENCES run(id),
    actor_uid INTEGER,               -- NULL = the daemon itself
    from_state TEXT,
    to_state TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT;
CREATE INDEX event_run ON event(run, id);

-- Numbers a run reported. Writer: queue, while the run goes on.
CREATE TABLE metric(
    run INTEGER NOT NULL REFERENCES run(id),
    seq INTEGER NOT NULL,            -- order of arrival within the run
    step INTEGER,                    -- "epoch" or "step" of the line; NULL = none given
    key TEXT NOT NULL,
    value REAL NOT NULL,
    t_ns INTEGER NOT NULL,           -- boot of the run
    stamp TEXT NOT NULL CHECK(stamp IN ('writer','mark','arrival')),
    PRIMARY KEY(run, seq, key)
) STRICT, WITHOUT ROWID;

-- One figure. Recomputing adds a row that supersedes the old one. Writer: queue.
CREATE TABLE energy(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL REFERENCES run(id),
    channel INTEGER REFERENCES channel(id), -- NULL = the run's total over an antichain
    figure TEXT NOT NULL CHECK(figure IN ('machine','attributed','marginal')),
    part TEXT NOT NULL DEFAULT 'window', -- 'window', 'main' (to main_exit), 'phase:NAME'
    method TEXT NOT NULL,            -- 'counter','integral','estimate','share'
    algo INTEGER NOT NULL,           -- version of the arithmetic
    policy TEXT,                     -- of a share
    energy_uj INTEGER,               -- NULL = unknown; reason then says why
    lo_uj INTEGER,                   -- NULL = no hard bound; bound_basis then says why
    hi_uj INTEGER,
    bound_basis TEXT NOT NULL,       -- 'monotone','monotone+pmax','soft: ...','none: ...'
    covered_ns INTEGER NOT NULL,
    bridged_uj INTEGER NOT NULL DEFAULT 0,
    unknown_ns INTEGER NOT NULL DEFAULT 0,
    random_uj INTEGER,               -- one standard deviation
    gain_ppm INTEGER,                -- stated accuracy; NULL = none stated
    flags TEXT NOT NULL DEFAULT '',  -- space separated words
    reason TEXT,
    baseline INTEGER REFERENCES baseline(id),
    computed_utc_ns INTEGER NOT NULL,
    supersedes INTEGER REFERENCES energy(id)
) STRICT;
CREATE INDEX energy_run ON energy(run, id);

-- Which channels a total was taken over. Writer: queue.
CREATE TABLE energy_part(
    total INTEGER NOT NULL REFERENCES energy(id),
    channel INTEGER NOT NULL REFERENCES channel(id),
    PRIMARY KEY(total, channel)
) STRICT, WITHOUT ROWID;

-- Measured idle power. Writer: queue.
CREATE TABLE baseline(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    channel INTEGER NOT NULL REFERENCES channel(id),
    boot INTEGER NOT NULL REFERENCES boot(id),
    t0_ns INTEGER NOT NULL,
    t1_ns INTEGER NOT NULL,
    power_uw INTEGER NOT NULL,       -- median
    spread_uw INTEGER NOT NULL,      -- interquartile range
    n INTEGER NOT NULL
) STRICT;

-- Fitted energy models of this machine; written by the model module of a later version.
CREATE TABLE model(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    created_utc_ns INTEGER NOT NULL,
    backend TEXT NOT NULL,
    machine INTEGER REFERENCES machine(id),
    form TEXT NOT NULL,
    errors TEXT NOT NULL             -- JSON
) STRICT;
CREATE TABLE model_term(
    model INTEGER NOT NULL REFERENCES model(id),
    name TEXT NOT NULL,
    unit TEXT NOT NULL,
    value REAL NOT NULL,
    lo REAL,
    hi REAL,
    PRIMARY KEY(model, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE model_run(
    model INTEGER NOT NULL REFERENCES model(id),
    run INTEGER NOT NULL REFERENCES run(id),
    used INTEGER NOT NULL,           -- 0 = left out, and why:
    reason TEXT,
    PRIMARY KEY(model, run)
) STRICT, WITHOUT ROWID;

CREATE TABLE tag(
    run INTEGER NOT NULL REFERENCES run(id),
    tag TEXT NOT NULL,
    PRIMARY KEY(run, tag)
) STRICT, WITHOUT ROWID;
CREATE TABLE note(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL REFERENCES run(id),
    uid INTEGER NOT NULL,
    utc_ns INTEGER NOT NULL,
    text TEXT NOT NULL
) STRICT;
