// Counting allocator: the bytes that tensors of this process hold on the CPU, now and at the highest.
//
// Installed as c10's CPU allocator; there is one per process because c10 has one. Large tensors lie on huge pages (runtime/huge_heap.h). A
// step that allocates the same sizes again and again meets no page fault after its first run: freed memory is kept, never given back to the
// system. Not for memory outside tensors (oneDNN's and MKL's own buffers). Invariant: live_bytes is the sum of the sizes asked for, without
// padding.
#pragma once

#include <cstdint>

namespace helm::runtime {

// Idempotent. REQUIRES: called before the first tensor is made that shall be counted.
void InstallCountingAllocator();

int64_t LiveBytes();    // of tensors allocated since the allocator was installed and not freed
int64_t PeakBytes();    // highest LiveBytes since ResetPeakBytes
void ResetPeakBytes();  // the peak starts again from what is live now

}  // namespace helm::runtime
