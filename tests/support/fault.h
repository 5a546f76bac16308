// What a test makes of one storage call.
#ifndef TESTS_SUPPORT_FAULT_H_
#define TESTS_SUPPORT_FAULT_H_

namespace testing_support {

enum class Fault {
  kNone,
  kErrorBefore,    // the server answers with an error; nothing happened
  kErrorAfter,     // … but the call had its effect
  kLostBefore,     // the connection breaks: no answer; nothing happened
  kLostAfter,      // … but the call had its effect
  kTimeoutBefore,  // the call's time is up; nothing happened
  kTimeoutAfter,   // … but the call had its effect
  kCrashBefore,    // the plugin's process dies; nothing happened
  kCrashAfter,     // … the call had its effect
  kGarbage,        // an answer that makes no sense; nothing happened
  kReadOnly,       // a standby's refusal
};

inline constexpr Fault kEveryFault[] = {
    Fault::kErrorBefore,   Fault::kErrorAfter,   Fault::kLostBefore,
    Fault::kLostAfter,     Fault::kCrashBefore,  Fault::kCrashAfter,
    Fault::kTimeoutBefore, Fault::kTimeoutAfter, Fault::kGarbage,
};

inline const char* FaultName(Fault fault) {
  switch (fault) {
    case Fault::kNone:
      return "none";
    case Fault::kErrorBefore:
      return "error before";
    case Fault::kErrorAfter:
      return "error after";
    case Fault::kLostBefore:
      return "lost before";
    case Fault::kLostAfter:
      return "lost after";
    case Fault::kTimeoutBefore:
      return "timeout before";
    case Fault::kTimeoutAfter:
      return "timeout after";
    case Fault::kCrashBefore:
      return "crash before";
    case Fault::kCrashAfter:
      return "crash after";
    case Fault::kGarbage:
      return "garbage";
    case Fault::kReadOnly:
      return "read-only";
  }
  return "?";
}

inline bool IsCrash(Fault fault) {
  return fault == Fault::kCrashBefore || fault == Fault::kCrashAfter;
}

// Whether the call has its effect all the same.
inline bool TakesEffect(Fault fault) {
  return fault == Fault::kNone || fault == Fault::kErrorAfter || fault == Fault::kLostAfter ||
         fault == Fault::kTimeoutAfter || fault == Fault::kCrashAfter;
}

}  // namespace testing_support

#endif  // TESTS_SUPPORT_FAULT_H_
