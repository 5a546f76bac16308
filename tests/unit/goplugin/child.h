#ifndef TESTS_UNIT_GOPLUGIN_CHILD_H_
#define TESTS_UNIT_GOPLUGIN_CHILD_H_

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "goplugin/posix.h"

namespace goplugin {

// A program under test, its stdout and stderr read by us. Killed when this object goes.
class Child {
 public:
  struct End {
    // The exit code, or minus the signal's number.
    int code = 0;
    absl::Duration took;
  };

  // Starts the program with exactly these variables ("NAME=value"; and LLVM_PROFILE_FILE, if we
  // have it). Its stderr is added to the file `log`, if one is named, and not read by us.
  Child(const std::string& program, const std::vector<std::string>& environment,
        const std::string& log = "");
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  // The next line of stdout without its newline; nothing if it doesn't come in time.
  std::optional<std::string> ReadLine();
  // Waits for the end and reads the rest of both streams; nothing if it doesn't come in time.
  std::optional<End> Wait();

  // Waits for the end without reading anything more; false if it doesn't come in time.
  bool AwaitEnd(absl::Duration patience);

  // What came after the lines read, known once Wait() has returned.
  const std::string& stdout_text() const { return out_.text; }
  const std::string& stderr_text() const { return err_.text; }
  // Reads stderr until this text stands in it; false if it doesn't come in time.
  bool AwaitStderr(const std::string& text);

 private:
  struct Stream {
    Fd fd;
    std::string text;
    bool ended = false;
  };
  // Waits for more on either stream; false when there is none before the deadline.
  bool Read(absl::Time deadline);

  pid_t pid_ = -1;
  Stream out_;
  Stream err_;
};

}  // namespace goplugin

#endif  // TESTS_UNIT_GOPLUGIN_CHILD_H_
