// Log lines as a go-plugin host reads them: one hclog JSON object a line on stderr (go-plugin
// log_entry.go). The host logs a line that is not of this form as debug text, and panics on a
// member
// `@…` that is not a string.
#ifndef GOPLUGIN_LOG_H_
#define GOPLUGIN_LOG_H_

#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>

#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "base/logger.h"

namespace goplugin {

// Takes one whole line, its newline included. Called by one thread at a time.
using LogSink = std::function<void(std::string_view line)>;

// Writes each line with one write(2) to stderr. What can't be written is dropped: a host that is
// gone reads nothing.
LogSink StderrSink();

// Longer messages and values are cut, so that a line stays below the 64 KiB which the host reads
// whole.
inline constexpr std::size_t kMaxLogText = 8192;
inline constexpr std::size_t kMaxLogLine = std::size_t{60} * 1024;

// Thread-safe. The clock must outlive it.
class HclogLogger final : public base::Logger {
 public:
  // `module` names the program; lines below `min_level` are not written.
  HclogLogger(std::string module, base::LogLevel min_level, base::Clock* clock, LogSink sink);

  using base::Logger::Log;
  void Log(base::LogLevel level, std::string_view message,
           std::initializer_list<base::LogPair> pairs) override;

 private:
  const std::string module_;
  const base::LogLevel min_level_;
  base::Clock* const clock_;
  absl::Mutex mutex_;
  const LogSink sink_ ABSL_GUARDED_BY(mutex_);
};

// While it lives, what gRPC logs goes to `logger` as warnings: gRPC's errors only, whatever the
// environment asks for, since its lower levels can print payloads. gRPC has one log function a
// process, so one at a time; the logger must outlive it.
class GrpcLogToLogger {
 public:
  explicit GrpcLogToLogger(base::Logger* logger);
  ~GrpcLogToLogger();
  GrpcLogToLogger(const GrpcLogToLogger&) = delete;
  GrpcLogToLogger& operator=(const GrpcLogToLogger&) = delete;
};

}  // namespace goplugin

#endif  // GOPLUGIN_LOG_H_
