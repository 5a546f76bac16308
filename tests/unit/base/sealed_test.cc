#include "base/sealed.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <vector>

#include "support/faulty.h"

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

// The sanitizers make mlock(2) do nothing.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kLocks = false;
#else
constexpr bool kLocks = true;
#endif

// Whether the process has a page that is in no dump. Linux names one of memfd_secret "/secretmem";
// another is locked, and left out of dumps.
bool HasPageOutOfDumps() {
  std::ifstream maps("/proc/self/smaps");
  bool found = false;
  bool secret = false;
  for (std::string line; std::getline(maps, line) && !found;) {
    if (line.find("secretmem") != std::string::npos) secret = true;
    const bool flags = line.starts_with("VmFlags:");
    const bool locked = line.find(" lo ") != std::string::npos;
    const bool no_dump = line.find(" dd ") != std::string::npos;
    found = flags && (secret ? locked : no_dump && (locked || !kLocks));
    if (flags) secret = false;
  }
  return found;
}

TEST(SealedBytes, ItsKeyLiesInAPageThatIsInNoDump) {
  ASSERT_TRUE(SealedBytes::Seal("x").has_value());
  EXPECT_TRUE(HasPageOutOfDumps());
}

// The key is made once a process, so each case has one of its own.
class SealedBytesDeathTest : public testing::Test {
 protected:
  SealedBytesDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }

  // Ends the process: 0 if its key lies where it should, and it seals and opens; 1 if it doesn't
  // seal.
  [[noreturn]] static void SealWith(std::string_view function, int nth = 1) {
    std::optional<SealedBytes> sealed;
    {
      const testing_support::Faulty fault(function, nth);
      sealed = SealedBytes::Seal("plain");
    }
    if (!sealed.has_value()) std::exit(1);
    std::exit(sealed->Open()->view() == "plain" && HasPageOutOfDumps() ? 0 : 2);
  }
  // No file can be opened, so memfd_secret(2) fails as it does where a container forbids it.
  [[noreturn]] static void SealWithoutMemfdSecret(std::string_view function, int nth = 1) {
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    const rlimit none{0, files.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
    {
      const testing_support::Faulty fault(function, nth);
      static_cast<void>(SealedBytes::Seal("plain"));  // makes the key
    }
    setrlimit(RLIMIT_NOFILE, &files);
    SealWith("");
  }
};

TEST_F(SealedBytesDeathTest, WithoutMemfdSecretItsKeyIsLocked) {
  EXPECT_EXIT(SealWithoutMemfdSecret(""), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(SealWith("ftruncate"), testing::ExitedWithCode(0), "");
}

TEST_F(SealedBytesDeathTest, SealsNothingWhereItsKeyCanNotBeKept) {
  EXPECT_EXIT(SealWith("mmap"), testing::ExitedWithCode(1), "");
  EXPECT_EXIT(SealWith("RAND_priv_bytes"), testing::ExitedWithCode(1), "");
  // Nor where it could, but a nonce not be had.
  EXPECT_EXIT(SealWith("RAND_bytes"), testing::ExitedWithCode(1), "");
  EXPECT_EXIT(SealWithoutMemfdSecret("mlock"), testing::ExitedWithCode(1), "");
  EXPECT_EXIT(SealWithoutMemfdSecret("madvise", 1), testing::ExitedWithCode(1), "");
  EXPECT_EXIT(SealWithoutMemfdSecret("madvise", 2), testing::ExitedWithCode(1), "");
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
