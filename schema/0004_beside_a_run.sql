-- What explains a run's power: temperatures, clocks, limits and throttling beside it, kept with the run so
-- that they outlive the samples. Units as in 0001.

-- Writer: queue, with the figures. One row per companion channel that had a reading in the window.
CREATE TABLE run_companion(
    run INTEGER NOT NULL REFERENCES run(id),
    channel INTEGER NOT NULL REFERENCES channel(id),
    samples INTEGER NOT NULL,        -- valid readings inside the window
    min INTEGER,                     -- in the channel's unit; NULL for bit masks
    mean INTEGER,                    -- over the time that is known
    max INTEGER,
    first INTEGER,                   -- counters of events: reading at the window's two ends
    last INTEGER,
    limited_ns INTEGER,              -- bit masks: time in which a bit that limits was set; NULL = no mask
    known_ns INTEGER NOT NULL,       -- time of the window in which a reading held
    PRIMARY KEY(run, channel)
) STRICT, WITHOUT ROWID;
