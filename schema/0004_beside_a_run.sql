-- What explains a run's power: temperatures, clocks, limits and throttling beside it, kept with the run so
-- that they outlive the samples. Units as in 0001.

-- Writer: queue, with the figures. One row per companion channel of which a reading held in the window. A
-- reading holds until the next one (daemon/energy/companions.h). NULL = the channel is of another kind.
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

-- What a reader of a figure wants to know of how it was made. NULL = the row is older than these columns. Writer:
-- queue, with the figures.
ALTER TABLE energy ADD COLUMN version TEXT;          -- of the program that computed it
ALTER TABLE energy ADD COLUMN lag_ns INTEGER;        -- by this much later its curve was read at both edges; 0 = not moved; NULL also for totals
ALTER TABLE energy ADD COLUMN lag_basis TEXT;        -- 'declared','learned'; NULL = not moved
ALTER TABLE energy ADD COLUMN uncovered_uj INTEGER;  -- totals of one outer meter: what it saw beyond those inside it; NULL = not known
ALTER TABLE energy ADD COLUMN uncovered_beyond TEXT; -- their names

-- What part of what a GPU's processes did was not of the run that holds it, from when on: that part of the
-- meter's energy beyond idling is `foreign`. Writer: sampler, where it changed.
CREATE TABLE account_intruder(
    meter INTEGER NOT NULL REFERENCES channel(id),
    boot INTEGER NOT NULL REFERENCES boot(id),
    t_ns INTEGER NOT NULL,           -- spans that begin here or later
    others_ppm INTEGER NOT NULL,     -- of the multiprocessor time of all its processes
    PRIMARY KEY(meter, boot, t_ns)
) STRICT, WITHOUT ROWID;
