#include "base/secret.h"

#include <algorithm>
#include <cstring>

namespace base {

SecretBytes::SecretBytes(std::size_t size) {
  Reserve(size);
  if (size > 0) std::memset(bytes_.get(), 0, size);
  size_ = size;
}

SecretBytes::Block SecretBytes::MoveTo(std::size_t capacity) {
  Block block(WipingAllocator<char>().allocate(capacity), WipingDelete{capacity});
  if (size_ > 0) std::memcpy(block.get(), bytes_.get(), size_);
  return std::exchange(bytes_, std::move(block));
}

void SecretBytes::Append(std::string_view more) {
  if (more.empty()) return;
  const std::size_t size = size_ + more.size();
  // Lives until `more`, which may be in it, is copied.
  const Block before = size > capacity() ? MoveTo(std::max(size, 2 * size_)) : Block();
  std::memcpy(bytes_.get() + size_, more.data(), more.size());
  size_ = size;
}

void SecretBytes::Reserve(std::size_t size) {
  if (size > capacity()) MoveTo(size);
}

void SecretBytes::Truncate(std::size_t size) {
  if (size >= size_) return;
  OPENSSL_cleanse(bytes_.get() + size, size_ - size);
  size_ = size;
}

bool operator==(const SecretBytes& a, const SecretBytes& b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.bytes_.get(), b.bytes_.get(), a.size()) == 0;
}

}  // namespace base
