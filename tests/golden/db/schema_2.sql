PRAGMA page_size=4096;
PRAGMA auto_vacuum=INCREMENTAL;
PRAGMA application_id=1465144401;
PRAGMA user_version=2;
BEGIN TRANSACTION;
CREATE TABLE anchor(
    boot INTEGER NOT NULL REFERENCES boot(id),
    boottime_ns INTEGER NOT NULL,
    utc_ns INTEGER NOT NULL,         -- CLOCK_REALTIME at boottime_ns, read within 50 us
    step INTEGER NOT NULL DEFAULT 0, -- 1 = written because the clock was set (> 50 ms off)
    PRIMARY KEY(boot, boottime_ns)
) STRICT, WITHOUT ROWID;
INSERT INTO "anchor" VALUES(1,8125785595708,1795809431573053798,0);
INSERT INTO "anchor" VALUES(1,8126365796358,1795809432153254448,0);
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
INSERT INTO "chunk" VALUES(1,1,0,1,8125756622425,8126272398415,16,X'500000000200000010000000100100009A0000009A0000000241D6EC63070000547C74EF630700006CD188EF6307000067BD97EF630700001F99AEEF630700005BB9AEEF630700008351C5EF63070000182DD2F26307000048ADD0F863070000783EB8FE63070000DC28AE04640700006A06A40A64070000EDD4620B6407000057F4620B64070000DD08940B640700000E64940B64070000B04BD6EC630700007B8774EF630700000DD988EF630700000FC297EF63070000079FAEEF63070000F1B9AEEF630700007156C5EF63070000E437D2F26307000037B9D0F8630700007F4BB8FE63070000AC34AE04640700001C12A40A6407000091DF620B64070000BCF4620B64070000D810940B640700009064940B6407000002010101010101000000000001010101000100842D9A5E0000000000000000000000C09121000000000010552200000000006018230000000000009F240000000000009F2400000000005062250000000000900E4D0000000000D059990000000000C0E1E40000000000002D31010000000040787D01000000005063870100000000506387010000000040AD89010000000040AD890100000000000000000000000000000000000000000001005AD175090000000000000000000000605B030000000000E86E030000000000708203000000000080A903000000000080A903000000000008BD030000000000A8B4070000000000C8550F000000000060E316000000000080841E0000000000A02526000000000088232700000000008823270000000000205E270000000000205E27000000000000000000000000000000000000000000EF2F78FC');
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
INSERT INTO "energy" VALUES(1,1,NULL,'machine','window','counter',1,NULL,25682095,25482040,25905002,'monotone+pmax',466245018,0,0,85,NULL,'',NULL,NULL,1795809432064078303,NULL);
INSERT INTO "energy" VALUES(2,1,1,'machine','window','counter',1,NULL,23347359,23172534,23550001,'monotone+pmax',466245018,0,0,84,NULL,'',NULL,NULL,1795809432064078303,NULL);
INSERT INTO "energy" VALUES(3,1,2,'machine','window','counter',1,NULL,2334736,2309506,2355001,'monotone+pmax',466245018,0,0,9,NULL,'',NULL,NULL,1795809432064078303,NULL);
INSERT INTO "energy" VALUES(4,1,NULL,'attributed','window','counter',1,NULL,25682095,25482040,25905002,'monotone+pmax',466245018,0,0,85,NULL,'',NULL,NULL,1795809432064162218,NULL);
INSERT INTO "energy" VALUES(5,1,1,'attributed','window','counter',1,NULL,23347359,23172534,23550001,'monotone+pmax',466245018,0,0,84,NULL,'',NULL,NULL,1795809432064162218,NULL);
INSERT INTO "energy" VALUES(6,1,2,'attributed','window','counter',1,NULL,2334736,2309506,2355001,'monotone+pmax',466245018,0,0,9,NULL,'',NULL,NULL,1795809432064162218,NULL);
INSERT INTO "energy" VALUES(7,1,NULL,'machine','main','counter',1,NULL,25678864,25414259,25905002,'monotone+pmax',466188534,0,0,85,NULL,'',NULL,NULL,1795809432064273224,NULL);
INSERT INTO "energy" VALUES(8,1,1,'machine','main','counter',1,NULL,23344422,23116050,23550001,'monotone+pmax',466188534,0,0,84,NULL,'',NULL,NULL,1795809432064273224,NULL);
INSERT INTO "energy" VALUES(9,1,2,'machine','main','counter',1,NULL,2334442,2298209,2355001,'monotone+pmax',466188534,0,0,9,NULL,'',NULL,NULL,1795809432064273224,NULL);
INSERT INTO "energy" VALUES(10,1,NULL,'machine','phase:train','counter',1,NULL,20260748,17067040,22825002,'monotone+pmax',368267458,0,0,99,NULL,'coarse',NULL,NULL,1795809432064384619,NULL);
INSERT INTO "energy" VALUES(11,1,1,'machine','phase:train','counter',1,NULL,18418862,15522534,20750001,'monotone+pmax',368267458,0,0,98,NULL,'coarse',NULL,NULL,1795809432064384619,NULL);
INSERT INTO "energy" VALUES(12,1,2,'machine','phase:train','counter',1,NULL,1841886,1544506,2075001,'monotone+pmax',368267458,0,0,10,NULL,'coarse',NULL,NULL,1795809432064384619,NULL);
INSERT INTO "energy" VALUES(13,2,NULL,'machine','window','counter',1,NULL,27780349,27544284,28050002,'monotone+pmax',505139909,0,0,92,NULL,'',NULL,NULL,1795809432695920586,NULL);
INSERT INTO "energy" VALUES(14,2,1,'machine','window','counter',1,NULL,25254863,25053571,25500001,'monotone+pmax',505139909,0,0,91,NULL,'',NULL,NULL,1795809432695920586,NULL);
INSERT INTO "energy" VALUES(15,2,2,'machine','window','counter',1,NULL,2525486,2490713,2550001,'monotone+pmax',505139909,0,0,10,NULL,'',NULL,NULL,1795809432695920586,NULL);
INSERT INTO "energy" VALUES(16,2,NULL,'attributed','window','counter',1,NULL,27780349,27544284,28050002,'monotone+pmax',505139909,0,0,92,NULL,'',NULL,NULL,1795809432696022918,NULL);
INSERT INTO "energy" VALUES(17,2,1,'attributed','window','counter',1,NULL,25254863,25053571,25500001,'monotone+pmax',505139909,0,0,91,NULL,'',NULL,NULL,1795809432696022918,NULL);
INSERT INTO "energy" VALUES(18,2,2,'attributed','window','counter',1,NULL,2525486,2490713,2550001,'monotone+pmax',505139909,0,0,10,NULL,'',NULL,NULL,1795809432696022918,NULL);
INSERT INTO "energy" VALUES(19,2,NULL,'machine','main','counter',1,NULL,27776378,27457694,28050002,'monotone+pmax',505067751,0,0,92,NULL,'',NULL,NULL,1795809432696128806,NULL);
INSERT INTO "energy" VALUES(20,2,1,'machine','main','counter',1,NULL,25251253,24981413,25500001,'monotone+pmax',505067751,0,0,91,NULL,'',NULL,NULL,1795809432696128806,NULL);
INSERT INTO "energy" VALUES(21,2,2,'machine','main','counter',1,NULL,2525125,2476281,2550001,'monotone+pmax',505067751,0,0,10,NULL,'',NULL,NULL,1795809432696128806,NULL);
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
INSERT INTO "epoch" VALUES(1,1,8125756622425,8126272398415,'stop');
INSERT INTO "epoch" VALUES(2,1,8126339384972,NULL,NULL);
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
INSERT INTO "epoch_channel" VALUES(1,1,8125756622425,1,1,0,0,406287800000,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(1,1,8126339384972,2,1,0,29150000,406316950000,29150000,0,0,66986557,3350000);
INSERT INTO "epoch_channel" VALUES(2,1,8125756622425,1,1,1,0,40628780000,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(2,1,8126339384972,2,1,1,2915000,40631695000,2915000,0,0,66986557,335000);
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
INSERT INTO "event" VALUES(1,1,8125793033884,1,0,NULL,'queued','submitted');
INSERT INTO "event" VALUES(2,1,8125793076969,1,NULL,'queued','starting','its turn');
INSERT INTO "event" VALUES(3,1,8125802830686,1,NULL,'starting','running','gate opened');
INSERT INTO "event" VALUES(4,1,8126269019220,1,NULL,'running','stopping','main process ended');
INSERT INTO "event" VALUES(5,1,8126276100730,1,NULL,'stopping','done','exit code 0');
INSERT INTO "event" VALUES(6,1,8126376761568,2,0,NULL,'queued','submitted');
INSERT INTO "event" VALUES(7,1,8126376804202,2,NULL,'queued','starting','its turn');
INSERT INTO "event" VALUES(8,1,8126400089495,2,NULL,'starting','running','gate opened');
INSERT INTO "event" VALUES(9,1,8126905157246,2,NULL,'running','stopping','main process ended');
INSERT INTO "event" VALUES(10,1,8126907944174,2,NULL,'stopping','done','exit code 0');
INSERT INTO "event" VALUES(11,1,8126917887805,3,0,NULL,'held','submitted');
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
INSERT INTO "gap" VALUES(1,1,8126272398415,8126339384972,3350000,'bridged');
INSERT INTO "gap" VALUES(2,1,8126272398415,8126339384972,335000,'bridged');
CREATE TABLE grp(
    id INTEGER PRIMARY KEY,
    period_ns INTEGER NOT NULL,      -- the deadline grid
    created_boot INTEGER NOT NULL REFERENCES boot(id),
    created_ns INTEGER NOT NULL
) STRICT;
INSERT INTO "grp" VALUES(1,100000000,1,8125754715381);
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
INSERT INTO "head" VALUES(1,1,8125756622425,8126272398415,1,1,0,25800000,0,NULL,NULL,NULL,0,0,0,0,16,33582493,66746763);
INSERT INTO "head" VALUES(2,1,8125756622425,8126272398415,1,1,0,2580000,0,NULL,NULL,NULL,0,0,0,0,16,3358249,6674677);
CREATE TABLE machine(
    id INTEGER PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    facts TEXT NOT NULL              -- JSON: cpu, stepping, microcode, kernel, governor, boost, SMT, THP, NUMA, GPU driver
) STRICT;
INSERT INTO "machine" VALUES(1,'0d1635f30f03e809fdafb586eab368bab553fb1f1b4320e57616aaf3e35ada03','{"affinity":"0-1","cpu":"AMD EPYC","cpus_online":"0-1","family":"25","hypervisor":true,"kernel":"6.18.44-fc-v595","memory_bytes":25276514304,"microcode":"0x1000065","model":"17","numa_balancing":"0","numa_nodes":1,"smt":"notsupported","stepping":"1","thp":"madvise","vendor":"AuthenticAMD"}');
CREATE TABLE meta(
    k TEXT PRIMARY KEY,              -- 'created_utc_ns', 'machine_id', 'durability'
    v TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "meta" VALUES('created_utc_ns','1795809431539990502');
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
INSERT INTO "metric" VALUES(1,1,1,'loss',3.5,8125965579671,'arrival');
INSERT INTO "metric" VALUES(1,2,2,'loss',2.5,8126116732246,'mark');
INSERT INTO "metric" VALUES(1,3,3,'loss',1.5,8126268980392,'mark');
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
INSERT INTO "metric_head" VALUES(1,'loss',3,3.5,1.5,1.5,3.5,3,NULL);
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
CREATE TABLE model_run(
    model INTEGER NOT NULL REFERENCES model(id),
    run INTEGER NOT NULL REFERENCES run(id),
    used INTEGER NOT NULL,           -- 0 = left out, and why:
    reason TEXT,
    PRIMARY KEY(model, run)
) STRICT, WITHOUT ROWID;
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
CREATE TABLE note(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL REFERENCES run(id),
    uid INTEGER NOT NULL,
    utc_ns INTEGER NOT NULL,
    text TEXT NOT NULL
) STRICT;
CREATE TABLE origin(
    id INTEGER PRIMARY KEY,
    machine TEXT NOT NULL,           -- whose: the host name the file gives
    format TEXT NOT NULL CHECK(format IN ('wattq','standalone','butter')),
    sha256 TEXT NOT NULL,            -- of the file as it was read
    facts TEXT NOT NULL,             -- JSON: what the file says of its machine and its meters
    uid INTEGER NOT NULL,            -- who imported it
    imported_utc_ns INTEGER NOT NULL
) STRICT;
CREATE TABLE phase(
    run INTEGER NOT NULL REFERENCES run(id),
    name TEXT NOT NULL,
    t0_ns INTEGER NOT NULL,
    t1_ns INTEGER,                   -- NULL = open: ends with the run
    PRIMARY KEY(run, t0_ns, name)
) STRICT, WITHOUT ROWID;
INSERT INTO "phase" VALUES(1,'train',8125900808246,8126269075704);
CREATE TABLE pin(
    run INTEGER PRIMARY KEY REFERENCES run(id),
    uid INTEGER NOT NULL,
    utc_ns INTEGER NOT NULL,
    reason TEXT NOT NULL             -- 'bundle FILE sha256:...', or a person's words
) STRICT;
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
, origin INTEGER REFERENCES origin(id)) STRICT;
INSERT INTO "run" VALUES(1,'01a21e95-501a-7b04-b0f4-ae89753477a5',1,0,'done','command','{"kind":"command","argv":["sh","-c","printf ''{\"phase\":\"train\"}\\n'' >>\"$WATTQ_METRICS\"\nfor i in 1 2 3; do sleep 0.15; printf ''{\"step\":%s,\"loss\":%s.5}\\n'' $i $((4 - i)) >>\"$WATTQ_METRICS\"; done"],"cwd":"/tmp/wattq-test-lea5da6e","label":"golden","project":"","umask":18,"priority":0,"time_limit_ns":0,"grace_ns":30000000000,"log_cap_bytes":268435456,"exclusive":true,"wait_children":false,"params":{"lr":"0.1"}}','golden','',NULL,NULL,NULL,0,'user+cgroup','cbcb4d709f6759b827933e035aaaa4cc21f7a808af7c6fa2c0ea68c953aa53c0',NULL,1,1795809431578489774,1795809431590288746,1795809432056533764,8125802830686,8126269019220,8126269075704,0,NULL,'exit code 0',4268,'cgroup',1671168,0,1,1,NULL);
INSERT INTO "run" VALUES(2,'01a21e95-5262-7f78-8c44-be7d214a2aa9',1,0,'done','command','{"kind":"command","argv":["sh","-c","sleep 0.5"],"cwd":"/tmp/wattq-test-lea5da6e","label":"in the tail","project":"","umask":18,"priority":0,"time_limit_ns":0,"grace_ns":30000000000,"log_cap_bytes":268435456,"exclusive":true,"wait_children":false,"params":{}}','in the tail','',NULL,NULL,NULL,0,'user+cgroup','cbcb4d709f6759b827933e035aaaa4cc21f7a808af7c6fa2c0ea68c953aa53c0',NULL,1,1795809432162517985,1795809432187547545,1795809432692687463,8126400089495,8126905157246,8126905229404,0,NULL,'exit code 0',2151,'cgroup',1585152,0,1,1,NULL);
INSERT INTO "run" VALUES(3,'01a21e95-547c-7103-bbb8-f286e18dab8d',0,0,'held','command','{"kind":"command","argv":["sh","-c","true"],"cwd":"/tmp/wattq-test-lea5da6e","label":"waits","project":"","umask":18,"priority":0,"time_limit_ns":0,"grace_ns":30000000000,"log_cap_bytes":268435456,"exclusive":true,"wait_children":false,"params":{}}','waits','',NULL,NULL,NULL,0,'','cbcb4d709f6759b827933e035aaaa4cc21f7a808af7c6fa2c0ea68c953aa53c0',NULL,NULL,1795809432700306985,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE run_param(
    run INTEGER NOT NULL REFERENCES run(id),
    key TEXT NOT NULL,
    type TEXT NOT NULL CHECK(type IN ('int','real','text')),
    value ANY NOT NULL,
    PRIMARY KEY(run, key)
) STRICT, WITHOUT ROWID;
INSERT INTO "run_param" VALUES(1,'lr','real',0.1);
CREATE TABLE run_total(
    run INTEGER PRIMARY KEY REFERENCES run(id),
    energy INTEGER NOT NULL REFERENCES energy(id),
    energy_uj INTEGER,               -- NULL = unknown
    lo_uj INTEGER,
    hi_uj INTEGER,
    quality TEXT NOT NULL CHECK(quality IN ('measured','modelled','estimated','none')),
    flags TEXT NOT NULL
) STRICT;
INSERT INTO "run_total" VALUES(1,1,25682095,25482040,25905002,'measured','');
INSERT INTO "run_total" VALUES(2,13,27780349,27544284,28050002,'measured','');
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
INSERT INTO "tail" VALUES(1,1,2,8126339384972,8126339384972,1,X'5000000002000000010000001100000013000000130000002681920F64070000F28B920F64070000020001F0A1609A5E00000030CBBC01000000008000019876D67509000000B87A2C000000000080018774AD');
INSERT INTO "tail" VALUES(2,1,2,8126392274578,8126392274578,1,X'500000000200000001000000110000001300000013000000F588B912640700002F94B912640700000100018011899A5E000000C03AE50100000000000001C081DA7509000000E08530000000000000FED49610');
INSERT INTO "tail" VALUES(3,1,2,8126393782247,8126397803127,4,X'500000000200000004000000440000002E0000002E0000009E8CD0126407000069D6DF1264070000E331EF126407000029E70D13640700003093D01264070000D5DADF1264070000A936EF1264070000C5ED0D136407000001010101000110E28C9A5E00000010FEE5010000000060C1E60100000000B084E70100000000500BE9010000000000000000000168E3DA75090000006899300000000000F0AC30000000000078C030000000000088E730000000000000000000DB9A5C00');
INSERT INTO "tail" VALUES(4,1,2,8126401119337,8126905383573,8,X'50000000020000000800000088000000520000005200000030804013640700002702891564070000E043881B640700004AC37421640700005B816A2764070000AD55602D64070000E7CF4E316407000063FA4E3164070000A388401364070000110D891564070000CA4E881B64070000DACD7421640700002D8B6A27640700009860602D6407000058DC4E3164070000C7FA4E316407000001000000000001010001D074109C5E0000009018EC010000000070160902000000000025560200000000F0ACA1020000000030F8ED020000000070433A0300000000109E6C0300000000109E6C03000000000000000000000000000148A5017609000000A835310000000000D81B34000000000080D03B0000000000185E43000000000038FF4A000000000058A052000000000068A957000000000068A95700000000000000000000000000AD47CBC4');
INSERT INTO "tail" VALUES(5,1,2,8126907853164,8126907876914,2,X'500000000200000002000000220000001C0000001C0000003CA674316407000000067531640700009CAC74316407000064067531640700000101000170FB119C5E000000B0246E0300000000B0246E03000000000000000158CC01760900000078D057000000000078D057000000000000001609FDEC');
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
CREATE INDEX run_origin ON run(origin) WHERE origin IS NOT NULL;
CREATE INDEX run_uid ON run(uid, id);
CREATE INDEX run_submitted ON run(submitted_utc_ns);
CREATE INDEX run_started ON run(started_utc_ns) WHERE started_utc_ns IS NOT NULL;
CREATE INDEX run_project ON run(project, id) WHERE project <> '';
CREATE INDEX tag_of ON tag(tag, run);
CREATE INDEX note_run ON note(run, id);
CREATE INDEX energy_superseded ON energy(supersedes) WHERE supersedes IS NOT NULL;
CREATE INDEX run_total_energy ON run_total(energy_uj);
CREATE INDEX metric_head_key ON metric_head(key, last);
CREATE TRIGGER metric_kept AFTER INSERT ON metric BEGIN
    INSERT INTO metric_head(run, key, n, first, last, min, max, last_step)
        VALUES(new.run, new.key, 1, new.value, new.value, new.value, new.value, new.step)
        ON CONFLICT(run, key) DO UPDATE SET -- what a person wrote gives way to the program's own
            n = iif(by_uid IS NULL, n + 1, 1), first = iif(by_uid IS NULL, first, new.value),
            last = new.value, min = iif(by_uid IS NULL, min(min, new.value), new.value),
            max = iif(by_uid IS NULL, max(max, new.value), new.value), last_step = new.step, by_uid = NULL;
END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('run',3);
INSERT INTO "sqlite_sequence" VALUES('event',11);
INSERT INTO "sqlite_sequence" VALUES('energy',21);
COMMIT;
