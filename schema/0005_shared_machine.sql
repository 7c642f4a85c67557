-- A machine that many people share. Units as in 0001.

-- Under which warrant wattq-launcher starts it (common/warrant.h): the name of its file in <state>/warrants.
-- NULL = user mode, an imported run, or one older than this column. Writer: queue.
ALTER TABLE run ADD COLUMN warrant TEXT;
