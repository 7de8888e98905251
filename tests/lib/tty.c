/* SPDX-License-Identifier: BSD-2-Clause */
#include "tty.h"

#include "base/cleanup.h"
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROWS = 200, COLUMNS = 300, CHARACTER = 5, PARAMETERS = 8 };

struct cell {
	char text[CHARACTER]; /* UTF-8; "": a blank */
	bool reverse;
};

struct tty {
	int fd;
	pid_t pid;
	int rows, columns;
	struct cell cells[ROWS][COLUMNS], other[ROWS][COLUMNS]; /* the screen, and the one that is not shown */
	int y, x;
	bool wrap; /* the cursor stands behind the last column */
	int top, bottom;
	bool reverse, hidden, full_screen;
	int colours[2];   /* 0 for the terminal's own */
	char pending[64]; /* the beginning of a sequence */
	size_t n_pending;
	char last[CHARACTER];
	bool over; /* nobody writes any more */
};

/* ---- the program ---- */

struct tty *tty_run(const char *term, int rows, int columns, const char *const *argv)
{
	struct tty *t = xcalloc(1, sizeof(*t));
	struct winsize size = { .ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns };

	t->rows = rows;
	t->columns = columns;
	t->bottom = rows - 1;
	t->pid = forkpty(&t->fd, NULL, NULL, &size);
	ck_assert_int_ge(t->pid, 0);
	if (t->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setenv("TERM", term, 1);
		setenv("LC_ALL", "C.UTF-8", 1);
		unsetenv("COLUMNS");
		unsetenv("LINES");
		execv(argv[0], (char **)(uintptr_t)argv);
		_exit(127);
	}
	fcntl(t->fd, F_SETFL, O_NONBLOCK);
	fcntl(t->fd, F_SETFD, FD_CLOEXEC);
	return t;
}

void tty_free(struct tty *t)
{
	if (!t)
		return;
	if (t->pid) {
		kill(t->pid, SIGKILL);
		waitpid(t->pid, NULL, 0);
	}
	close(t->fd);
	free(t);
}

pid_t tty_pid(const struct tty *t)
{
	return t->pid;
}

void tty_type(struct tty *t, const char *keys)
{
	ck_assert_int_eq(write(t->fd, keys, strlen(keys)), (ssize_t)strlen(keys));
}

void tty_resize(struct tty *t, int rows, int columns)
{
	struct winsize size = { .ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns };

	tty_read(t);
	t->rows = rows;
	t->columns = columns;
	t->top = 0;
	t->bottom = rows - 1;
	t->y = t->y < rows ? t->y : rows - 1;
	t->x = t->x < columns ? t->x : columns - 1;
	for (int y = 0; y < ROWS; y++)
		for (int x = 0; x < COLUMNS; x++)
			t->cells[y][x] = (struct cell){ .text = "#" };
	ck_assert_int_eq(ioctl(t->fd, TIOCSWINSZ, &size), 0);
}

bool tty_is_cooked(const struct tty *t)
{
	struct termios mode;

	ck_assert_int_eq(tcgetattr(t->fd, &mode), 0);
	return (mode.c_lflag & (ICANON | ECHO | ISIG)) == (ICANON | ECHO | ISIG) && (mode.c_iflag & ICRNL) &&
	       (mode.c_oflag & ONLCR);
}

/* ---- the screen ---- */

static void blank(struct tty *t, int y, int from, int to)
{
	for (int x = from; x < to; x++)
		t->cells[y][x] = (struct cell){ .reverse = t->reverse };
}

/* The lines from TOP on move by N, up if it is positive. */
static void scroll(struct tty *t, int top, int n)
{
	int height = t->bottom - top + 1, by = n < 0 ? -n : n;

	by = by > height ? height : by;
	if (n > 0)
		memmove(t->cells[top], t->cells[top + by], (size_t)(height - by) * sizeof(t->cells[0]));
	else
		memmove(t->cells[top + by], t->cells[top], (size_t)(height - by) * sizeof(t->cells[0]));
	for (int i = 0; i < by; i++)
		blank(t, n > 0 ? t->bottom - i : top + i, 0, t->columns);
}

static void feed_line(struct tty *t)
{
	if (t->y == t->bottom)
		scroll(t, t->top, 1);
	else if (t->y < t->rows - 1)
		t->y++;
}

static void put(struct tty *t, const char *text, size_t n)
{
	ck_assert_msg(!t->colours[0] || t->colours[0] != t->colours[1], "text in the colour of what is behind it");
	if (t->wrap) {
		t->x = 0;
		feed_line(t);
	}
	memset(t->last, 0, sizeof(t->last));
	memcpy(t->last, text, n);
	memcpy(t->cells[t->y][t->x].text, t->last, sizeof(t->last));
	t->cells[t->y][t->x].reverse = t->reverse;
	t->wrap = t->x == t->columns - 1;
	t->x += !t->wrap;
}

static void go(struct tty *t, int y, int x)
{
	t->y = y < 0 ? 0 : y >= t->rows ? t->rows - 1 : y;
	t->x = x < 0 ? 0 : x >= t->columns ? t->columns - 1 : x;
	t->wrap = false;
}

static void shift(struct tty *t, int n)
{
	struct cell *row = t->cells[t->y];
	int room = t->columns - t->x, by = (n < 0 ? -n : n) > room ? room : n < 0 ? -n : n;

	if (n > 0)
		memmove(row + t->x + by, row + t->x, (size_t)(room - by) * sizeof(*row));
	else
		memmove(row + t->x, row + t->x + by, (size_t)(room - by) * sizeof(*row));
	blank(t, t->y, n > 0 ? t->x : t->columns - by, n > 0 ? t->x + by : t->columns);
}

static void set_attributes(struct tty *t, const int *p, int n)
{
	for (int i = 0; i < n || i == 0; i++) {
		if (n == 0 || p[i] == 0 || p[i] == 27)
			t->reverse = false;
		else if (p[i] == 7)
			t->reverse = true;
		if (n == 0 || p[i] == 0 || p[i] == 39)
			t->colours[0] = 0;
		if (n == 0 || p[i] == 0 || p[i] == 49)
			t->colours[1] = 0;
		if (n && p[i] >= 30 && p[i] <= 37)
			t->colours[0] = p[i] - 29;
		if (n && p[i] >= 40 && p[i] <= 47)
			t->colours[1] = p[i] - 39;
	}
}

static void switch_screens(struct tty *t, bool full)
{
	struct cell *mine = t->cells[0], *other = t->other[0];

	ck_assert(full != t->full_screen);
	for (size_t i = 0; i < (size_t)ROWS * COLUMNS; i++) {
		struct cell c = mine[i];

		mine[i] = other[i];
		other[i] = c;
	}
	t->full_screen = full;
}

static void set_mode(struct tty *t, const int *p, int n, bool on)
{
	for (int i = 0; i < n; i++) {
		if (p[i] == 1049)
			switch_screens(t, on);
		else if (p[i] == 25)
			t->hidden = !on;
	}
}

static void erase(struct tty *t, char what, int how)
{
	int first = how == 0 ? t->x : 0, last = how == 1 ? t->x + 1 : t->columns;

	ck_assert_int_le(how, 2);
	blank(t, t->y, first, last);
	for (int y = 0; what == 'J' && y < t->rows; y++)
		if ((how != 1 && y > t->y) || (how != 0 && y < t->y))
			blank(t, y, 0, t->columns);
}

/* ESC [ MARK P... FINAL */
static void control(struct tty *t, char mark, const int *p, int n, char final)
{
	int first = n > 0 && p[0] > 0 ? p[0] : 1, second = n > 1 && p[1] > 0 ? p[1] : 1;

	switch (final) {
	case 'H':
		go(t, first - 1, second - 1);
		break;
	case 'A':
	case 'B':
		go(t, t->y + (final == 'A' ? -first : first), t->x);
		break;
	case 'C':
	case 'D':
		go(t, t->y, t->x + (final == 'D' ? -first : first));
		break;
	case 'G':
		go(t, t->y, first - 1);
		break;
	case 'd':
		go(t, first - 1, t->x);
		break;
	case 'J':
	case 'K':
		erase(t, final, n > 0 ? p[0] : 0);
		break;
	case 'X':
		blank(t, t->y, t->x, t->x + first < t->columns ? t->x + first : t->columns);
		break;
	case '@':
	case 'P':
		shift(t, final == '@' ? first : -first);
		break;
	case 'L':
	case 'M':
		scroll(t, t->y, final == 'M' ? first : -first);
		break;
	case 'S':
	case 'T':
		scroll(t, t->top, final == 'S' ? first : -first);
		break;
	case 'b':
		for (int i = 0; i < first; i++)
			put(t, t->last, strlen(t->last));
		break;
	case 'r':
		t->top = first - 1;
		t->bottom = n > 1 && p[1] > 0 ? p[1] - 1 : t->rows - 1;
		go(t, 0, 0);
		break;
	case 'm':
		set_attributes(t, p, n);
		break;
	case 'h':
	case 'l':
		if (mark == '?')
			set_mode(t, p, n, final == 'h');
		break;
	case 't': /* the window's title is kept */
	case 'n': /* a shell asks where the cursor is, and can do without */
	case '[': /* a guest's kernel wrote "[   12.345678] " into what its shell was writing */
		break;
	default:
		ck_abort_msg("ESC [ %.*s0x%02x is not known here", mark ? 1 : 0, &mark, (unsigned) final);
	}
}

/* How many of the LEN bytes were taken; 0: more have to come. */
static size_t take_sequence(struct tty *t, const char *s, size_t len)
{
	int p[PARAMETERS] = { 0 }, n = 0;
	size_t i = 2;
	char mark = 0;

	if (len < 2)
		return 0;
	if (s[1] == 'M' || s[1] == '=' || s[1] == '>') {
		if (s[1] == 'M' && t->y == t->top)
			scroll(t, t->top, -1);
		else if (s[1] == 'M')
			go(t, t->y - 1, t->x);
		return 2;
	}
	if (s[1] == '(') /* which character set */
		return len < 3 ? 0 : 3;
	ck_assert_msg(s[1] == '[', "ESC 0x%02x is not known here", (unsigned)s[1]);
	if (i < len && s[i] == '?')
		mark = s[i++];
	for (; i < len && (s[i] == ';' || (s[i] >= '0' && s[i] <= '9')); i++) {
		n = n ? n : 1;
		if (s[i] == ';')
			n++;
		else
			p[n - 1] = p[n - 1] * 10 + s[i] - '0';
		ck_assert_int_le(n, PARAMETERS);
	}
	if (i == len)
		return 0;
	control(t, mark, p, n, s[i]);
	return i + 1;
}

static size_t take_one(struct tty *t, const char *s, size_t len)
{
	unsigned char lo, hi, c = (unsigned char)*s;
	size_t more = c >= 0x80 ? json_utf8_lead(c, &lo, &hi) : 0;

	if (c == '\033')
		return take_sequence(t, s, len);
	if (c == '\r')
		go(t, t->y, 0);
	else if (c == '\n')
		feed_line(t);
	else if (c == '\b')
		go(t, t->y, t->x - 1);
	else if (c == '\t')
		go(t, t->y, (t->x / 8 + 1) * 8);
	else if (c != '\a' && c != '\016' && c != '\017') {
		ck_assert_msg(c >= 0x20 && c != 0x7f && (c < 0x80 || more), "a byte 0x%02x is drawn", (unsigned)c);
		if (len < more + 1)
			return 0;
		put(t, s, more + 1);
	}
	return more + 1;
}

static void draw(struct tty *t, const char *data, size_t len)
{
	size_t n = t->n_pending + len, at = 0;
	_cleanup_free_ char *all = xcalloc(n + 1, 1);

	memcpy(all, t->pending, t->n_pending);
	memcpy(all + t->n_pending, data, len);
	while (at < n) {
		size_t took = take_one(t, all + at, n - at);

		if (!took)
			break;
		at += took;
	}
	ck_assert_uint_le(n - at, sizeof(t->pending));
	memcpy(t->pending, all + at, n - at);
	t->n_pending = n - at;
}

/* ---- waiting ---- */

size_t tty_read(struct tty *t)
{
	char data[4096];
	size_t sum = 0;
	ssize_t n;

	while ((n = read(t->fd, data, sizeof(data))) > 0) {
		draw(t, data, (size_t)n);
		sum += (size_t)n;
	}
	t->over |= n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
	return sum;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void tty_await(struct tty *t, bool (*fn)(struct tty *t, const void *data), const void *data, const char *what)
{
	int64_t end = now_ms() + RIG_DEADLINE_MS;

	for (tty_read(t); !fn(t, data); tty_read(t)) {
		struct pollfd p = { .fd = t->fd, .events = POLLIN };

		if (t->over || now_ms() >= end) {
			_cleanup_free_ char *text = tty_text(t);

			ck_abort_msg("%s: not %s\n%s", t->over ? "it ended" : "in time", what, text);
		}
		poll(&p, 1, 100);
	}
}

static bool has_text(struct tty *t, const void *text)
{
	return tty_find(t, text) >= 0;
}

static bool has_no_text(struct tty *t, const void *text)
{
	return tty_find(t, text) < 0;
}

void tty_await_text(struct tty *t, const char *text)
{
	tty_await(t, has_text, text, text);
}

void tty_await_no_text(struct tty *t, const char *text)
{
	tty_await(t, has_no_text, text, text);
}

static bool is_over(struct tty *t, const void *data)
{
	return t->over;
}

int tty_end(struct tty *t)
{
	int64_t end = now_ms() + RIG_DEADLINE_MS;
	int status;

	while (waitpid(t->pid, &status, WNOHANG) == 0) {
		struct pollfd p = { .fd = t->fd, .events = t->over ? 0 : POLLIN };

		ck_assert_msg(now_ms() < end, "it does not end");
		tty_read(t);
		poll(&p, 1, 10);
	}
	t->pid = 0;
	tty_await(t, is_over, NULL, "the end");
	return status;
}

/* ---- looking ---- */

char *tty_line(const struct tty *t, int row)
{
	char *text = xcalloc((size_t)t->columns * CHARACTER + 1, 1), *end = text, *p = text;

	for (int x = 0; x < t->columns; x++) {
		const char *cell = t->cells[row][x].text;

		p = stpcpy(p, *cell ? cell : " ");
		if (*cell && *cell != ' ')
			end = p;
	}
	*end = '\0';
	return text;
}

char *tty_text(const struct tty *t)
{
	char *text = xstrdup("");

	for (int y = 0; y < t->rows; y++) {
		_cleanup_free_ char *line = tty_line(t, y), *before = text;

		text = xasprintf("%s%s\n", before, line);
	}
	return text;
}

int tty_find(const struct tty *t, const char *text)
{
	for (int y = 0; y < t->rows; y++) {
		_cleanup_free_ char *line = tty_line(t, y);

		if (strstr(line, text))
			return y;
	}
	return -1;
}

bool tty_is_reverse(const struct tty *t, int row)
{
	return t->cells[row][0].reverse && t->cells[row][t->columns - 1].reverse;
}

bool tty_shows_cursor(const struct tty *t)
{
	return !t->hidden;
}

bool tty_is_full_screen(const struct tty *t)
{
	return t->full_screen;
}
