// What the allocator has given out.
#pragma once

#include <cstdint>

namespace holdfast {

// Bytes that the process has allocated and not freed. Costs some microseconds. Any thread.
uint64_t AllocatedBytes();
// Bytes of physical memory that the process occupies; 0 when unknown.
uint64_t ResidentBytes();
// "jemalloc-5.3.0" or "libc".
const char* AllocatorName();

}  // namespace holdfast
