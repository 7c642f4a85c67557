/* wattq: talks to wattqd. argv -> command -> exit code; everything else is in client_core. */
#include <locale.h>

#include "client/cmd.h"

int main(int argc, char **argv)
{
    (void)setlocale(LC_CTYPE, ""); /* only to know whether the terminal speaks UTF-8 */
    return cmd_main(argc, argv);
}
