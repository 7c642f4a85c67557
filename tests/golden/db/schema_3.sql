PRAGMA page_size=4096;
PRAGMA auto_vacuum=INCREMENTAL;
PRAGMA application_id=1465144401;
PRAGMA user_version=3;
BEGIN TRANSACTION;
CREATE TABLE account(
    channel INTEGER PRIMARY KEY REFERENCES channel(id), -- the account's own curve
    meter INTEGER NOT NULL REFERENCES channel(id),
    kind TEXT NOT NULL CHECK(kind IN ('slot','system','foreign','idle')),
    slot INTEGER                     -- of kind 'slot'
) STRICT;
INSERT INTO "account" VALUES(6,1,'idle',NULL);
INSERT INTO "account" VALUES(7,1,'system',NULL);
INSERT INTO "account" VALUES(8,2,'idle',NULL);
INSERT INTO "account" VALUES(9,2,'system',NULL);
INSERT INTO "account" VALUES(10,1,'slot',0);
INSERT INTO "account" VALUES(11,2,'slot',0);
INSERT INTO "account" VALUES(12,1,'foreign',NULL);
INSERT INTO "account" VALUES(13,2,'foreign',NULL);
CREATE TABLE account_basis(
    meter INTEGER NOT NULL REFERENCES channel(id),
    boot INTEGER NOT NULL REFERENCES boot(id),
    t_ns INTEGER NOT NULL,           -- spans that begin here or later
    baseline INTEGER REFERENCES baseline(id), -- NULL = none was measured yet: idle grows by nothing
    power_uw INTEGER,                -- its power
    PRIMARY KEY(meter, boot, t_ns)
) STRICT, WITHOUT ROWID;
INSERT INTO "account_basis" VALUES(1,1,8043049981266,NULL,NULL);
INSERT INTO "account_basis" VALUES(1,1,8043637241784,NULL,NULL);
INSERT INTO "account_basis" VALUES(2,1,8043049981266,NULL,NULL);
INSERT INTO "account_basis" VALUES(2,1,8043637241784,NULL,NULL);
CREATE TABLE anchor(
    boot INTEGER NOT NULL REFERENCES boot(id),
    boottime_ns INTEGER NOT NULL,
    utc_ns INTEGER NOT NULL,         -- CLOCK_REALTIME at boottime_ns, read within 50 us
    step INTEGER NOT NULL DEFAULT 0, -- 1 = written because the clock was set (> 50 ms off)
    PRIMARY KEY(boot, boottime_ns)
) STRICT, WITHOUT ROWID;
INSERT INTO "anchor" VALUES(1,8043107541368,1795809348894999458,0);
INSERT INTO "anchor" VALUES(1,8043871320501,1795809349658778581,0);
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
CREATE TABLE baseline(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    channel INTEGER NOT NULL REFERENCES channel(id),
    boot INTEGER NOT NULL REFERENCES boot(id),
    t0_ns INTEGER NOT NULL,
    t1_ns INTEGER NOT NULL,
    power_uw INTEGER NOT NULL,       -- median
    spread_uw INTEGER NOT NULL,      -- interquartile range
    n INTEGER NOT NULL
, basis TEXT NOT NULL DEFAULT 'measured', created_utc_ns INTEGER NOT NULL DEFAULT 0, temp_mc INTEGER, busy_ppm INTEGER, run INTEGER REFERENCES run(id)) STRICT;
CREATE TABLE boot(
    id INTEGER PRIMARY KEY,
    boot_id TEXT NOT NULL UNIQUE,    -- /proc/sys/kernel/random/boot_id
    machine TEXT NOT NULL            -- JSON: host name, kernel, cpu model, cores
) STRICT;
INSERT INTO "boot" VALUES(1,'d9e4927a-44d8-491e-bca9-00747c81322d','{"arch":"x86_64","cpu":"AMD EPYC","cpus":2,"host":"golden","kernel":"6.18.44-fc-v595"}');
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
, device TEXT NOT NULL DEFAULT '', driver TEXT NOT NULL DEFAULT '', firmware TEXT NOT NULL DEFAULT '', lag_learned_ns INTEGER, quantum_learned INTEGER) STRICT;
INSERT INTO "channel" VALUES(1,'script/pkg',1,'pkg','counter','uJ','','package','measured',1,NULL,1000000,1,NULL,0,0,1000000000,NULL,NULL,NULL,'','','',NULL,NULL);
INSERT INTO "channel" VALUES(2,'script/dram',1,'dram','counter','uJ','','dram','measured',1,NULL,1000000,1,NULL,0,0,200000000,NULL,NULL,NULL,'','','',NULL,NULL);
INSERT INTO "channel" VALUES(3,'slots/0',2,'run slot 0','cpu_time','us','CPU time of the runs that sat in this slot','cpu','none',1,NULL,1000000,0,NULL,0,0,NULL,NULL,NULL,NULL,'','','',NULL,NULL);
INSERT INTO "channel" VALUES(4,'slots/1',2,'run slot 1','cpu_time','us','CPU time of the runs that sat in this slot','cpu','none',1,NULL,1000000,0,NULL,0,0,NULL,NULL,NULL,NULL,'','','',NULL,NULL);
INSERT INTO "channel" VALUES(5,'slots/machine',2,'all CPUs','cpu_time','us','busy time of all CPUs together','cpu','none',1,NULL,10000000,0,NULL,0,0,NULL,NULL,NULL,NULL,'','','',NULL,NULL);
INSERT INTO "channel" VALUES(6,'account/script/pkg/idle',3,'pkg idle','companion','uJ','share of a meter''s energy (docs/measurement.md)','other','none',1,NULL,1000000000,0,NULL,0,0,NULL,NULL,NULL,NULL,'','','',NULL,NULL);
INSERT INTO "channel" VALUES(7,'account/script/pkg/system',3,'pkg system','companion','uJ','share of a meter''s energy (docs/measurement.md)','other','none',1,NULL,1000000000,0,NULL,0,0,NULL,NULL,NULL,NULL,'','','',NULL,NULL);
INSERT INTO "channel" VALUES(8,'account/script/dram/idle',3,'dram idle','companion','uJ','share of a meter''s energy (docs/measurement.md)','other','none',1,NULL,1000000000,0,NULL,0,0,NULL,NULL,NULL,NULL,'','','',NULL,NULL);
INSERT INTO "channel" VALUES(9,'account/script/dram/system',3,'dram system','companion','uJ','share of a meter''s energy (docs/measurement.md)','other','none',1,NULL,1000000000,0,NULL,0,0,NULL,NULL,NULL,NULL,'','','',NULL,NULL);
INSERT INTO "channel" VALUES(10,'account/script/pkg/slot0',3,'pkg slot0','companion','uJ','share of a meter''s energy (docs/measurement.md)','other','none',1,NULL,1000000000,0,NULL,0,0,NULL,NULL,NULL,NULL,'','','',NULL,NULL);
INSERT INTO "channel" VALUES(11,'account/script/dram/slot0',3,'dram slot0','companion','uJ','share of a meter''s energy (docs/measurement.md)','other','none',1,NULL,1000000000,0,NULL,0,0,NULL,NULL,NULL,NULL,'','','',NULL,NULL);
INSERT INTO "channel" VALUES(12,'account/script/pkg/foreign',3,'pkg foreign','companion','uJ','share of a meter''s energy (docs/measurement.md)','other','none',1,NULL,1000000000,0,NULL,0,0,NULL,NULL,NULL,NULL,'','','',NULL,NULL);
INSERT INTO "channel" VALUES(13,'account/script/dram/foreign',3,'dram foreign','companion','uJ','share of a meter''s energy (docs/measurement.md)','other','none',1,NULL,1000000000,0,NULL,0,0,NULL,NULL,NULL,NULL,'','','',NULL,NULL);
CREATE TABLE channel_note(
    channel INTEGER NOT NULL REFERENCES channel(id),
    boot INTEGER NOT NULL REFERENCES boot(id),
    t_ns INTEGER NOT NULL,
    kind TEXT NOT NULL,              -- 'demoted','learned','mirror','disagrees'
    text TEXT NOT NULL, about INTEGER REFERENCES channel(id),
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
INSERT INTO "chunk" VALUES(1,1,0,1,8043049981266,8043652342039,17,X'50000000050000001100000021010000A3000000A3000000A3000000A3000000A300000062F322AB500700001FFA9EB150070000FBF59FB150070000A699A1B250070000981FFCB250070000C7DEFCB250070000CC06FDB2500700008A29FDB250070000D4580FB750070000D8BF61BD50070000FCA817C350070000A102FAC85007000059CE23CE5007000007A029CE50070000196D06CF50070000EAD709CF500700008A510ACF50070000423723AB5007000031879FB1500700004028A0B15007000057F9A1B2500700003F96FCB250070000CF02FDB250070000D726FDB2500700008F48FDB25007000008E70FB750070000E53462BD50070000EF3718C35007000059A6FAC850070000172124CE5007000014D329CE50070000B6C306CF5007000067000ACF50070000A4700ACF50070000020100010101010100000000010100010100014075F3A35D000000000000000000000010295300000000001029530000000000602160000000000040B564000000000040B564000000000040B564000000000040B5640000000000D059990000000000F038EA0000000000A0B3320100000000903B7E0100000000C09BC00100000000C09BC00100000000700DCC0100000000700DCC0100000000700DCC01000000000000000000000000000000000000000000000120F2315D090000000000000000000000E850080000000000E850080000000000F09C09000000000020120A000000000020120A000000000020120A000000000020120A0000000000C8550F0000000000186C17000000000090AB1E0000000000283926000000000060DC2C000000000060DC2C000000000058012E000000000058012E000000000058012E0000000000000000000000000000000000000000000004016713000000000000000000000000000000000000000000000000000000000000000000000000000062080000000000006208000000000000620800000000000062080000000000006208000000000000C10C000000000000C10C0000000000000B1200000000000067130000000000006713000000000000671300000000000067130000000000006713000000000000000000000000000000000000000000000004010000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000040110AA2808010000000000000000000000400D030000000000400D03000000000080A9030000000000A0F7030000000000A0F7030000000000A0F7030000000000A0F703000000000070F3050000000000D04E09000000000000350C000000000040420F000000000060011200000000006001120000000000907612000000000090761200000000009076120000000000000000000000000000000000000000000091D46A3F');
INSERT INTO "chunk" VALUES(2,2,0,1,8043049981266,8043049981266,1,X'5000000001000000010000001100000013000000521523AB50070000521523AB500700000003010000000000000000000000000000000000ABCF590B');
INSERT INTO "chunk" VALUES(3,3,0,1,8043049981266,8043637241784,5,X'5000000001000000050000005500000037000000521523AB50070000A8409FB1500700007EC9A1B2500700005EFA61BD50070000B8F723CE50070000521523AB50070000A8409FB1500700007EC9A1B2500700005EFA61BD50070000B8F723CE5007000000000000000301EBBFBE0100000000000000000000000010295300000000006021600000000000FC00E90000000000EBBFBE010000000000000000005DEAB80A');
INSERT INTO "chunk" VALUES(4,4,0,1,8043049981266,8043049981266,1,X'5000000001000000010000001100000013000000521523AB50070000521523AB500700000003010000000000000000000000000000000000ABCF590B');
INSERT INTO "chunk" VALUES(5,5,0,1,8043049981266,8043637241784,5,X'5000000001000000050000005500000037000000521523AB50070000A8409FB1500700007EC9A1B2500700005EFA61BD50070000B8F723CE50070000521523AB50070000A8409FB1500700007EC9A1B2500700005EFA61BD50070000B8F723CE5007000000000000000301CBAC2C00000000000000000000000000E850080000000000F09C090000000000E64C170000000000CBAC2C00000000000000000000E8A0D4F3');
INSERT INTO "chunk" VALUES(6,6,0,1,8043158782120,8043637241784,3,X'5000000001000000030000003300000025000000A8409FB1500700005EFA61BD50070000B8F723CE50070000A8409FB1500700005EFA61BD50070000B8F723CE500700000000000301D5DB0100000000000000000000000000F437010000000000D5DB01000000000000000082B49095');
INSERT INTO "chunk" VALUES(7,7,0,1,8043158782120,8043637241784,3,X'5000000001000000030000003300000025000000A8409FB1500700005EFA61BD50070000B8F723CE50070000A8409FB1500700005EFA61BD50070000B8F723CE500700000000000301952F0000000000000000000000000000321F000000000000952F00000000000000000005AA076A');
CREATE TABLE code(
    hash TEXT PRIMARY KEY,           -- SHA-256 over the columns below
    commit_id TEXT,                  -- git commit of the working directory; NULL = not a repository
    dirty INTEGER,                   -- 1 = tracked files differed
    diff TEXT,                       -- capped at 256 KiB
    script_sha256 TEXT,              -- of the script file named in argv, if any
    interpreter TEXT,                -- resolved path and version line
    packages_sha256 TEXT             -- of the sorted package list, where one could be had
) STRICT, WITHOUT ROWID;
CREATE TABLE device_owner(
    device TEXT NOT NULL,            -- GPU UUID
    run INTEGER NOT NULL REFERENCES run(id),
    boot INTEGER NOT NULL REFERENCES boot(id),
    t0_ns INTEGER NOT NULL,
    t1_ns INTEGER,
    PRIMARY KEY(device, boot, t0_ns, run)
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
, samples INTEGER, max_gap_ns INTEGER, idle_uj INTEGER, sampling_uj INTEGER, sampled_ppm INTEGER, range_lo_uj INTEGER, range_hi_uj INTEGER) STRICT;
INSERT INTO "energy" VALUES(1,1,NULL,'machine','window','counter',1,NULL,25347446,24850324,26235002,'monotone+pmax',460390084,0,0,816,NULL,'',NULL,NULL,1795809349445957809,NULL,NULL,106060400,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(2,1,1,'machine','window','counter',1,NULL,23043133,22608604,23850001,'monotone+pmax',460390084,0,0,811,NULL,'',NULL,NULL,1795809349445957809,NULL,8,106060400,NULL,NULL,1000000,NULL,NULL);
INSERT INTO "energy" VALUES(3,1,2,'machine','window','counter',1,NULL,2304313,2241720,2385001,'monotone+pmax',460390084,0,0,82,NULL,'',NULL,NULL,1795809349445957809,NULL,8,106060400,NULL,NULL,1000000,NULL,NULL);
INSERT INTO "energy" VALUES(4,1,NULL,'attributed','window','counter',1,NULL,25347446,24850324,26235002,'monotone+pmax',460390084,0,0,816,NULL,'',NULL,NULL,1795809349448134969,NULL,NULL,106060400,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(5,1,1,'attributed','window','counter',1,NULL,23043133,22608604,23850001,'monotone+pmax',460390084,0,0,811,NULL,'',NULL,NULL,1795809349448134969,NULL,8,106060400,NULL,NULL,1000000,NULL,NULL);
INSERT INTO "energy" VALUES(6,1,2,'attributed','window','counter',1,NULL,2304313,2241720,2385001,'monotone+pmax',460390084,0,0,82,NULL,'',NULL,NULL,1795809349448134969,NULL,8,106060400,NULL,NULL,1000000,NULL,NULL);
INSERT INTO "energy" VALUES(7,1,NULL,'marginal','window','counter',1,NULL,NULL,NULL,NULL,'none: the energy is not known',460390084,0,0,NULL,NULL,'','pkg: no idle power is known for it: wattq idle measure',NULL,1795809349448192004,NULL,NULL,106060400,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(8,1,1,'marginal','window','counter',1,NULL,NULL,NULL,NULL,'none: the energy is not known',460390084,0,0,NULL,NULL,'','no idle power is known for it: wattq idle measure',NULL,1795809349448192004,NULL,8,106060400,NULL,NULL,1000000,NULL,NULL);
INSERT INTO "energy" VALUES(9,1,2,'marginal','window','counter',1,NULL,NULL,NULL,NULL,'none: the energy is not known',460390084,0,0,NULL,NULL,'','no idle power is known for it: wattq idle measure',NULL,1795809349448192004,NULL,8,106060400,NULL,NULL,1000000,NULL,NULL);
INSERT INTO "energy" VALUES(10,1,NULL,'machine','main','counter',1,NULL,25342909,24751765,26235002,'monotone+pmax',460307952,0,0,816,NULL,'',NULL,NULL,1795809349448344962,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(11,1,1,'machine','main','counter',1,NULL,23039008,22526472,23850001,'monotone+pmax',460307952,0,0,811,NULL,'',NULL,NULL,1795809349448344962,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(12,1,2,'machine','main','counter',1,NULL,2303901,2225293,2385001,'monotone+pmax',460307952,0,0,82,NULL,'',NULL,NULL,1795809349448344962,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(13,1,NULL,'machine','phase:train','counter',1,NULL,21074105,15225324,22110002,'monotone+pmax',383373453,0,0,1059,NULL,'coarse',NULL,NULL,1795809349448475747,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(14,1,1,'machine','phase:train','counter',1,NULL,19158278,13858604,20100001,'monotone+pmax',383373453,0,0,1053,NULL,'coarse',NULL,NULL,1795809349448475747,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(15,1,2,'machine','phase:train','counter',1,NULL,1915827,1366720,2010001,'monotone+pmax',383373453,0,0,106,NULL,'coarse',NULL,NULL,1795809349448475747,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(16,2,NULL,'machine','window','counter',1,NULL,27618041,26454998,27720002,'monotone',501874990,0,0,791,NULL,'',NULL,NULL,1795809350243326070,NULL,NULL,101028541,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(17,2,1,'machine','window','counter',1,NULL,25107310,24049999,25200001,'monotone',501874990,0,0,787,NULL,'',NULL,NULL,1795809350243326070,NULL,8,101028541,NULL,NULL,1000000,NULL,NULL);
INSERT INTO "energy" VALUES(18,2,2,'machine','window','counter',1,NULL,2510731,2404999,2520001,'monotone',501874990,0,0,79,NULL,'',NULL,NULL,1795809350243326070,NULL,8,101028541,NULL,NULL,1000000,NULL,NULL);
INSERT INTO "energy" VALUES(19,2,NULL,'attributed','window','counter',1,NULL,27618041,26454998,27720002,'monotone',501874990,0,0,791,NULL,'',NULL,NULL,1795809350243426320,NULL,NULL,101028541,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(20,2,1,'attributed','window','counter',1,NULL,25107310,24049999,25200001,'monotone',501874990,0,0,787,NULL,'',NULL,NULL,1795809350243426320,NULL,8,101028541,NULL,NULL,1000000,NULL,NULL);
INSERT INTO "energy" VALUES(21,2,2,'attributed','window','counter',1,NULL,2510731,2404999,2520001,'monotone',501874990,0,0,79,NULL,'',NULL,NULL,1795809350243426320,NULL,8,101028541,NULL,NULL,1000000,NULL,NULL);
INSERT INTO "energy" VALUES(22,2,NULL,'marginal','window','counter',1,NULL,NULL,NULL,NULL,'none: the energy is not known',501874990,0,0,NULL,NULL,'','pkg: no idle power is known for it: wattq idle measure',NULL,1795809350243498327,NULL,NULL,101028541,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(23,2,1,'marginal','window','counter',1,NULL,NULL,NULL,NULL,'none: the energy is not known',501874990,0,0,NULL,NULL,'','no idle power is known for it: wattq idle measure',NULL,1795809350243498327,NULL,8,101028541,NULL,NULL,1000000,NULL,NULL);
INSERT INTO "energy" VALUES(24,2,2,'marginal','window','counter',1,NULL,NULL,NULL,NULL,'none: the energy is not known',501874990,0,0,NULL,NULL,'','no idle power is known for it: wattq idle measure',NULL,1795809350243498327,NULL,8,101028541,NULL,NULL,1000000,NULL,NULL);
INSERT INTO "energy" VALUES(25,2,NULL,'machine','main','counter',1,NULL,27615190,26454998,27720002,'monotone',501821660,0,0,791,NULL,'',NULL,NULL,1795809350243630093,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(26,2,1,'machine','main','counter',1,NULL,25104718,24049999,25200001,'monotone',501821660,0,0,787,NULL,'',NULL,NULL,1795809350243630093,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(27,2,2,'machine','main','counter',1,NULL,2510472,2404999,2520001,'monotone',501821660,0,0,79,NULL,'',NULL,NULL,1795809350243630093,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
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
INSERT INTO "energy_part" VALUES(22,1);
INSERT INTO "energy_part" VALUES(22,2);
INSERT INTO "energy_part" VALUES(25,1);
INSERT INTO "energy_part" VALUES(25,2);
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
INSERT INTO "epoch" VALUES(1,1,8043049981266,8043652342039,'stop');
INSERT INTO "epoch" VALUES(2,1,8043823386511,NULL,NULL);
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
INSERT INTO "epoch_channel" VALUES(1,1,8043049981266,1,1,0,0,402152450000,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(1,1,8043823386511,2,1,0,38700000,402191150000,38700000,0,0,171044472,8550000);
INSERT INTO "epoch_channel" VALUES(2,1,8043049981266,1,1,1,0,40215245000,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(2,1,8043823386511,2,1,1,3870000,40219115000,3870000,0,0,171044472,855000);
INSERT INTO "epoch_channel" VALUES(3,1,8043049981266,1,1,2,0,0,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(3,1,8043823386511,2,1,2,4967,0,4967,0,171044472,0,0);
INSERT INTO "epoch_channel" VALUES(4,1,8043049981266,1,1,3,0,0,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(4,1,8043823386511,2,1,3,0,0,0,0,0,171044472,0);
INSERT INTO "epoch_channel" VALUES(5,1,8043049981266,1,1,4,0,4430640000,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(5,1,8043823386511,2,1,4,1540000,4432180000,1540000,0,0,171044472,330000);
INSERT INTO "epoch_channel" VALUES(6,1,8043049981266,1,2,0,0,0,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(6,1,8043823386511,2,2,0,0,0,0,0,773405245,0,0);
INSERT INTO "epoch_channel" VALUES(7,1,8043049981266,1,3,0,0,0,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(7,1,8043823386511,2,3,0,29278187,29278187,0,0,186144727,0,0);
INSERT INTO "epoch_channel" VALUES(8,1,8043049981266,1,4,0,0,0,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(8,1,8043823386511,2,4,0,0,0,0,0,773405245,0,0);
INSERT INTO "epoch_channel" VALUES(9,1,8043049981266,1,5,0,0,0,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(9,1,8043823386511,2,5,0,2927819,2927819,0,0,186144727,0,0);
INSERT INTO "epoch_channel" VALUES(10,1,8043158782120,1,6,0,0,0,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(10,1,8043823386511,2,6,0,121813,121813,0,0,186144727,0,0);
INSERT INTO "epoch_channel" VALUES(11,1,8043158782120,1,7,0,0,0,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(11,1,8043823386511,2,7,0,12181,12181,0,0,186144727,0,0);
INSERT INTO "epoch_channel" VALUES(12,1,8043823386511,2,8,0,9300000,9300000,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(13,1,8043823386511,2,9,0,930000,930000,0,0,0,0,0);
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
INSERT INTO "event" VALUES(1,1,8043125966578,1,0,NULL,'queued','submitted');
INSERT INTO "event" VALUES(2,1,8043126010663,1,NULL,'queued','starting','its turn');
INSERT INTO "event" VALUES(3,1,8043176670896,1,NULL,'starting','running','gate opened');
INSERT INTO "event" VALUES(4,1,8043636978848,1,NULL,'running','stopping','main process ended');
INSERT INTO "event" VALUES(5,1,8043654211406,1,NULL,'stopping','done','exit code 0');
INSERT INTO "event" VALUES(6,1,8043883192041,2,0,NULL,'queued','submitted');
INSERT INTO "event" VALUES(7,1,8043883234954,2,NULL,'queued','starting','its turn');
INSERT INTO "event" VALUES(8,1,8043928038951,2,NULL,'starting','running','gate opened');
INSERT INTO "event" VALUES(9,1,8044429860611,2,NULL,'running','stopping','main process ended');
INSERT INTO "event" VALUES(10,1,8044439903849,2,NULL,'stopping','done','exit code 0');
INSERT INTO "event" VALUES(11,1,8044471813944,3,0,NULL,'held','submitted');
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
INSERT INTO "gap" VALUES(1,1,8043652342039,8043823386511,8550000,'bridged');
INSERT INTO "gap" VALUES(2,1,8043652342039,8043823386511,855000,'bridged');
INSERT INTO "gap" VALUES(3,1,8043652342039,8043823386511,NULL,'reset');
INSERT INTO "gap" VALUES(4,1,8043652342039,8043823386511,0,'bridged');
INSERT INTO "gap" VALUES(5,1,8043652342039,8043823386511,330000,'bridged');
CREATE TABLE grp(
    id INTEGER PRIMARY KEY,
    period_ns INTEGER NOT NULL,      -- the deadline grid
    created_boot INTEGER NOT NULL REFERENCES boot(id),
    created_ns INTEGER NOT NULL
) STRICT;
INSERT INTO "grp" VALUES(1,100000000,1,8043048197206);
INSERT INTO "grp" VALUES(2,1000000000,1,8043120670099);
INSERT INTO "grp" VALUES(3,1000000000,1,8043120670099);
INSERT INTO "grp" VALUES(4,1000000000,1,8043120670099);
INSERT INTO "grp" VALUES(5,1000000000,1,8043120670099);
INSERT INTO "grp" VALUES(6,1000000000,1,8043155163043);
INSERT INTO "grp" VALUES(7,1000000000,1,8043155163043);
INSERT INTO "grp" VALUES(8,1000000000,1,8043897832391);
INSERT INTO "grp" VALUES(9,1000000000,1,8043897832391);
CREATE TABLE grp_slot(
    grp INTEGER NOT NULL REFERENCES grp(id),
    slot INTEGER NOT NULL,           -- column in the group's blobs, from 0
    channel INTEGER NOT NULL REFERENCES channel(id),
    PRIMARY KEY(grp, slot)
) STRICT, WITHOUT ROWID;
INSERT INTO "grp_slot" VALUES(1,0,1);
INSERT INTO "grp_slot" VALUES(1,1,2);
INSERT INTO "grp_slot" VALUES(1,2,3);
INSERT INTO "grp_slot" VALUES(1,3,4);
INSERT INTO "grp_slot" VALUES(1,4,5);
INSERT INTO "grp_slot" VALUES(2,0,6);
INSERT INTO "grp_slot" VALUES(3,0,7);
INSERT INTO "grp_slot" VALUES(4,0,8);
INSERT INTO "grp_slot" VALUES(5,0,9);
INSERT INTO "grp_slot" VALUES(6,0,10);
INSERT INTO "grp_slot" VALUES(7,0,11);
INSERT INTO "grp_slot" VALUES(8,0,12);
INSERT INTO "grp_slot" VALUES(9,0,13);
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
INSERT INTO "head" VALUES(1,1,8043049981266,8043652342039,1,1,0,30150000,0,NULL,NULL,NULL,0,0,0,0,17,49576721,50543605);
INSERT INTO "head" VALUES(2,1,8043049981266,8043652342039,1,1,0,3015000,0,NULL,NULL,NULL,0,0,0,0,17,4957672,5054361);
INSERT INTO "head" VALUES(3,1,8043049981266,8043652342039,1,1,0,4967,0,NULL,NULL,NULL,0,0,0,0,17,4017,16298);
INSERT INTO "head" VALUES(4,1,8043049981266,8043652342039,1,1,0,0,0,NULL,NULL,NULL,0,0,0,0,17,NULL,NULL);
INSERT INTO "head" VALUES(5,1,8043049981266,8043652342039,1,1,0,1210000,0,NULL,NULL,NULL,0,0,0,0,17,1838220,3369574);
INSERT INTO "head" VALUES(6,1,8043049981266,8043049981266,1,2,0,0,0,NULL,NULL,NULL,0,0,0,0,1,0,0);
INSERT INTO "head" VALUES(7,1,8043049981266,8043637241784,1,3,0,0,0,NULL,NULL,NULL,0,0,0,0,5,0,29278187);
INSERT INTO "head" VALUES(8,1,8043049981266,8043049981266,1,4,0,0,0,NULL,NULL,NULL,0,0,0,0,1,0,0);
INSERT INTO "head" VALUES(9,1,8043049981266,8043637241784,1,5,0,0,0,NULL,NULL,NULL,0,0,0,0,5,0,2927819);
INSERT INTO "head" VALUES(10,1,8043158782120,8043637241784,1,6,0,0,0,NULL,NULL,NULL,0,0,0,0,3,0,121813);
INSERT INTO "head" VALUES(11,1,8043158782120,8043637241784,1,7,0,0,0,NULL,NULL,NULL,0,0,0,0,3,0,12181);
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
INSERT INTO "meta" VALUES('created_utc_ns','1795809348823326395');
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
INSERT INTO "metric" VALUES(1,1,1,'loss',3.5,8043354483812,'mark');
INSERT INTO "metric" VALUES(1,2,2,'loss',2.5,8043484695544,'mark');
INSERT INTO "metric" VALUES(1,3,3,'loss',1.5,8043637032928,'mark');
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
INSERT INTO "other_use" VALUES(1,8043113251202,8043178237177,'service','root','',90000);
INSERT INTO "other_use" VALUES(1,8043178237177,8043654541107,'service','root','',630000);
INSERT INTO "other_use" VALUES(1,8043871503644,8043944216149,'service','root','',100000);
INSERT INTO "other_use" VALUES(1,8043944216149,8044440314350,'service','root','',680000);
CREATE TABLE phase(
    run INTEGER NOT NULL REFERENCES run(id),
    name TEXT NOT NULL,
    t0_ns INTEGER NOT NULL,
    t1_ns INTEGER,                   -- NULL = open: ends with the run
    PRIMARY KEY(run, t0_ns, name)
) STRICT, WITHOUT ROWID;
INSERT INTO "phase" VALUES(1,'train',8043253687527,8043637060980);
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
INSERT INTO "run" VALUES(1,'01a21e94-0d30-74a6-a301-b206c623113c',1,0,'done','command','{"kind":"command","argv":["sh","-c","printf ''{\"phase\":\"train\"}\\n'' >>\"$WATTQ_METRICS\"\nfor i in 1 2 3; do sleep 0.15; printf ''{\"step\":%s,\"loss\":%s.5}\\n'' $i $((4 - i)) >>\"$WATTQ_METRICS\"; done"],"cwd":"/tmp/wattq-test-cqi2t8rq","label":"golden","project":"","umask":18,"priority":0,"time_limit_ns":0,"grace_ns":30000000000,"log_cap_bytes":268435456,"exclusive":true,"wait_children":false,"params":{"lr":"0.1"}}','golden','',NULL,NULL,NULL,0,'user+cgroup','cbcb4d709f6759b827933e035aaaa4cc21f7a808af7c6fa2c0ea68c953aa53c0',NULL,1,1795809348912563431,1795809348964128956,1795809349424519040,8043176670896,8043636978848,8043637060980,0,NULL,'exit code 0',5169,'cgroup',1503232,0,1,1,NULL);
INSERT INTO "run" VALUES(2,'01a21e94-1023-7617-85b4-193a24de5b6f',1,0,'done','command','{"kind":"command","argv":["sh","-c","sleep 0.5"],"cwd":"/tmp/wattq-test-cqi2t8rq","label":"in the tail","project":"","umask":18,"priority":0,"time_limit_ns":0,"grace_ns":30000000000,"log_cap_bytes":268435456,"exclusive":true,"wait_children":false,"params":{}}','in the tail','',NULL,NULL,NULL,0,'user+cgroup','cbcb4d709f6759b827933e035aaaa4cc21f7a808af7c6fa2c0ea68c953aa53c0',NULL,1,1795809349667515785,1795809349715497001,1795809350217372001,8043928038951,8044429860611,8044429913941,0,NULL,'exit code 0',1848,'cgroup',1617920,0,1,1,NULL);
INSERT INTO "run" VALUES(3,'01a21e94-1270-78c8-9444-105761c30ca8',0,0,'held','command','{"kind":"command","argv":["sh","-c","true"],"cwd":"/tmp/wattq-test-cqi2t8rq","label":"waits","project":"","umask":18,"priority":0,"time_limit_ns":0,"grace_ns":30000000000,"log_cap_bytes":268435456,"exclusive":true,"wait_children":false,"params":{}}','waits','',NULL,NULL,NULL,0,'','cbcb4d709f6759b827933e035aaaa4cc21f7a808af7c6fa2c0ea68c953aa53c0',NULL,NULL,1795809350256065031,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE run_other(
    run INTEGER NOT NULL REFERENCES run(id),
    kind TEXT NOT NULL,
    owner TEXT NOT NULL,
    device TEXT NOT NULL DEFAULT '',
    busy_us INTEGER NOT NULL,
    PRIMARY KEY(run, kind, owner, device)
) STRICT, WITHOUT ROWID;
INSERT INTO "run_other" VALUES(1,'service','root','',609048);
INSERT INTO "run_other" VALUES(2,'service','root','',687992);
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
INSERT INTO "run_total" VALUES(1,1,25347446,24850324,26235002,'measured','');
INSERT INTO "run_total" VALUES(2,16,27618041,26454998,27720002,'measured','');
CREATE TABLE slot_owner(
    channel INTEGER NOT NULL REFERENCES channel(id),
    run INTEGER NOT NULL REFERENCES run(id),
    boot INTEGER NOT NULL REFERENCES boot(id),
    t0_ns INTEGER NOT NULL,
    t1_ns INTEGER,
    PRIMARY KEY(channel, boot, t0_ns)
) STRICT, WITHOUT ROWID;
INSERT INTO "slot_owner" VALUES(3,1,1,8043154901104,8043664984871);
INSERT INTO "slot_owner" VALUES(3,2,1,8043897677220,8044462101528);
CREATE TABLE source(
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,       -- 'powercap', 'hwmon', 'ngoldenl', 'estimate', 'script', 'replay', ...
    detail TEXT NOT NULL DEFAULT ''  -- driver, library or file version where it has one
) STRICT;
INSERT INTO "source" VALUES(1,'script','');
INSERT INTO "source" VALUES(2,'slots','');
INSERT INTO "source" VALUES(3,'account','');
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
INSERT INTO "tail" VALUES(1,1,2,8043823386511,8043823386511,1,X'5000000005000000010000001100000013000000130000001300000013000000130000009C2A3CD95007000082743CD950070000020001B0EB75A45D000000E0834E0200000000800001F8FD3E5D09000000300D3B0000000000800401000000000000000067130000000000004004010000000000000000000000000000000080040120B32D0801000000A07F17000000000080B6407B7C');
INSERT INTO "tail" VALUES(2,2,2,8043823386511,8043823386511,1,X'50000000010000000100000011000000130000008F4F3CD9500700008F4F3CD95007000000030100000000000000000000000000000000005880E80F');
INSERT INTO "tail" VALUES(3,3,2,8043823386511,8043823386511,1,X'50000000010000000100000011000000130000008F4F3CD9500700008F4F3CD950070000000301EBBFBE0100000000EBBFBE010000000000601021DA');
INSERT INTO "tail" VALUES(4,4,2,8043823386511,8043823386511,1,X'50000000010000000100000011000000130000008F4F3CD9500700008F4F3CD95007000000030100000000000000000000000000000000005880E80F');
INSERT INTO "tail" VALUES(5,5,2,8043823386511,8043823386511,1,X'50000000010000000100000011000000130000008F4F3CD9500700008F4F3CD950070000000301CBAC2C0000000000CBAC2C0000000000003E738A34');
INSERT INTO "tail" VALUES(6,8,2,8043823386511,8043823386511,1,X'50000000010000000100000011000000130000008F4F3CD9500700008F4F3CD95007000000030120E88D000000000020E88D0000000000002719B087');
INSERT INTO "tail" VALUES(7,6,2,8043823386511,8043823386511,1,X'50000000010000000100000011000000130000008F4F3CD9500700008F4F3CD950070000000301D5DB010000000000D5DB0100000000000082305770');
INSERT INTO "tail" VALUES(8,9,2,8043823386511,8043823386511,1,X'50000000010000000100000011000000130000008F4F3CD9500700008F4F3CD950070000000301D0300E0000000000D0300E000000000000CE0674C8');
INSERT INTO "tail" VALUES(9,7,2,8043823386511,8043823386511,1,X'50000000010000000100000011000000130000008F4F3CD9500700008F4F3CD950070000000301952F000000000000952F00000000000000F961C083');
INSERT INTO "tail" VALUES(10,1,2,8043912297290,8043923712341,2,X'500000000500000002000000220000001C0000001C0000001C0000001C0000001C00000083B888DE5007000010E736DF50070000123E89DE500700009A6B37DF5007000001000001F036C2A45D000000B06A92020000000020CF9A020000000000000001189F465D0900000078D741000000000050AE4200000000000000040113000000000000007A130000000000007A13000000000000000004010000000000000000000000000000000000000000000000000000040160C0300801000000C03E1A0000000000E08C1A000000000000005ECE0EFD');
INSERT INTO "tail" VALUES(11,3,2,8043923712341,8043923712341,1,X'5000000001000000010000001100000013000000552937DF50070000552937DF5007000000030150090B020000000050090B020000000000974C8F7C');
INSERT INTO "tail" VALUES(12,5,2,8043923712341,8043923712341,1,X'5000000001000000010000001100000013000000552937DF50070000552937DF50070000000301BB4D340000000000BB4D34000000000000F8FEC5C6');
INSERT INTO "tail" VALUES(13,6,2,8043923712341,8043923712341,1,X'5000000001000000010000001100000013000000552937DF50070000552937DF50070000000301B0DD010000000000B0DD01000000000000865C9B59');
INSERT INTO "tail" VALUES(14,7,2,8043923712341,8043923712341,1,X'5000000001000000010000001100000013000000552937DF50070000552937DF50070000000301C52F000000000000C52F000000000000004E00339F');
INSERT INTO "tail" VALUES(15,1,2,8043926862860,8043942834617,4,X'500000000500000004000000440000002E0000002E0000002E0000002E0000002E000000B90867DF50070000168276DF50070000EBAB85DF50070000F9AA5AE050070000606F67DF500700005FDE76DF5007000000FC85DF5007000079385BE050070000010101010001E0B5D0A45D00000010199D020000000060DC9D0200000000B09F9E0200000000104EA902000000000000000000013012485D09000000E8E842000000000070FC420000000000F80F430000000000682144000000000000000000040180050000000000007A130000000000007A130000000000007A13000000000000E71800000000000000000000040100000000000000000000000000000000000000000000000000000000000000000000000000000000000000000401A05C310801000000F0B31A0000000000F0B31A0000000000F0B31A000000000020291B00000000000000000082D48400');
INSERT INTO "tail" VALUES(16,3,2,8043942834617,8043942834617,1,X'5000000001000000010000001100000013000000B9F15AE050070000B9F15AE050070000000301630719020000000063071902000000000091271AB7');
INSERT INTO "tail" VALUES(17,5,2,8043942834617,8043942834617,1,X'5000000001000000010000001100000013000000B9F15AE050070000B9F15AE050070000000301F0B3350000000000F0B33500000000000053D3551C');
INSERT INTO "tail" VALUES(18,6,2,8043942834617,8043942834617,1,X'5000000001000000010000001100000013000000B9F15AE050070000B9F15AE0500700000003018D5E0200000000008D5E020000000000000B06FCCD');
INSERT INTO "tail" VALUES(19,7,2,8043942834617,8043942834617,1,X'5000000001000000010000001100000013000000B9F15AE050070000B9F15AE050070000000301A83C000000000000A83C000000000000009F200EFA');
INSERT INTO "tail" VALUES(20,1,2,8043946269550,8044430623005,7,X'50000000050000000700000077000000490000004900000049000000490000004900000051218FE05007000046652BE550070000EEF030EB500700002B3214F150070000F5210AF75007000098E6FFFC500700008CD86DFD500700008B958FE050070000D9CB2BE550070000AB6531EB50070000B4A114F1500700006B8F0AF750070000905400FD50070000AF296EFD50070000010000000000010001600645A65D000000505BAC0200000000601AE70200000000F028340300000000E0B07F030000000020FCCB03000000006047180400000000909E1D0400000000000000000000000001704D6D5D09000000886F440000000000704F4A00000000001804520000000000B091590000000000D032610000000000F0D3680000000000A85C690000000000000000000000000401C906000000000000E718000000000000E718000000000000E718000000000000E718000000000000E718000000000000E718000000000000301A00000000000000000000000000040100000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000401B02940080100000030501B0000000000209A1D000000000060A7200000000000908D230000000000D09A26000000000020CF29000000000030F629000000000000000000000000A6799855');
INSERT INTO "tail" VALUES(21,3,2,8044430623005,8044430623005,1,X'50000000010000000100000011000000130000001D016EFD500700001D016EFD500700000003018F378D03000000008F378D03000000000011653DB0');
INSERT INTO "tail" VALUES(22,5,2,8044430623005,8044430623005,1,X'50000000010000000100000011000000130000001D016EFD500700001D016EFD50070000000301F4EB5A0000000000F4EB5A000000000000D8449E91');
INSERT INTO "tail" VALUES(23,6,2,8044430623005,8044430623005,1,X'50000000010000000100000011000000130000001D016EFD500700001D016EFD50070000000301E17E020000000000E17E0200000000000028A75525');
INSERT INTO "tail" VALUES(24,7,2,8044430623005,8044430623005,1,X'50000000010000000100000011000000130000001D016EFD500700001D016EFD50070000000301E43F000000000000E43F0000000000000004D28CCC');
INSERT INTO "tail" VALUES(25,1,2,8044431157441,8044439879268,3,X'500000000500000003000000330000002500000025000000250000002500000025000000DFDF75FD50070000ECCCFAFD50070000A52EFBFD50070000A37176FD500700006F0BFBFD50070000234EFBFD50070000010101000130E44BA65D000000E0611E0400000000607C240400000000607C240400000000000000000138FD6D5D090000003070690000000000700C6A0000000000700C6A00000000000000000401C906000000000000301A000000000000301A000000000000301A000000000000000000040100000000000000000000000000000000000000000000000000000000000000000000000401C05040080100000030F6290000000000401D2A0000000000401D2A00000000000000007B01D80B');
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
CREATE INDEX baseline_channel ON baseline(channel, created_utc_ns);
CREATE INDEX calibration_channel ON calibration(channel, id);
CREATE INDEX account_meter ON account(meter, kind, slot);
CREATE INDEX device_owner_run ON device_owner(run);
CREATE INDEX slot_owner_run ON slot_owner(run);
CREATE INDEX run_begin ON run(boot, t0_ns) WHERE t0_ns IS NOT NULL;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('run',3);
INSERT INTO "sqlite_sequence" VALUES('event',11);
INSERT INTO "sqlite_sequence" VALUES('energy',27);
COMMIT;
