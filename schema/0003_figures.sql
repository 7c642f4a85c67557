-- Figures that can go into a paper: what a channel is, what idle costs, who else used the machine, how the
-- energy of a shared machine was divided, and that it adds up. Units as in 0001.

-- Identity of a channel beyond its uid. Writer: sampler.
ALTER TABLE channel ADD COLUMN device TEXT NOT NULL DEFAULT '';   -- physical device: 'package-0', GPU UUID, 'bmc'; '' = not told
ALTER TABLE channel ADD COLUMN driver TEXT NOT NULL DEFAULT '';   -- kernel driver or library and its version
ALTER TABLE channel ADD COLUMN firmware TEXT NOT NULL DEFAULT ''; -- VBIOS, BMC firmware, model and serial where told
ALTER TABLE channel ADD COLUMN lag_learned_ns INTEGER;            -- watched against a faster meter; NULL = not yet
ALTER TABLE channel ADD COLUMN quantum_learned INTEGER;           -- smallest step seen, stored unit; NULL = not yet

-- channel_note keeps the history of doubts: kinds are 'mirror','lower','higher','unproven','disagrees','backwards',
-- 'frozen', their ends 'restored' and 'proven', and 'learned' (daemon/store/opinions.h).
ALTER TABLE channel_note ADD COLUMN about INTEGER REFERENCES channel(id); -- the other channel; NULL = none

-- How well a figure was sampled. NULL = the row is older than these columns, or has no samples of its own.
ALTER TABLE energy ADD COLUMN samples INTEGER;      -- valid samples inside the window
ALTER TABLE energy ADD COLUMN max_gap_ns INTEGER;   -- longest time between two of them, edges included
ALTER TABLE energy ADD COLUMN idle_uj INTEGER;      -- what the baseline says that idling for so long takes
ALTER TABLE energy ADD COLUMN sampling_uj INTEGER;  -- integrals: what steps between samples can have hidden; no hard bound
ALTER TABLE energy ADD COLUMN sampled_ppm INTEGER;  -- part of the time the sensor looks at; NULL = not told
ALTER TABLE energy ADD COLUMN range_lo_uj INTEGER;  -- shares: smallest and largest over all policies
ALTER TABLE energy ADD COLUMN range_hi_uj INTEGER;

-- A baseline is versioned: rows are only added, a figure names the one it used.
ALTER TABLE baseline ADD COLUMN basis TEXT NOT NULL DEFAULT 'measured'; -- 'learned','measured' (idle measure),'bracket'
ALTER TABLE baseline ADD COLUMN created_utc_ns INTEGER NOT NULL DEFAULT 0;
ALTER TABLE baseline ADD COLUMN temp_mc INTEGER;    -- warmest package or GPU sensor meanwhile; NULL = none
ALTER TABLE baseline ADD COLUMN busy_ppm INTEGER;   -- CPU time of everybody, part of all CPUs; NULL = not sampled
ALTER TABLE baseline ADD COLUMN run INTEGER REFERENCES run(id); -- the run that a bracket belongs to
CREATE INDEX baseline_channel ON baseline(channel, created_utc_ns);

-- One meter fitted to a better one: true = (reading - offset) * (1 + gain). Rows are only added. Writer: queue.
CREATE TABLE calibration(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    channel INTEGER NOT NULL REFERENCES channel(id), -- the meter that is described
    against INTEGER NOT NULL REFERENCES channel(id), -- the better one
    boot INTEGER NOT NULL REFERENCES boot(id),
    t0_ns INTEGER NOT NULL,
    t1_ns INTEGER NOT NULL,
    n INTEGER NOT NULL,              -- windows compared
    gain_ppm INTEGER NOT NULL,
    offset_uw INTEGER NOT NULL,
    residual_uw INTEGER NOT NULL,    -- one standard deviation
    lo_uw INTEGER NOT NULL,          -- range of power in which it was compared
    hi_uw INTEGER NOT NULL,
    serial TEXT NOT NULL DEFAULT '', -- of the better meter, as a person gave it
    actor_uid INTEGER,               -- NULL = the daemon itself (the estimate, beside a real meter)
    created_utc_ns INTEGER NOT NULL
) STRICT;
CREATE INDEX calibration_channel ON calibration(channel, id);

-- The accounts among which a meter's energy is divided: each is an ordinary channel (a companion in uJ,
-- quality none: no sum ever takes it for a meter, and it may fall). Their sum is the meter, at every tick.
-- Writer: sampler.
CREATE TABLE account(
    channel INTEGER PRIMARY KEY REFERENCES channel(id), -- the account's own curve
    meter INTEGER NOT NULL REFERENCES channel(id),
    kind TEXT NOT NULL CHECK(kind IN ('slot','system','foreign','idle')),
    slot INTEGER                     -- of kind 'slot'
) STRICT;
CREATE INDEX account_meter ON account(meter, kind, slot);

-- From when on a meter's `idle` account grows by which baseline. Writer: sampler, where it changed.
CREATE TABLE account_basis(
    meter INTEGER NOT NULL REFERENCES channel(id),
    boot INTEGER NOT NULL REFERENCES boot(id),
    t_ns INTEGER NOT NULL,           -- spans that begin here or later
    baseline INTEGER REFERENCES baseline(id), -- NULL = none was measured yet: idle grows by nothing
    power_uw INTEGER,                -- its power
    PRIMARY KEY(meter, boot, t_ns)
) STRICT, WITHOUT ROWID;

-- Who was given which GPU. Writer: queue.
CREATE TABLE device_owner(
    device TEXT NOT NULL,            -- GPU UUID
    run INTEGER NOT NULL REFERENCES run(id),
    boot INTEGER NOT NULL REFERENCES boot(id),
    t0_ns INTEGER NOT NULL,
    t1_ns INTEGER,
    PRIMARY KEY(device, boot, t0_ns, run)
) STRICT, WITHOUT ROWID;
CREATE INDEX device_owner_run ON device_owner(run);
CREATE INDEX slot_owner_run ON slot_owner(run);
CREATE INDEX run_begin ON run(boot, t0_ns) WHERE t0_ns IS NOT NULL; -- who was present when

-- What others than runs used: one row per owner, device and 10 s in which it was more than nothing. Writer: sampler.
CREATE TABLE other_use(
    boot INTEGER NOT NULL REFERENCES boot(id),
    t0_ns INTEGER NOT NULL,
    t1_ns INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK(kind IN ('login','container','service','gpu')),
    owner TEXT NOT NULL,             -- user name or uid, container, unit
    device TEXT NOT NULL DEFAULT '', -- '' = the CPUs, else a GPU UUID
    busy_us INTEGER NOT NULL,        -- CPU time, or GPU busy time
    PRIMARY KEY(boot, t0_ns, kind, owner, device)
) STRICT, WITHOUT ROWID;

-- What others used beside a run, kept with it. Writer: queue, at its end.
CREATE TABLE run_other(
    run INTEGER NOT NULL REFERENCES run(id),
    kind TEXT NOT NULL,
    owner TEXT NOT NULL,
    device TEXT NOT NULL DEFAULT '',
    busy_us INTEGER NOT NULL,
    PRIMARY KEY(run, kind, owner, device)
) STRICT, WITHOUT ROWID;

-- What the audit found. A clean audit leaves a row too, so that its absence means that none was made. Writer: queue.
CREATE TABLE audit(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    boot INTEGER NOT NULL REFERENCES boot(id),
    t0_ns INTEGER NOT NULL,
    t1_ns INTEGER NOT NULL,
    checks INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    text TEXT NOT NULL,              -- the first failure in words; empty when none
    created_utc_ns INTEGER NOT NULL
) STRICT;
