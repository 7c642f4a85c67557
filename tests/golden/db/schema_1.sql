PRAGMA page_size=4096;
PRAGMA auto_vacuum=INCREMENTAL;
PRAGMA application_id=1465144401;
PRAGMA user_version=1;
BEGIN TRANSACTION;
CREATE TABLE anchor(
    boot INTEGER NOT NULL REFERENCES boot(id),
    boottime_ns INTEGER NOT NULL,
    utc_ns INTEGER NOT NULL,         -- CLOCK_REALTIME at boottime_ns, read within 50 us
    step INTEGER NOT NULL DEFAULT 0, -- 1 = written because the clock was set (> 50 ms off)
    PRIMARY KEY(boot, boottime_ns)
) STRICT, WITHOUT ROWID;
INSERT INTO "anchor" VALUES(1,8124211327931,1795809429998786021,0);
INSERT INTO "anchor" VALUES(1,8124755373382,1795809430542831472,0);
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
CREATE TABLE boot(
    id INTEGER PRIMARY KEY,
    boot_id TEXT NOT NULL UNIQUE,    -- /proc/sys/kernel/random/boot_id
    machine TEXT NOT NULL            -- JSON: host name, kernel, cpu model, cores
) STRICT;
INSERT INTO "boot" VALUES(1,'d9e4927a-44d8-491e-bca9-00747c81322d','{"arch":"x86_64","cpu":"AMD EPYC","cpus":2,"host":"golden","kernel":"6.18.44-fc-v595"}');
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
INSERT INTO "channel" VALUES(1,'script/pkg',1,'pkg','counter','uJ','','package','measured',1,NULL,1000000,1,NULL,0,0,1000000000,NULL,NULL,NULL);
INSERT INTO "channel" VALUES(2,'script/dram',1,'dram','counter','uJ','','dram','measured',1,NULL,1000000,1,NULL,0,0,200000000,NULL,NULL,NULL);
CREATE TABLE channel_note(
    channel INTEGER NOT NULL REFERENCES channel(id),
    boot INTEGER NOT NULL REFERENCES boot(id),
    t_ns INTEGER NOT NULL,
    kind TEXT NOT NULL,              -- 'demoted','learned','mirror','disagrees'
    text TEXT NOT NULL,
    PRIMARY KEY(channel, boot, t_ns, kind)
) STRICT, WITHOUT ROWID;
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
INSERT INTO "chunk" VALUES(1,1,0,1,8124192631463,8124692647386,16,X'500000000200000010000000100100009A0000009A00000055A59D8F6307000004E4B59163070000F11FC29163070000758BD19163070000F7DAE09163070000842DE29163070000345CFF9163070000E1E093956307000011C4899B6307000092A77FA163070000498575A76307000067A811AD63070000B15B12AD63070000E3D12EAD63070000538B30AD63070000AA4A6BAD63070000F9AF9D8F630700008EEFB591630700004C27C291630700000D91D191630700006BE1E09163070000422EE291630700004A61FF91630700009CEE939563070000D7D1899B6307000028B87FA163070000789275A76307000091B411AD63070000795C12AD6307000020D92EAD630700004E8C30AD630700000A516BAD63070000020101010101010000000001010101000001401278955E0000000000000000000000F0B31A000000000040771B0000000000903A1C0000000000E0FD1C0000000000E0FD1C000000000080841E0000000000404B4C00000000008096980000000000C0E1E40000000000002D31010000000060E478010000000060E4780100000000006B7A0100000000006B7A010000000040787D0100000000000000000000000000000000000000000001A0CE587509000000000000000000000098AB02000000000020BF020000000000A8D202000000000030E602000000000030E6020000000000400D03000000000020A107000000000040420F000000000060E316000000000080841E000000000070B025000000000070B025000000000080D725000000000080D7250000000000A0252600000000000000000000000000000000000000000097C713FD');
CREATE TABLE code(
    hash TEXT PRIMARY KEY,           -- SHA-256 over the columns below
    commit_id TEXT,                  -- git commit of the working directory; NULL = not a repository
    dirty INTEGER,                   -- 1 = tracked files differed
    diff TEXT,                       -- capped at 256 KiB
    script_sha256 TEXT,              -- of the script file named in argv, if any
    interpreter TEXT,                -- resolved path and version line
    packages_sha256 TEXT             -- of the sorted package list, where one could be had
) STRICT, WITHOUT ROWID;
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
INSERT INTO "energy" VALUES(1,1,NULL,'machine','window','counter',1,NULL,25125030,24904957,25245002,'monotone+pmax',457005796,0,0,87,NULL,'',NULL,NULL,1795809430479809846,NULL);
INSERT INTO "energy" VALUES(2,1,1,'machine','window','counter',1,NULL,22840936,22654132,22950001,'monotone+pmax',457005796,0,0,86,NULL,'',NULL,NULL,1795809430479809846,NULL);
INSERT INTO "energy" VALUES(3,1,2,'machine','window','counter',1,NULL,2284094,2250825,2295001,'monotone+pmax',457005796,0,0,9,NULL,'',NULL,NULL,1795809430479809846,NULL);
INSERT INTO "energy" VALUES(4,1,NULL,'attributed','window','counter',1,NULL,25125030,24904957,25245002,'monotone+pmax',457005796,0,0,87,NULL,'',NULL,NULL,1795809430479872890,NULL);
INSERT INTO "energy" VALUES(5,1,1,'attributed','window','counter',1,NULL,22840936,22654132,22950001,'monotone+pmax',457005796,0,0,86,NULL,'',NULL,NULL,1795809430479872890,NULL);
INSERT INTO "energy" VALUES(6,1,2,'attributed','window','counter',1,NULL,2284094,2250825,2295001,'monotone+pmax',457005796,0,0,9,NULL,'',NULL,NULL,1795809430479872890,NULL);
INSERT INTO "energy" VALUES(7,1,NULL,'machine','main','counter',1,NULL,25117577,24742151,25245002,'monotone+pmax',456870124,0,0,87,NULL,'',NULL,NULL,1795809430479976253,NULL);
INSERT INTO "energy" VALUES(8,1,1,'machine','main','counter',1,NULL,22834161,22518460,22950001,'monotone+pmax',456870124,0,0,86,NULL,'',NULL,NULL,1795809430479976253,NULL);
INSERT INTO "energy" VALUES(9,1,2,'machine','main','counter',1,NULL,2283416,2223691,2295001,'monotone+pmax',456870124,0,0,9,NULL,'',NULL,NULL,1795809430479976253,NULL);
INSERT INTO "energy" VALUES(10,1,NULL,'machine','phase:train','counter',1,NULL,19771711,15994957,21780002,'monotone+pmax',359604129,0,0,119,NULL,'coarse',NULL,NULL,1795809430480089682,NULL);
INSERT INTO "energy" VALUES(11,1,1,'machine','phase:train','counter',1,NULL,17974283,14554132,19800001,'monotone+pmax',359604129,0,0,118,NULL,'coarse',NULL,NULL,1795809430480089682,NULL);
INSERT INTO "energy" VALUES(12,1,2,'machine','phase:train','counter',1,NULL,1797428,1440825,1980001,'monotone+pmax',359604129,0,0,12,NULL,'coarse',NULL,NULL,1795809430480089682,NULL);
INSERT INTO "energy" VALUES(13,2,NULL,'machine','window','counter',1,NULL,27768732,27619984,28105002,'monotone+pmax',504142775,0,0,78,NULL,'',NULL,NULL,1795809431096543080,NULL);
INSERT INTO "energy" VALUES(14,2,1,'machine','window','counter',1,NULL,25244302,25116654,25550001,'monotone+pmax',504142775,0,0,77,NULL,'',NULL,NULL,1795809431096543080,NULL);
INSERT INTO "energy" VALUES(15,2,2,'machine','window','counter',1,NULL,2524430,2503330,2555001,'monotone+pmax',504142775,0,0,8,NULL,'',NULL,NULL,1795809431096543080,NULL);
INSERT INTO "energy" VALUES(16,2,NULL,'attributed','window','counter',1,NULL,27768732,27619984,28105002,'monotone+pmax',504142775,0,0,78,NULL,'',NULL,NULL,1795809431096625503,NULL);
INSERT INTO "energy" VALUES(17,2,1,'attributed','window','counter',1,NULL,25244302,25116654,25550001,'monotone+pmax',504142775,0,0,77,NULL,'',NULL,NULL,1795809431096625503,NULL);
INSERT INTO "energy" VALUES(18,2,2,'attributed','window','counter',1,NULL,2524430,2503330,2555001,'monotone+pmax',504142775,0,0,8,NULL,'',NULL,NULL,1795809431096625503,NULL);
INSERT INTO "energy" VALUES(19,2,NULL,'machine','main','counter',1,NULL,27764928,27536844,28105002,'monotone+pmax',504073492,0,0,78,NULL,'',NULL,NULL,1795809431096731481,NULL);
INSERT INTO "energy" VALUES(20,2,1,'machine','main','counter',1,NULL,25240844,25047371,25550001,'monotone+pmax',504073492,0,0,77,NULL,'',NULL,NULL,1795809431096731481,NULL);
INSERT INTO "energy" VALUES(21,2,2,'machine','main','counter',1,NULL,2524084,2489473,2555001,'monotone+pmax',504073492,0,0,8,NULL,'',NULL,NULL,1795809431096731481,NULL);
CREATE TABLE energy_part(
    total INTEGER NOT NULL REFERENCES energy(id),
    channel INTEGER NOT NULL REFERENCES channel(id),
    PRIMARY KEY(total, channel)
) STRICT, WITHOUT ROWID;
INSERT INTO "energy_part" VALUES(1,1);
INSERT INTO "energy_part" VALUES(1,2);
INSERT INTO "energy_part" VALUES(4,1);
INSERT INTO "energy_part" VALUES(4,2);
INSERT INTO "energy_part" VALUES(7,1);
INSERT INTO "energy_part" VALUES(7,2);
INSERT INTO "energy_part" VALUES(10,1);
INSERT INTO "energy_part" VALUES(10,2);
INSERT INTO "energy_part" VALUES(13,1);
INSERT INTO "energy_part" VALUES(13,2);
INSERT INTO "energy_part" VALUES(16,1);
INSERT INTO "energy_part" VALUES(16,2);
INSERT INTO "energy_part" VALUES(19,1);
INSERT INTO "energy_part" VALUES(19,2);
CREATE TABLE env(
    hash TEXT PRIMARY KEY,           -- SHA-256 of the NUL-separated block
    path TEXT NOT NULL,              -- below the state directory
    refs INTEGER NOT NULL,           -- runs that may still need it
    shown TEXT NOT NULL              -- JSON object: the allow-listed variables only
) STRICT, WITHOUT ROWID;
INSERT INTO "env" VALUES('cbcb4d709f6759b827933e035aaaa4cc21f7a808af7c6fa2c0ea68c953aa53c0','env/cbcb4d709f6759b827933e035aaaa4cc21f7a808af7c6fa2c0ea68c953aa53c0',1,'{"PATH":"/usr/bin:/bin"}');
CREATE TABLE epoch(
    id INTEGER PRIMARY KEY,
    boot INTEGER NOT NULL REFERENCES boot(id),
    t0_ns INTEGER NOT NULL,
    t1_ns INTEGER,                   -- NULL while it runs; after a kill: last committed sample
    reason TEXT                      -- why it ended: 'stop', 'killed', 'suspend'
) STRICT;
INSERT INTO "epoch" VALUES(1,1,8124192631463,8124692647386,'stop');
INSERT INTO "epoch" VALUES(2,1,8124736381990,NULL,NULL);
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
INSERT INTO "epoch_channel" VALUES(1,1,8124192631463,1,1,0,0,406209600000,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(1,1,8124736381990,2,1,0,27200000,406236800000,27200000,0,0,43734604,2200000);
INSERT INTO "epoch_channel" VALUES(2,1,8124192631463,1,1,1,0,40620960000,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(2,1,8124736381990,2,1,1,2720000,40623680000,2720000,0,0,43734604,220000);
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
INSERT INTO "event" VALUES(1,1,8124218149113,1,0,NULL,'queued','submitted');
INSERT INTO "event" VALUES(2,1,8124218188973,1,NULL,'queued','starting','its turn');
INSERT INTO "event" VALUES(3,1,8124229623778,1,NULL,'starting','running','gate opened');
INSERT INTO "event" VALUES(4,1,8124686493902,1,NULL,'running','stopping','main process ended');
INSERT INTO "event" VALUES(5,1,8124692072851,1,NULL,'stopping','done','exit code 0');
INSERT INTO "event" VALUES(6,1,8124771773362,2,0,NULL,'queued','submitted');
INSERT INTO "event" VALUES(7,1,8124771811859,2,NULL,'queued','starting','its turn');
INSERT INTO "event" VALUES(8,1,8124797942837,2,NULL,'starting','running','gate opened');
INSERT INTO "event" VALUES(9,1,8125302016329,2,NULL,'running','stopping','main process ended');
INSERT INTO "event" VALUES(10,1,8125308770783,2,NULL,'stopping','done','exit code 0');
INSERT INTO "event" VALUES(11,1,8125314417072,3,0,NULL,'held','submitted');
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
INSERT INTO "gap" VALUES(1,1,8124692647386,8124736381990,2200000,'bridged');
INSERT INTO "gap" VALUES(2,1,8124692647386,8124736381990,220000,'bridged');
CREATE TABLE grp(
    id INTEGER PRIMARY KEY,
    period_ns INTEGER NOT NULL,      -- the deadline grid
    created_boot INTEGER NOT NULL REFERENCES boot(id),
    created_ns INTEGER NOT NULL
) STRICT;
INSERT INTO "grp" VALUES(1,100000000,1,8124191875593);
CREATE TABLE grp_slot(
    grp INTEGER NOT NULL REFERENCES grp(id),
    slot INTEGER NOT NULL,           -- column in the group's blobs, from 0
    channel INTEGER NOT NULL REFERENCES channel(id),
    PRIMARY KEY(grp, slot)
) STRICT, WITHOUT ROWID;
INSERT INTO "grp_slot" VALUES(1,0,1);
INSERT INTO "grp_slot" VALUES(1,1,2);
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
INSERT INTO "head" VALUES(1,1,8124192631463,8124692647386,1,1,0,25000000,0,NULL,NULL,NULL,0,0,0,0,16,49488340,62403509);
INSERT INTO "head" VALUES(2,1,8124192631463,8124692647386,1,1,0,2500000,0,NULL,NULL,NULL,0,0,0,0,16,4948834,6240351);
CREATE TABLE machine(
    id INTEGER PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    facts TEXT NOT NULL              -- JSON: cpu, stepping, microcode, kernel, governor, boost, SMT, THP, NUMA, GPU driver
) STRICT;
CREATE TABLE meta(
    k TEXT PRIMARY KEY,              -- 'created_utc_ns', 'machine_id', 'durability'
    v TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "meta" VALUES('created_utc_ns','1795809429978506532');
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
INSERT INTO "metric" VALUES(1,1,1,'loss',3.5,8124427962259,'mark');
INSERT INTO "metric" VALUES(1,2,2,'loss',2.5,8124535275474,'mark');
INSERT INTO "metric" VALUES(1,3,3,'loss',1.5,8124686601292,'mark');
CREATE TABLE model(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    created_utc_ns INTEGER NOT NULL,
    backend TEXT NOT NULL,
    machine INTEGER REFERENCES machine(id),
    form TEXT NOT NULL,
    errors TEXT NOT NULL             -- JSON
) STRICT;
CREATE TABLE model_run(
    model INTEGER NOT NULL REFERENCES model(id),
    run INTEGER NOT NULL REFERENCES run(id),
    used INTEGER NOT NULL,           -- 0 = left out, and why:
    reason TEXT,
    PRIMARY KEY(model, run)
) STRICT, WITHOUT ROWID;
CREATE TABLE model_term(
    model INTEGER NOT NULL REFERENCES model(id),
    name TEXT NOT NULL,
    unit TEXT NOT NULL,
    value REAL NOT NULL,
    lo REAL,
    hi REAL,
    PRIMARY KEY(model, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE note(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL REFERENCES run(id),
    uid INTEGER NOT NULL,
    utc_ns INTEGER NOT NULL,
    text TEXT NOT NULL
) STRICT;
CREATE TABLE phase(
    run INTEGER NOT NULL REFERENCES run(id),
    name TEXT NOT NULL,
    t0_ns INTEGER NOT NULL,
    t1_ns INTEGER,                   -- NULL = open: ends with the run
    PRIMARY KEY(run, t0_ns, name)
) STRICT, WITHOUT ROWID;
INSERT INTO "phase" VALUES(1,'train',8124327025445,8124686629574);
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
INSERT INTO "run" VALUES(1,'01a21e95-49f3-7940-b085-d9611c902909',1,0,'done','command','{"kind":"command","argv":["sh","-c","printf ''{\"phase\":\"train\"}\\n'' >>\"$WATTQ_METRICS\"\nfor i in 1 2 3; do sleep 0.15; printf ''{\"step\":%s,\"loss\":%s.5}\\n'' $i $((4 - i)) >>\"$WATTQ_METRICS\"; done"],"cwd":"/tmp/wattq-test-alqqhb3j","label":"golden","project":"","umask":18,"priority":0,"time_limit_ns":0,"grace_ns":30000000000,"log_cap_bytes":268435456,"exclusive":true,"wait_children":false,"params":{"lr":"0.1"}}','golden','',NULL,NULL,NULL,0,'user+cgroup','cbcb4d709f6759b827933e035aaaa4cc21f7a808af7c6fa2c0ea68c953aa53c0',NULL,1,1795809430003913142,1795809430017081838,1795809430474087634,8124229623778,8124686493902,8124686629574,0,NULL,'exit code 0',4054,'cgroup',1593344,0,NULL,NULL);
INSERT INTO "run" VALUES(2,'01a21e95-4c1c-7361-9571-a6849dc8779f',1,0,'done','command','{"kind":"command","argv":["sh","-c","sleep 0.5"],"cwd":"/tmp/wattq-test-alqqhb3j","label":"in the tail","project":"","umask":18,"priority":0,"time_limit_ns":0,"grace_ns":30000000000,"log_cap_bytes":268435456,"exclusive":true,"wait_children":false,"params":{}}','in the tail','',NULL,NULL,NULL,0,'user+cgroup','cbcb4d709f6759b827933e035aaaa4cc21f7a808af7c6fa2c0ea68c953aa53c0',NULL,1,1795809430556071489,1795809430585400887,1795809431089543662,8124797942837,8125302016329,8125302085612,0,NULL,'exit code 0',2166,'cgroup',1581056,0,NULL,NULL);
INSERT INTO "run" VALUES(3,'01a21e95-4e3b-7171-95f3-2922420b6c48',0,0,'held','command','{"kind":"command","argv":["sh","-c","true"],"cwd":"/tmp/wattq-test-alqqhb3j","label":"waits","project":"","umask":18,"priority":0,"time_limit_ns":0,"grace_ns":30000000000,"log_cap_bytes":268435456,"exclusive":true,"wait_children":false,"params":{}}','waits','',NULL,NULL,NULL,0,'','cbcb4d709f6759b827933e035aaaa4cc21f7a808af7c6fa2c0ea68c953aa53c0',NULL,NULL,1795809431099843548,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE run_param(
    run INTEGER NOT NULL REFERENCES run(id),
    key TEXT NOT NULL,
    type TEXT NOT NULL CHECK(type IN ('int','real','text')),
    value ANY NOT NULL,
    PRIMARY KEY(run, key)
) STRICT, WITHOUT ROWID;
INSERT INTO "run_param" VALUES(1,'lr','real',0.1);
CREATE TABLE slot_owner(
    channel INTEGER NOT NULL REFERENCES channel(id),
    run INTEGER NOT NULL REFERENCES run(id),
    boot INTEGER NOT NULL REFERENCES boot(id),
    t0_ns INTEGER NOT NULL,
    t1_ns INTEGER,
    PRIMARY KEY(channel, boot, t0_ns)
) STRICT, WITHOUT ROWID;
CREATE TABLE source(
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,       -- 'powercap', 'hwmon', 'ngoldenl', 'estimate', 'script', 'replay', ...
    detail TEXT NOT NULL DEFAULT ''  -- driver, library or file version where it has one
) STRICT;
INSERT INTO "source" VALUES(1,'script','');
CREATE TABLE sweep(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uid INTEGER NOT NULL,
    label TEXT NOT NULL,
    spec TEXT NOT NULL,              -- JSON: the grid as submitted
    submitted_utc_ns INTEGER NOT NULL,
    state TEXT NOT NULL CHECK(state IN ('open','held','ended')),
    reason TEXT                      -- why it is held: the breaker's sentence
) STRICT;
CREATE TABLE tag(
    run INTEGER NOT NULL REFERENCES run(id),
    tag TEXT NOT NULL,
    PRIMARY KEY(run, tag)
) STRICT, WITHOUT ROWID;
CREATE TABLE tail(
    seq INTEGER PRIMARY KEY,
    grp INTEGER NOT NULL REFERENCES grp(id),
    epoch INTEGER NOT NULL REFERENCES epoch(id),
    t0_ns INTEGER NOT NULL,
    t1_ns INTEGER NOT NULL,
    n INTEGER NOT NULL,
    b BLOB NOT NULL
) STRICT;
INSERT INTO "tail" VALUES(1,1,2,8124736381990,8124736381990,1,X'500000000200000001000000110000001300000013000000119E06B0630700003CAA06B06307000002000100A499955E000000000A9F0100000000800001002A5C75090000000081290000000000801FA7109B');
INSERT INTO "tail" VALUES(2,1,2,8124796461327,8124796461327,1,X'500000000200000001000000110000001300000013000000405B9BB363070000DE669BB363070000010001C06AC7955E000000C0D0CC0100000000000001E0BD607509000000E0142E000000000000356C2510');
INSERT INTO "tail" VALUES(3,1,2,8124796892664,8124797910063,2,X'500000000200000002000000220000001C0000001C000000EAF4A1B363070000587BB1B36307000007F7A1B363070000077DB1B36307000001010001102EC8955E000000C0D0CC01000000001094CD01000000000000000168D1607509000000E0142E000000000068282E0000000000000074B04068');
INSERT INTO "tail" VALUES(4,1,2,8124798925309,8125302174815,10,X'50000000020000000A000000AA000000640000006400000045F8C0B363070000107EC1B363070000CC33DFB363070000DA07FDB563070000C4DAF2BB63070000CDB4E8C163070000AF95DEC76307000095F10BCE63070000B6D1BFD16307000023F4BFD163070000B6FBC0B3630700008C7FC1B3630700008936DFB3630700009613FDB56307000095E6F2BB6307000025C2E8C163070000A2A2DEC76307000079FD0BCE630700007DDDBFD1630700009BF4BFD163070000010101000000000001010001E07649975E0000006057CE01000000006057CE010000000000DECF01000000004055EB010000000080A0370200000000C0EB8302000000000037D00200000000808F1F0300000000E0DC4E0300000000E0DC4E0300000000000000000000000000000001B058877509000000F03B2E0000000000F03B2E000000000000632E0000000000202231000000000040C338000000000060644000000000008005480000000000C0F44F0000000000B0AF540000000000B0AF540000000000000000000000000000007AD4F148');
INSERT INTO "tail" VALUES(5,1,2,8125308677534,8125308703548,2,X'500000000200000002000000220000001C0000001C000000142923D263070000059323D263070000283223D263070000739323D26307000001010001C00A4E975E000000C070530300000000C07053030000000000000001E0CD877509000000E024550000000000E024550000000000000067C9BC36');
CREATE INDEX anchor_utc ON anchor(utc_ns, boot);
CREATE UNIQUE INDEX chunk_seek ON chunk(grp, tier, epoch, t0_ns, t1_ns, n);
CREATE INDEX head_chunk ON head(chunk);
CREATE INDEX run_state ON run(state, id);
CREATE INDEX run_sweep ON run(sweep, id);
CREATE INDEX run_label ON run(label);
CREATE INDEX run_window ON run(boot, t1_ns, t0_ns) WHERE t1_ns IS NOT NULL;
CREATE INDEX run_retry ON run(retry_of) WHERE retry_of IS NOT NULL;
CREATE INDEX run_ended ON run(ended_utc_ns) WHERE ended_utc_ns IS NOT NULL;
CREATE INDEX run_param_key ON run_param(key, value);
CREATE INDEX event_run ON event(run, id);
CREATE INDEX energy_run ON energy(run, id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('run',3);
INSERT INTO "sqlite_sequence" VALUES('event',11);
INSERT INTO "sqlite_sequence" VALUES('energy',21);
COMMIT;
