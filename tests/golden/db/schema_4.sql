PRAGMA page_size=4096;
PRAGMA auto_vacuum=INCREMENTAL;
PRAGMA application_id=1465144401;
PRAGMA user_version=4;
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
INSERT INTO "account_basis" VALUES(1,1,8008913966549,NULL,NULL);
INSERT INTO "account_basis" VALUES(1,1,8009208655359,NULL,NULL);
INSERT INTO "account_basis" VALUES(2,1,8008913966549,NULL,NULL);
INSERT INTO "account_basis" VALUES(2,1,8009208655359,NULL,NULL);
CREATE TABLE account_intruder(
    meter INTEGER NOT NULL REFERENCES channel(id),
    boot INTEGER NOT NULL REFERENCES boot(id),
    t_ns INTEGER NOT NULL,           -- spans that begin here or later
    others_ppm INTEGER NOT NULL,     -- of the multiprocessor time of all its processes
    PRIMARY KEY(meter, boot, t_ns)
) STRICT, WITHOUT ROWID;
CREATE TABLE anchor(
    boot INTEGER NOT NULL REFERENCES boot(id),
    boottime_ns INTEGER NOT NULL,
    utc_ns INTEGER NOT NULL,         -- CLOCK_REALTIME at boottime_ns, read within 50 us
    step INTEGER NOT NULL DEFAULT 0, -- 1 = written because the clock was set (> 50 ms off)
    PRIMARY KEY(boot, boottime_ns)
) STRICT, WITHOUT ROWID;
INSERT INTO "anchor" VALUES(1,8008992639982,1795809314780098067,0);
INSERT INTO "anchor" VALUES(1,8009845228228,1795809315632686313,0);
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
INSERT INTO "chunk" VALUES(1,1,0,1,8008913966549,8009612195291,19,X'50000000050000001300000043010000B5000000B5000000B5000000B5000000B5000000C1AD78B848070000EB681FBE48070000FEFCA1C048070000A706C5C148070000152EDEC148070000927CEDC14807000078C939C2480700000C96A4C248070000CD7C13C448070000723609CA4807000061FE1AD0480700005702F5D5480700005D8999DC480700008C5D0ADE48070000269A0BDE4807000076C30BDE4807000064F3BBDE4807000037A4BCDE4807000018D516E248070000EAFD78B848070000CAA51FBE480700005964A2C048070000F169C5C148070000CF7DDEC148070000FEC0EDC1480700008C123AC248070000DDF1A4C2480700000BEB13C4480700008CA509CA4807000001711BD0480700004B66F5D54807000006259ADC480700001C7A0BDE4807000091C00BDE4807000070E40BDE480700005C48BCDE48070000ABC3BCDE480700009F1617E248070000020001010101010100000000000101010101000001C0FF803E5D0000000000000000000000B07A480000000000D085680000000000C004770000000000608B780000000000B04E790000000000401F7D00000000007076820000000000F0C59400000000003011E1000000000010E32E0100000000B0A7790100000000B01ACF0100000000306AE10100000000306AE10100000000306AE10100000000A0CEE90100000000A0CEE90100000000704B15020000000000000000000000000000000000000000000000000160E60C53090000000000000000000000783F070000000000C8730A0000000000E0E60B0000000000F00D0C000000000078210C000000000020830C0000000000D80B0D000000000098E00E0000000000B881160000000000E8491E0000000000F8C3250000000000784F2E000000000038243000000000003824300000000000382430000000000010FB30000000000010FB30000000000058543500000000000000000000000000000000000000000000000004016C0F000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000BB05000000000000BB05000000000000BB05000000000000BB05000000000000D409000000000000A70D000000000000A70D0000000000006C0F0000000000006C0F0000000000006C0F0000000000006C0F0000000000006C0F0000000000006C0F00000000000000000000000000000000000000000000000000040100000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000401D0741A04010000000000000000000000400D030000000000C045040000000000F0BA040000000000F0BA04000000000000E204000000000010090500000000003057050000000000801A060000000000B00009000000000000350C000000000040420F0000000000A09D120000000000F060130000000000F060130000000000F06013000000000000881300000000000088130000000000C05C15000000000000000000000000000000000000000000000000E537955C');
INSERT INTO "chunk" VALUES(2,2,0,1,8008913966549,8008913966549,1,X'5000000001000000010000001100000013000000D5D578B848070000D5D578B8480700000003010000000000000000000000000000000000BD614D92');
INSERT INTO "chunk" VALUES(3,3,0,1,8008913966549,8009208655359,5,X'5000000001000000050000005500000037000000D5D578B8480700005A871FBE48070000AB30A2C04807000002EE39C248070000FF6D09CA48070000D5D578B8480700005A871FBE48070000AB30A2C04807000002EE39C248070000FF6D09CA48070000000000000003017776E000000000000000000000000000B07A480000000000D08568000000000087847C00000000007776E000000000000000000000FC25F921');
INSERT INTO "chunk" VALUES(4,4,0,1,8008913966549,8008913966549,1,X'5000000001000000010000001100000013000000D5D578B848070000D5D578B8480700000003010000000000000000000000000000000000BD614D92');
INSERT INTO "chunk" VALUES(5,5,0,1,8008913966549,8009208655359,5,X'5000000001000000050000005500000037000000D5D578B8480700005A871FBE48070000AB30A2C04807000002EE39C248070000FF6D09CA48070000D5D578B8480700005A871FBE48070000AB30A2C04807000002EE39C248070000FF6D09CA48070000000000000003013F721600000000000000000000000000783F070000000000C8730A0000000000A7730C00000000003F72160000000000000000000078645BC9');
INSERT INTO "chunk" VALUES(6,6,0,1,8009008777050,8009077616130,2,X'500000000100000002000000220000001C0000005A871FBE4807000002EE39C2480700005A871FBE4807000002EE39C24807000000000301B99A0000000000000000000000000000B99A000000000000000037E3E913');
INSERT INTO "chunk" VALUES(7,7,0,1,8009008777050,8009077616130,2,X'500000000100000002000000220000001C0000005A871FBE4807000002EE39C2480700005A871FBE4807000002EE39C24807000000000301790F0000000000000000000000000000790F0000000000000000BF9E2551');
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
, samples INTEGER, max_gap_ns INTEGER, idle_uj INTEGER, sampling_uj INTEGER, sampled_ppm INTEGER, range_lo_uj INTEGER, range_hi_uj INTEGER, version TEXT, lag_ns INTEGER, lag_basis TEXT, uncovered_uj INTEGER, uncovered_beyond TEXT) STRICT;
INSERT INTO "energy" VALUES(1,1,NULL,'machine','window','counter',2,NULL,25454586,24364998,25960002,'monotone',462429024,0,0,1885,NULL,'',NULL,NULL,1795809315368330987,NULL,NULL,111452896,NULL,NULL,NULL,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(2,1,1,'machine','window','counter',2,NULL,23140533,22149999,23600001,'monotone',462429024,0,0,1875,NULL,'',NULL,NULL,1795809315368330987,NULL,7,111452896,NULL,NULL,1000000,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(3,1,2,'machine','window','counter',2,NULL,2314053,2214999,2360001,'monotone',462429024,0,0,188,NULL,'',NULL,NULL,1795809315368330987,NULL,7,111452896,NULL,NULL,1000000,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(4,1,NULL,'attributed','window','counter',2,NULL,25454586,24364998,25960002,'monotone',462429024,0,0,1885,NULL,'',NULL,NULL,1795809315368414551,NULL,NULL,111452896,NULL,NULL,NULL,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(5,1,1,'attributed','window','counter',2,NULL,23140533,22149999,23600001,'monotone',462429024,0,0,1875,NULL,'',NULL,NULL,1795809315368414551,NULL,7,111452896,NULL,NULL,1000000,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(6,1,2,'attributed','window','counter',2,NULL,2314053,2214999,2360001,'monotone',462429024,0,0,188,NULL,'',NULL,NULL,1795809315368414551,NULL,7,111452896,NULL,NULL,1000000,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(7,1,NULL,'marginal','window','counter',2,NULL,NULL,NULL,NULL,'none: the energy is not known',462429024,0,0,NULL,NULL,'','pkg: no idle power is known for it: wattq idle measure',NULL,1795809315368457194,NULL,NULL,111452896,NULL,NULL,NULL,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(8,1,1,'marginal','window','counter',2,NULL,NULL,NULL,NULL,'none: the energy is not known',462429024,0,0,NULL,NULL,'','no idle power is known for it: wattq idle measure',NULL,1795809315368457194,NULL,7,111452896,NULL,NULL,1000000,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(9,1,2,'marginal','window','counter',2,NULL,NULL,NULL,NULL,'none: the energy is not known',462429024,0,0,NULL,NULL,'','no idle power is known for it: wattq idle measure',NULL,1795809315368457194,NULL,7,111452896,NULL,NULL,1000000,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(10,1,NULL,'machine','main','counter',2,NULL,25446768,24364998,25960002,'monotone',462285770,0,0,1885,NULL,'',NULL,NULL,1795809315368583332,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(11,1,1,'machine','main','counter',2,NULL,23133426,22149999,23600001,'monotone',462285770,0,0,1875,NULL,'',NULL,NULL,1795809315368583332,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(12,1,2,'machine','main','counter',2,NULL,2313342,2214999,2360001,'monotone',462285770,0,0,188,NULL,'',NULL,NULL,1795809315368583332,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(13,1,NULL,'machine','phase:train','counter',2,NULL,21813009,17159998,23980002,'monotone',396171631,0,0,1966,NULL,'coarse',NULL,NULL,1795809315368716591,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(14,1,1,'machine','phase:train','counter',2,NULL,19830008,15599999,21800001,'monotone',396171631,0,0,1956,NULL,'coarse',NULL,NULL,1795809315368716591,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(15,1,2,'machine','phase:train','counter',2,NULL,1983001,1559999,2180001,'monotone',396171631,0,0,196,NULL,'coarse',NULL,NULL,1795809315368716591,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(16,2,NULL,'machine','window','counter',2,NULL,27644292,27269650,27720002,'monotone+pmax',502789781,0,0,722,NULL,'',NULL,NULL,1795809316214696045,NULL,NULL,103977610,NULL,NULL,NULL,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(17,2,1,'machine','window','counter',2,NULL,25131174,24808043,25200001,'monotone+pmax',502789781,0,0,718,NULL,'',NULL,NULL,1795809316214696045,NULL,8,103977610,NULL,NULL,1000000,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(18,2,2,'machine','window','counter',2,NULL,2513118,2461607,2520001,'monotone+pmax',502789781,0,0,72,NULL,'',NULL,NULL,1795809316214696045,NULL,8,103977610,NULL,NULL,1000000,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(19,2,NULL,'attributed','window','counter',2,NULL,27644292,27269650,27720002,'monotone+pmax',502789781,0,0,722,NULL,'',NULL,NULL,1795809316214777536,NULL,NULL,103977610,NULL,NULL,NULL,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(20,2,1,'attributed','window','counter',2,NULL,25131174,24808043,25200001,'monotone+pmax',502789781,0,0,718,NULL,'',NULL,NULL,1795809316214777536,NULL,8,103977610,NULL,NULL,1000000,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(21,2,2,'attributed','window','counter',2,NULL,2513118,2461607,2520001,'monotone+pmax',502789781,0,0,72,NULL,'',NULL,NULL,1795809316214777536,NULL,8,103977610,NULL,NULL,1000000,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(22,2,NULL,'marginal','window','counter',2,NULL,NULL,NULL,NULL,'none: the energy is not known',502789781,0,0,NULL,NULL,'','pkg: no idle power is known for it: wattq idle measure',NULL,1795809316214821642,NULL,NULL,103977610,NULL,NULL,NULL,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(23,2,1,'marginal','window','counter',2,NULL,NULL,NULL,NULL,'none: the energy is not known',502789781,0,0,NULL,NULL,'','no idle power is known for it: wattq idle measure',NULL,1795809316214821642,NULL,8,103977610,NULL,NULL,1000000,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(24,2,2,'marginal','window','counter',2,NULL,NULL,NULL,NULL,'none: the energy is not known',502789781,0,0,NULL,NULL,'','no idle power is known for it: wattq idle measure',NULL,1795809316214821642,NULL,8,103977610,NULL,NULL,1000000,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(25,2,NULL,'machine','main','counter',2,NULL,27640786,27192195,27720002,'monotone+pmax',502725235,0,0,722,NULL,'',NULL,NULL,1795809316214946237,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(26,2,1,'machine','main','counter',2,NULL,25127987,24743497,25200001,'monotone+pmax',502725235,0,0,718,NULL,'',NULL,NULL,1795809316214946237,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(27,2,2,'machine','main','counter',2,NULL,2512799,2448698,2520001,'monotone+pmax',502725235,0,0,72,NULL,'',NULL,NULL,1795809316214946237,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
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
INSERT INTO "epoch" VALUES(1,1,8008913966549,8009612195291,'stop');
INSERT INTO "epoch" VALUES(2,1,8009783244992,NULL,NULL);
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
INSERT INTO "epoch_channel" VALUES(1,1,8008913966549,1,1,0,0,400445650000,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(1,1,8009783244992,2,1,0,43500000,400489150000,43500000,0,0,171049701,8550000);
INSERT INTO "epoch_channel" VALUES(2,1,8008913966549,1,1,1,0,40044565000,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(2,1,8009783244992,2,1,1,4350000,40048915000,4350000,0,0,171049701,855000);
INSERT INTO "epoch_channel" VALUES(3,1,8008913966549,1,1,2,0,0,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(3,1,8009783244992,2,1,2,3948,0,3948,0,171049701,0,0);
INSERT INTO "epoch_channel" VALUES(4,1,8008913966549,1,1,3,0,0,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(4,1,8009783244992,2,1,3,0,0,0,0,0,171049701,0);
INSERT INTO "epoch_channel" VALUES(5,1,8008913966549,1,1,4,0,4362410000,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(5,1,8009783244992,2,1,4,1740000,4364150000,1740000,0,0,171049701,340000);
INSERT INTO "epoch_channel" VALUES(6,1,8008913966549,1,2,0,0,0,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(6,1,8009898629099,2,2,0,0,0,0,0,984662550,0,0);
INSERT INTO "epoch_channel" VALUES(7,1,8008913966549,1,3,0,0,0,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(7,1,8009898629099,2,3,0,14710391,14710391,0,0,689973740,0,0);
INSERT INTO "epoch_channel" VALUES(8,1,8008913966549,1,4,0,0,0,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(8,1,8009898629099,2,4,0,0,0,0,0,984662550,0,0);
INSERT INTO "epoch_channel" VALUES(9,1,8008913966549,1,5,0,0,0,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(9,1,8009898629099,2,5,0,1471039,1471039,0,0,689973740,0,0);
INSERT INTO "epoch_channel" VALUES(10,1,8009008777050,1,6,0,0,0,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(10,1,8009898629099,2,6,0,39609,39609,0,0,821012969,0,0);
INSERT INTO "epoch_channel" VALUES(11,1,8009008777050,1,7,0,0,0,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(11,1,8009898629099,2,7,0,3961,3961,0,0,821012969,0,0);
INSERT INTO "epoch_channel" VALUES(12,1,8009898629099,2,8,0,34500000,34500000,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(13,1,8009898629099,2,9,0,3450000,3450000,0,0,0,0,0);
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
INSERT INTO "event" VALUES(1,1,8009008414110,1,0,NULL,'queued','submitted');
INSERT INTO "event" VALUES(2,1,8009008457134,1,NULL,'queued','starting','its turn');
INSERT INTO "event" VALUES(3,1,8009073668930,1,NULL,'starting','running','gate opened');
INSERT INTO "event" VALUES(4,1,8009535954700,1,NULL,'running','stopping','main process ended');
INSERT INTO "event" VALUES(5,1,8009573731958,1,NULL,'stopping','done','exit code 0');
INSERT INTO "event" VALUES(6,1,8009876564854,2,0,NULL,'queued','submitted');
INSERT INTO "event" VALUES(7,1,8009876606466,2,NULL,'queued','starting','its turn');
INSERT INTO "event" VALUES(8,1,8009913620027,2,NULL,'starting','running','gate opened');
INSERT INTO "event" VALUES(9,1,8010416345262,2,NULL,'running','stopping','main process ended');
INSERT INTO "event" VALUES(10,1,8010424795820,2,NULL,'stopping','done','exit code 0');
INSERT INTO "event" VALUES(11,1,8010440373235,3,0,NULL,'held','submitted');
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
INSERT INTO "gap" VALUES(1,1,8009612195291,8009783244992,8550000,'bridged');
INSERT INTO "gap" VALUES(2,1,8009612195291,8009783244992,855000,'bridged');
INSERT INTO "gap" VALUES(3,1,8009612195291,8009783244992,NULL,'reset');
INSERT INTO "gap" VALUES(4,1,8009612195291,8009783244992,0,'bridged');
INSERT INTO "gap" VALUES(5,1,8009612195291,8009783244992,340000,'bridged');
CREATE TABLE grp(
    id INTEGER PRIMARY KEY,
    period_ns INTEGER NOT NULL,      -- the deadline grid
    created_boot INTEGER NOT NULL REFERENCES boot(id),
    created_ns INTEGER NOT NULL
) STRICT;
INSERT INTO "grp" VALUES(1,100000000,1,8008905878211);
INSERT INTO "grp" VALUES(2,1000000000,1,8009000517767);
INSERT INTO "grp" VALUES(3,1000000000,1,8009000517767);
INSERT INTO "grp" VALUES(4,1000000000,1,8009000517767);
INSERT INTO "grp" VALUES(5,1000000000,1,8009000517767);
INSERT INTO "grp" VALUES(6,1000000000,1,8009052294852);
INSERT INTO "grp" VALUES(7,1000000000,1,8009052294852);
INSERT INTO "grp" VALUES(8,1000000000,1,8009898736003);
INSERT INTO "grp" VALUES(9,1000000000,1,8009898736003);
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
INSERT INTO "head" VALUES(1,1,8008913966549,8009612195291,1,1,0,34950000,0,NULL,NULL,NULL,0,0,0,0,19,47362005,60753711);
INSERT INTO "head" VALUES(2,1,8008913966549,8009612195291,1,1,0,3495000,0,NULL,NULL,NULL,0,0,0,0,19,4736200,6075372);
INSERT INTO "head" VALUES(3,1,8008913966549,8009612195291,1,1,0,3948,0,NULL,NULL,NULL,0,0,0,0,19,3339,9973);
INSERT INTO "head" VALUES(4,1,8008913966549,8009612195291,1,1,0,0,0,NULL,NULL,NULL,0,0,0,0,19,NULL,NULL);
INSERT INTO "head" VALUES(5,1,8008913966549,8009612195291,1,1,0,1400000,0,NULL,NULL,NULL,0,0,0,0,19,861127,3776898);
INSERT INTO "head" VALUES(6,1,8008913966549,8008913966549,1,2,0,0,0,NULL,NULL,NULL,0,0,0,0,1,0,0);
INSERT INTO "head" VALUES(7,1,8008913966549,8009208655359,1,3,0,0,0,NULL,NULL,NULL,0,0,0,0,5,0,14710391);
INSERT INTO "head" VALUES(8,1,8008913966549,8008913966549,1,4,0,0,0,NULL,NULL,NULL,0,0,0,0,1,0,0);
INSERT INTO "head" VALUES(9,1,8008913966549,8009208655359,1,5,0,0,0,NULL,NULL,NULL,0,0,0,0,5,0,1471039);
INSERT INTO "head" VALUES(10,1,8009008777050,8009077616130,1,6,0,0,0,NULL,NULL,NULL,0,0,0,0,2,0,39609);
INSERT INTO "head" VALUES(11,1,8009008777050,8009077616130,1,7,0,0,0,NULL,NULL,NULL,0,0,0,0,2,0,3961);
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
INSERT INTO "meta" VALUES('created_utc_ns','1795809314688909442');
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
INSERT INTO "metric" VALUES(1,1,1,'loss',3.5,8009228619984,'arrival');
INSERT INTO "metric" VALUES(1,2,2,'loss',2.5,8009384077757,'mark');
INSERT INTO "metric" VALUES(1,3,3,'loss',1.5,8009536070783,'mark');
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
INSERT INTO "other_use" VALUES(1,8008993826958,8009078172058,'service','root','',140000);
INSERT INTO "other_use" VALUES(1,8009078172058,8009574053827,'service','root','',610000);
INSERT INTO "other_use" VALUES(1,8009847643467,8009918196599,'service','root','',60000);
INSERT INTO "other_use" VALUES(1,8009918196599,8010425130138,'service','root','',630000);
CREATE TABLE phase(
    run INTEGER NOT NULL REFERENCES run(id),
    name TEXT NOT NULL,
    t0_ns INTEGER NOT NULL,
    t1_ns INTEGER,                   -- NULL = open: ends with the run
    PRIMARY KEY(run, t0_ns, name)
) STRICT, WITHOUT ROWID;
INSERT INTO "phase" VALUES(1,'train',8009139926323,8009536097954);
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
INSERT INTO "run" VALUES(1,'01a21e93-87e6-72e6-b5ff-41396523ecf4',1,0,'done','command','{"kind":"command","argv":["sh","-c","printf ''{\"phase\":\"train\"}\\n'' >>\"$WATTQ_METRICS\"\nfor i in 1 2 3; do sleep 0.15; printf ''{\"step\":%s,\"loss\":%s.5}\\n'' $i $((4 - i)) >>\"$WATTQ_METRICS\"; done"],"cwd":"/tmp/wattq-test-f2wdaxz7","label":"golden","project":"","umask":18,"priority":0,"time_limit_ns":0,"grace_ns":30000000000,"log_cap_bytes":268435456,"exclusive":true,"wait_children":false,"params":{"lr":"0.1"}}','golden','',NULL,NULL,NULL,0,'user+cgroup','cbcb4d709f6759b827933e035aaaa4cc21f7a808af7c6fa2c0ea68c953aa53c0',NULL,1,1795809314790239827,1795809314861126990,1795809315323556014,8009073668930,8009535954700,8009536097954,0,NULL,'exit code 0',4055,'cgroup',1658880,0,1,1,NULL);
INSERT INTO "run" VALUES(2,'01a21e93-8b4c-71e6-ad7d-52015d238968',1,0,'done','command','{"kind":"command","argv":["sh","-c","sleep 0.5"],"cwd":"/tmp/wattq-test-f2wdaxz7","label":"in the tail","project":"","umask":18,"priority":0,"time_limit_ns":0,"grace_ns":30000000000,"log_cap_bytes":268435456,"exclusive":true,"wait_children":false,"params":{}}','in the tail','',NULL,NULL,NULL,0,'user+cgroup','cbcb4d709f6759b827933e035aaaa4cc21f7a808af7c6fa2c0ea68c953aa53c0',NULL,1,1795809315660724064,1795809315701078077,1795809316203867868,8009913620027,8010416345262,8010416409808,0,NULL,'exit code 0',1998,'cgroup',1462272,0,1,1,NULL);
INSERT INTO "run" VALUES(3,'01a21e93-8d83-76fc-a5dd-66c3df5d6285',0,0,'held','command','{"kind":"command","argv":["sh","-c","true"],"cwd":"/tmp/wattq-test-f2wdaxz7","label":"waits","project":"","umask":18,"priority":0,"time_limit_ns":0,"grace_ns":30000000000,"log_cap_bytes":268435456,"exclusive":true,"wait_children":false,"params":{}}','waits','',NULL,NULL,NULL,0,'','cbcb4d709f6759b827933e035aaaa4cc21f7a808af7c6fa2c0ea68c953aa53c0',NULL,NULL,1795809316227080257,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE run_companion(
    run INTEGER NOT NULL REFERENCES run(id),
    channel INTEGER NOT NULL REFERENCES channel(id),
    samples INTEGER NOT NULL,        -- valid readings inside the window
    known_ns INTEGER NOT NULL,       -- time of the window in which a reading held
    min INTEGER,                     -- in the channel's unit; NULL for masks and counts
    mean INTEGER,                    -- over known_ns, weighted by time
    max INTEGER,
    first INTEGER NOT NULL,          -- what held first and last in the window
    last INTEGER NOT NULL,
    gained INTEGER,                  -- counts (of events, of ms): growth; a step back is a new beginning
    bits INTEGER,                    -- masks: every bit that was ever set
    limited_ns INTEGER,              -- masks: time in which a bit that protects the device was set; counts of
                                     -- ms: gained, as time
    capped_ns INTEGER,               -- masks: time in which the bit of the power limit was set
    PRIMARY KEY(run, channel)
) STRICT, WITHOUT ROWID;
CREATE TABLE run_other(
    run INTEGER NOT NULL REFERENCES run(id),
    kind TEXT NOT NULL,
    owner TEXT NOT NULL,
    device TEXT NOT NULL DEFAULT '',
    busy_us INTEGER NOT NULL,
    PRIMARY KEY(run, kind, owner, device)
) STRICT, WITHOUT ROWID;
INSERT INTO "run_other" VALUES(1,'service','root','',570784);
INSERT INTO "run_other" VALUES(2,'service','root','',623055);
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
INSERT INTO "run_total" VALUES(1,1,25454586,24364998,25960002,'measured','');
INSERT INTO "run_total" VALUES(2,16,27644292,27269650,27720002,'measured','');
CREATE TABLE slot_owner(
    channel INTEGER NOT NULL REFERENCES channel(id),
    run INTEGER NOT NULL REFERENCES run(id),
    boot INTEGER NOT NULL REFERENCES boot(id),
    t0_ns INTEGER NOT NULL,
    t1_ns INTEGER,
    PRIMARY KEY(channel, boot, t0_ns)
) STRICT, WITHOUT ROWID;
INSERT INTO "slot_owner" VALUES(3,1,1,8009044515794,8009594926654);
INSERT INTO "slot_owner" VALUES(3,2,1,8009898586661,8010436344509);
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
INSERT INTO "tail" VALUES(1,1,2,8009783244992,8009783244992,1,X'50000000050000000100000011000000130000001300000013000000130000001300000078C248EC48070000082F49EC480700000200013076033F5D000000E0C197020000000080000138F2195309000000306042000000000080040100000000000000006C0F00000000000040040100000000000000000000000000000000800401F0A41F0401000000E08C1A000000000080264992CE');
INSERT INTO "tail" VALUES(2,1,2,8009881851968,8009898629099,2,X'500000000500000002000000220000001C0000001C0000001C0000001C0000001C000000D67029F248070000CF7429F348070000AABF29F24807000008BB29F3480700000001000120335B3F5D0000008086E20200000000D07EEF02000000000000000150B822530900000040DA49000000000048264B00000000000000040100000000000000006C0F0000000000006C0F0000000000000000040100000000000000000000000000000000000000000000000000000401704E230401000000209A1D000000000060361E00000000000000413A1A36');
INSERT INTO "tail" VALUES(3,2,2,8009898629099,8009898629099,1,X'5000000001000000010000001100000013000000EB9729F348070000EB9729F3480700000003010000000000000000000000000000000000BF17BCE8');
INSERT INTO "tail" VALUES(4,3,2,8009898629099,8009898629099,1,X'5000000001000000010000001100000013000000EB9729F348070000EB9729F3480700000003017776E000000000007776E0000000000000AE0793D7');
INSERT INTO "tail" VALUES(5,4,2,8009898629099,8009898629099,1,X'5000000001000000010000001100000013000000EB9729F348070000EB9729F3480700000003010000000000000000000000000000000000BF17BCE8');
INSERT INTO "tail" VALUES(6,5,2,8009898629099,8009898629099,1,X'5000000001000000010000001100000013000000EB9729F348070000EB9729F3480700000003013F721600000000003F7216000000000000DC2F3A0C');
INSERT INTO "tail" VALUES(7,8,2,8009898629099,8009898629099,1,X'5000000001000000010000001100000013000000EB9729F348070000EB9729F348070000000301A06D0E0200000000A06D0E02000000000054DCEADA');
INSERT INTO "tail" VALUES(8,6,2,8009898629099,8009898629099,1,X'5000000001000000010000001100000013000000EB9729F348070000EB9729F348070000000301B99A000000000000B99A00000000000000C7D677D1');
INSERT INTO "tail" VALUES(9,9,2,8009898629099,8009898629099,1,X'5000000001000000010000001100000013000000EB9729F348070000EB9729F34807000000030190A434000000000090A434000000000000293210DF');
INSERT INTO "tail" VALUES(10,7,2,8009898629099,8009898629099,1,X'5000000001000000010000001100000013000000EB9729F348070000EB9729F348070000000301790F000000000000790F000000000000009178E72A');
INSERT INTO "tail" VALUES(11,1,2,8009912408714,8009916451386,4,X'500000000500000004000000440000002E0000002E0000002E0000002E0000002E000000AFA7FBF34807000012270BF448070000EF841AF448070000EE5239F448070000650DFCF34807000065730BF44807000001D91AF44807000086C139F448070000010101010001C0EE683F5D000000302DFA020000000080F0FA0200000000D0B3FB0200000000703AFD0200000000000000000001E017245309000000B8374C0000000000404B4C0000000000C85E4C0000000000D8854C0000000000000000000401D3050000000000006C0F0000000000006C0F0000000000006C0F0000000000003F1500000000000000000000040100000000000000000000000000000000000000000000000000000000000000000000000000000000000000000401A0C323040100000090AB1E000000000090AB1E000000000090AB1E000000000090AB1E00000000000000000097FB730D');
INSERT INTO "tail" VALUES(12,3,2,8009916451386,8009916451386,1,X'50000000010000000100000011000000130000003A8A39F4480700003A8A39F4480700000003015D83ED00000000005D83ED00000000000079445DA0');
INSERT INTO "tail" VALUES(13,5,2,8009916451386,8009916451386,1,X'50000000010000000100000011000000130000003A8A39F4480700003A8A39F44807000000030156C017000000000056C017000000000000F76CA5C2');
INSERT INTO "tail" VALUES(14,6,2,8009916451386,8009916451386,1,X'50000000010000000100000011000000130000003A8A39F4480700003A8A39F448070000000301734901000000000073490100000000000005533BD6');
INSERT INTO "tail" VALUES(15,7,2,8009916451386,8009916451386,1,X'50000000010000000100000011000000130000003A8A39F4480700003A8A39F448070000000301F220000000000000F22000000000000000C28D38BE');
INSERT INTO "tail" VALUES(16,1,2,8009919616226,8010416591253,7,X'500000000500000007000000770000004900000049000000490000004900000049000000B5AD69F448070000F35305F848070000A98302FE480700009EEBF003490700002F84230A490700005099DC0F4907000087E808124907000010FC69F44807000067E305F84807000062EE02FE48070000BA68F103490700003EF5230A49070000490EDD0F49070000A43A0912490700000100000000000100010067E6405D0000006084FF0200000000700E2E0300000000B0597A0300000000F0A4C6030000000070FD150400000000703B5F0400000000B0B27A0400000000000000000000000001803D4A530900000070C04C0000000000D867510000000000F80859000000000018AA600000000000589968000000000058EC6F000000000078AB72000000000000000000000000040120070000000000003F150000000000003F150000000000003F150000000000003F150000000000003F150000000000003F150000000000008C1600000000000000000000000000040100000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000401D0DE32040100000090AB1E000000000060A7200000000000A0B4230000000000E0C126000000000030F629000000000060DC2C0000000000C0C62D0000000000000000000000001317D52D');
INSERT INTO "tail" VALUES(17,3,2,8010416591253,8010416591253,1,X'500000000100000001000000110000001300000095110912490700009511091249070000000301C4DA6A0200000000C4DA6A020000000000F72928ED');
INSERT INTO "tail" VALUES(18,5,2,8010416591253,8010416591253,1,X'500000000100000001000000110000001300000095110912490700009511091249070000000301ADE23D0000000000ADE23D000000000000C0AB6F62');
INSERT INTO "tail" VALUES(19,6,2,8010416591253,8010416591253,1,X'5000000001000000010000001100000013000000951109124907000095110912490700000003014C6A0100000000004C6A01000000000000C0418B4E');
INSERT INTO "tail" VALUES(20,7,2,8010416591253,8010416591253,1,X'5000000001000000010000001100000013000000951109124907000095110912490700000003013B240000000000003B2400000000000000DCBC90C0');
INSERT INTO "tail" VALUES(21,1,2,8010416893628,8010424731559,4,X'500000000500000004000000440000002E0000002E0000002E0000002E0000002E00000036940D124907000097EE15124907000020E48012490700009F3485124907000042C90D1249070000D024161249070000AE32811249070000B05A8512490700000101010100018081EC405D000000B0B27A040000000000767B040000000030CD80040000000030CD800400000000000000000001C0D94A530900000078AB72000000000000BF720000000000B847730000000000B84773000000000000000000040120070000000000008C160000000000008C160000000000008C160000000000008C16000000000000000000000401000000000000000000000000000000000000000000000000000000000000000000000000000000000000000004010054330401000000C0C62D0000000000C0C62D0000000000F03B2E0000000000F03B2E0000000000000000001839900F');
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
