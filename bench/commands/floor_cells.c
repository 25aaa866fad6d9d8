/* SPDX-License-Identifier: MIT */
/* vestry-bench floor --cells: the minimum work of a server of the board of vestry-bench cells. It commits the same
 * statements with the same SQLite, durably and before the answer, and sends the same HTML to the same streams. But the
 * HTML of a part that a stream has received stays in memory, and a change moves a few bytes in it: nothing is queried,
 * rendered or compared. With --encoding br, a changed part is encoded once for all its streams, by libbrotlienc at the
 * quality that takes the least time. */
#include <brotli/encode.h>
#include <inttypes.h>
#include <sqlite3.h>
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
  BOX_BYTES = 100,
  PART_BYTES = PART * PART * BOX_BYTES + HEAD_BYTES, /* of an event of a part */
  WINDOW_BYTES = HEAD_BYTES + SHOWN * SHOWN * (PART_BYTES + CLAIM_BYTES),
  QUALITY = 1,
  WINDOW_BITS = 18,
  ROOM_BYTES = 1 << 20 /* of a socket, for a whole window */
};

#define TAG_OF_PAGE "11111111111111111111111111111111.00000000"
#define TAG_OF_PART "00000000000000000000000000000000.00000000"
static const char checked[] = " checked";

typedef struct part {
  char *html; /* NULL: no stream has received it yet, and all its boxes are empty */
  size_t len;
  uint64_t version;
  int *streams; /* descriptors */
  size_t count, room;
} part;

static struct {
  part parts[PARTS * PARTS];
  bool is_stream[DESCRIPTORS]; /* by descriptor */
  uint16_t first[DESCRIPTORS]; /* of a stream: the part at the upper left of its window */
  bool is_encoded;
  uint64_t changes_count;
  sqlite3 *db;
  sqlite3_stmt *add, *remove;
  char *text, *buffer; /* a window's events, and the same with heads, encoded or not */
} cells;

static bool open_database(const char *file) {
  static const char begin[] =
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
      "CREATE TABLE IF NOT EXISTS tick(part INT, box INT, PRIMARY KEY(part, box)) WITHOUT ROWID";
  static const char add[] = "INSERT INTO tick(part, box) VALUES(?, ?) ON CONFLICT DO NOTHING";
  static const char remove[] = "DELETE FROM tick WHERE part = ? AND box = ?";
  return !sqlite3_open(file, &cells.db) && !sqlite3_exec(cells.db, begin, NULL, NULL, NULL) &&
         !sqlite3_prepare_v2(cells.db, add, -1, &cells.add, NULL) &&
         !sqlite3_prepare_v2(cells.db, remove, -1, &cells.remove, NULL);
}

bool floor_cells_begin(bool is_encoded, const char *file) {
  cells.is_encoded = is_encoded;
  cells.text = malloc(WINDOW_BYTES);
  cells.buffer = malloc(HEAD_BYTES + 2 * WINDOW_BYTES);
  if (cells.text && cells.buffer && open_database(file)) return true;
  fprintf(stderr, "vestry-bench: floor: %s: %s\n", file, sqlite3_errmsg(cells.db));
  return false;
}

/* ---- parts ------------------------------------------------------------------------------------------------------- */

static uint32_t part_of_window(uint32_t first, int index) {
  return first + (uint32_t)(index / SHOWN * PARTS + index % SHOWN);
}

static int window_first(int place) {
  const int first = place > 1 ? place - 1 : 0;
  return first > PARTS - SHOWN ? PARTS - SHOWN : first;
}

/* Return a part with its HTML, as the example renders it. */
static part *find_part(uint32_t number) {
  part *p = &cells.parts[number];
  if (p->html) return p;
  p->html = malloc(PART_BYTES);
  if (!p->html) abort();
  for (uint32_t box = 0; box < PART * PART; box++) {
    const uint32_t row = number / PARTS * PART + box / PART, column = number % PARTS * PART + box % PART;
    p->len += (size_t)sprintf(p->html + p->len,
                              "<input type=\"checkbox\" tabindex=\"-1\" value=\"%" PRIu32 "\" aria-label=\"%" PRIu32
                              ", %" PRIu32 "\">",
                              row * SIDE + column, row + 1, column + 1);
  }
  return p;
}

/* Set a box in the HTML of a part. */
static void set_box(part *p, uint32_t box, bool to) {
  char *end = p->html - 1;
  for (uint32_t i = 0; i <= box; i++) end = strchr(end + 1, '>');
  const size_t rest = p->len - (size_t)(end - p->html), mark_len = sizeof checked - 1;
  if (to == (memcmp(end - mark_len, checked, mark_len) == 0)) return;
  memmove(to ? end + mark_len : end - mark_len, end, rest);
  if (to) memcpy(end, checked, mark_len);
  p->len += to ? mark_len : -mark_len;
  p->html[p->len] = '\0';
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

static size_t put_event(char *to, uint32_t number) {
  char claim[CLAIM_BYTES];
  const part *p = find_part(number);
  write_claim(number, claim);
  size_t len = (size_t)sprintf(to,
                               "event: datastar-patch-elements\ndata: selector #part-%" PRIu32
                               "\ndata: mode inner\ndata: has " TAG_OF_PART "%s\ndata: elements ",
                               number, claim);
  memcpy(to + len, p->html, p->len);
  len += p->len;
  memcpy(to + len, "\n\n", 2);
  return len + 2;
}

/* Encode a text, so that it can follow any text encoded before: qualities 0 and 1 never refer to earlier texts. */
static size_t encode(const char *text, size_t len, bool is_first, char *to) {
  BrotliEncoderState *encoder = BrotliEncoderCreateInstance(NULL, NULL, NULL);
  const uint8_t *from = (const uint8_t *)text;
  uint8_t *into = (uint8_t *)to;
  size_t room = WINDOW_BYTES;
  const bool is_done = encoder && BrotliEncoderSetParameter(encoder, BROTLI_PARAM_QUALITY, QUALITY) &&
                       BrotliEncoderSetParameter(encoder, BROTLI_PARAM_LGWIN, WINDOW_BITS) &&
                       (is_first || BrotliEncoderSetParameter(encoder, BROTLI_PARAM_STREAM_OFFSET, 1 << WINDOW_BITS)) &&
                       BrotliEncoderCompressStream(encoder, BROTLI_OPERATION_FLUSH, &len, &from, &room, &into, NULL) &&
                       !len;
  if (!is_done) abort();
  BrotliEncoderDestroyInstance(encoder);
  return WINDOW_BYTES - room;
}

/* Make a chunk of a text of a stream, in the buffer. before: stands before the chunk. Returns its beginning. */
static char *put_chunk(const char *text, size_t len, bool is_first, const char *before, size_t *ret_len) {
  char *const body = cells.buffer + HEAD_BYTES, head[HEAD_BYTES];
  if (cells.is_encoded)
    len = encode(text, len, is_first, body);
  else
    memcpy(body, text, len);
  const int head_len = snprintf(head, sizeof head, "%s%zx\r\n", before, len);
  memcpy(body - head_len, head, (size_t)head_len);
  memcpy(body + len, "\r\n", 2);
  *ret_len = (size_t)head_len + len + 2;
  return body - head_len;
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
  char *to = cells.text, claim[CLAIM_BYTES];
  size_t len = (size_t)sprintf(to, "<!doctype html><script>el.had = '" TAG_OF_PAGE);
  for (int index = 0; index < SHOWN * SHOWN; index++) {
    write_claim(part_of_window(first, index), claim);
    len += (size_t)sprintf(to + len, "%s", claim);
  }
  len += (size_t)sprintf(to + len, "'</script>\n");
  for (int index = 0; index < SHOWN * SHOWN; index++) {
    const part *p = find_part(part_of_window(first, index));
    memcpy(to + len, p->html, p->len);
    len += p->len;
  }
  return answer_text(fd, to, len);
}

/* Send what the viewer keeps, and the other parts of its window. */
static bool answer_stream(int fd, const char *request, uint32_t first) {
  static const char *const heads[] = {
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
      "Transfer-Encoding: chunked\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
      "Content-Encoding: br\r\nTransfer-Encoding: chunked\r\n\r\n"};
  const char *has = strstr(request, "\r\nLast-Event-ID: "), *has_end = has ? strstr(has + 2, "\r\n") : NULL;
  char *const to = cells.text, claim[CLAIM_BYTES];
  bool is_had[SHOWN * SHOWN] = {false};
  size_t len = (size_t)sprintf(to, "event: datastar-patch-elements\ndata: has " TAG_OF_PAGE);
  for (int index = 0; index < SHOWN * SHOWN; index++) {
    const uint32_t number = part_of_window(first, index);
    write_claim(number, claim);
    is_had[index] = has_end && memmem(has, (size_t)(has_end - has), claim, sizeof claim - 1);
    if (is_had[index]) len += (size_t)sprintf(to + len, "%s", claim);
    join(fd, number);
  }
  cells.is_stream[fd] = true;
  cells.first[fd] = (uint16_t)first;
  len += (size_t)sprintf(to + len, "\n\n");
  for (int index = 0; index < SHOWN * SHOWN; index++)
    if (!is_had[index]) len += put_event(to + len, part_of_window(first, index));
  size_t chunk_len;
  const char *chunk = put_chunk(to, len, true, heads[cells.is_encoded], &chunk_len);
  return write_all(fd, chunk, chunk_len);
}

/* Commit a change: the statement is a transaction by itself. */
static bool commit(uint32_t number, uint32_t box, bool to) {
  sqlite3_stmt *statement = to ? cells.add : cells.remove;
  sqlite3_bind_int64(statement, 1, number);
  sqlite3_bind_int64(statement, 2, box);
  const bool is_done = sqlite3_step(statement) == SQLITE_DONE;
  return sqlite3_reset(statement) == SQLITE_OK && is_done;
}

static bool change(struct floor_server *s, int fd, uint32_t box, bool to) {
  static const char done[] = "HTTP/1.1 204 No Content\r\n\r\n";
  const uint32_t row = box / SIDE, column = box % SIDE, number = row / PART * PARTS + column / PART;
  const uint32_t at = row % PART * PART + column % PART;
  part *p = find_part(number);
  if (!commit(number, at, to) || !write_all(fd, done, sizeof done - 1)) return false;
  set_box(p, at, to);
  p->version++;
  cells.changes_count++;
  size_t len;
  const char *chunk = put_chunk(cells.text, put_event(cells.text, number), false, "", &len);
  floor_send(s, p->streams, p->count, chunk, len);
  return true;
}

bool floor_cells_answer(struct floor_server *s, int fd, const char *request) {
  char text[HEAD_BYTES];
  uint32_t box;
  int to, row, column, room_bytes = ROOM_BYTES;
  if (sscanf(request, "POST /box/%" SCNu32 "/%d ", &box, &to) == 2)
    return box < SIDE * SIDE && change(s, fd, box, to != 0);
  if (strncmp(request, "GET /stats ", 11) == 0)
    return answer_text(fd, text, (size_t)sprintf(text, "{\"renders\": %" PRIu64 "}", cells.changes_count));
  if (sscanf(request, "GET /?at=%d.%d ", &row, &column) != 2) return false;
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room_bytes, sizeof room_bytes)) return false;
  const uint32_t first = (uint32_t)(window_first(row) * PARTS + window_first(column));
  return strstr(request, "\r\nDatastar-Request: ") ? answer_stream(fd, request, first) : answer_document(fd, first);
}
