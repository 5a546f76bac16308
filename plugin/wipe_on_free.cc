// Wipes every block of the heap before it is given back, for the whole process: gRPC, Protobuf and
// OpenSSL pass key material through buffers of their own. Linked with --wrap=free and
// --wrap=realloc, so that every call of these two in the program and its static libraries comes
// here. operator delete ends in free.
#include <malloc.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

// The names are the linker's.
// NOLINTBEGIN(clang-diagnostic-reserved-identifier)
extern "C" {

void __real_free(void* block);
void __wrap_free(void* block);
void* __wrap_realloc(void* block, std::size_t size);

void __wrap_free(void* block) {
  if (block == nullptr) return;
  explicit_bzero(block, malloc_usable_size(block));
  __real_free(block);
}

// realloc may move the block and free the old place unseen, so a block that must move is moved by
// hand.
void* __wrap_realloc(void* block, std::size_t size) {
  if (block == nullptr) return std::malloc(size);
  const std::size_t old_size = malloc_usable_size(block);
  if (size != 0 && size <= old_size && size >= old_size / 2) return block;
  if (size == 0) {
    __wrap_free(block);
    return nullptr;
  }
  void* moved = std::malloc(size);
  if (moved == nullptr) return nullptr;
  memcpy(moved, block, old_size < size ? old_size : size);
  __wrap_free(block);
  return moved;
}

}  // extern "C"
// NOLINTEND(clang-diagnostic-reserved-identifier)
