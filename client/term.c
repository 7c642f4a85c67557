#include "client/term.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static const char enter_screen[] = "\033[?1049h\033[?25l\033[2J";
static const char leave_screen[] = "\033[?25h\033[?1049l";

/* Signal handlers and atexit take no argument: this is the one place of the client that needs a global. */
static struct {
    struct termios old;
    volatile sig_atomic_t entered;
    volatile sig_atomic_t ended;
} term;

/* Only async-signal-safe calls. */
void term_leave(void)
{
    if (!term.entered)
        return;
    term.entered = 0;
    ssize_t ignored = write(1, leave_screen, sizeof leave_screen - 1);
    (void)ignored;
    (void)tcsetattr(0, TCSADRAIN, &term.old);
}

static void on_end(int sig)
{
    (void)sig;
    term.ended = 1;
}

/* A crash must not leave the shell without an echo. SA_RESETHAND: the second time it is fatal. */
static void on_crash(int sig)
{
    term_leave();
    (void)raise(sig);
}

static void catch_signals(void)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
    struct sigaction end = {.sa_handler = on_end};
    struct sigaction crash = {.sa_handler = on_crash, .sa_flags = (int)SA_RESETHAND | SA_NODEFER};
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        (void)sigaction(ends[i], &end, NULL);
    for (size_t i = 0; i < ARRAY_LEN(crashes); i++)
        (void)sigaction(crashes[i], &crash, NULL);
    struct sigaction stop = {.sa_handler =
                                 SIG_IGN}; /* a stopped client would leave the screen behind */
    (void)sigaction(SIGTSTP, &stop, NULL);
}

int term_enter(struct err *e)
{
    if (tcgetattr(0, &term.old) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot use this terminal");
    struct termios raw = term.old;
    raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    catch_signals();
    (void)atexit(term_leave);
    term.entered = 1;
    if (tcsetattr(0, TCSADRAIN, &raw) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot use this terminal");
    ssize_t ignored = write(1, enter_screen, sizeof enter_screen - 1);
    (void)ignored;
    return 0;
}

bool term_ended(void)
{
    return term.ended != 0;
}

int term_key(void)
{
    char c = 0;
    return read(0, &c, 1) == 1 ? (unsigned char)c : 0;
}

void term_size(int *columns, int *lines)
{
    struct winsize size = {0};
    bool known = ioctl(1, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0;
    *columns = known ? size.ws_col : 80;
    *lines = known ? size.ws_row : 24;
}
