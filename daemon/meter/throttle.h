/* Why a clock is held down: the bits of a companion whose unit is "mask". They are NVML's own, as the first
 * that had a mask; a source whose device counts its reasons otherwise translates them, so that whoever sums
 * up a run (energy/companions.h) needs to know no maker. A bit without a counterpart here is left out.
 * source: NVML API reference, nvmlClocksEventReasons. Pure; any thread. */
#ifndef DAEMON_METER_THROTTLE_H
#define DAEMON_METER_THROTTLE_H

#define THROTTLE_IDLE        0x1   /* nothing to do: no limit */
#define THROTTLE_SET_CLOCKS  0x2   /* somebody set the clocks: no limit either */
#define THROTTLE_POWER_CAP   0x4   /* at the power limit in force */
#define THROTTLE_HW_SLOWDOWN 0x8   /* hardware: heat, power brake or too fast a draw */
#define THROTTLE_SYNC_BOOST  0x10  /* held to the clock of a group of devices */
#define THROTTLE_SW_HEAT     0x20  /* the driver, because of a temperature */
#define THROTTLE_HW_HEAT     0x40  /* the hardware, because of a temperature */
#define THROTTLE_POWER_BRAKE 0x80  /* the supply or the board told it to */
#define THROTTLE_DISPLAY     0x100 /* the display's clock */

/* The device was held back to protect it or its supply. */
#define THROTTLE_LIMITED                                                                           \
    (THROTTLE_HW_SLOWDOWN | THROTTLE_SW_HEAT | THROTTLE_HW_HEAT | THROTTLE_POWER_BRAKE)

#endif
