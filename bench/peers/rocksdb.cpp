// SPDX-License-Identifier: MIT
// RocksDB's LRUCache with 64 shards, each with a mutex, a hash table and a list of uses. Its bound is divided among the
// shards, so it may hold slightly more than configured (64 shards of 157 for 10,000), and it evicts a key of the same
// shard instead of the oldest key of all. An entry counts 1, without its memory. The least recently used entry is
// evicted first; no part is reserved for entries that were hit. A look-up pins and releases the entry, which
// corresponds to the reference of a get.
#include <rocksdb/cache.h>

#include "../contest.h"

using rocksdb::Cache;
using rocksdb::Slice;

namespace {

constexpr int shard_bits = 6;

struct contender {
  std::shared_ptr<Cache> cache;
};

Cache *cache_of(void *self) {
  return static_cast<contender *>(self)->cache.get();
}

Slice slice(const void *key, size_t len) {
  return Slice(static_cast<const char *>(key), len);
}

void end(const Slice &, void *value) {
  connection_close(value);
  connection_unref(value);
}

bool create(const contest_settings *settings, void **ret_self) {
  rocksdb::LRUCacheOptions options;
  // If all keys have to fit, some shards receive more than their share, and need room for these keys.
  bool look_ups = settings->work.kind == WORKLOAD_HIT || settings->work.kind == WORKLOAD_HOT;
  options.capacity = settings->work.capacity * (look_ups ? 2 : 1) + (look_ups ? 64 << shard_bits : 0);
  options.num_shard_bits = shard_bits;
  options.strict_capacity_limit = false;
  options.high_pri_pool_ratio = 0;
  options.metadata_charge_policy = rocksdb::kDontChargeCacheMetadata;
  auto self = new contender{rocksdb::NewLRUCache(options)};
  *ret_self = self;
  return self->cache != nullptr;
}

bool destroy(void *self) {
  delete static_cast<contender *>(self);
  return true;
}

void count(void *self, contest_counts *counts) {
  counts->size = cache_of(self)->GetUsage();
}

bool put(void *self, const void *key, size_t len, connection *conn) {
  connection_ref(conn);
  // On failure, Insert calls end, which the contest would count as an extra close. Without a strict limit none occurs.
  return cache_of(self)->Insert(slice(key, len), conn, 1, end).ok();
}

bool get(void *self, const void *key, size_t len, uint64_t *sink) {
  Cache *cache = cache_of(self);
  Cache::Handle *handle = cache->Lookup(slice(key, len));
  if (!handle) return false;
  *sink += static_cast<connection *>(cache->Value(handle))->id;
  cache->Release(handle);
  return true;
}

bool drop(void *self, const void *key, size_t len) {
  cache_of(self)->Erase(slice(key, len));
  return true;
}

void batch(contest_worker *worker);

const contest_ops ops = {"rocksdb", "",   CONTEST_ALL_BUT_IDLE, 0, true, false, create, destroy, count, put, get, get,
                         drop,      batch};

void batch(contest_worker *worker) {
  contest_batch(&ops, worker);
}

} // namespace

int main(int argc, char **argv) {
  return contest_main(&ops, argc, argv);
}
