# SPDX-License-Identifier: MIT
"""Check that the oracle detects faults: mutations.py SOURCE BUILD [NAME…]

Each mutation removes one part of src/data/postgres in a copy of its file, where the text must occur exactly once. The
oracle is linked with the copy, and must fail. A mutation that it does not detect within its commits is an error."""
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import mutate  # noqa: E402

COMMITS = os.environ.get("VESTRY_MUTATION_COMMITS", "6000")
SKIPPED = 77
BOUNDED = {"over", "whole"}  # found by the oracle at small bounds
PROGRAM = "bin/test_postgres"
MUTATIONS = {
    "subtransaction": ("transactions.c", "vestry_err error = sub ? unite(all, t, sub) : VESTRY_OK;",
                       "vestry_err error = VESTRY_OK;\n  (void)unite;"),
    "start": ("index.c", "if (!index->start_left || left == index->start_left) return;",
              "if (!index->start_left) return;\n  index->start_left = left;\n  if (left) return;"),
    "xmin": ("keys.c", "if (xid < snapshot->from) return true;", "return xid >= snapshot->from;"),
    "xmax": ("keys.c", "if (snapshot->running[i] == xid) return false;", "continue;"),
    "early": ("index.c", "if (vsi_postgres_snapshot_sees(snapshot, ((recent *)at)->xid)) publish(index, (recent *)at);",
              "publish(index, (recent *)at);"),
    "ring": ("index.c", "if (!vsi_postgres_snapshot_sees(snapshot, c->xid) && matches(c, of)) return true;",
             "(void)of;\n    (void)snapshot;"),
    "over": ("transactions.c", "t->is_all = t->keys.count > all->is.max_keys;",
             "if (t->keys.count > all->is.max_keys) t->keys.count = 0;"),
    "whole": ("database.c", "depend(database, render, VSI_READS_EVERYTHING);\n      entry", "entry"),
    "images": ("wal.c", "if (!take_block(&bytes, wal->is.format, before, &record->blocks[id], &rest)) return false;",
               "bool has_image = *bytes.at & BLOCK_HAS_IMAGE;\n"
               "      if (!take_block(&bytes, wal->is.format, before, &record->blocks[id], &rest)) return false;\n"
               "      if (has_image) record->manager = 255;"),
    "leaf": ("read_set.c", "add(f, keys, is_whole ? VSI_POSTGRES_INDEX : VSI_POSTGRES_LEAF, r->file, block, 0);",
             "if (is_whole) add(f, keys, VSI_POSTGRES_INDEX, r->file, block, 0);"),
    "row": ("read_set.c", "add(f, keys, offset ? VSI_POSTGRES_ROW : VSI_POSTGRES_ROWS, r->file, block, offset);",
            "(void)block;"),
    "scan": ("read_set.c", "if (r->is == 'm' || (is_table && r->is_scanned))", "if (r->is == 'm')"),
    "definition": ("read_set.c", "add(f, &f->keys, VSI_POSTGRES_DEFINITION, r->oid, 0, 0);", ";"),
    "split": ("index.c", "if (!error) error = vsi_reads_move(&index->reads, &old, &new);",
              ";"),
    "failure": ("run.c", "if (!of) return;", "if (true) return;"),
    "stop": ("database.c", "vsi_postgres_index_stop(database->index);", ";"),
    "brief": ("read_set.c", "CAN_BE_CAUGHT) && !f->is_caught;", "CAN_BE_CAUGHT) && false;"),
    "prepared": ("record.c", "operation == COMMIT || operation == COMMIT_PREPARED, .xid", "operation == COMMIT, .xid"),
    "caught": ("read_set.c", "WHERE one.can_catch AND c.oid", "WHERE one.can_catch AND false AND c.oid"),
}


def run(source, build, name, folder):
    """Return the exit status and the output of the oracle."""
    file, before, after = MUTATIONS[name]
    program = folder / "oracle"
    mutate.link(build, source / "src/data/postgres" / file, before, after, PROGRAM, program)
    environment = {**os.environ, "VESTRY_LEVEL": "bounds" if name in BOUNDED else "reads", "VESTRY_COMMITS": COMMITS}
    ran = subprocess.run([program, "oracle"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                         errors="replace")
    return ran.returncode, ran.stdout


if __name__ == "__main__":
    mutate.main(MUTATIONS, run, lambda said: "missed by page" in said or "never settles" in said, SKIPPED)
