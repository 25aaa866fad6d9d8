/* SPDX-License-Identifier: MIT */
/* Print the content of WAL as lines: records MAJOR AT SEGMENT_BYTES PIECE < WAL. AT is the position of the first
 * byte, PIECE the number of bytes fed at once. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "data/postgres/record.h"

static const char *const touches[] = {"inserted", "changed", "entered", "moved"};

static vestry_err show(const vsi_postgres_record *record, void *ctx) {
  const vsi_postgres_format *format = ctx;
  vsi_postgres_touched touched[VSI_POSTGRES_TOUCHED_MAX];
  vsi_postgres_ended ended;
  size_t count;
  vestry_err error = vsi_postgres_touched_read(record, touched, &count);
  if (error) return error;
  printf("%" PRIX32 "/%08" PRIX32 " %u %" PRIu32, (uint32_t)(record->at >> 32), (uint32_t)record->at, record->manager,
         record->xid);
  for (unsigned i = 0; i < record->blocks_count; i++) {
    const vsi_postgres_block *block = &record->blocks[i];
    if (block->is_there)
      printf(" %u:%" PRIu32 "/%" PRIu32 "/%u/%" PRIu32, i, block->database, block->relation, block->fork,
             block->number);
  }
  for (size_t i = 0; i < count; i++)
    printf(" %s:%" PRIu32 "/%" PRIu32 "/%u/%" PRIu32, touches[touched[i].touch], touched[i].relation, touched[i].block,
           touched[i].offset, touched[i].to);
  if (vsi_postgres_is_end(record)) {
    error = vsi_postgres_ended_read(format, record, &ended);
    if (error) return error;
    printf(" %s:%" PRIu32, ended.is_commit ? "commit" : "abort", ended.xid);
    for (uint32_t i = 0; i < ended.subtransactions_count; i++)
      printf(" sub:%" PRIu32, vsi_postgres_ended_subtransaction(&ended, i));
    for (uint32_t i = 0; i < ended.messages_count; i++) {
      uint32_t database, relation;
      if (vsi_postgres_ended_definition(&ended, i, &database, &relation)) printf(" relation:%" PRIu32, relation);
    }
  }
  putchar('\n');
  return VESTRY_OK;
}

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  const vsi_postgres_format *format = vsi_postgres_format_of((unsigned)atoi(argv[1]));
  if (!format) return 2;
  vsi_postgres_wal wal;
  const vsi_postgres_wal_options options = {.host = vestry_host_default(),
                                            .format = format,
                                            .at = strtoull(argv[2], NULL, 10),
                                            .page_bytes = 8192,
                                            .segment_bytes = (uint32_t)strtoul(argv[3], NULL, 10),
                                            .on_record = show,
                                            .ctx = (void *)(uintptr_t)format};
  size_t piece = strtoul(argv[4], NULL, 10), len;
  char *data = malloc(piece);
  vestry_err error = data ? vsi_postgres_wal_init(&wal, &options) : VESTRY_NO_MEMORY;
  if (error) {
    free(data);
    return 2;
  }
  while (!error && (len = fread(data, 1, piece, stdin))) error = vsi_postgres_wal_feed(&wal, data, len);
  if (error) fprintf(stderr, "%s: %s\n", vestry_err_name(error), wal.reason);
  fprintf(stderr, "%" PRIu64 "\n", wal.records_count);
  vsi_postgres_wal_finish(&wal);
  free(data);
  return error ? 1 : 0;
}
