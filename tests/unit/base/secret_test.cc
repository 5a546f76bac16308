#include "base/secret.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/random.h"
#include "support/faulty.h"
#include "support/status_matchers.h"

namespace {

// Blocks of this size are looked at when they are freed (operator delete below).
constexpr std::size_t kWatchedSize = 4099;
int g_watched_frees = 0;
int g_unwiped_frees = 0;

}  // namespace

// Not inlined: the compiler would warn that it sees malloc paired with delete.
[[gnu::noinline]] void* operator new(std::size_t size) {
  if (void* block = std::malloc(size == 0 ? 1 : size)) return block;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* block) noexcept { std::free(block); }
[[gnu::noinline]] void operator delete(void* block, std::size_t size) noexcept {
  if (size == kWatchedSize) {
    const char* bytes = static_cast<const char*>(block);
    ++g_watched_frees;
    g_unwiped_frees += std::all_of(bytes, bytes + size, [](char c) { return c == 0; }) ? 0 : 1;
  }
  std::free(block);
}

namespace base {
namespace {

static_assert(!std::is_copy_constructible_v<SecretBytes>);
static_assert(!std::is_copy_assignable_v<SecretBytes>);
static_assert(!std::is_convertible_v<SecretBytes, std::string>);

TEST(WipingAllocator, WipesABlockBeforeItIsFreed) {
  g_watched_frees = g_unwiped_frees = 0;
  {
    std::vector<char, WipingAllocator<char>> bytes(kWatchedSize, 'x');
    bytes.push_back('y');
  }
  EXPECT_EQ(g_watched_frees, 1);
  EXPECT_EQ(g_unwiped_frees, 0);
}

TEST(SecretBytes, ComparesByContent) {
  EXPECT_EQ(SecretBytes("abc"), SecretBytes("abc"));
  EXPECT_FALSE(SecretBytes("abc") == SecretBytes("abd"));
  EXPECT_FALSE(SecretBytes("abc") == SecretBytes("ab"));
  EXPECT_EQ(SecretBytes(), SecretBytes(""));
}

TEST(SecretBytes, CloneIsAnotherObject) {
  SecretBytes one("abc");
  SecretBytes two = one.Clone();
  one.mutable_span()[0] = 'x';
  EXPECT_EQ(one.view(), "xbc");
  EXPECT_EQ(two.view(), "abc");
}

TEST(SecretBytes, TruncateWipesTheTail) {
  SecretBytes bytes("secret");
  const char* tail = bytes.view().data() + 2;
  bytes.Truncate(2);
  EXPECT_EQ(bytes.view(), "se");
  // Capacity is kept, so the tail is still this object's memory.
  EXPECT_EQ(std::string(tail, 4), std::string(4, '\0'));
  bytes.Truncate(10);
  EXPECT_EQ(bytes.view(), "se");
}

TEST(SecretBytes, WipesEachBlockThatItLeaves) {
  g_watched_frees = g_unwiped_frees = 0;
  {
    SecretBytes bytes(std::string(kWatchedSize, 'x'));
    bytes.Append("y");  // to a larger block
    EXPECT_EQ(g_watched_frees, 1);
    EXPECT_EQ(bytes.view(), std::string(kWatchedSize, 'x') + "y");
    SecretBytes other(std::string(kWatchedSize, 'x'));
    other = std::move(bytes);
    EXPECT_EQ(g_watched_frees, 2);
    const SecretBytes destroyed(std::string(kWatchedSize, 'x'));
  }
  EXPECT_EQ(g_watched_frees, 3);
  EXPECT_EQ(g_unwiped_frees, 0);
}

TEST(SecretBytes, AppendsItself) {
  SecretBytes bytes("abc");
  for (int i = 0; i < 3; ++i) bytes.Append(bytes.view());
  EXPECT_EQ(bytes.view(), "abcabcabcabcabcabcabcabc");
}

TEST(SecretBytes, StaysInItsBlockAsLongAsThatHasRoom) {
  SecretBytes bytes("abc");
  bytes.Reserve(10);
  const char* block = bytes.view().data();
  bytes.Append("defghij");
  bytes.Reserve(5);
  EXPECT_EQ(bytes.view().data(), block);
  EXPECT_EQ(bytes.view(), "abcdefghij");
}

TEST(SecretBytes, IsEmptyAndOfUseAfterItWasMovedFrom) {
  SecretBytes from("abc");
  const SecretBytes to = std::move(from);
  EXPECT_EQ(to.view(), "abc");
  EXPECT_TRUE(from.empty());  // NOLINT(bugprone-use-after-move): what is tested
  from.Append("de");
  EXPECT_EQ(from.view(), "de");
}

TEST(SecretBytes, StartsAsZeros) { EXPECT_EQ(SecretBytes(3).view(), std::string(3, '\0')); }

TEST(OpensslRandom, LeavesNothingUsableWhereItFails) {
  const testing_support::Faulty source("RAND_priv_bytes");
  OpensslRandom random;
  SecretBytes bytes("0123456789");
  EXPECT_THAT(random.Fill(bytes.mutable_span()),
              testing_support::StatusIs(absl::StatusCode::kInternal,
                                        ::testing::HasSubstr("random source failed")));
  EXPECT_EQ(bytes.view(), std::string(10, '\0'));
}

TEST(OpensslRandom, FillsWithDifferentBytes) {
  OpensslRandom random;
  SecretBytes a(32);
  SecretBytes b(32);
  EXPECT_THAT(random.Fill(a.mutable_span()), testing_support::IsOk());
  EXPECT_THAT(random.Fill(b.mutable_span()), testing_support::IsOk());
  EXPECT_FALSE(a == b);
}

}  // namespace
}  // namespace base
