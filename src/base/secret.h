// Types that hold key material. Everything they ever held is wiped before its memory is given back.
#ifndef BASE_SECRET_H_
#define BASE_SECRET_H_

#include <openssl/crypto.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace base {

// A stateless allocator that wipes (OPENSSL_cleanse) each block before it frees it, so that neither
// growth nor destruction of a container leaves a copy of its content behind.
template <class T>
struct WipingAllocator {
  using value_type = T;

  WipingAllocator() = default;
  template <class U>
  WipingAllocator(const WipingAllocator<U>&) noexcept {}  // NOLINT(google-explicit-constructor)

  T* allocate(std::size_t n) { return std::allocator<T>().allocate(n); }
  void deallocate(T* p, std::size_t n) noexcept {
    OPENSSL_cleanse(p, n * sizeof(T));
    std::allocator<T>().deallocate(p, n);
  }
  template <class U>
  bool operator==(const WipingAllocator<U>&) const noexcept {
    return true;
  }
};

// Frees a block of WipingAllocator<char>.
struct WipingDelete {
  std::size_t capacity = 0;
  void operator()(char* block) const { WipingAllocator<char>().deallocate(block, capacity); }
};

// The string type inside base::Json. Short strings sit inline in their owner, which the owner's own
// WipingAllocator wipes; so use it only inside wiped containers, and SecretBytes everywhere else.
using JsonString = std::basic_string<char, std::char_traits<char>, WipingAllocator<char>>;

// A wiped, move-only byte string for key material and for text that contains it. No stream operator
// and no conversion to std::string, on purpose: copies are spelled Clone(). Thread-safe as any
// const object.
class SecretBytes {
 public:
  SecretBytes() = default;
  explicit SecretBytes(std::size_t size);  // of zeros
  explicit SecretBytes(std::string_view copied) { Append(copied); }
  SecretBytes(SecretBytes&& other) noexcept
      : bytes_(std::move(other.bytes_)), size_(std::exchange(other.size_, 0)) {}
  SecretBytes& operator=(SecretBytes&& other) noexcept {
    bytes_ = std::move(other.bytes_);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;
  ~SecretBytes() = default;

  SecretBytes Clone() const { return SecretBytes(view()); }

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  // Valid until this object is changed, moved from or destroyed.
  std::string_view view() const { return {bytes_.get(), size_}; }
  std::span<std::uint8_t> mutable_span() {
    return {reinterpret_cast<std::uint8_t*>(bytes_.get()), size_};
  }
  std::span<const std::uint8_t> span() const {
    return {reinterpret_cast<const std::uint8_t*>(bytes_.get()), size_};
  }

  // `more` may be a part of this object.
  void Append(std::string_view more);
  // Room for `size` bytes in all.
  void Reserve(std::size_t size);
  // Shortens to `size` bytes and wipes what is cut off.
  void Truncate(std::size_t size);

  // Constant-time in the content; the sizes are compared first and are not secret.
  friend bool operator==(const SecretBytes& a, const SecretBytes& b);

 private:
  // Not a std::vector, which copies byte by byte for an allocator that is not its own.
  using Block = std::unique_ptr<char[], WipingDelete>;

  std::size_t capacity() const { return bytes_ == nullptr ? 0 : bytes_.get_deleter().capacity; }
  // Moves to a new block and returns the one before.
  Block MoveTo(std::size_t capacity);

  Block bytes_;
  std::size_t size_ = 0;
};

}  // namespace base

#endif  // BASE_SECRET_H_
