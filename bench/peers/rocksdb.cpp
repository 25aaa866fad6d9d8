// SPDX-License-Identifier: MIT
// RocksDB's block caches with 64 shards. Their bound is divided among the shards, so they may hold slightly more than
// configured (64 shards of 157 for 10,000), and they evict a key of the same shard instead of the oldest key of all. An
// entry counts 1, without its memory. A look-up pins and releases the entry, which corresponds to the reference of a
// get.
//
//   --cache lru          LRUCache: a shard has a mutex, a hash table and a list of uses. The least recently used entry
//                        is evicted first; no part is reserved for entries that were hit.
//   --cache hyper-clock  HyperClockCache, RocksDB's default since 10.7: lock-free, with a hash table of fixed size and a
//                        clock instead of the order of uses. It accepts only keys of 16 bytes.
//
// Both are in Debian 12 (7.8, where HyperClockCache is experimental) and in Debian 13 (9.10). Since 8.0, the interface
// of Cache is in a header of its own, and an entry has a helper instead of a function that destroys its value.
#include <cstring>

#include <rocksdb/cache.h>
#include <rocksdb/version.h>
#if ROCKSDB_MAJOR >= 8
#include <rocksdb/advanced_cache.h>
#endif

#include "../contest.h"

using rocksdb::Cache;
using rocksdb::Slice;

namespace {

constexpr int shard_bits = 6;
constexpr size_t hyper_clock_key_bytes = 16;

bool is_hyper_clock; // --cache

struct contender {
  std::shared_ptr<Cache> cache;
};

Cache *cache_of(void *self) {
  return static_cast<contender *>(self)->cache.get();
}

Slice slice(const void *key, size_t len) {
  return Slice(static_cast<const char *>(key), len);
}

void close(void *value) {
  connection_close(value);
  connection_unref(value);
}

#if ROCKSDB_MAJOR >= 8
void end(void *value, rocksdb::MemoryAllocator *) {
  close(value);
}
const Cache::CacheItemHelper helper{rocksdb::CacheEntryRole::kMisc, end};

rocksdb::Status insert(Cache *cache, const Slice &key, connection *conn) {
  return cache->Insert(key, conn, &helper, 1);
}
#else
void end(const Slice &, void *value) {
  close(value);
}

rocksdb::Status insert(Cache *cache, const Slice &key, connection *conn) {
  return cache->Insert(key, conn, 1, end);
}
#endif

std::shared_ptr<Cache> lru_cache(size_t capacity) {
  rocksdb::LRUCacheOptions options;
  options.capacity = capacity;
  options.num_shard_bits = shard_bits;
  options.strict_capacity_limit = false;
  options.high_pri_pool_ratio = 0;
  options.metadata_charge_policy = rocksdb::kDontChargeCacheMetadata;
  return rocksdb::NewLRUCache(options);
}

std::shared_ptr<Cache> hyper_clock_cache(size_t capacity) {
  return rocksdb::HyperClockCacheOptions(capacity, 1, shard_bits, false, nullptr, rocksdb::kDontChargeCacheMetadata)
      .MakeSharedCache();
}

bool create(const contest_settings *settings, void **ret_self) {
  // If all keys have to fit, some shards receive more than their share, and need room for these keys.
  bool look_ups = settings->work.kind == WORKLOAD_HIT || settings->work.kind == WORKLOAD_HOT;
  size_t capacity = settings->work.capacity * (look_ups ? 2 : 1) + (look_ups ? 64 << shard_bits : 0);
  auto self = new contender{is_hyper_clock ? hyper_clock_cache(capacity) : lru_cache(capacity)};
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
  return insert(cache_of(self), slice(key, len), conn).ok();
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
  contest_settings settings;
  const char *cache = "lru";
  const bench_option more[] = {{"--cache", &cache, NULL, 0, 0}};
  int status = contest_parse(argc - 1, argv + 1, more, 1, &settings);
  if (status) return status;
  is_hyper_clock = std::strcmp(cache, "hyper-clock") == 0;
  contest_ops chosen = ops;
  if (is_hyper_clock) {
    chosen.variant = " cache=hyper-clock";
    chosen.key_bytes = hyper_clock_key_bytes;
  }
  return contest_run(&chosen, &settings);
}
