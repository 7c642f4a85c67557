/* wattq: talks to wattqd. argv -> command -> exit code; everything else is in client_core. */
#include <locale.h>
#include <signal.h>

#include "client/cmd.h"

int main(int argc, char **argv)
{
    (void)setlocale(LC_CTYPE, "");  /* only to know whether the terminal speaks UTF-8 */
    (void)signal(SIGPIPE, SIG_IGN); /* a daemon that goes away is an error, not our death */
    return cmd_main(argc, argv);
}
