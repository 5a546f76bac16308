#ifndef BASE_TURN_H_
#define BASE_TURN_H_

#include <cstddef>

namespace base {

// A server's duty to take its next request. The thread that has it handles a request itself, as to
// wake another one often costs more than the request. Whatever handles one calls PassTurnOn()
// before it waits or works for long, and another thread takes the next requests.
class Turn {
 public:
  virtual ~Turn() = default;
  // Called on the thread that set it. Does nothing if the thread has no turn any more.
  virtual void PassOn() = 0;
};

namespace internal {
inline thread_local Turn* turn = nullptr;
}

// For the server: what is on this thread passed on. nullptr: nothing.
inline void SetTurn(Turn* turn) { internal::turn = turn; }

// Call it before a lock, a file or a peer is waited for, and before a computation that takes
// milliseconds. Where that is forgotten, other requests wait, until the server notices. Does
// nothing the second time, and on threads that aren't a server's.
inline void PassTurnOn() {
  if (internal::turn != nullptr) internal::turn->PassOn();
}

// The same before text of so many bytes is parsed, if that takes a good part of a millisecond.
inline void PassTurnOnFor(std::size_t bytes) {
  constexpr std::size_t kLarge = std::size_t{64} << 10;
  if (bytes >= kLarge) PassTurnOn();
}

}  // namespace base

#endif  // BASE_TURN_H_
