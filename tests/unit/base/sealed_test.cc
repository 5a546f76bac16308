#include "base/sealed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

namespace base {
namespace {

TEST(SealedBytes, OpensToWhatWasSealed) {
  for (const std::size_t size : {0u, 1u, 15u, 16u, 17u, 4096u, 1u << 20}) {
    const std::string plain(size, 'k');
    const auto sealed = SealedBytes::Seal(plain);
    ASSERT_TRUE(sealed.has_value());
    const auto opened = sealed->Open();
    ASSERT_TRUE(opened.has_value());
    EXPECT_EQ(opened->view(), plain);
  }
}

// The object's own memory, which holds a vector's pointers, and what they point to.
std::string BytesOf(const SealedBytes& sealed) {
  struct Layout {
    const char* begin;
    const char* end;
    const char* capacity;
  };
  static_assert(sizeof(Layout) == sizeof(SealedBytes));
  const auto& layout = reinterpret_cast<const Layout&>(sealed);
  return {layout.begin, layout.end};
}

TEST(SealedBytes, HoldsNothingOfThePlainBytesAndIsNeverTwiceTheSame) {
  const std::string plain = "key material that must not be found in memory";
  const auto one = SealedBytes::Seal(plain);
  const auto two = SealedBytes::Seal(plain);
  EXPECT_EQ(BytesOf(*one).size(), plain.size() + 12 + 16);
  for (std::size_t i = 0; i + 4 <= plain.size(); ++i) {
    EXPECT_EQ(BytesOf(*one).find(plain.substr(i, 4)), std::string::npos);
  }
  EXPECT_NE(BytesOf(*one), BytesOf(*two));
}

TEST(SealedBytes, OpensNoMoreWhenABitOfItFlips) {
  const auto sealed = SealedBytes::Seal("0123456789");
  auto& bytes = *const_cast<std::vector<std::uint8_t>*>(
      reinterpret_cast<const std::vector<std::uint8_t>*>(&*sealed));
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] ^= 1;
    EXPECT_FALSE(sealed->Open().has_value()) << i;
    bytes[i] ^= 1;
  }
  EXPECT_EQ(sealed->Open()->view(), "0123456789");
}

// Linux names such a page "/secretmem"; where there is none it is locked, and left out of dumps.
TEST(SealedBytes, ItsKeyLiesInAPageThatIsInNoDump) {
  ASSERT_TRUE(SealedBytes::Seal("x").has_value());
  std::ifstream maps("/proc/self/smaps");
  bool found = false;
  bool secret = false;
  for (std::string line; std::getline(maps, line) && !found;) {
    if (line.find("secretmem") != std::string::npos) secret = true;
    const bool flags = line.starts_with("VmFlags:");
    found = flags && line.find(" lo ") != std::string::npos &&
            (secret || line.find(" dd ") != std::string::npos);
    if (flags) secret = false;
  }
  EXPECT_TRUE(found);
}

TEST(SealedBytes, SeveralThreadsReadOne) {
  const std::string plain(10'000, 'k');
  const auto sealed = SealedBytes::Seal(plain);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 100; ++n) EXPECT_EQ(sealed->Open()->view(), plain);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace base
