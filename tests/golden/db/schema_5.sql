PRAGMA page_size=4096;
PRAGMA auto_vacuum=INCREMENTAL;
PRAGMA application_id=1465144401;
PRAGMA user_version=5;
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
INSERT INTO "account_basis" VALUES(1,1,7948340656128,NULL,NULL);
INSERT INTO "account_basis" VALUES(1,1,7948644091904,NULL,NULL);
INSERT INTO "account_basis" VALUES(2,1,7948340656128,NULL,NULL);
INSERT INTO "account_basis" VALUES(2,1,7948644091904,NULL,NULL);
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
INSERT INTO "anchor" VALUES(1,7948408258610,1795809254195716695,0);
INSERT INTO "anchor" VALUES(1,7949229216322,1795809255016674407,0);
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
INSERT INTO "chunk" VALUES(1,1,0,1,7948340656128,7948977801216,18,X'500100CC050080001200000043000000170000001600000010000000040000001400000080C0AAE0D3CE0380C2D72F0300AAA0554600003C76C5751876FC7708F70A790200103430490D100136F95CFF7426368C6DC12511007FF95F279D67588408032AA8155050A0A9E19C911700D0860301000003FFC7CC07F7FB16805090C4D68FA80200882701000003FFC7CC07F7FB168004A63B00F8282BF69ECB36AED55FCAB4040000FC54C0F989CE1F00904E01000003FFC5AA0D2B62003A1BB17C');
INSERT INTO "chunk" VALUES(2,2,0,1,7948340656128,7948340656128,1,X'500100CB0100800001000000100000000300000080E0ABE0D3CE038094EBDC0300FFFFFF030000B2BE6EA6');
INSERT INTO "chunk" VALUES(3,3,0,1,7948340656128,7948644091904,3,X'500100CB0100800003000000180000000D00000080E0ABE0D3CE038094EBDC0300014780005E74BD0B0BFFC00B92ABBA0E005B87E3E07D9BA401E47A98');
INSERT INTO "chunk" VALUES(4,4,0,1,7948340656128,7948340656128,1,X'500100CB0100800001000000100000000300000080E0ABE0D3CE038094EBDC0300FFFFFF030000B2BE6EA6');
INSERT INTO "chunk" VALUES(5,5,0,1,7948340656128,7948644091904,3,X'500100CB0100800003000000180000001000000080E0ABE0D3CE038094EBDC0300014780005E74BD0B0BFFC04BA884B9010004010000473FD3191F20C6AC715C');
INSERT INTO "chunk" VALUES(6,6,0,1,7948471633920,7948644091904,2,X'500100CB0100800002000000150000000D00000080A0A0DDD4CE038094EBDC03000100FFF4291E1FFE43EE900500B7C80201000003008AE0F3CE');
INSERT INTO "chunk" VALUES(7,7,0,1,7948471633920,7948644091904,2,X'500100CB0100800002000000150000000B00000080A0A0DDD4CE038094EBDC03000100FFF4291E1FFE43D84100EC200100000300E20926C3');
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
INSERT INTO "energy" VALUES(1,1,NULL,'machine','window','counter',2,NULL,25685154,23924998,25905002,'monotone',466456954,0,0,1021,NULL,'',NULL,NULL,1795809254780913250,NULL,NULL,103380992,NULL,NULL,NULL,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(2,1,1,'machine','window','counter',2,NULL,23350140,21749999,23550001,'monotone',466456954,0,0,1015,NULL,'',NULL,NULL,1795809254780913250,NULL,9,103380992,NULL,NULL,1000000,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(3,1,2,'machine','window','counter',2,NULL,2335014,2174999,2355001,'monotone',466456954,0,0,102,NULL,'',NULL,NULL,1795809254780913250,NULL,9,103380992,NULL,NULL,1000000,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(4,1,NULL,'attributed','window','counter',2,NULL,25685154,23924998,25905002,'monotone',466456954,0,0,1021,NULL,'',NULL,NULL,1795809254780990605,NULL,NULL,103380992,NULL,NULL,NULL,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(5,1,1,'attributed','window','counter',2,NULL,23350140,21749999,23550001,'monotone',466456954,0,0,1015,NULL,'',NULL,NULL,1795809254780990605,NULL,9,103380992,NULL,NULL,1000000,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(6,1,2,'attributed','window','counter',2,NULL,2335014,2174999,2355001,'monotone',466456954,0,0,102,NULL,'',NULL,NULL,1795809254780990605,NULL,9,103380992,NULL,NULL,1000000,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(7,1,NULL,'marginal','window','counter',2,NULL,NULL,NULL,NULL,'none: the energy is not known',466456954,0,0,NULL,NULL,'','pkg: no idle power is known for it: wattq idle measure',NULL,1795809254781093008,NULL,NULL,103380992,NULL,NULL,NULL,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(8,1,1,'marginal','window','counter',2,NULL,NULL,NULL,NULL,'none: the energy is not known',466456954,0,0,NULL,NULL,'','no idle power is known for it: wattq idle measure',NULL,1795809254781093008,NULL,9,103380992,NULL,NULL,1000000,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(9,1,2,'marginal','window','counter',2,NULL,NULL,NULL,NULL,'none: the energy is not known',466456954,0,0,NULL,NULL,'','no idle power is known for it: wattq idle measure',NULL,1795809254781093008,NULL,9,103380992,NULL,NULL,1000000,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(10,1,NULL,'machine','main','counter',2,NULL,25682076,23924998,25905002,'monotone',466402112,0,0,1021,NULL,'',NULL,NULL,1795809254781225685,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(11,1,1,'machine','main','counter',2,NULL,23347342,21749999,23550001,'monotone',466402112,0,0,1015,NULL,'',NULL,NULL,1795809254781225685,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(12,1,2,'machine','main','counter',2,NULL,2334734,2174999,2355001,'monotone',466402112,0,0,102,NULL,'',NULL,NULL,1795809254781225685,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(13,1,NULL,'machine','phase:train','counter',2,NULL,22038688,16279998,23760002,'monotone',400280397,0,0,1801,NULL,'coarse',NULL,NULL,1795809254781358162,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(14,1,1,'machine','phase:train','counter',2,NULL,20035171,14799999,21600001,'monotone',400280397,0,0,1791,NULL,'coarse',NULL,NULL,1795809254781358162,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(15,1,2,'machine','phase:train','counter',2,NULL,2003517,1479999,2160001,'monotone',400280397,0,0,180,NULL,'coarse',NULL,NULL,1795809254781358162,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(16,2,NULL,'machine','window','counter',2,NULL,27658031,27025219,28270002,'monotone+pmax',502993595,0,0,1747,NULL,'',NULL,NULL,1795809255629132553,NULL,NULL,101531648,NULL,NULL,NULL,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(17,2,1,'machine','window','counter',2,NULL,25143664,24591850,25700001,'monotone+pmax',502993595,0,0,1738,NULL,'',NULL,NULL,1795809255629132553,NULL,10,101531648,NULL,NULL,1000000,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(18,2,2,'machine','window','counter',2,NULL,2514367,2433369,2570001,'monotone+pmax',502993595,0,0,174,NULL,'',NULL,NULL,1795809255629132553,NULL,10,101531648,NULL,NULL,1000000,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(19,2,NULL,'attributed','window','counter',2,NULL,27658031,27025219,28270002,'monotone+pmax',502993595,0,0,1747,NULL,'',NULL,NULL,1795809255629214205,NULL,NULL,101531648,NULL,NULL,NULL,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(20,2,1,'attributed','window','counter',2,NULL,25143664,24591850,25700001,'monotone+pmax',502993595,0,0,1738,NULL,'',NULL,NULL,1795809255629214205,NULL,10,101531648,NULL,NULL,1000000,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(21,2,2,'attributed','window','counter',2,NULL,2514367,2433369,2570001,'monotone+pmax',502993595,0,0,174,NULL,'',NULL,NULL,1795809255629214205,NULL,10,101531648,NULL,NULL,1000000,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(22,2,NULL,'marginal','window','counter',2,NULL,NULL,NULL,NULL,'none: the energy is not known',502993595,0,0,NULL,NULL,'','pkg: no idle power is known for it: wattq idle measure',NULL,1795809255629260063,NULL,NULL,101531648,NULL,NULL,NULL,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(23,2,1,'marginal','window','counter',2,NULL,NULL,NULL,NULL,'none: the energy is not known',502993595,0,0,NULL,NULL,'','no idle power is known for it: wattq idle measure',NULL,1795809255629260063,NULL,10,101531648,NULL,NULL,1000000,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(24,2,2,'marginal','window','counter',2,NULL,NULL,NULL,NULL,'none: the energy is not known',502993595,0,0,NULL,NULL,'','no idle power is known for it: wattq idle measure',NULL,1795809255629260063,NULL,10,101531648,NULL,NULL,1000000,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(25,2,NULL,'machine','main','counter',2,NULL,27654271,26943678,28270002,'monotone+pmax',502925644,0,0,1747,NULL,'',NULL,NULL,1795809255629391448,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(26,2,1,'machine','main','counter',2,NULL,25140246,24523899,25700001,'monotone+pmax',502925644,0,0,1738,NULL,'',NULL,NULL,1795809255629391448,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
INSERT INTO "energy" VALUES(27,2,2,'machine','main','counter',2,NULL,2514025,2419779,2570001,'monotone+pmax',502925644,0,0,174,NULL,'',NULL,NULL,1795809255629391448,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'0.1.0',NULL,NULL,NULL,NULL);
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
INSERT INTO "epoch" VALUES(1,1,7948340656128,7948977801216,'stop');
INSERT INTO "epoch" VALUES(2,1,7949174499328,NULL,NULL);
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
INSERT INTO "epoch_channel" VALUES(1,1,7948340656128,1,1,0,0,397417000000,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(1,1,7949174499328,2,1,0,41700000,397458700000,41700000,0,0,196698112,9850000);
INSERT INTO "epoch_channel" VALUES(2,1,7948340656128,1,1,1,0,39741700000,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(2,1,7949174499328,2,1,1,4170000,39745870000,4170000,0,0,196698112,985000);
INSERT INTO "epoch_channel" VALUES(3,1,7948340656128,1,1,2,0,0,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(3,1,7949174499328,2,1,2,3795,0,3795,0,196698112,0,0);
INSERT INTO "epoch_channel" VALUES(4,1,7948340656128,1,1,3,0,0,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(4,1,7949174499328,2,1,3,0,0,0,0,0,196698112,0);
INSERT INTO "epoch_channel" VALUES(5,1,7948340656128,1,1,4,0,4241350000,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(5,1,7949174499328,2,1,4,1660000,4243010000,1660000,0,0,196698112,390000);
INSERT INTO "epoch_channel" VALUES(6,1,7948340656128,1,2,0,0,0,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(6,1,7949278234624,2,2,0,0,0,0,0,937578496,0,0);
INSERT INTO "epoch_channel" VALUES(7,1,7948340656128,1,3,0,0,0,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(7,1,7949278234624,2,3,0,15157961,15157961,0,0,634142720,0,0);
INSERT INTO "epoch_channel" VALUES(8,1,7948340656128,1,4,0,0,0,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(8,1,7949278234624,2,4,0,0,0,0,0,937578496,0,0);
INSERT INTO "epoch_channel" VALUES(9,1,7948340656128,1,5,0,0,0,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(9,1,7949278234624,2,5,0,1515796,1515796,0,0,634142720,0,0);
INSERT INTO "epoch_channel" VALUES(10,1,7948471633920,1,6,0,0,0,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(10,1,7949278234624,2,6,0,42039,42039,0,0,634142720,0,0);
INSERT INTO "epoch_channel" VALUES(11,1,7948471633920,1,7,0,0,0,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(11,1,7949278234624,2,7,0,4204,4204,0,0,634142720,0,0);
INSERT INTO "epoch_channel" VALUES(12,1,7949278234624,2,8,0,31700000,31700000,0,0,0,0,0);
INSERT INTO "epoch_channel" VALUES(13,1,7949278234624,2,9,0,3170000,3170000,0,0,0,0,0);
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
INSERT INTO "event" VALUES(1,1,7948438327709,1,0,NULL,'queued','submitted');
INSERT INTO "event" VALUES(2,1,7948438368180,1,NULL,'queued','starting','its turn');
INSERT INTO "event" VALUES(3,1,7948502637728,1,NULL,'starting','running','gate opened');
INSERT INTO "event" VALUES(4,1,7948969039840,1,NULL,'running','stopping','main process ended');
INSERT INTO "event" VALUES(5,1,7948984945464,1,NULL,'stopping','done','exit code 0');
INSERT INTO "event" VALUES(6,1,7949250084186,2,0,NULL,'queued','submitted');
INSERT INTO "event" VALUES(7,1,7949250131817,2,NULL,'queued','starting','its turn');
INSERT INTO "event" VALUES(8,1,7949325987040,2,NULL,'starting','running','gate opened');
INSERT INTO "event" VALUES(9,1,7949828912684,2,NULL,'running','stopping','main process ended');
INSERT INTO "event" VALUES(10,1,7949838978145,2,NULL,'stopping','done','exit code 0');
INSERT INTO "event" VALUES(11,1,7949872412909,3,0,NULL,'held','submitted');
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
INSERT INTO "gap" VALUES(1,1,7948977801216,7949174499328,9850000,'bridged');
INSERT INTO "gap" VALUES(2,1,7948977801216,7949174499328,985000,'bridged');
INSERT INTO "gap" VALUES(3,1,7948977801216,7949174499328,NULL,'reset');
INSERT INTO "gap" VALUES(4,1,7948977801216,7949174499328,0,'bridged');
INSERT INTO "gap" VALUES(5,1,7948977801216,7949174499328,390000,'bridged');
CREATE TABLE grp(
    id INTEGER PRIMARY KEY,
    period_ns INTEGER NOT NULL,      -- the deadline grid
    created_boot INTEGER NOT NULL REFERENCES boot(id),
    created_ns INTEGER NOT NULL
) STRICT;
INSERT INTO "grp" VALUES(1,100000000,1,7948334722934);
INSERT INTO "grp" VALUES(2,1000000000,1,7948417829650);
INSERT INTO "grp" VALUES(3,1000000000,1,7948417829650);
INSERT INTO "grp" VALUES(4,1000000000,1,7948417829650);
INSERT INTO "grp" VALUES(5,1000000000,1,7948417829650);
INSERT INTO "grp" VALUES(6,1000000000,1,7948469544202);
INSERT INTO "grp" VALUES(7,1000000000,1,7948469544202);
INSERT INTO "grp" VALUES(8,1000000000,1,7949278746247);
INSERT INTO "grp" VALUES(9,1000000000,1,7949278746247);
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
INSERT INTO "head" VALUES(1,1,7948340656128,7948977801216,1,1,0,31850000,0,NULL,NULL,NULL,0,0,0,0,18,28761903,58843735);
INSERT INTO "head" VALUES(2,1,7948340656128,7948977801216,1,1,0,3185000,0,NULL,NULL,NULL,0,0,0,0,18,2876190,5884374);
INSERT INTO "head" VALUES(3,1,7948340656128,7948977801216,1,1,0,3795,0,NULL,NULL,NULL,0,0,0,0,18,2680,14569);
INSERT INTO "head" VALUES(4,1,7948340656128,7948977801216,1,1,0,0,0,NULL,NULL,NULL,0,0,0,0,18,NULL,NULL);
INSERT INTO "head" VALUES(5,1,7948340656128,7948977801216,1,1,0,1270000,0,NULL,NULL,NULL,0,0,0,0,18,1623275,2876191);
INSERT INTO "head" VALUES(6,1,7948340656128,7948340656128,1,2,0,0,0,NULL,NULL,NULL,0,0,0,0,1,0,0);
INSERT INTO "head" VALUES(7,1,7948340656128,7948644091904,1,3,0,0,0,NULL,NULL,NULL,0,0,0,0,3,0,15157961);
INSERT INTO "head" VALUES(8,1,7948340656128,7948340656128,1,4,0,0,0,NULL,NULL,NULL,0,0,0,0,1,0,0);
INSERT INTO "head" VALUES(9,1,7948340656128,7948644091904,1,5,0,0,0,NULL,NULL,NULL,0,0,0,0,3,0,1515796);
INSERT INTO "head" VALUES(10,1,7948471633920,7948644091904,1,6,0,0,0,NULL,NULL,NULL,0,0,0,0,2,0,42039);
INSERT INTO "head" VALUES(11,1,7948471633920,7948644091904,1,7,0,0,0,NULL,NULL,NULL,0,0,0,0,2,0,4204);
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
INSERT INTO "meta" VALUES('created_utc_ns','1795809254113662475');
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
INSERT INTO "metric" VALUES(1,1,1,'loss',3.5,7948669672412,'mark');
INSERT INTO "metric" VALUES(1,2,2,'loss',2.5,7948816778565,'mark');
INSERT INTO "metric" VALUES(1,3,3,'loss',1.5,7948968924469,'mark');
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
INSERT INTO "other_use" VALUES(1,7948418644733,7948512557663,'service','root','',150000);
INSERT INTO "other_use" VALUES(1,7948512557663,7948985287413,'service','root','',850000);
INSERT INTO "other_use" VALUES(1,7949232099478,7949333702654,'service','root','',170000);
INSERT INTO "other_use" VALUES(1,7949333702654,7949839399137,'service','root','',800000);
CREATE TABLE phase(
    run INTEGER NOT NULL REFERENCES run(id),
    name TEXT NOT NULL,
    t0_ns INTEGER NOT NULL,
    t1_ns INTEGER,                   -- NULL = open: ends with the run
    PRIMARY KEY(run, t0_ns, name)
) STRICT, WITHOUT ROWID;
INSERT INTO "phase" VALUES(1,'train',7948568814285,7948969094682);
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
, origin INTEGER REFERENCES origin(id), warrant TEXT, mem_peak_bytes INTEGER, place INTEGER) STRICT;
INSERT INTO "run" VALUES(1,'01a21e92-9b4b-7dbf-bb69-216862ce315f',1,0,'done','command','{"kind":"command","argv":["sh","-c","printf ''{\"phase\":\"train\"}\\n'' >>\"$WATTQ_METRICS\"\nfor i in 1 2 3; do sleep 0.15; printf ''{\"step\":%s,\"loss\":%s.5}\\n'' $i $((4 - i)) >>\"$WATTQ_METRICS\"; done"],"cwd":"/tmp/wattq-test-qk0ixww7","label":"golden","project":"","umask":18,"priority":0,"time_limit_ns":0,"grace_ns":30000000000,"log_cap_bytes":268435456,"exclusive":true,"wait_children":false,"params":{"lr":"0.1"}}','golden','',NULL,NULL,NULL,0,'user+cgroup','cbcb4d709f6759b827933e035aaaa4cc21f7a808af7c6fa2c0ea68c953aa53c0',NULL,1,1795809254219750336,1795809254290095788,1795809254756552732,7948502637728,7948969039840,7948969094682,0,NULL,'exit code 0',3950,'cgroup',1638400,0,1,1,NULL,NULL,NULL,NULL);
INSERT INTO "run" VALUES(2,'01a21e92-9e78-7f9d-a5dc-7849fb1b5516',1,0,'done','command','{"kind":"command","argv":["sh","-c","sleep 0.5"],"cwd":"/tmp/wattq-test-qk0ixww7","label":"in the tail","project":"","umask":18,"priority":0,"time_limit_ns":0,"grace_ns":30000000000,"log_cap_bytes":268435456,"exclusive":true,"wait_children":false,"params":{}}','in the tail','',NULL,NULL,NULL,0,'user+cgroup','cbcb4d709f6759b827933e035aaaa4cc21f7a808af7c6fa2c0ea68c953aa53c0',NULL,1,1795809255032218773,1795809255113445090,1795809255616438695,7949325987040,7949828912684,7949828980635,0,NULL,'exit code 0',2052,'cgroup',1581056,0,1,1,NULL,NULL,NULL,NULL);
INSERT INTO "run" VALUES(3,'01a21e92-a0e8-707d-b4ad-2cfc36f695cb',0,0,'held','command','{"kind":"command","argv":["sh","-c","true"],"cwd":"/tmp/wattq-test-qk0ixww7","label":"waits","project":"","umask":18,"priority":0,"time_limit_ns":0,"grace_ns":30000000000,"log_cap_bytes":268435456,"exclusive":true,"wait_children":false,"params":{}}','waits','',NULL,NULL,NULL,0,'','cbcb4d709f6759b827933e035aaaa4cc21f7a808af7c6fa2c0ea68c953aa53c0',NULL,NULL,1795809255656197482,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
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
INSERT INTO "run_other" VALUES(1,'service','root','',836729);
INSERT INTO "run_other" VALUES(2,'service','root','',796428);
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
INSERT INTO "run_total" VALUES(1,1,25685154,23924998,25905002,'measured','');
INSERT INTO "run_total" VALUES(2,16,27658031,27025219,28270002,'measured','');
CREATE TABLE slot_owner(
    channel INTEGER NOT NULL REFERENCES channel(id),
    run INTEGER NOT NULL REFERENCES run(id),
    boot INTEGER NOT NULL REFERENCES boot(id),
    t0_ns INTEGER NOT NULL,
    t1_ns INTEGER,
    PRIMARY KEY(channel, boot, t0_ns)
) STRICT, WITHOUT ROWID;
INSERT INTO "slot_owner" VALUES(3,1,1,7948469148563,7948999042166);
INSERT INTO "slot_owner" VALUES(3,2,1,7949278662302,7949856735154);
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
INSERT INTO "tail" VALUES(1,1,2,7949174499328,7949174499328,1,X'500100CC0500800001000000100000000F0000000F00000008000000070000000E0000008080C5FBD9CE0380C2D72F09FFFFC0C08001000180C0DB93A69117C0AAE2278001000180E0E2CE90A802A084FD03840100014000A63B840100018000008401000180A0C7B9CE1FC0D1CA01C8AF19A6');
INSERT INTO "tail" VALUES(2,1,2,7949278234624,7949278234624,1,X'500100CC05008000010000000F0000000B0000000B00000004000000030000000A0000008080BCDEDACE0380C2D72F09FFFFFF00C0BD8EAB9117C08CDD2C00E09F8E91A802A0C1BC040400A63B04000004C098D3CE1FE0A2E4015D860B43');
INSERT INTO "tail" VALUES(3,2,2,7949278234624,7949278234624,1,X'500100CB0100800001000000100000000300000080A0BEDEDACE038094EBDC0300FFFFFF0300006C05237A');
INSERT INTO "tail" VALUES(4,3,2,7949278234624,7949278234624,1,X'500100CB0100800001000000100000000900000080A0BEDEDACE038094EBDC0300FFFFFF0392ABBA0E92ABBA0E946FB4B5');
INSERT INTO "tail" VALUES(5,4,2,7949278234624,7949278234624,1,X'500100CB0100800001000000100000000300000080A0BEDEDACE038094EBDC0300FFFFFF0300006C05237A');
INSERT INTO "tail" VALUES(6,5,2,7949278234624,7949278234624,1,X'500100CB0100800001000000100000000900000080A0BEDEDACE038094EBDC0300FFFFFF03A884B901A884B901912DCC6B');
INSERT INTO "tail" VALUES(7,8,2,7949278234624,7949278234624,1,X'500100CB0100800001000000100000000900000080A0BEDEDACE038094EBDC0300FFFFFF03C0D09D1EC0D09D1E47F25B74');
INSERT INTO "tail" VALUES(8,6,2,7949278234624,7949278234624,1,X'500100CB0100800001000000100000000700000080A0BEDEDACE038094EBDC0300FFFFFF03EE9005EE9005E2EE6CC2');
INSERT INTO "tail" VALUES(9,9,2,7949278234624,7949278234624,1,X'500100CB0100800001000000100000000900000080A0BEDEDACE038094EBDC0300FFFFFF03A0FB8203A0FB820386060824');
INSERT INTO "tail" VALUES(10,7,2,7949278234624,7949278234624,1,X'500100CB0100800001000000100000000500000080A0BEDEDACE038094EBDC0300FFFFFF03D841D8411EE13FE2');
INSERT INTO "tail" VALUES(11,1,2,7949316112384,7949316112384,1,X'500100CC0500800001000000100000000B0000000B00000004000000030000000A0000008080CB82DBCE0380C2D72F0CFFFFC0800080B5F6AC91178084C52E00C0B8A591A80280DAD3040400A63B04000004C0FADCCE1FE084EE01492FBE2F');
INSERT INTO "tail" VALUES(12,3,2,7949316112384,7949316112384,1,X'500100CC010080000100000010000000090000008080CE82DBCE038094EBDC0300FFFFFF03D2A2A210D2A2A210E6BE80DD');
INSERT INTO "tail" VALUES(13,5,2,7949316112384,7949316112384,1,X'500100CC010080000100000010000000090000008080CE82DBCE038094EBDC0300FFFFFF03889DD001889DD0015BB7B1EA');
INSERT INTO "tail" VALUES(14,1,2,7949332084736,7949774540800,10,X'500100CC050080000A0000002A000000180000001700000006000000040000001500000080ACF8DADACE0380C2D72F0301540339B879BD39BDB9BE79BEDB2C00300185E400016810339CE720554048C0E9E1C2911780D8A62FA08D060100000C0003F876B11848E0FDBC93A80280BCDD04904E0100000C0003F876B11804A619CC54FC040000FC4CA085CCCF1FC0D9F101904E01000008003EB8A4C09F7F17FC');
INSERT INTO "tail" VALUES(15,3,2,7949774540800,7949774540800,1,X'500100CC0100800001000000100000000900000080C0E6B7DECE038094EBDC0300FFFFFF03C6DA8826C6DA8826A0DF21AC');
INSERT INTO "tail" VALUES(16,5,2,7949774540800,7949774540800,1,X'500100CC0100800001000000100000000900000080C0E6B7DECE038094EBDC0300FFFFFF03D4A2E703D4A2E703F07D8ECB');
INSERT INTO "tail" VALUES(17,6,2,7949774540800,7949774540800,1,X'500100CC0100800001000000100000000700000080C0E6B7DECE038094EBDC0300FFFFFF03BA8D0ABA8D0A6885723A');
INSERT INTO "tail" VALUES(18,7,2,7949774540800,7949774540800,1,X'500100CC0100800001000000100000000700000080C0E6B7DECE038094EBDC0300FFFFFF03AC8101AC8101DEFF47C9');
INSERT INTO "tail" VALUES(19,1,2,7949829214208,7949838944256,5,X'500100CC05008000050000001E000000140000001300000006000000040000001100000080BCEC95DECE0380C2D72F030150DD613D625D6DEDF4600001F5DE80554058C0B9E8C59117A0918047D08603010000082F0458E085E493A80290E88C078827010000082F0404AC1ED259FC040000FC44A0D8DACF1FA0C6EA02904E01000000C075812192');
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
