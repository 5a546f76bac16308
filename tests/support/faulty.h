// Functions of OpenSSL and of the kernel that fail when a test says so. What links faulty_calls has
// them in place of the real ones (--wrap, CMakeLists.txt beside this).
#ifndef TESTS_SUPPORT_FAULTY_H_
#define TESTS_SUPPORT_FAULTY_H_

#include <string_view>

namespace testing_support {

// While it lives, this thread's calls of `function` fail, all or from the `nth` on.
// EVP_DecryptUpdate can also succeed, and give another text. Not nested.
class Faulty {
 public:
  enum class How { kFails, kLies };

  explicit Faulty(std::string_view function, int nth = 1, How how = How::kFails);
  ~Faulty();
  Faulty(const Faulty&) = delete;
  Faulty& operator=(const Faulty&) = delete;
};

}  // namespace testing_support

#endif  // TESTS_SUPPORT_FAULTY_H_
