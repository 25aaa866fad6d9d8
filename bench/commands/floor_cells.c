/* SPDX-License-Identifier: MIT */
/* vestry-bench floor --cells: the minimum work of a server of the board of vestry-bench cells. The boxes are bits in
 * memory, and a change is appended to a file and is on the disk before its answer. An event of a part consists of these
 * bits and of filling, so that it has as many bytes as the measured server's: nothing is rendered, compared or encoded.
 * A part is sent to the streams that show it, and a new stream receives the parts of its window that it lacks. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#include "floor.h"

enum {
  SIDE = 1000, /* boxes */
  PART = 10,
  PARTS = SIDE / PART,
  SHOWN = 4, /* parts of a window, in each direction */
  DESCRIPTORS = 1 << 16,
  HEAD_BYTES = 256,
  CLAIM_BYTES = 26,
  LINE_BYTES = 64
};

#define TAG_OF_PAGE "11111111111111111111111111111111.00000000"
#define TAG_OF_PART "00000000000000000000000000000000.00000000"

typedef struct part {
  uint64_t is_ticked[2], version;
  int *streams; /* descriptors */
  size_t count, room;
} part;

static struct {
  part parts[PARTS * PARTS];
  bool is_stream[DESCRIPTORS]; /* by descriptor */
  uint16_t first[DESCRIPTORS]; /* of a stream: the part at the upper left of its window */
  size_t part_bytes;
  uint64_t changes_count;
  int file;
  char *buffer;
} cells;

bool floor_cells_begin(size_t part_bytes, const char *file) {
  cells.part_bytes = part_bytes;
  cells.file = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  cells.buffer = malloc(HEAD_BYTES + (SHOWN * SHOWN + 1) * (part_bytes + LINE_BYTES + CLAIM_BYTES));
  return cells.file >= 0 && cells.buffer;
}

/* ---- parts ------------------------------------------------------------------------------------------------------- */

static uint32_t part_of_window(uint32_t first, int index) {
  return first + (uint32_t)(index / SHOWN * PARTS + index % SHOWN);
}

static int window_first(int place) {
  const int first = place > 1 ? place - 1 : 0;
  return first > PARTS - SHOWN ? PARTS - SHOWN : first;
}

static void join(int fd, uint32_t number) {
  part *p = &cells.parts[number];
  if (p->count == p->room) {
    p->room = 2 * p->room + 4;
    p->streams = realloc(p->streams, p->room * sizeof *p->streams);
    if (!p->streams) abort();
  }
  p->streams[p->count++] = fd;
}

void floor_cells_drop(int fd) {
  for (int index = 0; index < SHOWN * SHOWN && cells.is_stream[fd]; index++) {
    part *p = &cells.parts[part_of_window(cells.first[fd], index)];
    size_t at = 0;
    while (p->streams[at] != fd) at++;
    p->streams[at] = p->streams[--p->count];
  }
  cells.is_stream[fd] = false;
}

/* A claim to have a part, as vestry-bench cells keeps it: name and content. */
static void write_claim(uint32_t number, char claim[CLAIM_BYTES]) {
  snprintf(claim, CLAIM_BYTES, "~%08" PRIx32 "%016" PRIx64, number, cells.parts[number].version);
}

static size_t put_line(char *to, uint32_t number) {
  const uint64_t *bits = cells.parts[number].is_ticked;
  return (size_t)sprintf(to, "data: part %04" PRIu32 " %016" PRIx64 "%016" PRIx64, number, bits[0], bits[1]);
}

static size_t put_event(char *to, uint32_t number) {
  char claim[CLAIM_BYTES];
  write_claim(number, claim);
  size_t len = (size_t)sprintf(to, "event: datastar-patch-elements\ndata: has " TAG_OF_PART "%s\n", claim);
  len += put_line(to + len, number);
  to[len++] = ' ';
  if (len + 2 < cells.part_bytes) {
    memset(to + len, 'x', cells.part_bytes - len - 2);
    len = cells.part_bytes - 2;
  }
  memcpy(to + len, "\n\n", 2);
  return len + 2;
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static bool write_all(int fd, const char *data, size_t len) {
  return write(fd, data, len) == (ssize_t)len;
}

/* Returns false, so that the connection is closed: such requests are the last ones of their connections. */
static bool answer_text(int fd, const char *text, size_t len) {
  static const char head[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
  (void)(write_all(fd, head, sizeof head - 1) && write_all(fd, text, len));
  return false;
}

static bool answer_document(int fd, uint32_t first) {
  char *to = cells.buffer, claim[CLAIM_BYTES];
  size_t len = (size_t)sprintf(to, "<!doctype html><script>el.had = '" TAG_OF_PAGE);
  for (int index = 0; index < SHOWN * SHOWN; index++) {
    write_claim(part_of_window(first, index), claim);
    len += (size_t)sprintf(to + len, "%s", claim);
  }
  len += (size_t)sprintf(to + len, "'</script>\n");
  for (int index = 0; index < SHOWN * SHOWN; index++) {
    len += put_line(to + len, part_of_window(first, index));
    to[len++] = '\n';
  }
  return answer_text(fd, to, len);
}

/* Send what the viewer keeps, and the other parts of its window. */
static bool answer_stream(int fd, const char *request, uint32_t first) {
  const int room_bytes = 1 << 20; /* for a whole window */
  const char *has = strstr(request, "\r\nLast-Event-ID: "), *has_end = has ? strstr(has + 2, "\r\n") : NULL;
  char *const body = cells.buffer + HEAD_BYTES, head[HEAD_BYTES], claim[CLAIM_BYTES];
  bool is_had[SHOWN * SHOWN] = {false};
  size_t len = (size_t)sprintf(body, "event: datastar-patch-elements\ndata: has " TAG_OF_PAGE);
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room_bytes, sizeof room_bytes)) return false;
  for (int index = 0; index < SHOWN * SHOWN; index++) {
    const uint32_t number = part_of_window(first, index);
    write_claim(number, claim);
    is_had[index] = has_end && memmem(has, (size_t)(has_end - has), claim, sizeof claim - 1);
    if (is_had[index]) len += (size_t)sprintf(body + len, "%s", claim);
    join(fd, number);
  }
  cells.is_stream[fd] = true;
  cells.first[fd] = (uint16_t)first;
  len += (size_t)sprintf(body + len, "\n\n");
  for (int index = 0; index < SHOWN * SHOWN; index++)
    if (!is_had[index]) len += put_event(body + len, part_of_window(first, index));
  const int head_len = snprintf(head, sizeof head,
                                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
                                "Transfer-Encoding: chunked\r\n\r\n%zx\r\n",
                                len);
  memcpy(body - head_len, head, (size_t)head_len);
  memcpy(body + len, "\r\n", 2);
  return write_all(fd, body - head_len, (size_t)head_len + len + 2);
}

static bool change(struct floor_server *s, int fd, uint32_t box, bool to) {
  static const char done[] = "HTTP/1.1 204 No Content\r\n\r\n";
  const uint32_t row = box / SIDE, column = box % SIDE, number = row / PART * PARTS + column / PART;
  const uint32_t at = row % PART * PART + column % PART, entry[2] = {box, to};
  part *p = &cells.parts[number];
  p->is_ticked[at / 64] = (p->is_ticked[at / 64] & ~(UINT64_C(1) << at % 64)) | (uint64_t)to << at % 64;
  p->version++;
  cells.changes_count++;
  if (write(cells.file, entry, sizeof entry) != sizeof entry || fdatasync(cells.file)) return false;
  if (!write_all(fd, done, sizeof done - 1)) return false;
  char *const body = cells.buffer + HEAD_BYTES, head[HEAD_BYTES];
  const size_t len = put_event(body, number);
  const int head_len = snprintf(head, sizeof head, "%zx\r\n", len);
  memcpy(body - head_len, head, (size_t)head_len);
  memcpy(body + len, "\r\n", 2);
  floor_send(s, p->streams, p->count, body - head_len, (size_t)head_len + len + 2);
  return true;
}

bool floor_cells_answer(struct floor_server *s, int fd, const char *request) {
  char text[LINE_BYTES];
  uint32_t box;
  int to, row, column;
  if (sscanf(request, "POST /box/%" SCNu32 "/%d ", &box, &to) == 2)
    return box < SIDE * SIDE && change(s, fd, box, to != 0);
  if (strncmp(request, "GET /stats ", 11) == 0)
    return answer_text(fd, text, (size_t)sprintf(text, "{\"renders\": %" PRIu64 "}", cells.changes_count));
  if (sscanf(request, "GET /?at=%d.%d ", &row, &column) != 2) return false;
  const uint32_t first = (uint32_t)(window_first(row) * PARTS + window_first(column));
  return strstr(request, "\r\nDatastar-Request: ") ? answer_stream(fd, request, first) : answer_document(fd, first);
}
