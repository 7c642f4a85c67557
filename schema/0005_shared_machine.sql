-- A machine that many people share. Units as in 0001.

-- Under which warrant wattq-launcher starts it (common/warrant.h): the name of its file in <state>/warrants.
-- NULL = user mode, an imported run, or one older than this column. Writer: queue.
ALTER TABLE run ADD COLUMN warrant TEXT;

-- Most memory that all processes of a run held at once, by its cgroup (memory.peak); maxrss_bytes is of the
-- largest of them. NULL = there was no memory controller, Linux before 5.19, or older than this column. Writer: queue.
ALTER TABLE run ADD COLUMN mem_peak_bytes INTEGER;

-- Where it stands among the waiting runs of its user and priority, once somebody has moved it (queue/turns.h: a run
-- that was not moved stands at 16777216 times its id). NULL = not moved. Writer: queue.
ALTER TABLE run ADD COLUMN place INTEGER;
