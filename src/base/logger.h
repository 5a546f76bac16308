#ifndef BASE_LOGGER_H_
#define BASE_LOGGER_H_

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace base {

enum class LogLevel { kTrace, kDebug, kInfo, kWarn, kError };

// A key and its value, both shown as they are: never key material.
using LogPair = std::pair<std::string_view, std::string>;

// Where an operator reads what happened. Implementations are thread-safe.
class Logger {
 public:
  virtual ~Logger() = default;
  virtual void Log(LogLevel level, std::string_view message,
                   std::initializer_list<LogPair> pairs) = 0;

  void Info(std::string_view message, std::initializer_list<LogPair> pairs = {}) {
    Log(LogLevel::kInfo, message, pairs);
  }
  void Warn(std::string_view message, std::initializer_list<LogPair> pairs = {}) {
    Log(LogLevel::kWarn, message, pairs);
  }
  void Error(std::string_view message, std::initializer_list<LogPair> pairs = {}) {
    Log(LogLevel::kError, message, pairs);
  }
};

}  // namespace base

#endif  // BASE_LOGGER_H_
