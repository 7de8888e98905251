/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/top_screen.h"

#include <curses.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>

enum { ESCAPE_MS = 25 }; /* a lone Escape is one when nothing has followed by then */

/* What the signal handler needs. */
static struct {
	SCREEN *screen;
	struct termios saved;
	char leave[256]; /* what is written to a terminal that has to be left at once */
	size_t len;
	volatile sig_atomic_t active;
} terminal;

/* ---- faults ---- */

static int keep_byte(int c)
{
	if (terminal.len < sizeof(terminal.leave))
		terminal.leave[terminal.len++] = (char)c;
	return c;
}

/* Its words for: cursor visible, no attributes, keypad off, the former screen. */
static void prepare_to_fall(void)
{
	static const char *const names[] = { "cnorm", "sgr0", "rmkx", "rmcup" };

	terminal.len = 0;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char *text = tigetstr(names[i]);

		if (text && text != (char *)-1)
			tputs(text, 1, keep_byte);
	}
}

static void on_fault(int signum)
{
	if (terminal.active) {
		terminal.active = 0;
		if (write(STDOUT_FILENO, terminal.leave, terminal.len) >= 0)
			tcsetattr(STDIN_FILENO, TCSANOW, &terminal.saved);
	}
	raise(signum); /* SA_RESETHAND: this time it ends us, as soon as this returns */
}

static void handle_faults(void)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS };
	struct sigaction action = { .sa_handler = on_fault, .sa_flags = SA_RESETHAND };

	for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
		sigaction(faults[i], &action, NULL);
}

/* ---- looks ---- */

/* The number of a style is that of its pair of colours. */
static const struct {
	attr_t attributes;
	short colour; /* 0: the terminal's own */
} looks[] = {
	[STYLE_NONE] = { A_NORMAL, 0 },           [STYLE_TITLE] = { A_BOLD, 0 },
	[STYLE_GOOD] = { A_NORMAL, COLOR_GREEN }, [STYLE_WARN] = { A_NORMAL, COLOR_YELLOW },
	[STYLE_BAD] = { A_BOLD, COLOR_RED },      [STYLE_DIM] = { A_DIM, 0 },
};

/* ---- open, close ---- */

static bool can_place_cursor(void)
{
	int status;
	const char *cup;
	bool can;

	if (setupterm(NULL, STDOUT_FILENO, &status) == ERR)
		return false;
	cup = tigetstr("cup");
	can = cup && cup != (char *)-1;
	del_curterm(cur_term); /* newterm() makes one of its own */
	return can;
}

static void set_colours(void)
{
	start_color();
	use_default_colors();
	for (size_t i = 0; i < ARRAY_SIZE(looks); i++)
		if (looks[i].colour)
			init_pair((short)i, looks[i].colour, -1);
}

bool top_screen_open(bool colour, struct err **e)
{
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || !can_place_cursor() ||
	    tcgetattr(STDIN_FILENO, &terminal.saved) < 0)
		return err_set(e, ERR_UNSUPPORTED, "this needs a terminal that can place its cursor");
	use_tioctl(TRUE); /* COLUMNS and LINES are from when the shell last looked */
	terminal.screen = newterm(NULL, stdout, stdin);
	if (!terminal.screen)
		return err_set(e, ERR_UNSUPPORTED, "the terminal cannot be set up");
	prepare_to_fall();
	handle_faults();
	terminal.active = 1;
	set_escdelay(ESCAPE_MS);
	cbreak();
	noecho();
	nonl();
	curs_set(0);
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	if (colour && has_colors())
		set_colours();
	return true;
}

void top_screen_leave(void)
{
	endwin();
	terminal.active = 0;
}

void top_screen_close(void)
{
	if (!terminal.screen)
		return;
	top_screen_leave();
	delscreen(terminal.screen);
	terminal.screen = NULL;
}

/* ---- size ---- */

void top_screen_resize(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0)
		resize_term(size.ws_row, size.ws_col);
	clearok(curscr, TRUE); /* what a terminal keeps of its contents differs */
}

void top_screen_size(size_t *height, size_t *width)
{
	*height = (size_t)getmaxy(stdscr);
	*width = (size_t)getmaxx(stdscr);
}

/* ---- drawing ---- */

void top_screen_draw(const struct top_line *page)
{
	size_t height, width;

	terminal.active = 1;
	top_screen_size(&height, &width);
	erase();
	for (size_t i = 0; i < height; i++) {
		enum style style = page[i].style;

		if (!page[i].text)
			continue;
		mvaddnstr((int)i, 0, page[i].text, -1);
		mvchgat((int)i, 0, -1, looks[style].attributes | (page[i].selected ? A_REVERSE : A_NORMAL),
			looks[style].colour ? (short)style : 0, NULL);
	}
	refresh();
}

/* ---- keys ---- */

int top_screen_key(void)
{
	static const struct {
		int curses, key;
	} keys[] = { { ERR, TOP_KEY_NONE },
		     { KEY_UP, TOP_KEY_UP },
		     { KEY_DOWN, TOP_KEY_DOWN },
		     { KEY_ENTER, '\r' },
		     { '\n', '\r' } };
	int c = getch();

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (keys[i].curses == c)
			return keys[i].key;
	return c < KEY_MIN ? c : TOP_KEY_OTHER;
}
