#include "sdk/logical/request.h"

#include <array>
#include <utility>

namespace openbao {
namespace {

constexpr std::array<std::pair<std::string_view, Operation>, 9> kNames{{
    {"create", Operation::kCreate},
    {"read", Operation::kRead},
    {"update", Operation::kUpdate},
    {"patch", Operation::kPatch},
    {"delete", Operation::kDelete},
    {"list", Operation::kList},
    {"scan", Operation::kScan},
    {"help", Operation::kHelp},
    {"rollback", Operation::kRollback},
}};

}  // namespace

Operation ParseOperation(std::string_view name) {
  for (const auto& [known, operation] : kNames) {
    if (known == name) return operation;
  }
  return Operation::kOther;
}

std::string_view OperationName(Operation operation) {
  for (const auto& [name, known] : kNames) {
    if (known == operation) return name;
  }
  return "other";
}

}  // namespace openbao
