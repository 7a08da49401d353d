// What the allocator has given out.
#pragma once

#include <cstdint>
#include <string>

namespace holdfast {

// Bytes that the process has allocated and not freed. Costs some microseconds. Any thread.
uint64_t AllocatedBytes();
// Bytes of physical memory that the process occupies; 0 when unknown.
uint64_t ResidentBytes();
// "jemalloc-5.3.0" or "libc".
const char* AllocatorName();

// What the allocator holds; all 0 when it doesn't say.
struct AllocatorStats {
  uint64_t allocated = 0;  // given out
  uint64_t active = 0;     // of pages with anything given out
  uint64_t resident = 0;   // of pages that it keeps
};
AllocatorStats ReadAllocatorStats();
// The allocator's own report; empty when it has none.
std::string AllocatorReport();
// Has unused pages returned to the operating system within some ten seconds by a thread of the
// allocator. Without it, jemalloc looks at pages only when somebody allocates or frees, so that
// those of an idle server stay. False when the allocator can't.
bool ReturnMemoryInBackground();
// Returns unused pages to the operating system now. False when the allocator can't.
bool PurgeAllocator();

}  // namespace holdfast
